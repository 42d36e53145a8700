"""From questions of an lm_eval task to an exam like any other: digested, asked, kept, and graded again if needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, did_you_mean
from clbench.core.events import notice
from clbench.core.keys import canonical, digest
from clbench.core.types import Decode, Example, Message, ScorerSpec
from clbench.data.tasks.card import OnDisk
from clbench.data.tasks.fetch import split_rows
from clbench.data.tasks.lm_eval_card import HarnessSource
from clbench.data.tasks.task import rank, smallest

Splits = dict[str, list[dict[str, Any]]]


def lm_eval_examples(
    card: OnDisk, source: HarnessSource, items: int | None, data: Path | None
) -> tuple[tuple[Example, ...], float]:
    """Return the questions of an lm_eval exam, one example per document, and their guess rate, in [0, 1].

    Args:
        card: The exam's card.
        source: What it says of the lm_eval task.
        items: Most questions, besides the card's own `items`.
        data: Folder of the local data sets.

    Raises:
        AbsentError: The task, the harness or the rows are missing.
        DataError: A row lacks what the task reads, or the task has another version.
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
    guess_rates = {example.id: guess_rate for example, guess_rate in found}
    return chosen, sum(guess_rates[e.id] for e in chosen) / max(len(chosen), 1)


def scorer_of(source: HarnessSource) -> ScorerSpec:
    """Return the scorer of an lm_eval exam."""
    return ScorerSpec(name="harness", settings={"metric": source.metric, "filter": source.filter})


DECODE = Decode(kind="raw")


def _shared_out(card: OnDisk, source: HarnessSource, most: int | None, data: Path | None) -> dict[str, Splits]:
    """Return task -> split -> rows as the task reads them, for the chosen questions.

    If few-shot examples come from the split that is asked, as many as a question needs are never asked.
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
    """Return the tasks with enough rows for few-shot examples; a notice names the others."""
    asked, *others = source.splits
    shots = source.fewshot or 0
    pools = {task: max(len(splits.get(split, ())) for split in others) for task, splits in tasks.items()}
    short = sorted(task for task, pool in pools.items() if pool < shots)
    lacking = [f"{t} ({pools[t]} of {shots} examples, {len(tasks[t][asked])} questions)" for t in short]
    if short and len(short) == len(tasks):
        mend = f"give {shots} rows or more, of each subject, in the split {source.splits[others[0]]!r}"
        raise DataError(
            f"too few rows to take examples from: {'; '.join(lacking[:5])}", where=str(card.path), mend=mend
        )
    if short:
        notice(f"exam {card.name!r} goes on without {'; '.join(lacking)}")
    return {task: splits for task, splits in tasks.items() if pools[task] >= shots}


def _read(card: OnDisk, source: HarnessSource, split: str, data: Path | None) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (id, task, row as the task reads it) of a split."""
    assert source.rows is not None, "told apart by the caller"
    found: list[tuple[str, str, dict[str, Any]]] = []
    for place, row in split_rows(card, source.rows, split, data):
        try:
            task = source.task_of(row)
            found.append((digest(row)[:16], task, _prepared(source, task, source.task_row(row))))
        except KeyError as error:
            raise DataError(
                f"there is no column {error}", where=place, mend=did_you_mean(str(error.args[0]), row)
            ) from None
        except ValueError as error:
            raise DataError(str(error), where=place) from None
    return found


def _prepared(source: HarnessSource, task: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the texts of some columns as the lm_eval task's own code would have made them."""
    from clbench.lm_eval.task import function_of

    for column, name in source.prepare.items():
        how, value = function_of(task, name), row[column]
        row[column] = [how(text) for text in value] if isinstance(value, list) else how(value)
    return row


def _examples(source: HarnessSource, task_name: str, splits: Splits | None, where: Path) -> list[tuple[Example, float]]:
    """Return the questions of one task, in order, each with its guess rate."""
    from clbench.lm_eval.task import open_task, questions

    changes = {**source.changes, **({} if source.fewshot is None else {"num_fewshot": source.fewshot})}
    with open_task(task_name, splits, changes) as task:
        if source.version is not None and float(task.VERSION) != source.version:
            raise DataError(
                f"lm_eval task {task_name!r} has version {task.VERSION}, the card was written for {source.version}",
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
        text = question.context or (question.requests[0].continuation if question.requests else "")
        example = Example(
            id=f"{task_name}-{digest(doc)[:16]}",
            prompt=(Message(role="user", content=text),),
            targets=(question.target,) if question.target.strip() else (),
            check=canonical(check),
            requests=question.requests,
        )
        found.append((example, question.guess_rate))
    return found
