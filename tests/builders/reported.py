"""Runs of three learners on two tasks and one exam, made from the rows of their matrices."""

import math

from clbench.core.keys import canonical
from clbench.core.matrix import Column, Matrix
from clbench.core.results import Costs
from clbench.core.spec import HEADLINE, RunSpec
from clbench.core.stream_summary import LessonSummary, StreamSummary
from clbench.metrics import compute
from clbench.report.runs.load import RunRecord

COLUMNS = [
    Column(name="world_a", taught=1, guess_rate=0.25, size=50),
    Column(name="world_b", taught=2, size=50),
    Column(name="mini_code", kind="general", size=64),
]
ROWS = {
    "frozen": [[0.2, 0.1, 0.8]] * 3,
    "sft": [[0.2, 0.1, 0.8], [0.9, 0.1, 0.3], [0.3, 0.9, 0.1]],
    "joint": [[0.2, 0.1, 0.8], [0.9, 0.9, 0.4], [0.9, 0.9, 0.4]],
}


def record(learner, rows, seed=0, name=None):
    matrix = Matrix.of(rows, COLUMNS)
    costs = Costs(train_s=3.0, train_tokens=900, kept_bytes=12, peak_memory_bytes=5, examples_used=20)
    spec = RunSpec(name=name or f"demo-{learner}-{seed}", learner={"name": learner}, stream="worlds", seed=seed)
    scores = compute(HEADLINE, matrix, costs, {})
    return RunRecord(
        folder=None,
        spec=spec,
        stream=OUTLINE,
        matrix=matrix,
        scores=scores,
        costs=costs,
        provenance={"python": "3"},
    )


OUTLINE = StreamSummary(
    name="worlds",
    lessons=tuple(
        LessonSummary(
            lesson=step,
            teaches=(name,),
            moved=("domain",) if step > 1 else (),
            examples=20,
            ahead=0,
            new_labels=2,
            labels=2 * step,
            languages=("en",),
            kinds=("qa",),
            domains=(name,),
        )
        for step, name in ((1, "world_a"), (2, "world_b"))
    ),
    tasks=("world_a", "world_b"),
    questions=(50, 50),
    similarity=((1.0, 0.25), (0.25, 1.0)),
    dropped={"world_a": 3},
    missing=("world_c",),
)
RUNS = [record(name, rows) for name, rows in ROWS.items()]


def folder_of(tmp_path, run):
    folder = tmp_path / run.spec.name
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(run.spec.model_dump_json())
    (folder / "matrix.json").write_text(canonical(run.matrix.to_json()))
    (folder / "scores.json").write_text(canonical({k: None if math.isnan(v) else v for k, v in run.scores.items()}))
    (folder / "costs.json").write_text(canonical(run.costs))
    (folder / "provenance.json").write_text("{}")
    (folder / "stream.json").write_text(canonical(run.stream))
    (folder / "items.json").write_text(canonical(run.item_scores))
    (folder / "examples.json").write_text(canonical(run.example_items))
    return folder
