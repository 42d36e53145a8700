"""Compare a stranger's result with what is at hand here: cards, keys, names and clocks. Nothing of it is run.

Whether a model gave the answers on record cannot be told from the record; `clbench.engine.rerun` asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.keys import digest, key
from clbench.core.matrix import Matrix
from clbench.core.notice import listener
from clbench.core.outline import Outline
from clbench.core.sheets import Sheet, Sheets
from clbench.core.spec import Machine, RunSpec
from clbench.core.types import Exam, Meters, Stream
from clbench.data.card import list_cards
from clbench.data.exam import exam_at, open_exams
from clbench.data.outline import stream_outline
from clbench.data.stream import open_stream
from clbench.engine.ask import ask_key
from clbench.engine.verify import known_scorer
from clbench.metrics import all_metrics
from clbench.models import source, tiny

CORE_FLOPS = 3e11  # of one processor core in a second: two 512-bit units that multiply and add at 4.5 GHz
GPU_FLOPS = 1e16  # of one accelerator, several times the fastest there is
FASTEST_ANSWER_S = 1e-6


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        problems: What does not fit what is at hand.
        unseen: What could not be compared, and why.
    """

    problems: tuple[str, ...]
    unseen: tuple[str, ...]


def compared(
    spec: RunSpec, matrix: Matrix, sheets: Sheets, outline: Outline, meters: Meters, provenance: Mapping[str, Any]
) -> list[str]:
    """Return what does not fit keys, known names and clocks; see `compared_with_cards` for the cards."""
    problems = [*_names(spec), *_ungraded(matrix), *_marks(sheets), *_counts(matrix, outline, meters)]
    problems += _clock(meters, provenance)
    return problems


def compared_with_cards(spec: RunSpec, matrix: Matrix, sheets: Sheets, outline: Outline, data: Path | None) -> Compared:
    """Compare columns, questions, scorers and guess rates with the shipped cards that the spec names.

    A name that is no shipped card is never opened: a stranger's spec must not choose which files are read.
    """
    shipped = {*list_cards("streams"), *list_cards("exams")}
    if spec.stream not in shipped:
        return Compared((), (f"stream {spec.stream!r} is not a shipped card: its questions are its author's own",))
    if strange := [name for name in spec.exams if "/" in name or name.endswith((".yaml", ".yml"))]:
        return Compared((), (f"exams {', '.join(strange)} are not shipped cards",))
    said: list[str] = []
    token = listener.set(said.append)
    try:
        stream = open_stream(spec.stream, data)
        exams = open_exams(spec.exams, stream, spec.budget.items, data)
    except UserError as error:
        return Compared((), (f"the questions of {spec.stream!r} are not at hand ({error.what}): give --data",))
    finally:
        listener.reset(token)
    problems = list(_against(matrix, sheets, outline, stream, exams))
    if spec.model.name in tiny.NAMES and spec.model.dtype == "float32":
        problems += _row_0(spec, sheets, exams)
    else:
        said.append(f"model {spec.model.name!r} ({spec.model.dtype}): whether row 0 is its own is not seen")
    return Compared(tuple(problems), tuple(said))


def _against(
    matrix: Matrix, sheets: Sheets, outline: Outline, stream: Stream, exams: tuple[Exam, ...]
) -> Iterator[str]:
    mine, theirs = stream_outline(stream).model_dump(), outline.model_dump()
    for field in ("tasks", "questions", "rounds", "reveals"):
        if theirs[field] != mine[field]:
            yield f"stream: its {field} are not those of the card {stream.name!r}"
    if tuple(e.name for e in exams) != matrix.exams:
        differ = sorted({e.name for e in exams} ^ set(matrix.exams))
        yield f"the columns are not those that the spec asks for: {', '.join(differ) or 'another order'}"
        return
    for exam, column, sheet in zip(exams, matrix.columns, sheets.sheets, strict=False):
        said, due = column.model_dump(), Matrix.blank(1, [exam]).columns[0].model_dump()
        for field in ("kind", "ability", "taught", "chance", "size"):
            if said[field] != due[field]:
                yield f"{column.name}: {field} is {said[field]!r}, by card and budget {due[field]!r}"
        yield from _questions(exam, sheet)


