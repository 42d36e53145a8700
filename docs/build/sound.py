"""The gate on recorded results: what a table of methods must hold before it is published.

`python -m docs.build.sound FOLDER` prints what it finds in results, also in those made before the protocol. Of a folder
with a shipped recipe's name it also says which runs of it are not there, since what was not run is not judged.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from clbench.core.keys import canonical
from clbench.core.matrix import Column
from clbench.data.tasks.card_folder import shipped_recipes
from clbench.engine.recipe.recipe import load_recipe
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.runs.traits import traits_of

BEFORE = frozenset({"long"})  # recipes whose results may stem from before the protocol
CONTROL = "sft-tenth"  # plain fine-tuning at a tenth of its rate: in every result that was made under the protocol
MATCHED = "sft-matched"  # plain fine-tuning with as many passes as replay
AP, FM = "average_performance", "forgetting"
LEARNT = 0.9  # own-lesson score that plain fine-tuning must reach on every task
CEILINGS = ("joint", "cumulative")
NO_METHODS = frozenset({"frozen", "sft", CONTROL, MATCHED, "separate", "right_document", *CEILINGS})
KEPT = 0.005  # forgetting, in [0, 1], that counts as none
GUESSED = 0.2  # above guessing, of the untouched model, however few groups of questions an exam has
GENERATED = re.compile(r"nonsense|(facts|rules|procedures|laws) \d+")  # the domain that such a task states
Runs = Mapping[str, Sequence[RunRecord]]


def faults(runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each thing that a sound comparison of methods would not show.

    Joint and cumulative training reach the best method that is not told the task, on all streams together and on each,
    within two standard errors of their paired difference; plain fine-tuning learns every generated task; on those the
    untouched model guesses; replay does not stand below A-GEM, nor A-GEM below plain fine-tuning, by more than two such
    errors; methods with parts of their own for each given task forget nothing. What was not run is not judged.

    Args:
        runs: Runs of one recipe, over seeds and orders.
    """
    learners = learners_in(runs)
    streams = sorted({run.spec.stream for run in runs})
    alone = {stream: _of_stream(learners, stream) for stream in streams} if len(streams) > 1 else {}
    return [
        *_ceilings(learners),
        *(f"{stream}: {fault}" for stream, those in alone.items() for fault in _ceilings(those)),
        *_unlearnt(learners),
        *_not_guessing(learners),
        *_order(learners),
        *_isolated(learners),
    ]


def faults_of(recipe: str, runs: Sequence[RunRecord]) -> list[str]:
    """Return the faults of a shipped recipe's results (`faults`), and what of it lacks: no rule is passed by absence.

    Those made before the protocol have none.
    """
    return [] if recipe in BEFORE and not under_protocol(runs) else [*faults(runs), *lacking(recipe, runs)]


def lacking(recipe: str, runs: Sequence[RunRecord]) -> list[str]:
    """Return a sentence for each learner of a recipe that has no run, or fewer streams and seeds than another.

    Args:
        recipe: Name of a shipped recipe; of another nobody knows what is due.
        runs: Its recorded runs; of streams and seeds they may hold fewer or others than the recipe.
    """
    if recipe not in shipped_recipes():
        return []
    blocks: dict[str, set[tuple[str, int]]] = {}
    for run in runs:
        blocks.setdefault(canonical(run.spec.learner), set()).add((run.spec.stream, run.spec.seed))
    every = set[tuple[str, int]]().union(*blocks.values())
    due = {canonical(spec.learner): spec.learner_label for spec in load_recipe(recipe).specs()}
    return [
        f"{label} of the recipe {recipe} has {len(blocks.get(learner, ()))} of {len(every)} runs"
        for learner, label in due.items()
        if blocks.get(learner) != every
    ]


def under_protocol(runs: Sequence[RunRecord]) -> bool:
    """Return whether results were made under the protocol: they hold its control."""
    return CONTROL in learners_in(runs)


