"""What an exam card says of an lm_eval task, and how our rows become the rows that the task reads; data only."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, ClassVar

from pydantic import Field

from clbench.core.value import Value
from clbench.data.tasks import template
from clbench.data.tasks.source import Name, RowSource

Shape = Any  # a text, number, list or mapping, whose texts "{column}" stand for a column's value
MAKERS = ("letters_of", "index_of", "item_of", "concat", "flags")


class HarnessSource(Value):
    """Questions of a task of lm-evaluation-harness, asked and graded by its own code.

    Attributes:
        harness: The task's name; `{column}` in it stands for a column: rows then belong to several tasks.
        version: The task's version; another one is refused. None accepts any.
        fewshot: Examples before each question; None leaves it to the task.
        seed: Seed of the few-shot examples, if the task draws them.
        rows: Where the rows lie; None lets the task fetch its own data set.
        splits: Split as the task names it -> split of `rows`.
        columns: Column that the task reads -> how it is made: a value in which "{column}" stands for one of our
            columns, or one of {letters_of: column}: "A", "B", ... for the items of a list; {index_of: column}: 0 for
            "A", 1 for "B"; {item_of: [column, place]}; {concat: [..]}: lists and values as one list; {flags: [first,
            second]}: 1 for the items of the first and 0 for those of the second. None: the rows are as the task wants
            them.
        prepare: Column that the task reads -> function in the task's own `utils.py` that converts its text, or every
            text of its list: for columns that the task would otherwise make itself.
        changes: Fields of the task's YAML that get other values; each is a departure from the lm_eval task.
        items: Most questions, chosen by hash of (items_seed, row); None is all.
        metric, filter: The score, as the task names it; "" is its first.
    """

    harness: str = Field(min_length=1)
    version: float | None = None
    fewshot: int | None = Field(default=None, ge=0)
    seed: int = 1234
    rows: RowSource | None = None
    splits: Mapping[str, Name] = {"test": "test"}
    columns: Mapping[str, Shape] | None = None
    changes: Mapping[str, Any] = {}
    items: int | None = Field(default=None, ge=1)
    items_seed: int = Field(default=0, ge=0)
    metric: str = ""
    filter: str = ""
    prepare: Mapping[str, str] = {}
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"prepare"})

    def task_of(self, row: Mapping[str, Any]) -> str:
        """Return the name of the task that a row belongs to."""
        parsed = template.parse(self.harness)
        return parsed.render({f: str(row[f]) for f in parsed.fields}) if parsed.fields else self.harness

    def task_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row that the task reads.

        Raises:
            KeyError: There is no such column.
            ValueError: A value does not have the form that a maker needs.
        """
        if self.columns is None:
            return dict(row)
        return {name: fill(shape, row) for name, shape in self.columns.items()}


def fill(shape: Shape, row: Mapping[str, Any]) -> Any:
    """Return a shape filled with a row's values.

    Example:
        >>> row = {"q": "2+2?", "options": ["3", "4"], "gold": "B"}
        >>> fill({"text": "{options}", "label": {"letters_of": "options"}}, row)
        {'text': ['3', '4'], 'label': ['A', 'B']}
        >>> fill({"index_of": "gold"}, row), fill("Q: {q}", row)
        (1, 'Q: 2+2?')
        >>> fill({"flags": [["{gold}"], "{options}"]}, row)
        [1, 0, 0]
    """
    if isinstance(shape, str):
        parsed = template.parse(shape)
        if parsed.only_field is not None:
            return row[parsed.only_field]
        return parsed.render({f: str(row[f]) for f in parsed.fields})
    if isinstance(shape, Mapping):
        parts: Mapping[str, Any] = shape
        if len(parts) == 1 and (name := next(iter(parts))) in MAKERS:
            return _fill_by(name, parts[name], row)
        return {key: fill(part, row) for key, part in parts.items()}
    if isinstance(shape, (list, tuple)):
        items: list[Any] = list(shape)  # pyright: ignore[reportUnknownArgumentType]  # a bare list has no item types
        return [fill(part, row) for part in items]
    return shape


def _fill_by(name: str, shape: Any, row: Mapping[str, Any]) -> Any:
    if name == "letters_of":
        return list(ascii_uppercase[: len(row[shape])])
    if name == "index_of":
        if row[shape] not in set(ascii_uppercase):
            raise ValueError(f"{row[shape]!r} is not a letter")
        return ascii_uppercase.index(row[shape])
    if name == "item_of":
        return row[shape[0]][shape[1]]
    lists: list[list[Any]] = []
    for part in shape:
        found = fill(part, row)
        lists.append(found if isinstance(found, list) else [found])
    if name == "concat":
        return [item for items in lists for item in items]
    return [1] * len(lists[0]) + [0] * sum(map(len, lists[1:]))
