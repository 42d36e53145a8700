"""`infer`: a model answers the rows of a data set; every answer is in the log before the next file is written."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clbench.context.adopt import adopted_answers, begin
from clbench.context.cost import Budget
from clbench.context.log import EventLog, LogReader, Record
from clbench.context.manifest import Manifest, check_same, new_manifest, now, recorded_manifest
from clbench.context.order import by_context
from clbench.context.policies import Policy, note_request, parts_of, visible_messages
from clbench.context.rows import Entry, Index, Raw, Reader, dumped, messages_of, metadata_of, write_lines
from clbench.context.work import Stop, run_groups
from clbench.core.atomic_write import write_atomically
from clbench.core.chat import Reply, Usage
from clbench.core.errors import BudgetError
from clbench.core.keys import canonical, digest
from clbench.core.replies import ReplyCache, key_of
from clbench.models.api.client import Address, Asks, Client, guessed_tokens
from clbench.models.api.errors import ApiError, Failure
from clbench.models.api.limits import Limits
from clbench.scoring.rubric.verdicts import State

AGAIN: frozenset[str] = frozenset({"infra_error"})  # states that are asked again when a run is resumed
GUESSED_ANSWER = 1000  # tokens of an answer, to reserve before it is there
Key = tuple[str, int]
Tell = Callable[[str], None]


@dataclass
class InferPlan:
    """What is to be answered, by whom, and where it is written.

    Attributes:
        index: The data set.
        entries: Its rows that are asked.
        output: The final file; the log stands beside it.
        model: The model's name.
        params: Parameters of the request that the user set; none is sent that was not set.
        seed: Sent with the number of the trial added; None sends none.
        trials: How often each row is asked.
        public: Write the rows that the public script would write, and nothing else.
        slim: Leave messages and rubrics out of the final file; `export` puts them back.
        budget, cache: What may be spent; replies that are already there.
        policy: What of a context is shown.
        here: A model in this process that is asked; None asks the address.
        manifest: Where the manifest is written; None is beside the output.
    """

    index: Index
    entries: list[Entry]
    output: Path
    model: str
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    seed: int | None = None
    trials: int = 1
    public: bool = False
    slim: bool = False
    budget: Budget = field(default_factory=Budget)
    cache: ReplyCache = field(default_factory=lambda: ReplyCache(None))
    policy: Policy = field(default_factory=Policy)
    here: Asks | None = None
    manifest: Path | None = None

    @property
    def log(self) -> Path:
        """The event log."""
        return log_beside(self.output)

    def jobs(self) -> list[Entry]:
        """Return rows x trials, in the order of the final file."""
        return [replace(e, trial=t) for e in self.entries for t in range(self.trials)]


@dataclass
class InferOutcome:
    """What a run came to.

    Attributes:
        states: How many rows are in each state.
        stop: What stopped it, if anything did.
        failure: Its last failure that any request would meet.
        num_done_before: Rows that earlier sessions answered.
        seconds: How long each answer took, sorted.
    """

    states: Counter[str]
    stop: Stop
    failure: Failure | None
    num_done_before: int
    seconds: list[float]

    @property
    def num_failed(self) -> int:
        """Rows that nobody could answer yet."""
        return self.states["infra_error"] + self.states["missing"]


def log_beside(output: Path) -> Path:
    """Return the log of an output: `gpt-5.1.jsonl` has `gpt-5.1.log.jsonl`."""
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.log.jsonl")


def run_infer(plan: InferPlan, address: Address, limits: Limits, tell: Tell) -> InferOutcome:
    """Answer all rows of a plan that have no answer yet, and write the final file from the log.

    Args:
        plan: What is asked.
        address: Whom.
        limits: How fast.
        tell: Called with each line for the user.

    Returns:
        The outcome, also if the run stopped early: the final file then holds what is there.

    Raises:
        StoreError: The log belongs to another run, or another process writes it.
    """
    manifest = new_manifest("infer", plan.index, _params(plan, address), _prices(plan.budget))
    with EventLog(plan.log) as log:
        answers = _begin(plan, log, manifest)
        jobs = [job for job in plan.jobs() if job.key not in answers]
        before = len(plan.jobs()) - len(jobs)
        if before:
            tell(f"📌 Found {before} completed, resuming remaining")
        stop = Stop()
        asking = _Asking(plan, log, answers, tell, _notes_before(plan, log))
        if jobs:
            tell(f"🚀 Starting inference ({len(jobs)} pending)...")
            asyncio.run(asking.run(jobs, address, limits, stop))
        states, seconds = _write(plan, answers)
        ended = {"event": "end", "at": now(), "states": dict(states), "stopped": stop.error and stop.error.what}
        ended["spent"] = plan.budget.account()
        log.append(ended)
    write_manifest(plan.manifest or manifest_beside(plan.output), manifest, ended)
    return InferOutcome(states, stop, limits.breaker.failure, before, seconds)


def manifest_beside(output: Path) -> Path:
    """Return where the manifest of an output is written."""
    return output.with_name(f"{output.name.removesuffix('.jsonl')}.manifest.json")


def write_manifest(path: Path, begun: Manifest, ended: Record) -> None:
    """Write what a run was and how it ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, canonical({**begun, **ended, "event": "manifest"}) + "\n")