def learners_in(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Return runs by learner; of several settings of one, the best ones by its name and the others by longer ones.

    Plain fine-tuning stands as "sft", with a lower rate as "sft-tenth", and with more passes as "sft-matched".
    """
    found: dict[str, dict[str, list[RunRecord]]] = {}
    for run in runs:
        found.setdefault(run.spec.learner_name, {}).setdefault(canonical(run.spec.learner), []).append(run)
    named: dict[str, list[RunRecord]] = {}
    for name, variants in found.items():
        if name == "sft":
            named |= _plain(list(variants.values()))
            continue
        ordered = sorted(variants.values(), key=lambda members: -_mean(members, AP))
        named |= {name if place == 0 else f"{name} {place + 1}": members for place, members in enumerate(ordered)}
    return named


def _plain(variants: Sequence[list[RunRecord]]) -> dict[str, list[RunRecord]]:
    """Return plain fine-tuning, its control at a lower rate, and the one with more passes."""

    def setting(members: Sequence[RunRecord], name: str) -> float:
        return float(members[0].spec.learner.get(name, 0))

    plain, *others = sorted(variants, key=lambda members: (-setting(members, "lr"), setting(members, "epochs")))
    lower = {CONTROL if setting(other, "lr") < setting(plain, "lr") else MATCHED: other for other in others}
    return {"sft": plain, **lower}


def _of_stream(learners: Runs, stream: str) -> dict[str, list[RunRecord]]:
    found = {name: [run for run in runs if run.spec.stream == stream] for name, runs in learners.items()}
    return {name: runs for name, runs in found.items() if runs}


def _performance(runs: Sequence[RunRecord]) -> dict[tuple[str, int], float]:
    """Return AP in [0, 1] by (stream, seed)."""
    return {(run.spec.stream, run.spec.seed): run.scores[AP] for run in runs}


def _mean(runs: Sequence[RunRecord], figure: str) -> float:
    return float(np.mean([run.scores[figure] for run in runs]))


def _ceilings(learners: Runs) -> Iterator[str]:
    for name in CEILINGS:
        if name not in learners:
            continue
        for method in sorted(learners.keys() - NO_METHODS):
            below = "" if _told_task(learners[method][0]) else _below(learners, name, method)
            if below:
                yield f"{below}, so it bounds nothing"


def _told_task(run: RunRecord) -> bool:
    known = traits_of(run.spec.learner, run.provenance)
    return run.stream.task_ids == "given" and (bool(known.uses_task_ids) or known.family == "isolation")


def _below(learners: Runs, one: str, other: str) -> str:
    """Say how far `one` lies below `other`, where it does by more than two standard errors of the paired difference."""
    mine, theirs = _performance(learners[one]), _performance(learners[other])
    gaps = [mine[block] - theirs[block] for block in mine.keys() & theirs.keys()]
    error = float(np.std(gaps, ddof=1) / math.sqrt(len(gaps))) if len(gaps) > 1 else math.inf
    if not gaps or np.mean(gaps) + 2 * error >= 0:  # of NaN nobody knows, so it is below
        return ""
    return (
        f"{one} is {-100 * np.mean(gaps):.1f} points below {other}, with a standard error of {100 * error:.1f} over "
        f"{len(gaps)} runs"
    )


def _tasks(run: RunRecord) -> Iterator[tuple[int, Column]]:
    """Return place and column of each generated task: a model may know others, or find them hard."""
    made = {
        name
        for lesson in run.stream.lessons
        if all(GENERATED.fullmatch(domain) for domain in lesson.domains)
        for name in lesson.teaches
    }
    return ((place, column) for place, column in enumerate(run.matrix.columns) if column.name in made)


def _own(run: RunRecord) -> dict[str, float]:
    """Return the score of every generated task after its own lesson."""
    values = run.matrix.values
    return {
        column.name: float(values[column.taught, place]) for place, column in _tasks(run) if column.taught is not None
    }


def _unlearnt(learners: Runs) -> Iterator[str]:
    runs = learners.get("sft", ())
    scores: dict[str, list[float]] = {}
    for run in runs:
        for name, score in _own(run).items():
            scores.setdefault(name, []).append(score)
    for name, own in sorted(scores.items()):
        score = float(np.mean(own))
        if not score >= LEARNT:
            yield f"plain fine-tuning ends its lesson on {name} at {100 * score:.1f}, below {100 * LEARNT:.0f}"


def _not_guessing(learners: Runs) -> Iterator[str]:
    seen: dict[str, tuple[float, float, int]] = {}
    for run in learners.get("frozen", ()):
        for place, column in _tasks(run):
            items = run.item_scores.named(column.name)
            seen[column.name] = (
                float(run.matrix.values[0, place]),
                column.guess_rate,
                len(set(items.groups or items.ids)),
            )
    for name, (score, guess_rate, independent) in sorted(seen.items()):
        if score - min(2 * math.sqrt(score * (1 - score) / independent), GUESSED) > guess_rate:
            yield f"the untouched model scores {100 * score:.1f} on {name}; guessing scores {100 * guess_rate:.1f}"


def _order(learners: Runs) -> Iterator[str]:
    for better, worse in (("replay", "agem"), ("agem", "sft")):
        if better in learners and worse in learners and (below := _below(learners, better, worse)):
            yield below


def _isolated(learners: Runs) -> Iterator[str]:
    for name, runs in learners.items():
        first = runs[0]
        isolates = name == "separate" or traits_of(first.spec.learner, first.provenance).family == "isolation"
        if isolates and first.stream.task_ids == "given" and (lost := _mean(runs, FM)) > KEPT:
            yield f"{name} has a part for every given task and forgets {100 * lost:.1f} points"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    recorded = load_runs([place])
    found = [*faults(recorded), *lacking(place.resolve().name, recorded)]
    sys.stdout.write(("\n".join(found) or "no fault") + "\n")
    sys.exit(1 if found else 0)
