"""Rendering of a card's rows: fill templates, fold choices and labels, note or refuse what cannot be asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import canonical, plain_label
from clbench.core.types import Example, Message
from clbench.data.readers.numbers import Whole
from clbench.data.tasks import template
from clbench.data.tasks.card import Card
from clbench.data.tasks.columns import as_text
from clbench.data.tasks.rubrics import rubrics_of

_LONE = re.compile(r"[\ud800-\udfff]")
_ONE_TEXT = frozenset({str, int, bool, type(None)})  # equal values of one of these types are shown alike
MOST = 10_000  # answers that are remembered while rows are read


@dataclass
class Folds:
    """What reading a card's rows changed or left out.

    Attributes:
        forms: Label -> its forms in the data -> where each occurs first; for closed sets that all rows share.
        num: The number of labels and choices that are read in another form than they are written.
        first: One of them: the form, the label, where.
        bad: Rows that are left out: where and why.
    """

    forms: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    num: int = 0
    first: tuple[str, str, str] = ("", "", "")
    bad: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def folded(self, text: str, where: str) -> str:
        """Return a label or choice in folded form, and count it if it is written otherwise."""
        label = plain_label(text)
        if not label:
            raise UnusableError(f"{text!a} is empty once blanks and invisible characters are dropped", where=where)
        if label != text:
            self.num += 1
            self.first = self.first if self.num > 1 else (text, label, where)
        return label

    def notices(self, name: str) -> list[str]:
        """Return what a user of the task should know, one sentence each."""
        found: list[str] = []
        if self.num:
            text, label, where = self.first
            what = "invisible characters, blanks or normal form folded"
            found.append(
                f"task {name!r}: {self.num:,} labels or choices have {what}; {text!a} is read as {label!a} ({where})"
            )
        if self.bad:
            where, why = self.bad[0]
            found.append(f"task {name!r} goes on without {len(self.bad):,} rows that cannot be asked; {where}: {why}")
        return found

    def clash(self) -> str:
        """Return a sentence on labels that differ in the data and are one once folded; "" if there are none."""
        for label, forms in self.forms.items():
            if len(forms) > 1:
                both = " and ".join(f"{form!a} ({where})" for form, where in list(forms.items())[:2])
                return f"{both} are one label, {label!a}, once blanks, invisible characters and normal form are folded"
        return ""


class Rendering:
    """How a card's rows are rendered; templates are parsed once."""

    def __init__(self, card: Card, folds: Folds) -> None:
        self.card = card
        self.folds = folds
        self.prompts = [template.parse(m.content) for m in card.prompt]
        self.target = template.parse(card.target)
        self.check = template.parse(card.check)
        self.accept = template.parse(card.accept).only_field if card.accept else None
        self.rubric = template.parse(card.rubric).only_field if card.rubric else None
        self.listed = template.parse(card.choices).only_field if isinstance(card.choices, str) else None
        self.offered = [] if isinstance(card.choices, str) else [template.parse(c) for c in card.choices or ()]
        fields = [f for t in (*self.prompts, self.target, self.check, *self.offered) for f in t.fields]
        self.fields = tuple(dict.fromkeys(fields))
        self.of_answers = tuple(dict.fromkeys(f for t in (self.target, *self.offered) for f in t.fields))
        asked = {f for t in self.prompts for f in t.fields}
        # A column of the prompt may be empty if another one is not.
        self.optional = asked - {f for t in (self.target, self.check, *self.offered) for f in t.fields}
        read = {c for new in card.columns.values() for c in new.reads}
        named = {
            *self.fields,
            *(f for f in (self.accept, self.listed, self.rubric) if f is not None),
        } - card.columns.keys()
        self.needed = {*read, *named, *card.each, *([card.id] if card.id else [])}
        # The column that alone makes an answer of a closed set, and the answers by what it holds.
        alone = card.labels is not None and not card.columns and len(self.of_answers) == 1
        self.label = self.of_answers[0] if alone else None
        self._answers: dict[tuple[type, Any], tuple[str, tuple[str, ...]]] = {}

    def parts(self, where: str, row: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], str]]:
        """Return (where, columns, id) of the questions of a row; one without id yet unless the card says `each`.

        Raises:
            DataError: A column is missing, or lists of `each` do not fit together.
        """
        self._all_there(row, where)
        if not self.card.each:
            return [(where, row, "")]
        first, identity = self.card.each[0], self.identity(row, where)
        parts = enumerate(_split(row, self.card.each, where), start=1)
        return [(f"{where} ({first} {n})", part, f"{identity}-{n}") for n, part in parts]

    def _all_there(self, row: Mapping[str, Any], where: str) -> None:
        if not row.keys() >= self.needed:
            name = sorted(self.needed - row.keys())[0]
            raise DataError(f"there is no column {name!r}", where=where, mend=did_you_mean(name, row))

    def answer(self, where: str, row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]] | None:
        """Return (taught answer, own choices) of a question; None for one that cannot be asked, which `folds` keeps.

        Where answers are a closed set this is read for every row, so that each member is known and each stranger told.
        """
        if self.label is None or (kind := type(said := row[self.label])) not in _ONE_TEXT:
            return self._answer(where, row)
        if (known := self._answers.get((kind, said))) is None:
            before = self.folds.num
            known = self._answer(where, row)
            if known is not None and before == self.folds.num and len(self._answers) < MOST:
                self._answers[kind, said] = known  # what is folded or left out is counted row by row
        return known

    def _answer(self, where: str, row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]] | None:
        columns = {**row, **self._new_columns(row, where)}
        values = {f: self._text(f, columns[f], where) for f in self.of_answers}
        try:
            choices = self._choices(columns, values, where)
            target = self._target(columns, values, choices, where)
        except UnusableError as error:
            self.folds.bad.append((where, error.what))
            return None
        for text in choices:
            _whole(text, "a choice", where)
        return _whole(target, "an answer", where), choices

    def example(
        self, where: str, identity: str, row: Mapping[str, Any], target: str, choices: tuple[str, ...]
    ) -> Example:
        """Return a question in full; target and choices are those of `answer`.

        Raises:
            DataError: A column that it shows is empty or no text.
        """
        columns = {**row, **self._new_columns(row, where)}
        values = {f: self._text(f, columns[f], where, empty=f in self.optional) for f in self.fields}
        if lacking := next((f for p in self.prompts if (f := p.lacks(values))), ""):
            raise DataError(f"column {lacking!r} is empty", where=where)
        prompts = zip(self.card.prompt, self.prompts, strict=True)
        rubric, exact = ((), "") if self.rubric is None else rubrics_of(row[self.rubric], self.rubric, where)
        example = Example(
            id=identity,
            prompt=tuple(Message(role=m.role, content=p.filled(values)) for m, p in prompts),
            targets=(*([target] if self.card.target else []), *self._accepted(columns, target, where)),
            choices=choices,
            rubric=rubric,
            check=exact or self.check.render(values),
            group=identity.rpartition("-")[0] if self.card.each else None,
        )
        _refuse_halves(example, where)
        return example

    def _target(self, row: Mapping[str, Any], values: Mapping[str, str], choices: tuple[str, ...], where: str) -> str:
        """Return the taught answer: of a closed set one of its members, folded once."""
        target = self.target.render(values)
        known = self.card.label_names or self.card.choice_keys or ()
        if isinstance(self.card.labels, tuple) and not known:
            known = self.card.labels
        if known and target not in known:
            # A card may name classes by their numbers although the data knows their names.
            numbers = {f: str(int(row[f])) for f in self.target.fields if isinstance(row[f], Whole)}
            if numbers and (numbered := self.target.render({**values, **numbers})) in known:
                target = numbered
        if choices and self.card.target:
            target = self._chosen(target, choices, where)
        names = self.card.label_names
        if names is not None:
            target = target if target in names else plain_label(target)
            if target not in names:
                raise DataError(f"label {target!r} is outside the set", where=where, mend=did_you_mean(target, names))
            target = names[target]
        elif self.card.labels is not None and self.card.target:
            self.folds.forms.setdefault(plain_label(target), {}).setdefault(target, where)
        return self.folds.folded(target, where) if self.card.labels is not None else target

    def _new_columns(self, row: Mapping[str, Any], where: str) -> dict[str, str]:
        columns: dict[str, str] = {}
        for name, how in self.card.columns.items():
            if name in row:
                raise DataError(f"the data has a column {name!r} of its own", where=where, mend="rename the card's")
            try:
                columns[name] = how.make(row)
            except ValueError as error:
                raise DataError(f"column {how.reads[0]!r} {error}", where=where) from None
        return columns

    def _text(self, field: str, value: Any, where: str, *, empty: bool = False) -> str:
        try:
            text = as_text(value)
        except ValueError as error:
            mend = "`columns` makes a text of a list, `choices` ranks its items: docs/cards.md"
            raise DataError(f"column {field!r} {error}", where=where, mend=mend) from None
        if field in self.card.remove:
            text = text.replace(self.card.remove[field], "")
        if field in self.card.clip:
            text = template.clip(text, self.card.clip[field])
        if not empty and not text.strip():
            raise DataError(f"column {field!r} is empty", where=where)
        return text

    def _choices(self, row: Mapping[str, Any], values: Mapping[str, str], where: str) -> tuple[str, ...]:
        if self.card.choices is None:
            return ()
        choices = tuple(offer.render(values) for offer in self.offered)
        if self.listed is not None:
            choices = tuple(_texts(row[self.listed], self.listed, where))
        choices = tuple(self.folds.folded(choice, where) for choice in choices)
        if len(choices) < 2 or len(set(choices)) < len(choices):
            raise UnusableError(f"choices must be at least two different texts, not {list(choices)}", where=where)
        return choices

    def _chosen(self, target: str, choices: tuple[str, ...], where: str) -> str:
        keys = self.card.choice_keys
        named = dict(zip(choices if keys is None else keys, choices, strict=False))
        target = target if target in named else plain_label(target)
        if target not in named:
            what = "is not among the choices" if keys is None else "names none of the choices"
            raise DataError(f"target {target!r} {what}", where=where, mend=did_you_mean(target, named))
        return named[target]

    def _accepted(self, row: Mapping[str, Any], target: str, where: str) -> list[str]:
        if self.accept is None:
            return []
        found: Any = row[self.accept]
        if isinstance(found, Mapping) and "text" in found:  # SQuAD's {text: [...], answer_start: [...]}
            found = found["text"]  # pyright: ignore[reportUnknownVariableType]  # JSON has no types
        if found is None or found == "":  # this row has no other answer
            return []
        more = _texts(found if isinstance(found, list) else [found], self.accept, where)
        if self.card.labels is not None or self.card.choices is not None:
            more = [plain_label(m) for m in more]
        return [m for m in dict.fromkeys(more) if m != target]

    def identity(self, row: Mapping[str, Any], where: str) -> str:
        """Return the id of a row: its own, or a hash of all it holds."""
        if self.card.id is not None:
            return _whole(self._text(self.card.id, row[self.card.id], where), "the id", where)
        try:
            return hashlib.sha256(canonical(row).encode()).hexdigest()[:16]
        except UnicodeEncodeError as error:
            raise _half(f"{str(error.object)[error.start]}", "the row", where) from None
        except (TypeError, ValueError) as error:
            mend = "name a column of ids: `id: COLUMN`"
            raise DataError(f"the row has a value that cannot be hashed: {error}", where=where, mend=mend) from None


