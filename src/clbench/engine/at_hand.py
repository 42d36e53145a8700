"""Compare a stranger's result with what is at hand here: keys, names and clocks. Nothing of it is run.

Cards are compared in `clbench.engine.by_card`. Whether a model gave the answers on record cannot be told from the
record; `clbench.engine.rerun` asks again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.matrix import Matrix
from clbench.core.outline import Outline
from clbench.core.protocols import LearnerPlugin
from clbench.core.sheets import Sheets
from clbench.core.spec import RunSpec
from clbench.core.types import Meters
from clbench.engine.claim import Claim, Compared
from clbench.engine.mark import mark_key
from clbench.engine.resolve import open_learner
from clbench.metrics import all_metrics

CORE_FLOPS = 3e11  # of one processor core in a second: two 512-bit units that multiply and add at 4.5 GHz
GPU_FLOPS = 1e16  # of one accelerator, several times the fastest there is
FASTEST_ANSWER_S = 1e-6


def compared(claim: Claim) -> Compared:
    """Return what does not fit keys, known names, settings and clocks; see `compared_with_cards` for the cards."""
    spec, matrix, meters = claim.spec, claim.matrix, claim.meters
    problems = [*_names(spec), *_ungraded(matrix), *_marks(claim.sheets), *_counts(matrix, claim.outline, meters)]
    problems += _clock(meters, claim.provenance)
    if not plugins.all_known(spec.learner):
        return Compared(
            tuple(problems), ("the learner, or a part of it, is not one that ships: its settings are not read",)
        )
    wrong, unseen = _learner(claim)
    return Compared((*problems, *wrong), tuple(unseen))


def _learner(claim: Claim) -> tuple[list[str], list[str]]:
    """Compare settings with those that the learner takes, and what is told of it with what it says of itself."""
    try:
        plugin, config = open_learner(claim.spec.learner)
    except UserError as error:
        return [f"learner: {error.what}"], []
    due = config.model_dump(mode="json")
    # Settings that came later are not written; they stood at their defaults.
    if differ := sorted(name for name, value in claim.spec.learner.items() if name != "name" and due[name] != value):
        return [f"learner: its settings are not written as they are run: {', '.join(differ)}"], []
    return _said(plugin, config, claim)


def _said(plugin: LearnerPlugin[Any], config: Any, claim: Claim) -> tuple[list[str], list[str]]:
    said = claim.provenance.get("learner")
    if not isinstance(said, Mapping):  # an older record
        return [], []
    if said.get("version") != plugin.version:
        return [], [
            f"{claim.spec.learner_name} is of version {said.get('version')!r}, here is version {plugin.version}"
        ]
    if said.get("stores") != plugin.stored(config) or set(said) != {"version", "stores"}:
        return [
            f"provenance: {claim.spec.learner_name} stores {plugin.stored(config)!r}, not {said.get('stores')!r}"
        ], []
    return [], []


def _names(spec: RunSpec) -> Iterator[str]:
    strange = [n for n in plugins.learners_in(spec.learner) if "@" not in n and n not in plugins.names("learner")]
    for name in dict.fromkeys(strange):
        yield f"learner {name!r} is not known here"
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
        if sheet.scorer.name not in plugins.names("scorer"):  # its key would hold its code: nothing is imported for it
            yield f"{sheet.exam}: scorer {sheet.scorer.name!r} is not known here"
            continue
        for step, row in sheet.rows.items():
            if row.mark != mark_key(row.ask, sheet.scorer, sheet.version, None, declined=bool(row.declined)):
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
    taught_by_step = list(itertools.accumulate(r.examples for r in outline.rounds))
    if len(taught_by_step) == len(meters.buffer_examples_by_step):  # not of a learner that is taught at once
        for step, (most, kept) in enumerate(zip(taught_by_step, meters.buffer_examples_by_step, strict=True), 1):
            if kept > most:
                yield f"meters: {kept} examples kept after lesson {step}, {most} were taught until then"


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
