"""Grading one answer with a model as the judge; whatever it costs, the verdict is recomputed from the statuses."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clbench.context import public
from clbench.context.log import Record
from clbench.context.prompts import (
    VERSION,
    Requirement,
    Seen,
    filled,
    is_quoted,
    messages_for,
    neutral,
    public_list,
    public_prompt,
    read_verdicts,
    reply_schema,
    requirements,
    says_nothing,
    without_thoughts,
)
from clbench.context.rows import Raw, messages_of, rubrics_of
from clbench.context.verdicts import UNJUDGED, NaPolicy, PublicVerdict, State, label_of, read_public, score_of
from clbench.core.keys import rng
from clbench.models.api.errors import ApiError
from clbench.models.api.reply import Reply, Usage

Call = dict[str, Any]
Ask = Callable[[dict[str, Any]], Awaitable[Reply]]
See = Literal["response", "task", "context", "reference"]


@dataclass(frozen=True)
class JudgeSettings:
    """How answers are judged.

    Attributes:
        model: The judge.
        effort: Its reasoning effort, None sends none.
        batch: Requirements in one call; 0 asks for all at once.
        sees: What it is shown beside the response.
        na: What an "n/a" counts as.
        votes, permutations: Each requirement is asked `votes * permutations` times, every permutation in another
            order; the majority counts, and a tie is a no.
        public: Ask as the public script does and keep both readings.
        template: The prompt for that, None for ours in its outline.
        tries: How often the public script would ask.
        structured: Ask the provider to hold replies to a form.
    """

    model: str = "gpt-5.1"
    effort: str | None = None
    batch: int = 0
    sees: tuple[See, ...] = ("response",)
    na: NaPolicy = "fail"
    votes: int = 1
    permutations: int = 1
    public: bool = False
    template: str | None = None
    tries: int = 3
    structured: bool = True

    def identity(self) -> dict[str, Any]:
        """Return what makes its verdicts comparable with others."""
        prompt = "public outline" if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()[:16]
        parts = {**vars(self), "template": prompt if self.public else None, "version": VERSION, "sees": list(self.sees)}
        return {name: value for name, value in parts.items() if name not in ("tries", "structured")}


def settings_from(identity: Mapping[str, Any]) -> JudgeSettings:
    """Return the settings that an identity names, to read recorded replies as they were asked for."""
    names = ("model", "effort", "batch", "na", "votes", "permutations", "public")
    return JudgeSettings(**{name: identity[name] for name in names}, sees=tuple(identity["sees"]))


@dataclass
class Grade:
    """A grade.

    Attributes:
        state: "ok" if it was judged or needs no judge; else what is wrong.
        status: A label for each rubric.
        score: 1 or 0, from the statuses.
        rationale: The judge's reasons, or why there are none.
        judge_score: The judge's own score, as it wrote it.
        flags: What a reader should know.
        usage: Tokens.
        root: The random root of marks and ids.
        calls: Replies as they came, from which the grade can be made again.
        public: The fields that the public script would write, None if it would write no row.
    """

    state: State = "ok"
    status: list[str] = field(default_factory=list[str])
    score: int = 0
    rationale: str = ""
    judge_score: Any = None
    flags: list[str] = field(default_factory=list[str])
    usage: Usage = field(default_factory=Usage)
    root: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    public: Raw | None = None


async def grade(row: Raw, settings: JudgeSettings, ask: Ask, root: str | None = None) -> Grade:
    """Grade an answer.

    Args:
        row: The answer, with its rubrics.
        settings: How.
        ask: Asks the judge.
        root: The random root, given when a grade is made again from recorded replies.

    Returns:
        The grade. A provider's error that concerns the row alone makes a state, no exception.

    Raises:
        UserError: The run cannot go on.
    """
    found = Grade(root=root or secrets.token_hex(8))
    asking = _Asking(row, settings, ask, found)
    return await (asking.in_public_form() if settings.public else asking.in_our_form())


def state_before(row: Raw) -> tuple[State, str]:
    """Return the state of an answer before it is judged, and a flag that explains it."""
    text = row.get("model_output")
    state = row.get("state")
    if state in ("truncated", "refused", "overflow", "infra_error", "missing", "empty"):
        return state, ""
    if not isinstance(text, str) or not text.strip():
        return "empty", ""
    answer, _ = without_thoughts(text)
    return ("empty", "says nothing") if says_nothing(answer) else ("ok", "")


def seen_of(row: Raw, sees: tuple[See, ...]) -> Seen:
    """Return what a judge is shown: the answer without thoughts, and the parts of the conversation that it may see."""
    texts = [(str(m.get("role")), str(m.get("content") or "")) for m in messages_of(row)]
    last = max((k for k, (role, _) in enumerate(texts) if role == "user"), default=-1)
    earlier = "\n\n".join(f"{role}: {text}" for role, text in texts[: max(last, 0)])
    answer, _ = without_thoughts(str(row.get("model_output") or ""))
    return Seen(
        response=answer,
        task=texts[last][1] if "task" in sees and last >= 0 else "",
        context=earlier if "context" in sees else "",
        reference=str(row.get("ref_answer") or "") if "reference" in sees else "",
    )


def answer_digest(row: Raw) -> str:
    """Return a digest of what is graded: the answer, its state and the rubrics."""
    given = [row.get("model_output"), row.get("state"), row.get("rubrics")]
    return hashlib.sha256(repr(given).encode("utf-8", "backslashreplace")).hexdigest()[:32]


def as_record(found: Grade) -> Record:
    """Return a grade as the log holds it."""
    return {
        "state": found.state,
        "score": found.score,
        "requirement_status": found.status,
        "grading_rationale": found.rationale,
        "judge_score": found.judge_score,
        "flags": found.flags,
        "judge_usage": found.usage.plain(),
        "root": found.root,
        "calls": found.calls,
        "public": found.public,
    }


@dataclass
class _Asking:
    row: Raw
    settings: JudgeSettings
    ask: Ask
    grade: Grade

    async def in_our_form(self) -> Grade:
        grade, rubrics = self.grade, rubrics_of(self.row)
        grade.state, flag = state_before(self.row)
        grade.flags += [flag] if flag else []
        if grade.state != "ok":
            grade.rationale = f"not judged: the answer is {grade.state}"
            return grade
        if not rubrics:
            grade.state, grade.rationale = "judge_error", "the row has no rubrics"
            return grade
        try:
            verdicts = [await self._one_vote(list(enumerate(rubrics)), vote) for vote in range(self._num_votes())]
        except ApiError as error:
            grade.state, grade.rationale = "judge_error", str(error)
            grade.status = [UNJUDGED] * len(rubrics)
            return grade
        grade.status = [_majority([v.get(k) for v in verdicts]) for k in range(len(rubrics))]
        if UNJUDGED in grade.status:
            grade.state, grade.rationale = "judge_error", "the judge left requirements without a verdict"
            return grade
        grade.score = score_of(grade.status, len(rubrics))
        return grade

    def _num_votes(self) -> int:
        return self.settings.votes * self.settings.permutations

    async def _one_vote(self, rubrics: list[tuple[int, str]], vote: int) -> dict[int, str]:
        order = vote % self.settings.permutations
        if order:  # the first order is that of the row
            places = rng(order, len(rubrics), "order of requirements").permutation(len(rubrics))
            rubrics = [rubrics[int(k)] for k in places]
        size = self.settings.batch or len(rubrics)
        verdicts: dict[int, str] = {}
        for start in range(0, len(rubrics), size):
            verdicts |= await self._batch(rubrics[start : start + size])
        return verdicts

    async def _batch(self, rubrics: list[tuple[int, str]], again: bool = True) -> dict[int, str]:
        """Ask for some requirements; a reply that is cut short is asked for in halves, what lacks once more."""
        reply, asked = await self._call(rubrics)
        if reply.finish_reason == "length" and len(rubrics) > 1:
            half = len(rubrics) // 2
            return await self._batch(rubrics[:half]) | await self._batch(rubrics[half:])
        found, flags = read_verdicts(reply.text or "", asked)
        self.grade.flags += [f"judge reply {flag}" for flag in flags]
        answer = seen_of(self.row, ("response",)).response
        unproven = [
            (k, text)
            for k, text in rubrics
            if k in found and label_of(found[k]["met"]) == "yes" and not is_quoted(found[k].get("quote"), answer, text)
        ]
        verdicts = {k: label_of(v["met"], self.settings.na) for k, v in found.items()}
        doubtful = [*unproven, *((k, text) for k, text in rubrics if k not in found)]
        if doubtful and again:
            verdicts |= await self._batch(doubtful, again=False)
        elif unproven:
            self.grade.flags.append("quote not in the answer")
        return verdicts

    async def _call(self, rubrics: list[tuple[int, str]]) -> tuple[Reply, list[Requirement]]:
        settings, number = self.settings, len(self.grade.calls)
        asked = requirements(rubrics, self.grade.root, number)
        seen = seen_of(self.row, settings.sees)
        if number == 0 and (num := neutral(seen.response)[1]):
            self.grade.flags.append("hidden characters or template marks")
            self.grade.rationale = f"{num} hidden characters or template marks were made harmless"
        body: dict[str, Any] = {"messages": messages_for(asked, seen, self.grade.root, number)}
        form = {"response_format": reply_schema()} if settings.structured else {}
        return await self._asked({**body, **form}), asked

    async def _asked(self, body: dict[str, Any]) -> Reply:
        effort = {} if self.settings.effort is None else {"reasoning_effort": self.settings.effort}
        reply = await self.ask({"model": self.settings.model, **body, **effort})
        self.grade.usage = self.grade.usage + reply.usage
        self.grade.calls.append({"text": reply.text, "finish_reason": reply.finish_reason, "model": reply.model})
        return reply

    async def in_public_form(self) -> Grade:
        """Ask as the public script does; read the reply as it does, and, beside it, correctly."""
        grade, text = self.grade, self.row.get("model_output")
        if not isinstance(text, str) or not text.strip():
            grade.state = state_before(self.row)[0]
            grade.public = public.written(public.NO_OUTPUT, [], 0)
            grade.rationale = f"not judged: the answer is {grade.state}"
            return grade
        rubrics = rubrics_of(self.row)
        listed, template = public_list(self.row), self.settings.template
        prompt = public_prompt(listed, text) if template is None else filled(template, listed, text)
        last: str | None = None
        try:
            last = await self._until_public_script_reads(prompt)
        except ApiError as error:
            grade.rationale = str(error)
        self._correct(read_public(last or ""), rubrics)
        return grade

    async def _until_public_script_reads(self, prompt: str) -> str | None:
        """Ask until the public script could read the reply, as often as it would; return the last text."""
        tries, last = self.settings.tries, None
        unread = nothing = 0
        while unread < tries and nothing < tries * tries:
            reply = await self._asked({"messages": [{"role": "user", "content": prompt}]})
            if not reply.text:
                nothing += 1
                continue
            last = reply.text
            reading = public.read_reply(last)
            if reading.outcome == "graded":
                self.grade.public = reading.fields
            elif reading.outcome == "crashed":
                self.grade.flags.append("ends the public script with a traceback")
            if reading.outcome != "asked again":
                break
            unread += 1
        return last

    def _correct(self, verdict: PublicVerdict | None, rubrics: list[str]) -> None:
        grade = self.grade
        grade.state = state_before({**self.row, "state": self.row.get("state")})[0]
        if grade.state != "ok":
            return
        if verdict is None or not rubrics:
            grade.state, grade.status = "judge_error", [UNJUDGED] * len(rubrics)
            grade.rationale = grade.rationale or "the judge's reply holds no verdict"
            return
        grade.status = [label_of(s, self.settings.na) for s in verdict.status]
        grade.score = score_of(grade.status, len(rubrics))
        grade.judge_score, grade.rationale = verdict.score, verdict.rationale
        grade.flags += [f"judge reply {flag}" for flag in verdict.flags]
        if len(verdict.status) != len(rubrics):
            grade.flags.append("number of statuses")


def _majority(labels: list[str | None]) -> str:
    given = [label for label in labels if label is not None]
    if not given:
        return UNJUDGED
    if len(set(given)) == 1:
        return given[0]
    return "yes" if given.count("yes") * 2 > len(given) else "no"
