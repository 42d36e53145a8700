"""What replies of models behind APIs will cost, before anything is asked: learners are run with nobody behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clbench.core import plugins
from clbench.core.account import For, account_of
from clbench.core.chat import Usage
from clbench.core.counts import read_counts
from clbench.core.keys import canonical
from clbench.core.protocols import Learner
from clbench.core.scratch import scratch
from clbench.core.spec import JudgeSpec, Machine, Spending
from clbench.core.types import Exam
from clbench.engine.ask import answers_key, answers_of, longest_answer
from clbench.engine.grade import grade_key, open_scorer
from clbench.engine.make_unit import exams_missing
from clbench.engine.trajectory import Trajectory, answer_fingerprint, load_record
from clbench.engine.units import Run, Unit
from clbench.models.api.client import CHARS_PER_TOKEN
from clbench.scoring.rubric.expected import verdicts_of
from clbench.store.store import Store

COUNTED = ("requests", "prompt", "completion")


@dataclass(frozen=True)
class Expected:
    """What one model is expected to take; replies are taken to be of the longest length.

    Attributes:
        what: "answers" with notes, or "verdicts".
        model: Who is asked.
        requests, prompt, completion: Requests and tokens; none of them cached.
        usd: Money, None without a price.
        unknown: Learners of users' own files, which a plan does not run.
    """

    what: For
    model: str
    requests: int
    prompt: int
    completion: int
    usd: float | None
    unknown: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """It as a line."""
        money = "" if self.usd is None else f", {self.usd:.2f} USD"
        line = (
            f"{self.what} of {self.model}: {self.requests} requests, at most about {self.prompt} prompt tokens, "
            f"{self.completion} completion tokens{money}"
        )
        return f"{line}; not reckoned: {', '.join(self.unknown)}" if self.unknown else line


def expected(runs: Sequence[Run], units: Sequence[Unit], store: Store, machine: Machine) -> list[Expected]:
    """Return what the answers and verdicts that a store lacks will take, by who is asked."""
    spending = machine.spending or Spending(name="plan")
    dry = machine.model_copy(update={"spending": spending.model_copy(update={"dry": True})})
    found: dict[tuple[For, str], tuple[int, Usage]] = {}
    unknown: dict[str, list[str]] = {}
    for unit in units:
        if unit.spec.model.provider is not None and plugins.runs_user_file(unit.spec.learner):
            unknown.setdefault(unit.spec.model.name, []).append(unit.spec.learner_label)
    both: tuple[tuple[For, Iterator[tuple[str, int, Usage]]], ...] = (
        ("answers", _answers(units, runs, store, dry)),
        ("verdicts", _verdicts(runs, store, machine)),
    )
    for what, parts in both:
        for model, requests, usage in parts:
            before = found.get((what, model), (0, Usage()))
            found[what, model] = (before[0] + requests, before[1] + usage)
    lines: list[Expected] = []
    for (what, model), (requests, usage) in found.items():
        price = spending.prices.get(model)
        usd = None if price is None else round(price.usd(usage), 4)
        left = tuple(dict.fromkeys(unknown.get(model, ()))) if what == "answers" else ()
        lines.append(Expected(what, model, requests, usage.prompt, usage.completion, usd, left))
    return lines


def _answers(
    units: Sequence[Unit], runs: Sequence[Run], store: Store, dry: Machine
) -> Iterator[tuple[str, int, Usage]]:
    """Walk units as (model, requests, tokens) of what their model is asked: notes of lessons, and answers."""
    paths = {run.spec.key: run.trajectory for run in runs}
    walks: dict[str, _Walk] = {}
    for unit in units:
        missing = exams_missing(unit, store, dry)
        asked = unit.exams if missing is None else missing
        if unit.spec.model.provider is None or plugins.runs_user_file(unit.spec.learner) or missing == ():
            continue
        trajectory = paths.get(unit.spec.key)
        walk = walks.setdefault(unit.spec.key, _Walk(trajectory or _alone(unit, runs), dry))
        requests, usage = walk.to(unit.lesson)
        for exam in asked:
            answers = answers_of(walk.learner, exam, documents=walk.trajectory.plugin.sees_documents)
            requests += len(answers)
            usage += Usage(sum(a.tokens_in for a in answers), 0, sum(a.tokens_out for a in answers))
        yield unit.spec.model.name, requests, usage


def _alone(unit: Unit, runs: Sequence[Run]) -> Trajectory:
    """Return the trajectory of a unit that no single run owns, such as the untouched model."""
    first = runs[0].trajectory
    return Trajectory(unit.spec, first.stream, first.store, first.machine)


class _Walk:
    """A learner that learns with nobody behind it, lesson after lesson."""

    def __init__(self, trajectory: Trajectory, dry: Machine) -> None:
        self.trajectory = trajectory
        spec, plugin = trajectory.spec, trajectory.plugin
        self.learner: Learner = plugin.build(trajectory.config, spec.model, spec.seed, dry)
        self._learnt = 0

    def to(self, lesson: int) -> tuple[int, Usage]:
        """Learn the lessons up to `lesson`; return the requests and tokens of those that are not in the store."""
        found: Counter[str] = Counter()
        for number in range(self._learnt, self.trajectory.index(lesson)):
            before = self._counts() if number else {}
            self.learner.learn(self.trajectory.lessons[number])
            self._learnt = number + 1
            if load_record(self.trajectory.store, self.trajectory.keys[number + 1]) is None:
                after = self._counts()
                found.update({name: after.get(f"api_{name}", 0) - before.get(f"api_{name}", 0) for name in COUNTED})
        return found["requests"], Usage(found["prompt"], 0, found["completion"])

    def _counts(self) -> dict[str, int]:
        with scratch("plan") as folder:
            self.learner.save(Path(folder))
            return read_counts(Path(folder))


def _verdicts(runs: Sequence[Run], store: Store, machine: Machine) -> Iterator[tuple[str, int, Usage]]:
    """Walk (judge, requests, tokens) of each exam that a judge behind an API has to grade; each grade once."""
    known: set[tuple[str, ...]] = set()
    for run in runs:
        judge, path = run.spec.judge, run.trajectory
        if judge is None or judge.model is None or judge.model.provider is None:
            continue
        for lesson, _, exam in run.due_cells:
            if not open_scorer(exam.scorer.name).judged:
                continue
            state, answerer = path.keys[path.index(lesson)], path.answerer(lesson)
            grade = (state, answerer, exam.digest, canonical(exam.scorer))
            if grade not in known and not _is_graded(run, (state, answerer), exam, store, machine):
                yield judge.model.name, *_of_exam(exam, judge)
            known.add(grade)


def _is_graded(run: Run, of: tuple[str, str], exam: Exam, store: Store, machine: Machine) -> bool:
    state, answerer = of
    record = load_record(store, state)
    if record is None:
        return False
    spec = run.trajectory.spec
    asked = answers_key(answer_fingerprint(record, answerer), exam, spec.model, machine, spec.exam_server)
    version = open_scorer(exam.scorer.name).version
    keys = [grade_key(asked, exam.scorer, version, declined=declined) for declined in (False, True)]
    return any(store.find("mark", key) is not None for key in keys)


def _of_exam(exam: Exam, judge: JudgeSpec) -> tuple[int, Usage]:
    requests, usage = 0, Usage()
    for example in exam.examples:
        question = sum(len(m.content) for m in example.prompt) // CHARS_PER_TOKEN
        seen = longest_answer(exam) + (question if {"task", "context"} & set(judge.sees) else 0)
        num, more = verdicts_of(len(example.rubric), seen, judge.batch, judge.votes * judge.orders)
        requests, usage = requests + num, usage + more
    return requests, usage


def spent_before(machine: Machine) -> str:
    """Return what commands before have spent, in words; empty where that is nothing."""
    if machine.spending is None:
        return ""
    account = account_of(machine.store, machine.spending).refresh()
    return account.said if account.usage().total else ""
