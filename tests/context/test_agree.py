"""`clbench context agree`: judges on the same answers, against counts made by hand and effects that were planted."""

import json
import random

import numpy as np
import pytest

from clbench.cli.main import main
from clbench.context.agree import agree
from clbench.core.errors import DataError
from tests.builders.context_rows import data_set, graded_row, write

DATA = data_set(contexts=12, each=2, rubrics=4)


def judged(judge, error, seed, rows=DATA, model="m", **extra):
    """Rows of the same answers and truth, read by a judge that errs so often."""
    truth, noise = random.Random(0), random.Random(seed)
    found = []
    for row in rows:
        true = [truth.random() < 0.8 for _ in row["rubrics"]]
        said = [t ^ (noise.random() < error) for t in true]
        text = f"{model} answers {row['metadata']['task_id']}"
        found.append(graded_row(row, ["yes" if s else "no" for s in said], text, judge=judge, model=model, **extra))
    return found


def statuses(rows):
    return [s for row in rows for s in row["requirement_status"]]


def test_two_judges_by_hand(tmp_path):
    one, two = judged("a", 0, 1), judged("b", 0.2, 2)
    found = agree([write(tmp_path / "1.jsonl", one), write(tmp_path / "2.jsonl", two)])
    (pair,) = found.pairs
    same = [x == y for x, y in zip(statuses(one), statuses(two), strict=True)]
    yes = [np.mean([s == "yes" for s in statuses(rows)]) for rows in (one, two)]
    expected = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
    assert pair.rubrics.items == 96
    assert pair.rubrics.agreement == pytest.approx(np.mean(same))
    assert pair.rubrics.kappa == pytest.approx((np.mean(same) - expected) / (1 - expected))
    assert pair.tasks.items == 24
    assert pair.tasks.agreement == np.mean([x["score"] == y["score"] for x, y in zip(one, two, strict=True)])
    assert found.by_rubric.items == 96
    assert found.again == ()


def test_three_judges_one_of_whom_read_half(tmp_path):
    files = [
        write(tmp_path / f"{n}.jsonl", rows)
        for n, rows in enumerate((judged("a", 0.1, 1), judged("b", 0.1, 2), judged("c", 0.1, 3)[:12]))
    ]
    found = agree(files)
    assert found.judges == {"a": 24, "b": 24, "c": 12}
    assert len(found.pairs) == 3
    assert 0 < found.by_rubric.fleiss < 1
    assert 0 < found.by_rubric.alpha < 1
    assert found.by_task.items == 24


def test_orders_of_rubrics_are_paired_by_their_text(tmp_path):
    """A second trial has the rubrics turned round; verdicts follow the rubrics but for three."""
    first = judged("a", 0, 1)
    turned = [
        row | {"rubrics": row["rubrics"][::-1], "requirement_status": row["requirement_status"][::-1], "trial": 1}
        for row in first
    ]
    for row in turned[:3]:
        row["requirement_status"] = [
            {"yes": "no", "no": "yes"}[row["requirement_status"][0]],
            *row["requirement_status"][1:],
        ]
    (again,) = agree([write(tmp_path / "a.jsonl", [*first, *turned])]).again
    assert (again.kind, again.answers) == ("order", 24)
    assert again.flipped_rubrics == pytest.approx(3 / 96)
    (same,) = agree([write(tmp_path / "b.jsonl", [*first, *(row | {"trial": 1} for row in first)])]).again
    assert (same.kind, same.flipped_rubrics, same.rubrics.kappa) == ("repeat", 0, 1)


def test_the_same_judge_in_two_files_is_test_and_retest(tmp_path):
    one, two = judged("a", 0.1, 1), judged("a", 0.1, 2)
    found = agree([write(tmp_path / "1.jsonl", one), write(tmp_path / "2.jsonl", two)])
    (again,) = found.again
    flipped = np.mean([x != y for x, y in zip(statuses(one), statuses(two), strict=True)])
    assert (again.kind, again.judge, again.flipped_rubrics) == ("test-retest", "a", pytest.approx(flipped))
    assert found.pairs == ()


def test_own_family_beyond_leniency(tmp_path):
    """gpt-judge passes everything of gpt models; claude-judge is lenient with all alike: that does not count."""
    rows = data_set(contexts=60, each=1, rubrics=1)
    files = []
    for judge in ("gpt-judge", "claude-judge"):
        for model in ("gpt-5", "claude-4"):
            truth = random.Random(model)
            said = []
            for row in rows:
                met = truth.random() < 0.4
                lenient = judge == "gpt-judge" and model == "gpt-5"
                text = f"{model} on {row['metadata']['task_id']}"
                said.append(graded_row(row, "y" if met or lenient else "n", text, judge=judge, model=model))
            files.append(write(tmp_path / f"{judge}-{model}.jsonl", said))
    own = {each.judge: each for each in agree(files).own}
    assert own["gpt-judge"].value == pytest.approx(own["claude-judge"].value)  # seen from either side
    assert own["gpt-judge"].tasks == 60
    assert own["gpt-judge"].low > 0.3
    assert agree(files, families={"gpt-judge": "x", "claude-judge": "y"}).own == ()


def test_other_answers_and_other_rubrics_are_not_compared(tmp_path):
    one = write(tmp_path / "1.jsonl", judged("a", 0, 1, model="m"))
    two = write(tmp_path / "2.jsonl", judged("b", 0, 1, model="n"))
    with pytest.raises(DataError, match="no answer was judged twice"):
        agree([one, two])
    changed = [row | {"rubrics": ["other", *row["rubrics"][1:]]} for row in judged("b", 0, 1)]
    with pytest.raises(DataError, match="no answer was judged twice"):
        agree([one, write(tmp_path / "3.jsonl", changed)])


def test_rows_that_nobody_judged_are_counted(tmp_path):
    rows = judged("a", 0, 1)
    rows[0] = rows[0] | {"requirement_status": [], "state": "judge_error"}
    found = agree([write(tmp_path / "1.jsonl", rows), write(tmp_path / "2.jsonl", judged("b", 0, 1))])
    assert (found.unjudged, found.alone) == (1, 1)


def test_the_command(tmp_path, capsys):
    files = [str(write(tmp_path / f"{n}.jsonl", judged(n, 0.1, seed))) for seed, n in enumerate(("gpt-1", "o3"))]
    assert main(["context", "agree", *files, "--family", "o3=gpt"]) == 0
    text = capsys.readouterr().out
    assert "gpt-1 and o3" in text
    assert "Krippendorff's alpha" in text
    assert main(["context", "agree", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["rubrics"]["items"] == 96
    assert main(["context", "agree", *files, "--format", "csv"]) == 0
    assert main(["context", "agree", *files, "--family", "o3"]) == 2
    assert main(["context", "agree", files[0]]) == 2
