"""`eval`: a judge grades the answers of a file; every verdict is in the log before the next file is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clbench.context import public
from clbench.context.adopt import adopted_grades, begin
from clbench.context.cost import Budget
from clbench.context.export import restored
from clbench.context.grade import answer_digest, grade, seen_of
from clbench.context.infer import log_beside, manifest_beside, write_manifest
from clbench.context.log import EventLog, LogReader, Record
from clbench.context.manifest import Manifest, check_same, new_manifest, now, recorded_manifest
from clbench.context.order import by_context
from clbench.context.rows import Entry, Index, Raw, Reader, dumped, write_lines
from clbench.context.work import Stop, run_groups
from clbench.core.chat import Ask, Reply, Usage
from clbench.core.errors import BudgetError, DataError
from clbench.core.events import notice
from clbench.core.replies import ReplyCache, key_of
from clbench.models.api.client import Address, Asks, Client, guessed_tokens
from clbench.models.api.form import chat_in_form
from clbench.models.api.limits import Limits
from clbench.scoring.rubric.judge import Grade, JudgeSettings, as_record

Key = tuple[str, int]
Offline = Callable[[Entry, Raw], Awaitable[Grade]]
GUESSED_VERDICT = 400  # tokens of a reply, to reserve before it is there


@dataclass
class EvalPlan:
    """What is to be graded, how, and where it is written.

    Attributes:
        index: The file of answers.
        dataset: The data set whose rows are the denominator; None takes the rows of `index`.
        output: The graded file; the log stands beside it.
        settings: How a model judges.
        judge: Its name for the manifest: "openai", "local", "exact", "human", "replay".
        offline: Grades without asking anybody; None asks a model.
        budget, cache: What may be spent; grades that are already there.
        here: A model in this process that judges; None asks the address.
        manifest: Where the manifest is written; None is beside the output.
    """

    index: Index
    dataset: Index | None
    output: Path
    settings: JudgeSettings
    judge: str = "openai"
    offline: Offline | None = None
    budget: Budget = field(default_factory=Budget)
    cache: ReplyCache = field(default_factory=lambda: ReplyCache(None))
    here: Asks | None = None
    manifest: Path | None = None

    @property
    def log(self) -> Path:
        """The event log."""
        return log_beside(self.output)

    @property
    def corrected(self) -> Path:
        """Where corrected rows are written: the output, or beside it where that is the public script's."""
        name = f"{self.output.name.removesuffix('.jsonl')}.corrected.jsonl"
        return self.output.with_name(name) if self.settings.public else self.output

    def unknown(self) -> list[str]:
        """Return tasks that are answered and are not in the data set."""
        known = {e.task_id for e in (self.dataset or self.index).entries}
        return [e.task_id for e in self.index.entries if e.task_id not in known]

    def expected(self) -> list[Entry]:
        """Return the rows that count, in order: those of the data set in every trial, else those of the file."""
        if self.dataset is None:
            return list(self.index.entries)
        trials = sorted({e.trial for e in self.index.entries}) or [0]
        return [replace(e, trial=t) for e in self.dataset.entries for t in trials]


@dataclass
class EvalOutcome:
    """What a run came to: what stopped it, and how many grades there were before."""

    stop: Stop
    num_done_before: int
    num_judged: int


class Rows:
    """Reads answers together with the texts that slim files leave to the data set; use it as a context manager."""

    def __init__(self, plan: EvalPlan) -> None:
        self._plan = plan
        self._answers = Reader(plan.index.path)
        self._entries = plan.index.by_key()
        self._dataset = None if plan.dataset is None else Reader(plan.dataset.path)
        self._places = {} if plan.dataset is None else {e.task_id: e for e in plan.dataset.entries}

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *given: object) -> None:
        self._answers.__exit__(*given)
        if self._dataset is not None:
            self._dataset.__exit__(*given)

    def answer(self, entry: Entry) -> Raw:
        """Return an answer as it stands in the file, a slim one with its texts.

        Raises:
            DataError: It is slim, and its texts are not in the data set, or none is named.
        """
        row = self._answers.read(entry)
        if "rubrics" in row or "messages" in row:
            return row
        whole = self._plan.dataset
        known = whole is not None and row.get("dataset", whole.sha256) == whole.sha256
        if self._dataset is None or not known or entry.task_id not in self._places:
            mend = "name the data set that was answered with --dataset"
            what = f"the row leaves its rubrics to the data set, and {entry.task_id} is not in one that is named"
            raise DataError(what, where=f"{self._plan.index.path}:{entry.line}", mend=mend)
        return restored(row, self._dataset.read(self._places[entry.task_id]))

    def of_key(self, key: Key) -> Raw | None:
        """Return the answer to a task and trial, None if there is none."""
        entry = self._entries.get(key)
        return None if entry is None else self.answer(entry)

    def missing(self, entry: Entry) -> Raw:
        """Return a row of the data set that has no answer."""
        assert self._dataset is not None, "only a data set has rows without an answer"
        row = self._dataset.read(self._places[entry.task_id])
        texts = {"messages": row.get("messages"), "model_output": None, "rubrics": row.get("rubrics", [])}
        return {
            "idx": entry.task_id,
            **texts,
            "metadata": row.get("metadata", {}),
            "trial": entry.trial,
            "state": "missing",
        }


