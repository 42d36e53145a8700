"""Turn questions of a stock task into an exam like any other: digested, asked, kept and marked again at will."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import canonical, digest
from clbench.core.notice import notice
from clbench.core.types import Decode, Example, Message, ScorerSpec
from clbench.data.card import OnDisk
from clbench.data.fetch import split_rows
from clbench.data.stockcard import HarnessSource
from clbench.data.task import rank, smallest

Splits = dict[str, list[dict[str, Any]]]


def stock_examples(
    card: OnDisk, source: HarnessSource, items: int | None, data: Path | None
) -> tuple[tuple[Example, ...], float]:
    """Give the questions of a stock exam, one example per document, and the score of guessing them, in [0, 1].

    Args:
        card: The exam's card.
        source: What it says of the stock task.
        items: Most questions beside the card's own `items`.
        data: Folder of the local data sets.

    Raises:
        AbsentError: The task, the harness or the rows are not there.
        DataError: A row has not what the task reads, or the task has another version.
    """
    most = min([n for n in (items, source.items) if n is not None], default=None)
    if source.rows is None:
        found = _examples(source, source.harness, None, card.path)
        examples = [example for example, _ in found]
        chosen = tuple(examples) if most is None else smallest(examples, most, source.items_seed)
    else:
        tasks = _shared_out(card, source, most, data)
        found = [pair for task, rows in sorted(tasks.items()) for pair in _examples(source, task, rows, card.path)]
        chosen = tuple(example for example, _ in found)
    chances = {example.id: chance for example, chance in found}
    return chosen, sum(chances[e.id] for e in chosen) / max(len(chosen), 1)


def scorer_of(source: HarnessSource) -> ScorerSpec:
    """Give the scorer of a stock exam."""
    return ScorerSpec(name="harness", settings={"metric": source.metric, "filter": source.filter})


DECODE = Decode(kind="raw")


def _shared_out(card: OnDisk, source: HarnessSource, most: int | None, data: Path | None) -> dict[str, Splits]:
    """Read all rows, choose the questions, and give task -> split -> rows as the task reads them.

    Where examples come from the split that is asked, as many as a question needs are set apart and never asked.
    """
    asked, *others = source.splits
    found = _read(card, source, source.splits[asked], data)
    hashed = sorted(found, key=lambda r: rank(source.items_seed, r[0]))
    shared = [split for split in others if source.splits[split] == source.splits[asked]]
    kept = len(hashed) - (source.fewshot or 0) if shared else len(hashed)
    chosen = {identity for identity, _, _ in hashed[: kept if most is None else min(most, kept)]}
    rows = {asked: [r for r in found if r[0] in chosen]}
    rows |= {s: hashed[kept:] if s in shared else _read(card, source, source.splits[s], data) for s in others}
    tasks: dict[str, Splits] = {task: {} for _, task, _ in rows[asked]}
    for split, members in rows.items():
        for _, task, row in members:
            if task in tasks:
                tasks[task].setdefault(split, []).append(row)
    return _with_examples(card, source, tasks) if others else tasks


def _with_examples(card: OnDisk, source: HarnessSource, tasks: Mapping[str, Splits]) -> dict[str, Splits]:
    """Leave out, by name, the tasks that have fewer rows to take examples from than a question is to show."""
    asked, *others = source.splits
    shots = source.fewshot or 0
    pools = {task: max(len(splits.get(split, ())) for split in others) for task, splits in tasks.items()}
    short = sorted(task for task, pool in pools.items() if pool < shots)
    said = [f"{t} ({pools[t]} of {shots} examples, {len(tasks[t][asked])} questions)" for t in short]
    if short and len(short) == len(tasks):
        mend = f"give {shots} rows or more, of each subject, in the split {source.splits[others[0]]!r}"
        raise DataError(f"too few rows to take examples from: {'; '.join(said[:5])}", where=str(card.path), mend=mend)
    if short:
        notice(f"exam {card.name!r} goes on without {'; '.join(said)}")
    return {task: splits for task, splits in tasks.items() if pools[task] >= shots}


def _read(card: OnDisk, source: HarnessSource, split: str, data: Path | None) -> list[tuple[str, str, dict[str, Any]]]:
    """Give (id, task, row as the task reads it) of a split."""
    assert source.rows is not None, "told apart by the caller"
    found: list[tuple[str, str, dict[str, Any]]] = []
    for place, row in split_rows(card, source.rows, split, data):
        try:
            task = source.task_of(row)
            found.append((digest(row)[:16], task, _prepared(source, task, source.stock_row(row))))
        except KeyError as error:
            raise DataError(
                f"there is no column {error}", where=place, mend=did_you_mean(str(error.args[0]), row)
            ) from None
        except ValueError as error:
            raise DataError(str(error), where=place) from None
    return found


def _prepared(source: HarnessSource, task: str, row: dict[str, Any]) -> dict[str, Any]:
    """Give a row with the texts of some columns as the stock task's own code would have made them."""
    from clbench.stock.task import function_of

    for column, name in source.prepare.items():
        how, value = function_of(task, name), row[column]
        row[column] = [how(text) for text in value] if isinstance(value, list) else how(value)
    return row


def _examples(source: HarnessSource, task_name: str, splits: Splits | None, where: Path) -> list[tuple[Example, float]]:
    """Give the questions of one task, in order, each with the expected score of guessing it."""
    from clbench.stock.task import opened, questions

    changes = {**source.changes, **({} if source.fewshot is None else {"num_fewshot": source.fewshot})}
    with opened(task_name, splits, changes) as task:
        if source.version is not None and float(task.VERSION) != source.version:
            raise DataError(
                f"stock task {task_name!r} has version {task.VERSION}, the card was written for {source.version}",
                where=str(where),
                mend="install the harness that the card was written for, or write a new card",
            )
        asked = questions(task, source.seed, source.metric, source.filter)
        names = [s for s in (task.config.test_split, task.config.validation_split, task.config.training_split) if s]
        names += [s for s in (task.config.fewshot_split,) if s]
    found: list[tuple[Example, float]] = []
    for question in asked:
        doc: Mapping[str, Any] = dict(question.doc)
        check = {"task": task_name, "changes": changes, "splits": sorted(set(names)), "doc": doc}
        shown = question.context or (question.requests[0].continuation if question.requests else "")
        example = Example(
            id=f"{task_name}-{digest(doc)[:16]}",
            prompt=(Message(role="user", content=shown),),
            targets=(question.target,) if question.target.strip() else (),
            check=canonical(check),
            requests=question.requests,
        )
        found.append((example, question.chance))
    return found
