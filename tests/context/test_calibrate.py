"""`clbench context calibrate`: plans are blind and repeatable, labels are read strictly, and rates come out right."""

import csv
import io
import json
import random

import pytest

from clbench.cli.main import main
from clbench.context.calibrate import calibrated
from clbench.context.grades import one_each
from clbench.context.labels import plan, plan_text, read_labels, strata_of
from clbench.core.errors import DataError
from tests.builders.context_rows import answers, data_set, graded_row, write

DATA = data_set(contexts=20, each=3, rubrics=8)


@pytest.fixture
def graded(tmp_path):
    return write(tmp_path / "graded.jsonl", answers(DATA, 0.75))


def label_file(tmp_path, lines, head="task_id,rubric_index,label,annotator"):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def truth_of(grades, sens=0.95, spec=0.8, seed=0):
    """What people would say, if the judge errs so often: drawn by Bayes' rule from the judge's verdicts."""
    rng = random.Random(seed)
    verdicts = [met for row in grades for met in row.met]
    judged = sum(verdicts) / len(verdicts)
    rate = (judged + spec - 1) / (sens + spec - 1)
    yes, no = sens * rate / judged, (1 - sens) * rate / (1 - judged)
    return {
        (row.task.id, number): rng.random() < (yes if met else no)
        for row in grades
        for number, met in enumerate(row.met, start=1)
    }, rate


def test_a_plan_is_blind_even_and_repeatable(graded, capsys):
    grades = one_each(graded)
    items = plan(grades, 80)
    assert items == plan(grades, 80) != plan(grades, 80, seed=1)
    assert len(set(items)) == 80
    of = {item: name for name, pool in strata_of(grades).items() for item in pool}
    sizes = [sum(of[item] == name for item in items) for name in strata_of(grades)]
    assert max(sizes) - min(sizes) <= 1
    text = plan_text(graded, grades, items)
    rows = list(csv.DictReader(io.StringIO(text)))
    raw = {row["idx"]: row for row in answers(DATA, 0.75)}
    for row, item in zip(rows, items, strict=True):
        assert row["rubric"] == raw[item.task]["rubrics"][item.rubric - 1]
        assert row["answer"] == raw[item.task]["model_output"]
        assert (row["label"], row["annotator"]) == ("", "")
    assert set(rows[0]) == {"task_id", "trial", "rubric_index", "rubric", "answer", "label", "annotator"}
    assert main(["context", "calibrate", str(graded), "--plan", "80"]) == 0
    assert capsys.readouterr().out == text


def test_near_misses_are_a_stratum_of_their_own(tmp_path):
    rows = [graded_row(DATA[0], "yyyyyynn"), graded_row(DATA[1], "yyyyynnn"), graded_row(DATA[2], "yyyyyyyy")]
    pools = strata_of(one_each(write(tmp_path / "g.jsonl", rows)))
    sizes = {(name.verdict, name.near): len(items) for name, items in pools.items()}
    assert sizes == {(True, True): 14, (False, True): 2, (True, False): 5, (False, False): 3}


def test_a_plan_of_nothing_and_of_more_than_there_is(tmp_path, graded):
    nothing = write(tmp_path / "g.jsonl", [graded_row(DATA[0], "")])
    with pytest.raises(DataError, match="no answer is judged"):
        plan(one_each(nothing), 5)
    grades = one_each(graded)
    assert len(plan(grades, 10_000)) == 20 * 3 * 8


