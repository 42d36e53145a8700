"""`errors`: a second pass over failed answers says what kind of error each is; what is asked is in the log at once."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clbench.context.cost import Budget
from clbench.context.error_classes import VERSION, by_code, failed_rubrics, messages_for, read_classes_of
from clbench.context.evaluate import EvalOutcome, asking_within
from clbench.context.figures import reason_lines
from clbench.context.grade import answer_digest
from clbench.context.graded import Graded
from clbench.context.grades import Grades
from clbench.context.infer import log_beside, manifest_beside, write_manifest
from clbench.context.log import EventLog, LogReader, Record
from clbench.context.manifest import Manifest, check_same, now, recorded_manifest
from clbench.context.rows import Entry, Raw, Reader, dumped, read_index, write_lines
from clbench.context.work import Stop, run_groups
from clbench.core.chat import Ask, Usage
from clbench.core.errors import DataError
from clbench.models.api.client import Address, Asks, Client
from clbench.models.api.errors import ApiError
from clbench.models.api.limits import Limits
from clbench.store.origin import package_version

Key = tuple[str, int]
TRIES = 2  # requests for one reply that can be read
UNCLASSIFIED = "unclassified"


@dataclass
class ErrorPlan:
    """Which errors are classified, by whom, and where that is written.

    Attributes:
        grades: The system.
        dataset: For rows that leave their texts to it.
        output: The file of classes; the log stands beside it.
        model, effort: The judge.
        budget, here, manifest: As of an evaluation.
    """

    grades: Grades
    dataset: Path | None
    output: Path
    model: str
    effort: str | None = None
    budget: Budget = field(default_factory=Budget)
    here: Asks | None = None
    manifest: Path | None = None

    def failed(self) -> list[Graded]:
        """Return the answers that did not pass, in the order of tasks and trials."""
        return [row for _, row in sorted(self.grades.rows.items()) if not row.score]

    def asked(self) -> list[Graded]:
        """Return those of them whose classes do not follow from their state."""
        return [row for row in self.failed() if not by_code(row.state) and row.task.rubrics]


class Texts:
    """Reads the texts of graded rows again; use it as a context manager."""

    def __init__(self, rows: Sequence[Graded], dataset: Path | None) -> None:
        self._places: dict[tuple[Path, int], Entry] = {}
        paths = list(dict.fromkeys(row.path for row in rows))
        for path in paths:
            index = read_index(path)
            self._places |= {(path, e.line): e for e in (*index.entries, *index.duplicates)}
        self._readers = {path: Reader(path) for path in paths}
        self._dataset = None if dataset is None else Reader(dataset)
        self._tasks = {} if dataset is None else {e.task_id: e for e in read_index(dataset).entries}

    def __enter__(self) -> Texts:
        return self

    def __exit__(self, *given: object) -> None:
        for reader in (*self._readers.values(), *([self._dataset] if self._dataset else [])):
            reader.__exit__(*given)

    def read(self, row: Graded) -> Raw:
        """Return a graded row, a slim one with its texts.

        Raises:
            DataError: It is slim, and its texts are not in the data set, or none is named.
        """
        found = self._readers[row.path].read(self._places[row.path, row.line])
        if "messages" in found and "rubrics" in found:
            return found
        if self._dataset is None or row.task.id not in self._tasks:
            mend = "name the data set that was answered with --dataset"
            raise DataError("the row leaves its texts to the data set", where=f"{row.path}:{row.line}", mend=mend)
        whole = self._dataset.read(self._tasks[row.task.id])
        return {**found, "messages": whole.get("messages"), "rubrics": whole.get("rubrics", [])}


def run_errors(plan: ErrorPlan, address: Address, limits: Limits, tell: Callable[[str], None]) -> EvalOutcome:
    """Classify the errors that have no class yet, and write the file of classes from the log.

    Raises:
        StoreError: The log belongs to another run, or another process writes it.
        DataError: A row cannot be read.
    """
    manifest = _manifest(plan, address)
    stop = Stop()
    with EventLog(log_beside(plan.output)) as log, Texts(plan.asked(), plan.dataset) as texts:
        if (recorded := recorded_manifest(log.path)) is None:
            log.append(manifest)
        else:
            check_same(recorded, manifest, log.path)
        work = _Classifying(plan, log, texts, _before(plan, log))
        jobs = work.pending()
        before = len(work.found)
        if before:
            tell(f"📌 Found {before} completed, resuming remaining")
        if jobs:
            tell(f"🚀 Starting classification ({len(jobs)} pending)...")
            asyncio.run(work.run(jobs, address, limits, stop))
        _write(plan, work.found)
        for line in reason_lines(work.reasons):
            tell(line)
        ended: Record = {"event": "end", "at": now(), "stopped": stop.error and stop.error.what}
        ended["spent"] = plan.budget.account()
        log.append(ended)
    write_manifest(plan.manifest or manifest_beside(plan.output), manifest, ended)
    return EvalOutcome(stop, before, len(work.found))


def _manifest(plan: ErrorPlan, address: Address) -> Manifest:
    params = {"model": plan.model, "effort": plan.effort, "base_url": address.base_url, "version": VERSION}
    prices = None if plan.budget.prices is None else vars(plan.budget.prices)
    tool = f"clbench {package_version('clbench') or ''}"
    return {"event": "manifest", "verb": "errors", "params": params, "prices": prices, "tool": tool, "started": now()}


def _key(row: Graded) -> Key:
    return (row.task.id, row.trial)


def _before(plan: ErrorPlan, log: EventLog) -> dict[Key, tuple[str, int]]:
    """Return the digest of each classified answer, and where the log holds its classes."""
    found: dict[Key, tuple[str, int]] = {}
    for offset, record in log.records():
        if record.get("event") == "classes":
            plan.budget.spent = plan.budget.spent + Usage(**record.get("usage") or {})
            if record["classes"]:
                found[str(record["task_id"]), int(record["trial"])] = (record["answer"], offset)
    return found


@dataclass
class _Classifying:
    plan: ErrorPlan
    log: EventLog
    texts: Texts
    before: dict[Key, tuple[str, int]]
    found: dict[Key, int] = field(default_factory=dict[Key, int])
    reasons: Counter[str] = field(default_factory=Counter[str])

    def pending(self) -> list[Graded]:
        """Return the errors without classes, or whose answer or grade has changed."""
        jobs: list[Graded] = []
        for row in self.plan.asked():
            known = self.before.get(_key(row))
            if known is not None and known[0] == _digest(self.texts.read(row)):
                self.found[_key(row)] = known[1]
            else:
                jobs.append(row)
        return jobs

    async def run(self, jobs: Sequence[Graded], address: Address, limits: Limits, stop: Stop) -> None:
        contexts: dict[str, list[Graded]] = {}
        for row in jobs:
            contexts.setdefault(row.task.context, []).append(row)
        groups = [sorted(group, key=lambda row: (row.task.chars, row.trial)) for group in contexts.values()]
        async with self.plan.here or Client(address, limits) as client:
            ask = asking_within(client, self.plan.budget)
            await run_groups(groups, lambda row: self._classify(row, ask), limits.concurrency.most, "errors", stop)

    async def _classify(self, job: Graded, ask: Ask) -> None:
        row, used, root = self.texts.read(job), Usage(), ""
        failed = failed_rubrics(row, f"{job.path}:{job.line}")
        read: tuple[tuple[str, ...], str] | None = None
        error = "no reply could be read"
        effort = {} if self.plan.effort is None else {"reasoning_effort": self.plan.effort}
        try:
            for _ in range(TRIES):
                root = secrets.token_hex(8)
                body = {"model": self.plan.model, "messages": messages_for(row, failed, root), **effort}
                reply = await ask(body)
                used = used + reply.usage
                if (read := read_classes_of(reply.text or "", root)) is not None:
                    break
        except ApiError as failure:
            error = str(failure)
        classes, why = read or ((), error)
        place = {"event": "classes", "task_id": job.task.id, "trial": job.trial, "answer": _digest(row)}
        offset = await self.log.keep({**place, "classes": list(classes), "why": why, "usage": used.plain()})
        if classes:
            self.found[_key(job)] = offset
        else:
            self.reasons[why] += 1


def _digest(row: Raw) -> str:
    return answer_digest({**row, "state": row.get("requirement_status")})


def _write(plan: ErrorPlan, found: dict[Key, int]) -> None:
    def lines() -> Iterator[bytes]:
        with LogReader(log_beside(plan.output)) as log:
            for row in plan.failed():
                place = {"task_id": row.task.id, "trial": row.trial, "context_category": row.task.category}
                code = by_code(row.state) or (() if row.task.rubrics else ("rubric_defect",))
                if code:
                    said = {"classes": list(code), "by": "code", "why": f"state {row.state}"}
                elif _key(row) in found:
                    record = log.read(found[_key(row)])
                    said = {"classes": record["classes"], "by": plan.model, "why": record["why"]}
                else:
                    said = {"classes": [UNCLASSIFIED], "by": plan.model, "why": "not classified yet"}
                yield dumped({**place, **said})

    write_lines(plan.output, lines())
