"""A stream as it was built of its tasks, kept between commands by the content of its card and its tasks."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from clbench.core.kept import Form, code_digest, kept
from clbench.core.types import Example, Stream, Task
from clbench.data.streams.card import StreamCard

SPLITS = ("lesson", "exam", "dev")
WORTH = 500  # examples from which on building a stream takes longer than reading what is kept
Runs = list[tuple[int, int]]  # places in a list of examples: from, to
_EXAMPLES = TypeAdapter(tuple[Example, ...])


def kept_stream(card: StreamCard, tasks: Sequence[Task], missing: Sequence[str], make: Callable[[], Stream]) -> Stream:
    """Return a stream as it was kept, or build and keep it.

    Args:
        card: Its card.
        tasks: Its open tasks; what is kept refers to their examples.
        missing: Names of tasks that were skipped.
        make: Builds it.
    """
    pool = [example for task in tasks for split in SPLITS for example in vars(task)[split]]
    form = Form[Stream]("streams", lambda stream: _write(stream, pool), lambda payload: _read(payload, pool))
    bare: dict[str, Any] = dict.fromkeys(SPLITS, ())
    about = {
        "code": code_digest("core", "data"),
        "python": platform.python_version(),
        "card": card,
        "path": card.path,
        "tasks": [task.model_copy(update=bare) for task in tasks],  # the digest stands for the examples
        "missing": list(missing),
    }
    return kept(form, about, make)


def _write(stream: Stream, pool: Sequence[Example]) -> bytes | None:
    """Return a stream whose examples are places in the pool, or behind it in a list of those that are not there."""
    places = {id(example): place for place, example in enumerate(pool)}
    new: list[Example] = []

    def runs(examples: Sequence[Example]) -> Runs:
        found: Runs = []
        for example in examples:
            if (place := places.get(id(example))) is None:
                place = places[id(example)] = len(pool) + len(new)
                new.append(example)
            if found and found[-1][1] == place:
                found[-1] = (found[-1][0], place + 1)
            else:
                found.append((place, place + 1))
        return found

    tasks = [{split: runs(vars(task)[split]) for split in SPLITS} for task in stream.tasks]
    plans = [runs(plan.examples) for plan in stream.plans]
    if len(places) < WORTH:
        return None
    examples = _EXAMPLES.dump_json(tuple(new), exclude_defaults=True)
    head = stream.model_dump(
        mode="json", exclude={"tasks": {"__all__": set(SPLITS)}, "plans": {"__all__": {"examples"}}}
    )
    payload = json.dumps({"stream": head, "tasks": tasks, "plans": plans}).encode() + b"\n" + examples
    return payload if _read(payload, pool) == stream else None  # what JSON cannot hold is built each time


def _read(payload: bytes, pool: Sequence[Example]) -> Stream:
    head, _, written = payload.partition(b"\n")
    said = json.loads(head)
    examples = [*pool, *_EXAMPLES.validate_json(written)]

    def at(runs: Runs) -> tuple[Example, ...]:
        return tuple(example for start, end in runs for example in examples[start:end])

    stream: dict[str, Any] = said["stream"]
    for task, splits in zip(stream["tasks"], said["tasks"], strict=True):
        task |= {split: at(runs) for split, runs in splits.items()}
    for plan, runs in zip(stream["plans"], said["plans"], strict=True):
        plan["examples"] = at(runs)
    return Stream.model_validate(stream)