def _questions(exam: Exam, sheet: Sheet) -> Iterator[str]:
    if sheet.ids != tuple(e.id for e in exam.examples):
        yield f"{exam.name}: other items than the card's"
    if sheet.scorer != exam.scorer:
        yield f"{exam.name}: graded by {sheet.scorer.name}, by the card {exam.scorer.name} with its settings"
    elif sheet.version != (here := known_scorer(exam.scorer.name).version):
        yield f"{exam.name}: graded by version {sheet.version} of {sheet.scorer.name}, here is version {here}"
    for step, row in sheet.rows.items():
        if row.asked != exam_at(exam, step).digest:
            yield f"{exam.name}, row {step}: other questions than the card's"
            return


def _row_0(spec: RunSpec, sheets: Sheets, exams: tuple[Exam, ...]) -> Iterator[str]:
    """Compare the keys of row 0 with those of the untouched model, a shipped one in float32."""
    model = source.settled(spec.model)
    base = digest([source.identity(model), {}])
    for exam, sheet in zip(exams, sheets.sheets, strict=False):
        row, asked = sheet.rows.get(0), exam_at(exam, 0)
        key_here = ask_key(base, asked, model, Machine())
        if row is not None and row.asked == asked.digest and row.ask != key_here:
            yield f"{sheet.exam}, row 0: its answers are not those of the untouched model"


def _names(spec: RunSpec) -> Iterator[str]:
    if "@" not in spec.learner_name and spec.learner_name not in plugins.names("learner"):
        yield f"learner {spec.learner_name!r} is not known here"
    for name in sorted(set(spec.metrics) - set(all_metrics())):
        yield f"figure {name!r} is not known here"


def _ungraded(matrix: Matrix) -> Iterator[str]:
    for place, column in enumerate(matrix.columns):
        most = int(matrix.ungraded[:, place].max(initial=0))
        if most > int(matrix.ungraded[0, place]):
            yield f"{column.name}: up to {most} items are declared ungraded, {int(matrix.ungraded[0, place])} in row 0"


def _marks(sheets: Sheets) -> Iterator[str]:
    """Follow the keys: grades hang on answers, and equal answers have equal grades."""
    scores: dict[str, object] = {}
    for sheet in sheets.sheets:
        for step, row in sheet.rows.items():
            more = {"declined": "0"} if row.declined else {}
            if row.mark != key("mark", ask=row.ask, scorer=sheet.scorer, version=sheet.version, judge=None, **more):
                yield f"{sheet.exam}, row {step}: the key of its grades does not follow from that of its answers"
            if scores.setdefault(row.ask, (row.scores, row.parts)) != (row.scores, row.parts):
                yield f"{sheet.exam}, row {step}: the same answers have other grades elsewhere"


def _counts(matrix: Matrix, outline: Outline, meters: Meters) -> Iterator[str]:
    answers = int((matrix.n + matrix.ungraded).sum())
    if meters.exam_answers != answers:
        yield f"meters: {meters.exam_answers} answers, the matrix has {answers}"
    taught = sum(r.examples for r in outline.rounds)
    if meters.examples_used != taught:
        yield f"meters: {meters.examples_used} examples used, the stream teaches {taught}"
    if min(meters.train_s, meters.exam_s, *meters.train_s_by_step, *meters.exam_latency_s, 0.0) < 0:
        yield "meters: a time is negative"


def _clock(meters: Meters, provenance: Mapping[str, Any]) -> Iterator[str]:
    """Say which times no machine of the kind that is named reaches."""
    gpus, cores = provenance.get("gpus") or (), provenance.get("cores")
    most = len(gpus) * GPU_FLOPS + (cores if isinstance(cores, int) else 1024) * CORE_FLOPS
    work = 6.0 * max(meters.parameters_by_step, default=0) * meters.train_tokens
    if work > most * meters.train_s and meters.train_tokens:
        yield f"meters: {meters.train_tokens} tokens in {meters.train_s:.3g} s is more than the machine can do"
    if meters.exam_latency_s and min(meters.exam_latency_s) < FASTEST_ANSWER_S:
        yield f"meters: an answer in {min(meters.exam_latency_s):.3g} s is more than any machine can do"
    if meters.train_tokens and meters.peak_memory_bytes < 2 * max(meters.parameters_by_step, default=0):
        yield f"meters: a peak of {meters.peak_memory_bytes} bytes does not hold the model"
