"""Check a user's data files row by row, with some 60 bytes of memory a row, and report all that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from clbench.core.errors import DataError
from clbench.data.eval_only import refuse_eval_only_row
from clbench.data.intake.files import EVERY, Row, Source, walk, walk_files
from clbench.data.intake.findings import KINDS, Findings
from clbench.data.intake.form import Form, Reading, form_of, unescaped, unread
from clbench.data.intake.part import Part, Shape, main_of
from clbench.data.intake.rows import Labels, compare, shape_of
from clbench.data.intake.text import Measure, flaws, printable
from clbench.data.intake.turns import RowError
from clbench.data.readers import remarks

PEEK = 100  # rows from which the form is recognised


@dataclass(frozen=True)
class Audit:
    """The result of a check.

    Attributes:
        parts: Split -> what is known of it.
        form: How rows are read; None if it was not recognised.
        shape: The kind of task; None without usable rows.
        findings: All that is wrong.
        roles: The different orders of roles before the answer, at most two.
        measure: How lengths were counted.
    """

    parts: dict[str, Part]
    form: Form | None
    shape: Shape | None
    findings: Findings
    roles: tuple[tuple[str, ...], ...]
    measure: Measure

    @property
    def main(self) -> Part:
        """The split that decides the kind of task: the one that is taught, else the one that is asked."""
        return main_of(self.parts) or next(iter(self.parts.values()))


def audit(
    sources: Sequence[Source],
    measure: Measure,
    *,
    prompt: str | None = None,
    target: str | None = None,
    labels: Labels = "auto",
    accept: Sequence[str] = (),
) -> Audit:
    """Return the result of checking files as one task, each row once, to the last.

    Args:
        sources: Files with their splits.
        measure: Counts lengths.
        prompt: Template of the question, if the rows have no known form.
        target: Template of the answer.
        labels: Whether the answers are a closed set; "auto" decides by the answers.
        accept: Columns of further accepted answers.

    Raises:
        SpecError: A template is not valid, or labels were asked for and the answers cannot be labels.
    """
    findings = Findings({}, {})
    for option, text in (("--prompt", prompt), ("--target", target)):
        if text is not None and unescaped(text) != text:
            findings.add("escape", option, f"{text!r} is read as {unescaped(text)!r}")
    form = _form(sources, (prompt, target), accept, findings)
    walker = _Walker(form, measure, findings)
    for source, rows in walk_files(sources, "checking"):
        walker.walk(source, rows)
    parts = walker.parts
    shape = shape_of(parts, form, labels)
    compare(parts, shape, findings)
    for kind, what in measure.closing([] if shape is None else list(shape.labels)):
        findings.add(kind, measure.unit, what)
    return Audit(parts, form, shape, findings, tuple(walker.roles), measure)


def _form(
    sources: Sequence[Source], given: tuple[str | None, str | None], accept: Sequence[str], findings: Findings
) -> Form | None:
    first: list[tuple[str, Row]] = []
    for source in sources:
        rows = ((n, row) for n, row in walk(source, lambda _: None) if not isinstance(row, DataError))
        first += [(source.where(number), row) for number, row in islice(rows, PEEK)]
    if not first:
        return None
    try:
        form = form_of([row for _, row in first], *given, accept)
    except RowError as error:
        findings.add(error.kind, first[0][0], error.what, error.mend)
        return None
    for where, what in unread(form, first):
        findings.add("unread", where, what)
    return form


class _Walker:
    """A walk over files that keeps what is needed of every row."""

    def __init__(self, form: Form | None, measure: Measure, findings: Findings) -> None:
        self.form = form
        self.measure = measure
        self.findings = findings
        self.parts: dict[str, Part] = {}
        self.roles: dict[tuple[str, ...], None] = {}
        self.waiting: list[tuple[int, Reading]] = []

    def walk(self, source: Source, rows: Iterable[tuple[int, Row | DataError]]) -> None:
        """Add the rows of one file, and what is wrong with them."""
        part = self.parts.setdefault(source.split, Part(source.split))
        part.sources.append(source)
        part.starts.append(len(part))
        before = part.seen
        if _has_bom(source):
            self.findings.add("bom", source.where(1), "the file begins with a byte order mark")
        for remark in remarks(source.path):
            self.findings.add("reader", str(source.path), remark)
        for number, row in rows:
            part.seen += 1
            if isinstance(row, DataError):
                kind = "bytes" if row.what.startswith("invalid UTF-8") else "broken"
                self.findings.add(kind, row.where or source.where(number), row.what, row.mend)
                continue
            refuse_eval_only_row(row, source.where(number))
            if self.form is not None:
                self._row(part, number, row)
        self._measure(part)
        if part.seen == before:
            self.findings.add("none", source.where(1), "the file holds no row")

    def _row(self, part: Part, number: int, row: Row) -> None:
        assert self.form is not None, "asked by the caller"
        source = part.sources[-1]
        try:
            reading = self.form.read(row)
        except RowError as error:
            self.findings.add(error.kind, source.where(number), error.what, error.mend)
            return
        for column in reading.blank:
            self.findings.add("blank", source.where(number), f"column {column!r} is empty")
        usable = True
        turns = [content for _, content in reading.turns]
        owners = ["prompt"] if len(turns) == 1 else [f"turn {i}" for i in range(1, len(turns) + 1)]
        owners += ["answer", "id", *["accepted answer"] * len(reading.accepted)]
        texts = [*turns, reading.answer, reading.identity or "", *reading.accepted]
        for owner, text in zip(owners, texts, strict=True):
            for kind, what in flaws(text):
                self.findings.add(kind, source.where(number), f"in the {owner}: {what}")
                usable = usable and KINDS[kind].severity != "error"
        if not usable:
            return
        part.add(number, reading)
        if len(self.roles) < 2:
            self.roles[tuple(role for role, _ in reading.turns)] = None
        self.waiting.append((number, reading))
        if len(self.waiting) == EVERY:
            self._measure(part)

    def _measure(self, part: Part) -> None:
        """Measure the waiting rows at once: tokenizers are faster on many texts."""
        readings = [reading for _, reading in self.waiting]
        prompts, answers = [r.turns for r in readings], [r.answer for r in readings]
        lengths = self.measure.lengths(prompts, answers)
        for place, kind, what in self.measure.remarks(prompts, answers):
            self.findings.add(kind, part.sources[-1].where(self.waiting[place][0]), what)
        for (number, reading), (prompt, answer) in zip(self.waiting, lengths, strict=True):
            part.units[0].append(prompt)
            part.units[1].append(answer)
            if self.measure.fits(prompt, answer):
                continue
            if not self.findings.wants("long"):
                self.findings.count("long", 1)
                continue
            unit, most = self.measure.unit, self.measure.most
            lost = zip(
                ("the middle of the prompt", "the end of the answer"),
                self.measure.cut(reading.turns, reading.answer),
                strict=True,
            )
            gone = " and ".join(f"{what}, {_ends(text)}" for what, text in lost if text)
            what = f"{prompt} + {answer} {unit}, and {most} fit: it loses {gone}"
            self.findings.add("long", part.sources[-1].where(number), what)
        self.waiting.clear()


def _ends(text: str) -> str:
    if len(text) <= 80:
        return f"'{printable(text, 80)}'"
    return f"{len(text):,} characters from '{printable(text[:40])}' to '{printable(text[-40:])}'"


def _has_bom(source: Source) -> bool:
    if source.suffix not in (".jsonl", ".json", ".csv", ".tsv"):
        return False
    try:
        with source.path.open("rb") as file:
            return file.read(3) == b"\xef\xbb\xbf"
    except OSError:  # reading its rows says so
        return False