def test_the_whole_way_from_plan_to_corrected_rate(tmp_path, graded, capsys):
    grades = one_each(graded)
    truth, rate = truth_of(grades)
    out = tmp_path / "new" / "plan.csv"
    assert main(["context", "calibrate", str(graded), "--plan", "240", "--out", str(out)]) == 0
    assert main(["context", "calibrate", str(graded), "--plan", "9", "--out", str(out)]) == 2  # labels are not lost
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    for row in rows:
        row["label"] = "yes" if truth[row["task_id"], int(row["rubric_index"])] else "No"
    with out.open("w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = calibrated(grades, read_labels(out, grades))
    assert found.judge.corrected.low <= rate <= found.judge.corrected.high
    assert found.judge.sensitivity.low <= 0.95 <= found.judge.sensitivity.high
    assert found.judge.specificity.low <= 0.8 <= found.judge.specificity.high
    assert abs(found.judge.corrected.value - rate) < abs(found.judge.judged - rate) + 0.05
    capsys.readouterr()
    assert main(["context", "calibrate", str(graded), str(out)]) == 0
    text = capsys.readouterr().out
    assert "sensitivity" in text
    assert "240 labels of 240 rubrics by 1 annotator" in text
    assert main(["context", "calibrate", str(graded), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["judge"]["informed"] is True


def test_labels_of_everything_give_the_exact_rate(tmp_path, graded):
    grades = one_each(graded)
    truth, _ = truth_of(grades)
    lines = [f"{task},{number},{'yes' if met else 'no'}," for (task, number), met in truth.items()]
    found = calibrated(grades, read_labels(label_file(tmp_path, lines), grades))
    assert found.judge.corrected.value == pytest.approx(sum(truth.values()) / len(truth))
    verdicts = {(row.task.id, n): met for row in grades for n, met in enumerate(row.met, start=1)}
    agreed = sum(verdicts[place] == met for place, met in truth.items()) / len(truth)
    assert found.agreement.agreement == pytest.approx(agreed)
    assert found.agreement.pabak == pytest.approx(2 * agreed - 1)
    assert found.tasks.items == 60
    assert sum(c.agreement.items for c in found.categories) == len(truth)


def test_several_annotators_vote_and_ties_are_left_out(tmp_path):
    path = write(tmp_path / "g.jsonl", [graded_row(DATA[0], "yyyynnnn")])
    grades = one_each(path)
    lines = [f"t0-0,{n},{'yes' if n < 5 else 'no'},{who}" for n in range(1, 9) for who in ("a", "b")]
    lines[1] = "t0-0,1,no,b"
    found = calibrated(grades, read_labels(label_file(tmp_path, lines), grades))
    assert (found.labels, found.items, found.ties, found.annotators) == (16, 7, 1, 2)
    assert 0 < found.alpha < 1
    assert found.judge.sensitivity.value == found.judge.specificity.value == 1


def test_a_judge_that_knows_nothing_gives_a_warning(tmp_path, graded, capsys):
    grades = one_each(graded)
    rng = random.Random(1)
    lines = [f"{i.task},{i.rubric},{rng.choice(('yes', 'no'))}," for i in plan(grades, 200)]
    assert main(["context", "calibrate", str(graded), str(label_file(tmp_path, lines))]) == 0
    assert "warning: sensitivity + specificity" in capsys.readouterr().out


def test_people_who_call_everything_met(tmp_path, graded, capsys):
    lines = [f"{i.task},{i.rubric},yes," for i in plan(one_each(graded), 60)]
    assert main(["context", "calibrate", str(graded), str(label_file(tmp_path, lines))]) == 0
    assert "specificity is not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["t0-0,1,maybe,a"], "label is 'maybe'"),
        (["t0-0,0,yes,a"], "rubric_index is 0"),
        (["t0-0,9,yes,a"], "rubric_index is 9"),
        (["t0-0,x,yes,a"], "rubric_index is 'x'"),
        (["nobody,1,yes,a"], "task nobody, trial 0, is not among"),
        (["t0-0,1,yes,a", "t0-0,1,no,a"], "has a label of the same annotator"),
        (["t0-0,1,,a"], "holds no labels"),
        ([], "holds no labels"),
    ],
)
def test_wrong_labels_are_named(tmp_path, graded, lines, said):
    with pytest.raises(DataError, match=said) as error:
        read_labels(label_file(tmp_path, lines), one_each(graded))
    assert error.value.mend


def test_files_of_another_shape(tmp_path, graded):
    grades = one_each(graded)
    with pytest.raises(DataError, match="no column label"):
        read_labels(label_file(tmp_path, ["a,1,yes"], head="task_id,rubric_index,lable"), grades)
    (tmp_path / "labels.csv").write_bytes("task_id,rubric_index,label\nt0-0,1,yes\xff".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_labels(tmp_path / "labels.csv", grades)
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "absent.csv", grades)
    yes = [f"{i.task},{i.rubric},yes,a" for i in next(v for k, v in strata_of(grades).items() if k.verdict)[:9]]
    with pytest.raises(DataError, match="calls not met has a label"):
        calibrated(grades, read_labels(label_file(tmp_path, yes), grades))


def test_labels_or_a_plan(tmp_path, graded):
    assert main(["context", "calibrate", str(graded)]) == 2
    assert main(["context", "calibrate", str(graded), "x.csv", "--plan", "3"]) == 2


def test_answers_cannot_become_formulas(tmp_path):
    path = write(tmp_path / "g.jsonl", [graded_row(DATA[0], "yyyynnnn", answer="=cmd()|'/C calc'!A0")])
    grades = one_each(path)
    rows = list(csv.DictReader(io.StringIO(plan_text(path, grades, plan(grades, 3)))))
    assert all(row["answer"].startswith("'=") for row in rows)