class UnusableError(DataError):
    """A row that cannot be asked, although the card is right."""


def _refuse_halves(example: Example, where: str) -> None:
    for message in example.prompt:
        _whole(message.content, "the prompt", where)
    for owner, texts in {
        "an answer": example.targets,
        "a choice": example.choices,
        "the check": (example.check,),
        "a rubric": example.rubric,
    }.items():
        for text in texts:
            _whole(text, owner, where)


def _whole(text: str, owner: str, where: str) -> str:
    """Return a text as it is; refuses half a character (a lone surrogate), which UTF-8 cannot hold."""
    if not text.isascii() and (lone := _LONE.search(text)) is not None:
        raise _half(lone.group(), owner, where)
    return text


def _half(character: str, owner: str, where: str) -> DataError:
    what = f"half a character (U+{ord(character):04X}) in {owner}"
    return DataError(what, where=where, mend="delete it: a lone surrogate cannot be written as UTF-8")


def _split(row: Mapping[str, Any], columns: Sequence[str], where: str) -> list[dict[str, Any]]:
    for name in columns:
        if name not in row:
            raise DataError(f"there is no column {name!r}", where=where, mend=did_you_mean(name, row))
        if not isinstance(row[name], list):
            raise DataError(f"column {name!r} must be a list: the card has it in `each`", where=where)
        if any(isinstance(value, str) and not value.strip() for value in row[name]):  # pyright: ignore[reportUnknownVariableType]  # a bare list has no item types
            raise DataError(f"column {name!r} is empty at one place of its list", where=where)
    lengths = {name: len(row[name]) for name in columns}
    if len(set(lengths.values())) > 1:
        raise DataError(f"lists of different lengths: {lengths}", where=where, mend="`each` pairs them place by place")
    return [{**row, **{name: row[name][place] for name in columns}} for place in range(lengths[columns[0]])]


def _texts(value: Any, column: str, where: str) -> list[str]:
    """Return the items of a list as texts, numbers as their file writes them."""
    try:
        items: Sequence[Any] = value if isinstance(value, list) else [None]
        texts = [as_text(item) for item in items]
    except ValueError:
        texts = [""]
    if not all(text.strip() for text in texts):
        raise DataError(f"column {column!r} must be a list of texts, none empty", where=where)
    return texts