def run_eval(plan: EvalPlan, address: Address, limits: Limits, tell: Callable[[str], None]) -> EvalOutcome:
    """Grade all answers of a plan that have no grade yet, and write the graded file from the log.

    Args:
        plan: What is graded.
        address: The judge's address.
        limits: How fast it is asked.
        tell: Called with each line for the user.

    Returns:
        The outcome, also if the run stopped early: the graded file then holds what is there.

    Raises:
        StoreError: The log belongs to another run, or another process writes it.
        DataError: The answers and the data set do not belong together.
    """
    manifest = _manifest(plan, address)
    stop = Stop()
    if unknown := plan.unknown():
        what = f"{len(unknown)} answers are to tasks that the data set lacks, such as {unknown[0]}"
        notice(f"{plan.index.path}: {what}; they do not count")
    with EventLog(plan.log) as log, Rows(plan) as rows:
        if (recorded := recorded_manifest(plan.log)) is None:
            begin(log, manifest, adopted_grades(plan.output, rows.of_key), plan.output)
        else:
            check_same(recorded, manifest, plan.log)
        grading = _Grading(plan, log, rows, _graded_before(plan, log))
        jobs = grading.pending()
        before = len(grading.grades)
        if before:
            tell(f"📌 Found {before} completed, resuming remaining")
        if jobs:
            tell(f"🚀 Starting evaluation ({len(jobs)} pending)...")
            asyncio.run(grading.run(jobs, address, limits, stop))
        write_files(plan, rows, grading.grades)
        ended: Record = {"event": "end", "at": now(), "stopped": stop.error and stop.error.what}
        ended["spent"] = plan.budget.account()
        log.append(ended)
    write_manifest(plan.manifest or manifest_beside(plan.output), manifest, ended)
    return EvalOutcome(stop, before, len(grading.grades))


def _manifest(plan: EvalPlan, address: Address) -> Manifest:
    asked = {} if plan.offline is not None else {"base_url": address.base_url}
    prices = None if plan.budget.prices is None else vars(plan.budget.prices)
    found = new_manifest("eval", plan.index, {"judge": plan.judge, **asked, **plan.settings.identity()}, prices)
    # Answers may grow between sessions, and denominators change no grade: each grade names the answer that it is for.
    denominator = None if plan.dataset is None else plan.dataset.sha256
    answers = found.pop("dataset")
    return {**found, "answers": answers, "denominator": denominator}


def _graded_before(plan: EvalPlan, log: EventLog) -> dict[Key, tuple[str, int]]:
    """Return the digest of each graded answer and where the log holds the grade; failed grades are made again."""
    found: dict[Key, tuple[str, int]] = {}
    for offset, record in log.records():
        if record.get("event") != "grade":
            continue
        plan.budget.spent = plan.budget.spent + Usage(**record.get("judge_usage") or {})
        key = (str(record["task_id"]), int(record["trial"]))
        if record["state"] in ("judge_error", "infra_error", "missing"):
            found.pop(key, None)
        else:
            found[key] = (record["answer"], offset)
    return found