@dataclass
class _Asking:
    plan: InferPlan
    log: EventLog
    answers: dict[Key, int]
    tell: Tell
    notes: dict[str, Record] = field(default_factory=dict[str, Record])
    taking: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def run(self, jobs: list[Entry], address: Address, limits: Limits, stop: Stop) -> None:
        def failed(failure: Failure, attempt: int) -> None:
            self.log.write({"event": "failure", "attempt": attempt, **vars(failure)})

        with Reader(self.plan.index.path) as reader:
            async with self.plan.here or Client(address, limits, failed) as client:

                async def do(job: Entry) -> None:
                    await self._answer(job, reader.read(job), client)

                await run_groups(by_context(jobs), do, limits.concurrency.most, "answers", stop)

    async def _answer(self, job: Entry, row: Raw, client: Asks) -> None:
        if job.problem:
            await self._note(job, {"state": "infra_error", "error": job.problem})
            return
        messages, notes = messages_of(row), None
        if self.plan.policy.name == "notes":
            notes = await self._notes_on(parts_of(messages).document, job, client)
            if notes["state"] != "ok":
                why = f"its notes are {notes['state']}: {notes.get('error') or 'no text'}"
                await self._note(job, {**notes, "text": None, "error": why})
                return
        asked = visible_messages(self.plan.policy, messages, "" if notes is None else str(notes["text"]))
        paid = {} if notes is None else {"memory_usage": notes["usage"]}
        await self._note(job, {**await self._reply(self._body(job, asked), job, client), **paid})

    async def _reply(self, body: dict[str, Any], job: Entry, client: Asks) -> Record:
        """Return the record of a reply: from the cache, or asked and kept there."""
        key = key_of(address=client.address.base_url, body=body, trial=job.trial)
        found = self.plan.cache.get(key)
        if found is not None:
            return {**found, "cached": True, "usage": Usage().plain()}
        found = await self._ask(job, body, client)
        if found["state"] not in AGAIN:
            self.plan.cache.put(key, found)
        return found

    async def _notes_on(self, document: str, job: Entry, client: Asks) -> Record:
        """Return the record of the notes on a document; siblings read the same ones, and the first pays for them."""
        name = digest([document, job.trial])
        if not document:
            return {"state": "ok", "text": "", "usage": Usage().plain()}
        async with self.taking[name]:
            if name in self.notes:
                return {**self.notes[name], "usage": Usage().plain()}
            found = await self._reply(self._body(job, note_request(document)), job, client)
            if found["state"] == "ok":
                await self.log.keep({"event": "notes", "name": name, **found})
                self.notes[name] = found
            return found

    def _body(self, job: Entry, messages: list[Raw]) -> dict[str, Any]:
        seed = {} if self.plan.seed is None else {"seed": self.plan.seed + job.trial}
        return {"model": self.plan.model, "messages": messages, **self.plan.params, **seed}

    async def _ask(self, job: Entry, body: dict[str, Any], client: Asks) -> Record:
        extra = {"prompt_cache_key": job.context_id[:64]} if client.address.is_public else {}
        guess = Usage(prompt=int(guessed_tokens(body)), completion=GUESSED_ANSWER)
        used = Usage()
        if not self.plan.budget.reserve(guess):
            mend = "raise --budget-usd or --budget-tokens and run the same command again: it goes on from here"
            raise BudgetError(f"the budget is used up: {self.plan.budget.said()}", mend=mend)
        try:
            for left in reversed(range(client.address.tries)):
                reply = await client.chat({**body, **extra})
                used = used + reply.usage
                if left == 0 or state_of(reply) != "empty":
                    return _record(reply, used)
            raise AssertionError("a client tries at least once")
        except ApiError as error:
            return {**_of_failure(error), "usage": used.plain()}
        finally:
            self.plan.budget.settle(guess, used)

    async def _note(self, job: Entry, found: Record) -> None:
        record = {"event": "answer", "task_id": job.task_id, "trial": job.trial, **found}
        self.answers[job.key] = await self.log.keep(record)
        if found["state"] in AGAIN:
            self.tell(f"   ❌ Sample {job.task_id} failed: {found['error']}")


