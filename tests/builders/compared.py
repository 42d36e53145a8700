"""Runs of three exams and three rows, made from the scores of their items."""

from dataclasses import replace

import numpy as np

from clbench.core.graded import GradedItems, score_row
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.keys import canonical
from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import LessonSummary, StreamSummary
from clbench.core.types import Grade, ScorerSpec
from clbench.metrics import compute
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import RunRecord

NUM = 60
FIGURES = ("average_performance", "forgetting", "bwt", "learning_accuracy", "general_ability_delta")
COLUMNS = [
    Column(name="facts", taught=1, size=NUM),
    Column(name="rules", taught=2, size=NUM),
    Column(name="sums", kind="general", ability="mathematics", size=NUM),
]


def outline():
    rounds = tuple(
        LessonSummary(
            lesson=s,
            teaches=(n,),
            moved=(),
            examples=9,
            ahead=0,
            new_labels=0,
            labels=0,
            languages=(),
            kinds=(),
            domains=(),
        )
        for s, n in ((1, "facts"), (2, "rules"))
    )
    return StreamSummary(name="worlds", lessons=rounds, tasks=("facts", "rules"), questions=(NUM, NUM), similarity=())


def run(learner, cells, seed=0, folder=None, **changes):
    """Make a run from {exam: [scores of every item in each row]}."""
    sheets = []
    for name, rows in cells.items():
        sheets.append(
            ExamScores(
                exam=name,
                digest=f"q {name}",
                scorer=ScorerSpec(name="exact"),
                version=1,
                ids=tuple(f"{name}-{i}" for i in range(NUM)),
                rows={
                    step: GradedItems(
                        questions=f"q {name}",
                        answers_key=f"{learner}{seed}{name}{step}",
                        grades_key="m",
                        scores=score_row([Grade(example_id=str(i), score=s) for i, s in enumerate(scores)]),
                    )
                    for step, scores in enumerate(rows)
                },
            )
        )
    values = np.array([[np.mean(rows[step]) for rows in cells.values()] for step in range(3)])
    counts = np.full(values.shape, NUM)
    matrix = Matrix(values, counts, np.zeros_like(counts), tuple(COLUMNS))
    spec = RunSpec(name=f"c-{learner}-{seed}", learner={"name": learner}, stream="worlds", seed=seed)
    record = RunRecord(
        folder=folder,
        spec=spec,
        stream=outline(),
        matrix=matrix,
        scores=compute(FIGURES, matrix, Costs(), {}),
        costs=Costs(),
        provenance={"packages": {"torch": "2"}},
        item_scores=ItemScores(exams=tuple(sheets)),
    )
    return RunRecord(**{**{f: getattr(record, f) for f in record.__dataclass_fields__}, **changes})


def first(num, rest=0.0):
    return [1.0] * num + [rest] * (NUM - num)


def cells(last, own=50):
    """Both tasks are learnt; `last` of the first one are kept; sums fall from 50 to 40."""
    return {
        "facts": [first(5), first(own), first(last)],
        "rules": [first(5), first(5), first(own)],
        "sums": [first(50), first(45), first(40)],
    }


def turned(learner, last, seed=0):
    """The tasks in the other order: rules first, and `last` of them kept."""
    rows = {
        "rules": [first(5), first(50), first(last)],
        "facts": [first(5), first(5), first(50)],
        "sums": [first(50), first(45), first(40)],
    }
    made = run(learner, rows, seed, stream=outline().model_copy(update={"tasks": ("rules", "facts"), "name": "turned"}))
    facts, rules, sums = made.matrix.columns
    columns = (
        rules.model_copy(update={"taught": 1}),
        facts.model_copy(update={"taught": 2}),
        sums,
    )
    spec = made.spec.model_copy(update={"stream": "turned", "name": f"t-{learner}-{seed}"})
    return replace(made, spec=spec, matrix=Matrix(made.matrix.values, made.matrix.n, made.matrix.ungraded, columns))


def groups(records):
    found = {g.runs[0].spec.learner_name: g for g in group_runs(records)}
    return found["sft"], found["replay"]


def written(folder, record):
    folder.mkdir(parents=True)
    files = {
        "spec.yaml": record.spec.model_dump_json(),
        "stream.json": canonical(record.stream),
        "matrix.json": canonical(record.matrix.to_json()),
        "items.json": canonical(record.item_scores),
        "examples.json": canonical(record.example_items),
        "scores.json": canonical(record.scores),
        "costs.json": canonical(record.costs),
        "provenance.json": canonical(record.provenance),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder
