"""Exams that are graded by rubrics: who judges them stands in their scorer, and a model is asked for verdicts here.

Verdicts are kept under what they depend on, so that a run that was stopped pays for none of them twice. An answer of
which a judge gives no verdict has no grade; one whose request may succeed later ends the run, which then goes on.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clbench.core.chat import Ask, Reply, Usage, usage_of_record
from clbench.core.errors import ModelError, SpecError
from clbench.core.events import notice
from clbench.core.replies import ReplyCache, key_of
from clbench.core.spec import JudgeSpec, Machine, ModelSpec
from clbench.core.types import Answer, Exam, Example, Grade, ScorerSpec
from clbench.core.value import written
from clbench.engine.grade import JudgeAll, open_scorer
from clbench.engine.spending import check_price
from clbench.models import source
from clbench.models.api.client import Asks
from clbench.models.api.form import chat_in_form
from clbench.models.api.loop import each_of, finished
from clbench.models.api.paid import client_for
from clbench.models.api.providers import address_of
from clbench.scoring.judged import checks_of, parts_of, state_of, unmet
from clbench.scoring.rubric import judge as rubric
from clbench.scoring.rubric.prompts import VERSION, Seen
from clbench.scoring.rubric.thoughts import without_thoughts
from clbench.store.store import Store

if TYPE_CHECKING:
    from clbench.models.here import Here

REPLIES = "replies"  # folder of the store


def settled_judge(judge: JudgeSpec) -> JudgeSpec:
    """Return a judge with all that its verdicts depend on written down.

    Raises:
        SpecError: It names a wording that is not this version's.
        ModelError: There is no such model.
    """
    if judge.model is None:
        return judge
    if judge.wording not in (None, VERSION):
        mend = f"leave it out: this version asks in wording {VERSION}, and verdicts of two are not comparable"
        raise SpecError(f"there is no wording {judge.wording!r} here", where="judge.wording", mend=mend)
    # The length of a model behind an API changes nothing: an answer is judged whole or not.
    model = judge.model if judge.model.provider else source.settled(judge.model)
    return judge.model_copy(update={"model": model, "wording": VERSION})


def identity(judge: JudgeSpec) -> dict[str, Any]:
    """Return what makes verdicts of a judge comparable with others: as scorers, keys and records hold it."""
    if judge.model is None:
        return {"by": judge.by}
    weights = {} if judge.model.provider else {"weights": source.identity(judge.model)}
    return {**written(judge), "model": written(judge.model), **weights}


def with_judge(exams: Sequence[Exam], judge: JudgeSpec | None) -> tuple[Exam, ...]:
    """Return exams of which those that are graded by rubrics name their judge in their scorer."""
    if judge is None:
        return tuple(exams)
    who = identity(judge)
    return tuple(e.model_copy(update={"scorer": _named(e.scorer, who)}) if _is_judged(e) else e for e in exams)


def _named(scorer: ScorerSpec, who: dict[str, Any]) -> ScorerSpec:
    return scorer.model_copy(update={"settings": {**scorer.settings, "judge": who}})


def _is_judged(exam: Exam) -> bool:
    return open_scorer(exam.scorer.name).judged


def judge_all(judge: JudgeSpec | None, machine: Machine, store: Store) -> JudgeAll | None:
    """Return what asks a judge for grades; None where no model judges."""
    return None if judge is None or judge.model is None else Judge(judge, machine, store).grades


def check_judge(judge: JudgeSpec | None, exams: Sequence[Exam], machine: Machine, *, items: bool = True) -> None:
    """Refuse a judge that cannot work, before anything is spent.

    Args:
        judge: Who grades exams whose items carry rubrics; None where nobody is named.
        exams: What is asked.
        machine: Where providers are.
        items: Whether the items of the exams are looked at, too; see `check_items`.

    Raises:
        SpecError: No exam is graded by rubrics; items have none, or none with exact checks where those are to grade; or
            the judge's provider cannot be asked.
    """
    judged = [exam for exam in exams if _is_judged(exam)]
    for exam in judged if items else ():
        check_items(exam, judge)
    if judge is None:
        if chosen := [exam.name for exam in judged if exam.scorer.settings.get("judge")]:
            raise SpecError("a card names its judge", where=f"exam {chosen[0]}", mend="name it in the recipe: `judge:`")
        return
    if not judged:
        what = "no exam of this run is graded by rubrics, so that it has nothing to do"
        raise SpecError(what, where="judge", mend="leave it out, or ask exams whose scorer is `judged`")
    if judge.model is not None and judge.model.provider is not None:
        address_of(judge.model.provider, machine.providers)
        check_price(judge.model, machine)


def check_items(exam: Exam, judge: JudgeSpec | None) -> None:
    """Refuse an exam that is graded by rubrics and has items without, or without exact checks where those grade.

    Raises:
        SpecError: Names the exam and the first such item.
    """
    if not _is_judged(exam):
        return
    bare = [e.id for e in exam.examples if not e.rubric]
    if bare:
        what = f"{len(bare)} of {len(exam.examples)} items have no rubrics, such as {bare[0]!r}"
        raise SpecError(what, where=f"exam {exam.name}", mend='name the column in its card: rubric: "{rubrics}"')
    exact = judge is not None and judge.by == "exact"
    if exact and (bare := [e.id for e in exam.examples if len(checks_of(e)) != len(e.rubric)]):
        what = f"rubrics of {len(bare)} of {len(exam.examples)} items carry no exact checks, such as {bare[0]!r}"
        raise SpecError(what, where=f"exam {exam.name}", mend="name a model: `judge: {model: ...}`")


@dataclass
class Judge:
    """A model that grades answers by rubrics.

    Attributes:
        spec: Who, and how it is asked.
        machine: Where a model of this process runs, and where providers are.
        store: Keeps verdicts.
    """

    spec: JudgeSpec
    machine: Machine
    store: Store

    @cached_property
    def settings(self) -> rubric.JudgeSettings:
        """How it is asked, in the words of the context track."""
        spec, model = self.spec, self.model
        return rubric.JudgeSettings(
            model=model.name,
            effort=spec.effort,
            batch=spec.batch,
            sees=spec.sees,
            na=spec.na,
            votes=spec.votes,
            permutations=spec.orders,
            structured=model.provider is not None,
        )

    @property
    def model(self) -> ModelSpec:
        """Who is asked."""
        assert self.spec.model is not None, "exact checks ask nobody"
        return self.spec.model

    @cached_property
    def _identity(self) -> dict[str, Any]:
        return identity(self.spec)

    @cached_property
    def _here(self) -> Here:
        from clbench.models.here import open_here

        return open_here(self.model, self.machine)

    def _client(self) -> Asks:
        if self.model.provider is None:
            return self._here
        return client_for(address_of(self.model.provider, self.machine.providers), self.machine, "verdicts")

    def grades(self, exam: Exam, answers: Sequence[Answer]) -> tuple[list[Grade], dict[str, Any]]:
        """Return one grade per answer, in order, and a record of what was judged and what it took.

        Raises:
            ModelError: Answers are without a verdict, and asking again may give one; or the provider refuses the run.
        """
        found = finished(lambda: self._all(exam, answers))
        records = [record for record in found if record is not None]
        failed = [str(record["grading_rationale"]) for record in records if record.get("again")]
        if failed:
            what = f"{len(failed)} of {len(answers)} answers have no verdict; the first: {failed[0]}"
            raise ModelError(what, where=f"exam {exam.name}, judge {self.spec.label}", mend=KEPT)
        grades = [
            _declined(e, a) if r is None else _grade_of(e, r)
            for e, a, r in zip(exam.examples, answers, found, strict=True)
        ]
        account = _account(records)
        account["states"]["declined"] += len(found) - len(records)
        if without := [g.note for g in grades if g.score is None]:
            notice(
                f"{exam.name}: {len(without)} of {len(answers)} answers have no verdict and so no grade: they "
                f"are left out of its score; the first: {without[0]}"
            )
        if cut := account["states"]["truncated"]:
            notice(f"{exam.name}: {cut} of {len(answers)} answers were cut at the most tokens, and score 0 unjudged")
        return grades, {**account, "states": dict(+account["states"])}

    async def _all(self, exam: Exam, answers: Sequence[Answer]) -> list[dict[str, Any] | None]:
        refuses: list[bool] = []
        async with self._client() as client:

            async def ask(body: dict[str, Any]) -> Reply:
                return await chat_in_form(client, body, refuses)

            async def one(pair: tuple[Example, Answer]) -> dict[str, Any] | None:
                example, answer = pair
                return None if answer.finish == "error" else await self._one(example, answer, ask)

            return await each_of(list(zip(exam.examples, answers, strict=True)), one, f"judging {exam.name}")

    async def _one(self, example: Example, answer: Answer, ask: Ask) -> dict[str, Any]:
        seen = seen_of(example, answer, self.spec)
        key = key_of(judge=self._identity, seen=vars(seen), finish=answer.finish, rubrics=example.rubric)
        cache = ReplyCache(self.store.folder / REPLIES)
        if (kept := cache.get(key)) is not None and "state" in kept:
            return kept
        found = rubric.Grade(state=state_of(answer), root=secrets.token_hex(8))
        if found.state != "ok":
            return rubric.as_record(found)
        found = await rubric.Judging(self.settings, ask, found).by_rubrics(example.rubric, seen)
        record = rubric.as_record(found)
        if found.state == "judge_error":
            return {**record, "again": found.again}
        cache.put(key, record)
        return record


KEPT = "run the same command again: verdicts that are there are kept and not paid for again"


def seen_of(example: Example, answer: Answer, judge: JudgeSpec) -> Seen:
    """Return what a judge is shown of an answer: it without thoughts, and the parts of the question that it may see."""
    last = max((k for k, m in enumerate(example.prompt) if m.role == "user"), default=-1)
    earlier = "\n\n".join(f"{m.role}: {m.content}" for m in example.prompt[: max(last, 0)])
    return Seen(
        response=without_thoughts(answer.text)[0],
        task=example.prompt[last].content if "task" in judge.sees and last >= 0 else "",
        context=earlier if "context" in judge.sees else "",
        reference="".join(example.targets[:1]) if "reference" in judge.sees else "",
    )


def _declined(example: Example, answer: Answer) -> Grade:
    parts, note = (0.0,) * len(example.rubric), f"no answer: {answer.text[:200]}"
    return Grade(example_id=example.id, score=0.0, parts=parts, note=note, declined=True)


def _grade_of(example: Example, record: dict[str, Any]) -> Grade:
    if record["state"] == "judge_error":
        return Grade(example_id=example.id, score=None, note=str(record["grading_rationale"]))
    if record["state"] != "ok":
        return unmet(example, len(example.rubric), record["state"])
    note = "; ".join(filter(None, (str(record["grading_rationale"]), *map(str, record["flags"]))))
    parts = parts_of(record["requirement_status"])
    return Grade(example_id=example.id, score=float(record["score"]), parts=parts, note=note)


def _account(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what verdicts took, as they were first made: tokens, requests, the models that were served, states."""
    usage = sum((usage_of_record(record["judge_usage"]) for record in records), Usage())
    calls = [call for record in records for call in record["calls"]]
    served = sorted({str(call["model"]) for call in calls if call["model"]})
    states = Counter(str(record["state"]) for record in records)
    return {"usage": usage.plain(), "requests": len(calls), "served": served, "states": states}
