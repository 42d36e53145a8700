"""Compare a stranger's result with what is at hand here: keys, names and clocks. Nothing of it is run.

Cards are compared in `clbench.engine.verify.cards`. Whether a model gave the answers on record cannot be told from the
record; `clbench.engine.verify.rerun` asks again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.graded import pack
from clbench.core.item_scores import ItemScores
from clbench.core.matrix import Matrix
from clbench.core.protocols import LearnerPlugin
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import StreamSummary
from clbench.core.traits import LATER, LINES
from clbench.engine.grade import grade_key
from clbench.engine.resolve import open_learner
from clbench.engine.verify.claim import Claim, Compared
from clbench.metrics import all_metrics

CORE_FLOPS = 3e11  # of one processor core in a second: two 512-bit units that multiply and add at 4.5 GHz
GPU_FLOPS = 1e16  # of one accelerator, several times the fastest there is
FASTEST_ANSWER_S = 1e-6


def compare_keys(claim: Claim) -> Compared:
    """Return what does not fit keys, known names, settings and clocks; see `compared_with_cards` for the cards."""
    spec, matrix, costs = claim.spec, claim.matrix, claim.costs
    problems = [*_names(spec), *_ungraded(matrix), *_marks(claim.item_scores), *_counts(matrix, claim.stream, costs)]
    problems += _clock(costs, claim.provenance)
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
    if plugin.elsewhere is not None and plugin.elsewhere.lessons is not None:
        what = (
            f"{claim.spec.learner_name} learnt elsewhere: that it learnt these lessons, and nothing else, is not shown"
        )
        return [what], []
    due = config.model_dump(mode="json")
    # Settings that came later are not written; they stood at their defaults.
    if differ := sorted(name for name, value in claim.spec.learner.items() if name != "name" and due[name] != value):
        return [f"learner: its settings are not written as they are run: {', '.join(differ)}"], []
    return _traits(plugin, config, claim)


def _traits(plugin: LearnerPlugin[Any], config: Any, claim: Claim) -> tuple[list[str], list[str]]:
    """Compare what a record says of a learner with its plug-in. Older records say nothing, or what it stores alone."""
    said, name = claim.provenance.get("learner"), claim.spec.learner_name
    if not isinstance(said, Mapping):
        return [], []
    if said.get("version") != plugin.version:
        return [], [f"{name} is of version {said.get('version')!r}, here is version {plugin.version}"]
    due = {"version": plugin.version, **plugin.traits(config).record()}
    if set(said) not in (set(due), set(due) - set(LATER), {"version", "stores"}):
        return [f"provenance: what is said of {name} is not {', '.join(due)}"], []
    differ = [trait for trait in said if said[trait] != due[trait]]
    wrong = [f"provenance: {name}: {t} is {due[t]!r}, not {said[t]!r}" for t in differ if t not in LINES]
    worded = [f"{name}: its {t} is worded otherwise here: {due[t]!r}" for t in differ if t in LINES]
    return wrong, worded


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


def _marks(item_scores: ItemScores) -> Iterator[str]:
    """Follow the keys: grades hang on answers, and equal answers have equal grades."""
    scores: dict[str, object] = {}
    for exam_scores in item_scores.exams:
        if exam_scores.scorer.name not in plugins.names(
            "scorer"
        ):  # its key would hold its code: nothing is imported for it
            yield f"{exam_scores.exam}: scorer {exam_scores.scorer.name!r} is not known here"
            continue
        for lesson, row in exam_scores.rows.items():
            if row.grades_key != grade_key(
                row.answers_key, exam_scores.scorer, exam_scores.version, declined=bool(row.declined)
            ):
                where = f"{exam_scores.exam}, row {lesson}"
                yield f"{where}: the key of its grades does not follow from that of its answers"
            graded = pack(row.scores), row.parts
            if scores.setdefault(row.answers_key, graded) != graded:
                yield f"{exam_scores.exam}, row {lesson}: the same answers have other grades elsewhere"


def _counts(matrix: Matrix, summary: StreamSummary, costs: Costs) -> Iterator[str]:
    answers = int((matrix.n + matrix.ungraded).sum())
    if costs.exam_answers != answers:
        yield f"costs: {costs.exam_answers} answers, the matrix has {answers}"
    taught = sum(r.examples for r in summary.lessons)
    if costs.examples_used != taught:
        yield f"costs: {costs.examples_used} examples used, the stream teaches {taught}"
    taught_by_step = list(itertools.accumulate(r.examples for r in summary.lessons))
    if len(taught_by_step) == len(costs.buffer_examples_by_lesson):  # not of a learner that is taught at once
        for lesson, (most, kept) in enumerate(zip(taught_by_step, costs.buffer_examples_by_lesson, strict=True), 1):
            if kept > most:
                yield f"costs: {kept} examples kept after lesson {lesson}, {most} were taught until then"


def _clock(costs: Costs, provenance: Mapping[str, Any]) -> Iterator[str]:
    """Say which times no machine of the kind that is named reaches."""
    gpus, cores = provenance.get("gpus") or (), provenance.get("cores")
    most = len(gpus) * GPU_FLOPS + (cores if isinstance(cores, int) else 1024) * CORE_FLOPS
    work = 6.0 * max(costs.parameters_by_lesson, default=0) * costs.train_tokens
    if work > most * costs.train_s and costs.train_tokens:
        yield f"costs: {costs.train_tokens} tokens in {costs.train_s:.3g} s is more than the machine can do"
    if costs.exam_latency_s and min(costs.exam_latency_s) < FASTEST_ANSWER_S:
        yield f"costs: an answer in {min(costs.exam_latency_s):.3g} s is more than any machine can do"
    if costs.train_tokens and costs.peak_memory_bytes < 2 * max(costs.parameters_by_lesson, default=0):
        yield f"costs: a peak of {costs.peak_memory_bytes} bytes does not hold the model"