@dataclass
class _Grading:
    plan: EvalPlan
    log: EventLog
    rows: Rows
    before: dict[Key, tuple[str, int]]
    grades: dict[Key, int] = field(default_factory=dict[Key, int])
    address: str = ""

    def pending(self) -> list[Entry]:
        """Return the answers that have no grade yet, or had another text when they were graded."""
        jobs: list[Entry] = []
        skipped = set[str]() if self.plan.settings.public else set(self.plan.unknown())
        for entry in self.plan.index.entries:
            if entry.task_id in skipped:
                continue
            known = self.before.get(entry.key)
            if known is not None and known[0] == answer_digest(self.rows.answer(entry)):
                self.grades[entry.key] = known[1]
            else:
                jobs.append(entry)
        return jobs

    async def run(self, jobs: list[Entry], address: Address, limits: Limits, stop: Stop) -> None:
        grouped = by_context(jobs) if "context" in self.plan.settings.sees else [[job] for job in jobs]
        if self.plan.offline is not None:
            offline = self.plan.offline
            await run_groups(grouped, lambda job: self._note(job, offline), 1, "grades", stop)
            return
        self.address = address.base_url
        async with self.plan.here or Client(address, limits, lambda f, n: self._failed(n, vars(f))) as client:
            ask = asking_within(client, self.plan.budget)

            async def by_model(job: Entry, row: Raw) -> Grade:
                return await grade(row, self.plan.settings, ask)

            await run_groups(grouped, lambda job: self._note(job, by_model), limits.concurrency.most, "grades", stop)

    def _failed(self, attempt: int, failure: dict[str, Any]) -> None:
        self.log.write({"event": "failure", "attempt": attempt, **failure})

    async def _note(self, job: Entry, how: Offline) -> None:
        row = self.rows.answer(job)
        answer = answer_digest(row)
        identity = {"judge": self.plan.judge, **self.plan.settings.identity()}
        seen = vars(seen_of(row, self.plan.settings.sees))
        key = key_of(address=self.address, identity=identity, answer=answer, seen=seen, trial=job.trial)
        kept = self.plan.cache.get(key)
        record = (
            as_record(await how(job, row)) if kept is None else {**kept, "judge_usage": Usage().plain(), "cached": True}
        )
        if kept is None and record["state"] != "judge_error":
            self.plan.cache.put(key, record)
        place = {"event": "grade", "task_id": job.task_id, "trial": job.trial, "answer": answer}
        self.grades[job.key] = await self.log.keep({**place, **record})


def asking_within(client: Asks, budget: Budget) -> Ask:
    """Return how the judge is asked: within the budget, and without a form where the provider refuses that."""
    refuses_form: list[bool] = []

    async def ask(body: dict[str, Any]) -> Reply:
        guess = Usage(prompt=int(guessed_tokens(body)), completion=GUESSED_VERDICT)
        if not budget.reserve(guess):
            mend = "raise --budget-usd or --budget-tokens and run the same command again: it goes on from here"
            raise BudgetError(f"the budget is used up: {budget.said()}", mend=mend)
        used = Usage()
        try:
            reply = await chat_in_form(client, body, refuses_form)
            used = reply.usage
        finally:
            budget.settle(guess, used)
        return reply

    return ask


def write_files(plan: EvalPlan, rows: Rows, grades: dict[Key, int]) -> None:
    """Write the graded file from the log; in the public form also the corrected one beside it."""
    with LogReader(plan.log) as log:
        if plan.settings.public:
            write_lines(plan.output, _public_lines(plan, rows, grades, log))
        write_lines(plan.corrected, _corrected_lines(plan, rows, grades, log))


def _public_lines(plan: EvalPlan, rows: Rows, grades: dict[Key, int], log: LogReader) -> Iterator[bytes]:
    for entry in sorted((*plan.index.entries, *plan.index.duplicates), key=lambda e: e.line):
        fields = log.read(grades[entry.key])["public"] if entry.key in grades else None
        if fields is not None:
            yield dumped(public.public_row(rows.answer(entry), fields))


def _corrected_lines(plan: EvalPlan, rows: Rows, grades: dict[Key, int], log: LogReader) -> Iterator[bytes]:
    answers = plan.index.by_key()
    judge = {"name": plan.judge, **plan.settings.identity()}
    for entry in plan.expected():
        answer = answers.get(entry.key)
        row = rows.missing(entry) if answer is None else rows.answer(answer)
        record = (
            log.read(grades[entry.key])
            if entry.key in grades
            else _ungraded("missing" if answer is None else "judge_error")
        )
        yield dumped(_graded_row(entry, row, record, judge))


def _ungraded(state: str) -> Record:
    said = "there is no answer" if state == "missing" else "not judged yet"
    fields = ("requirement_status", "grading_rationale", "score", "judge_score", "flags", "judge_usage")
    return {"state": state, **dict(zip(fields, ([], said, 0, None, [], Usage().plain()), strict=True))}


def _graded_row(entry: Entry, row: Raw, record: Record, judge: dict[str, Any]) -> Raw:
    return {
        **row,
        "idx": entry.task_id,
        "grading_rationale": record["grading_rationale"],
        "requirement_status": record["requirement_status"],
        "score": record["score"],
        "trial": entry.trial,
        "state": record["state"],
        "judge_score": record["judge_score"],
        "flags": record["flags"],
        "judge": judge,
        "judge_usage": record["judge_usage"],
    }