def state_of(reply: Reply) -> State:
    """Return the state of an answer."""
    if reply.finish_reason == "content_filter" or (reply.refusal and not reply.text):
        return "refused"
    if reply.finish_reason == "length":
        return "truncated"
    return "ok" if reply.text and reply.text.strip() else "empty"


def _record(reply: Reply, used: Usage) -> Record:
    return {
        "state": state_of(reply),
        "text": reply.text,
        "reasoning": reply.reasoning,
        "refusal": reply.refusal,
        "finish_reason": reply.finish_reason,
        "served_model": reply.model,
        "usage": used.plain(),
        "latency_s": round(reply.seconds, 3),
        "attempts": reply.attempts,
        **({"usage_guessed": True} if reply.guessed else {}),
    }


def _of_failure(error: ApiError) -> Record:
    states: dict[str, State] = {"overflow": "overflow", "filter": "refused"}
    state = states.get(error.failure.code, "infra_error")
    return {"state": state, "text": None, "error": error.failure.text, "attempts": error.attempts}


def _begin(plan: InferPlan, log: EventLog, manifest: Manifest) -> dict[Key, int]:
    """Return where the log holds each final answer; a new log begins with the manifest."""
    recorded = recorded_manifest(plan.log)
    if recorded is None:
        known = {entry.task_id for entry in plan.index.entries}
        begin(log, manifest, adopted_answers(plan.output, known), plan.output)
    else:
        check_same(recorded, manifest, plan.log)
    answers: dict[Key, int] = {}
    for offset, record in log.records():
        if record.get("event") == "notes":
            plan.budget.spent = plan.budget.spent + Usage(**record.get("usage") or {})
        if record.get("event") != "answer":
            continue
        key = (str(record["task_id"]), int(record["trial"]))
        plan.budget.spent = plan.budget.spent + Usage(**record.get("usage") or {})
        if record["state"] in AGAIN:
            answers.pop(key, None)
        else:
            answers[key] = offset
    return answers


def _notes_before(plan: InferPlan, log: EventLog) -> dict[str, Record]:
    """Return the notes that a log holds, by their name."""
    if plan.policy.name != "notes":
        return {}
    return {str(record["name"]): record for _, record in log.records() if record.get("event") == "notes"}


def _write(plan: InferPlan, answers: dict[Key, int]) -> tuple[Counter[str], list[float]]:
    """Write the final file from the log; return its rows by state, and how long answers took, sorted."""
    states: Counter[str] = Counter()
    seconds: list[float] = []

    def lines() -> Iterator[bytes]:
        with Reader(plan.index.path) as reader, LogReader(plan.log) as log:
            for job in plan.jobs():
                missing: Record = {"state": "missing", "text": None}
                record = log.read(answers[job.key]) if job.key in answers else missing
                states[str(record["state"])] += 1
                seconds.extend([record["latency_s"]] if "latency_s" in record else [])
                if plan.public:
                    if record["state"] in ("ok", "truncated", "empty"):
                        yield dumped(_public_row(job, reader.read(job), record))
                else:
                    yield dumped(_row(job, reader.read(job), record, plan))

    write_lines(plan.output, lines())
    return states, sorted(seconds)


def _public_row(job: Entry, row: Raw, record: Record) -> Raw:
    own = metadata_of(row).get("task_id")  # a number stays one
    return {
        "idx": own if str(own) == job.task_id else job.task_id,
        "messages": row.get("messages"),
        "model_output": record.get("text"),
        "rubrics": row.get("rubrics", []),
        "metadata": row.get("metadata", {}),
    }


def _row(job: Entry, row: Raw, record: Record, plan: InferPlan) -> Raw:
    found = _public_row(job, row, record)
    names = ("finish_reason", "served_model", "usage", "latency_s", "attempts", "error", "cached", "adopted")
    names = (*names, "memory_usage", "usage_guessed")
    extra = {name: record[name] for name in names if name in record}
    if plan.policy.name != "full":
        extra["context_policy"] = str(plan.policy)
    slim = {"messages", "rubrics"} if plan.slim else set[str]()
    dataset = {"dataset": plan.index.sha256} if plan.slim else {}
    kept = {name: value for name, value in found.items() if name not in slim}
    return {**kept, "trial": job.trial, "state": record["state"], **extra, **dataset}


def _params(plan: InferPlan, address: Address) -> dict[str, Any]:
    asked = {"model": plan.model, "base_url": address.base_url, **plan.params, "seed": plan.seed}
    return {**asked, **plan.policy.identity()}


def _prices(budget: Budget) -> dict[str, Any] | None:
    return None if budget.prices is None else vars(budget.prices)
