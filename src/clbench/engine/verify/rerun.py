"""Ask some cells of a stranger's result again: learn what was learnt, ask what was asked, compare item by item."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.item_scores import ItemScores
from clbench.core.spec import Machine, RunSpec
from clbench.data.exams.exam import shipped_exams
from clbench.data.tasks.card import list_cards
from clbench.engine.ask import ask
from clbench.engine.grade import grade
from clbench.engine.inputs import Inputs
from clbench.engine.resolve import open_learner
from clbench.engine.units import open_run
from clbench.models.place import is_shipped
from clbench.store.store import Store


@dataclass(frozen=True)
class Again:
    """One cell that was asked again.

    Attributes:
        lesson, exam: Which.
        equal: Items whose score is the recorded one.
        items: All of them.
    """

    lesson: int
    exam: str
    equal: int
    items: int


def asked_again(spec: RunSpec, item_scores: ItemScores, machine: Machine, num: int, seed: int) -> Iterator[Again]:
    """Ask `num` cells again, chosen by `seed` among those that are due; what they need is learnt first.

    Args:
        spec: Of the result.
        item_scores: What it records, item by item.
        machine: How it is made; its store keeps what is made, so that several results share it.
        num: Cells, >= 1; all of them where there are fewer.
        seed: Choose it after the result was handed in, so that nobody can foresee which cells are asked.

    Raises:
        SpecError: The model, the learner or the stream is not one that ships with clbench: nothing of a stranger runs.
    """
    _refuse_strange(spec)
    store = Store(machine.store)
    run = open_run(spec, Inputs(machine.data), store, machine)
    cells = [(lesson, place, exam) for lesson, place, exam in run.due_cells]
    chosen = random.Random(seed).sample(cells, min(num, len(cells)))
    for lesson, _, exam in sorted(chosen, key=lambda cell: cell[:2]):
        result = grade(ask(run.trajectory, lesson, exam, store), store)
        recorded = item_scores.named(exam.name).rows[lesson].values()
        equal = int(np.isclose(result.values(), recorded, rtol=0, atol=1e-9, equal_nan=True).sum())
        yield Again(lesson, exam.name, equal, result.items)


def _refuse_strange(spec: RunSpec) -> None:
    strange = {
        "model": not is_shipped(spec.model),
        "learner": not plugins.all_known(spec.learner) or open_learner(spec.learner)[0].elsewhere is not None,
        "stream": spec.stream not in list_cards("streams"),
        "exam_server": spec.exam_server is not None,
        "judge": spec.judge is not None and spec.judge.by != "exact",
        "exams": not shipped_exams().issuperset(spec.exams),
    }
    if found := [field for field, is_strange in strange.items() if is_strange]:
        raise SpecError(
            f"its {' and '.join(found)} did not come with clbench, and nothing of a stranger's is run",
            where="--rerun",
            mend="leave --rerun out, or run the spec yourself where you trust it",
        )
