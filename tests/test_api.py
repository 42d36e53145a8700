"""What a Python user calls: the public names, finished runs as tables, a run of a recipe, an exam."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import clbench as cl
from tests.builders.child import run_child, run_python
from tests.builders.places import RECORDED, ROOT

DEMO = RECORDED
TINY = {
    "name": "tiny",
    "learner": "frozen",
    "stream": "worlds-tiny",
    "budget": {"items": 2},
    "axes": {"seed": [0, 1]},
}


@pytest.fixture(scope="module")
def demo():
    return cl.load(DEMO)


def test_public_names_are_few_lazy_and_there():
    assert len(cl.__all__) <= 31  # `__version__` is one of them
    assert cl.__all__ == sorted(cl.__all__)
    assert set(dir(cl)) == set(cl.__all__)
    code = "import sys, clbench; print([m for m in ('torch', 'pydantic', 'numpy', 'pandas') if m in sys.modules])"
    assert run_python(code).stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no public name 'Trainer'"):
        cl.Trainer  # noqa: B018  # looking it up is the test


@pytest.mark.slow
def test_every_public_name_can_be_imported():
    code = "import clbench\nfor name in clbench.__all__: vars(clbench).get(name) or clbench.__getattr__(name)"
    run_python(code)


def test_figures_are_tidy_and_those_on_record(demo):
    frame = demo.to_frame()
    assert list(frame.columns) == ["run", "learner", "seed", "figure", "value", "low", "high"]
    recorded = json.loads(next(DEMO.glob("demo-replay-*.json")).read_text())["scores"]
    found = frame[frame.run.str.startswith("demo-replay-")].set_index("figure")
    assert {name: found.value[name] for name in recorded} == pytest.approx(recorded, nan_ok=True)
    ap = found.loc["average_performance"]
    assert ap.low < ap.value < ap.high
    assert np.isnan(found.low["train_tokens"]), "what is counted has no interval over items"


def test_matrix_has_lessons_as_rows_and_exams_as_columns(demo):
    frame = demo.matrix("replay")
    record = next(run for run in demo if run.spec.learner_name == "replay")
    assert frame.index.name == "lesson"
    assert list(frame.index) == list(range(record.matrix.num_lessons + 1))
    assert np.array_equal(frame.to_numpy(), record.matrix.values, equal_nan=True)
    assert demo.matrix("demo-replay").equals(frame)
    with pytest.raises(cl.UserError, match="did you mean 'replay'"):
        demo.matrix("replya")


def test_comparison_prints_as_the_command_does(demo):
    text = str(demo.compare("replay", "sft"))
    assert text == repr(demo.compare("replay", "sft"))
    assert "AP" in text and "replay" in text and "sft" in text


@pytest.mark.slow
def test_a_notebook_shows_the_table_and_nothing_is_obeyed(demo, monkeypatch):
    page = demo._repr_html_()
    assert page.count("<tr>") == 1 + len(demo.groups)
    assert "replay" in repr(demo)
    assert cl.Runs([])._repr_html_() == repr(cl.Runs([])) == "no runs"


@pytest.mark.slow
def test_report_is_written(demo, tmp_path):
    page = demo.report(tmp_path / "r.html")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_broken_result_is_a_clear_error(tmp_path):
    with pytest.raises(cl.UserError, match="there is no such folder"):
        len(cl.load(tmp_path / "nowhere"))


@pytest.mark.models
def test_a_recipe_runs_and_again_makes_nothing(tmp_path, capsys):
    recipe = cl.Recipe(**TINY)
    runs = cl.run(recipe, store=tmp_path, device="cpu")
    assert [run.spec.seed for run in runs] == [0, 1]
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("stage.json")}
    again = cl.run(recipe, store=tmp_path, device="cpu")
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("stage.json")} == before
    assert again.to_frame().equals(runs.to_frame())
    with pytest.raises(cl.UserError, match="changed where it is made"):
        cl.run(recipe, set=["seed=1"], store=tmp_path)


@pytest.mark.models
def test_exams_of_a_checkpoint(tmp_path):
    (result,) = cl.exam("tiny-llama", ["mini_recall"], items=4, store=tmp_path, device="cpu")
    assert result.exam.name == "mini_recall"
    assert result.score == pytest.approx(np.mean([grade.score for grade in result.grades]))
    assert len(result.answers) == len(result.grades) == 4


def test_a_shipped_recipe_is_found_from_any_folder(tmp_path):
    code = "from clbench.engine.recipe.recipe import load_recipe; print(load_recipe('demo').name)"
    assert run_python(code, cwd=tmp_path).stdout.strip() == "demo"


RECIPE = {"name": "a", "stream": "worlds-tiny", "learner": "frozen"}


@pytest.mark.models
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda runs, out: runs.report(out / "r.html", lang="fr"), "there is no report in 'fr'"),
        (lambda runs, out: runs.report(out / "file"), "is a file, so no page can lie in it"),
        (lambda runs, out: cl.Runs([]).report(out / "r.html"), "no runs to report"),
        (lambda runs, out: runs.compare(0, 1), "there is no method 0"),
        (lambda runs, out: runs.matrix(None), "there is no method None"),
        (lambda runs, out: cl.exam("tiny-llama", "mini_recall", items=0), "0 questions per exam"),
        (lambda runs, out: cl.exam("tiny-llama", "mini_recall", items="2"), "'2' questions per exam"),
        (lambda runs, out: cl.exam(3), "model: 3 is not what is wanted"),
        (lambda runs, out: cl.exam("tiny-llama", [3]), "exams: 3 is not what is wanted"),
        (lambda runs, out: cl.run("demo", store=3), "store: 3 is not what is wanted"),
        (lambda runs, out: cl.run(None), "recipe: None is not what is wanted"),
        (lambda runs, out: cl.run("demo", set={"seed": 3}), "set: {'seed': 3} is not what is wanted"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), workers="2"), "workers: '2' is not what is wanted"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), store="/proc/none"), "/proc/none: no such file"),
        (lambda runs, out: cl.load(), "no folder is named"),
        (lambda runs, out: runs.report(None), "None is not a path"),
        (lambda runs, out: runs.report("r.html", lang=["zh"]), "there is no report in"),
        (lambda runs, out: runs.report(out / "r.pdf"), "no .pdf is written"),
        (lambda runs, out: cl.exam("tiny-llama", []), "no exam is named"),
        (lambda runs, out: cl.exam("tiny-llama", "mini_recall", items=True), "True questions per exam"),
        (lambda runs, out: cl.Recipe(**RECIPE | {"learner": cl.Method}), "write a class of your own into a file"),
        (lambda runs, out: cl.Recipe(**RECIPE | {"name": "中文"}), "a name is made of the letters A to Z"),
        (lambda runs, out: cl.load(["results"]), "folders stand one after the other"),
        (lambda runs, out: cl.Recipe(), "name: this setting is missing"),
        (lambda runs, out: cl.Recipe(**RECIPE, budget={"itms": 3}), "did you mean 'items'"),
        (lambda runs, out: cl.Recipe("demo"), 'one that is on file: cl.run("demo"'),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), store="a\0"), r"store: 'a\x00' cannot be the path of a file"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), data="a\ud800"), "cannot be the path of a file"),
        (lambda runs, out: cl.run("a\0.yaml"), r"recipe: 'a\x00.yaml' cannot be the path of a file"),
        (lambda runs, out: cl.load("~nobody-of-this-name/x"), "cannot be the path of a file"),
        (lambda runs, out: runs.report("a\0.html"), r"path: 'a\x00.html' cannot be the path of a file"),
        (lambda runs, out: runs.matrix(["sft"]), "there is no method ['sft']"),
        (lambda runs, out: cl.Runs(None), "folders: None is not a list of folders"),
        (lambda runs, out: cl.Runs("results"), "folders: 'results' is not a list of folders"),
        (lambda runs, out: cl.check_scorer(3), "scorer: 3 is not a scorer"),
        (lambda runs, out: cl.check_metric(None), "metric: None is not a metric"),
        (lambda runs, out: cl.check_card(None), "name_or_path: None is not a path"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), workers=True), "workers: True is not what is wanted"),
        # The words of the command line, as a script writes them.
        (lambda runs, out: cl.run("demo", set="foo"), "set: 'foo' is not a change\n  to mend: write set=field.path"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), store=out / "file"), "is a file, not a folder"),
        (lambda runs, out: cl.run(cl.Recipe(**RECIPE), data="/none"), "data: there is no folder '/none'"),
    ],
)
def test_wrong_arguments_are_users_errors(demo, tmp_path, call, said):
    (tmp_path / "file").write_text("")
    with pytest.raises(cl.UserError, match=re.escape(said)):
        call(demo, tmp_path)


@pytest.mark.models
def test_a_device_that_is_not_here_is_refused_whatever_the_store_holds(tmp_path):
    recipe = cl.Recipe(**RECIPE, budget={"items": 2})
    said = []
    for _ in range(2):
        with pytest.raises(cl.UserError, match="device: 'gpu' is not a device") as told:
            cl.run(recipe, store=tmp_path, device="gpu")
        said.append(str(told.value))
        cl.run(recipe, store=tmp_path)
    assert said[0] == said[1]
    cl.exam("tiny-llama", "mini_recall", items=1, store=tmp_path)
    with pytest.raises(cl.UserError, match="device: 'gpu' is not a device"):
        cl.exam("tiny-llama", "mini_recall", items=1, store=tmp_path, device="gpu")


def test_folders_stay_those_that_were_named(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    runs = cl.load(DEMO)
    monkeypatch.chdir(tmp_path)
    assert len(runs) == 6


@pytest.mark.slow
def test_one_name_of_several_runs_is_refused(demo):
    twice = cl.Runs(demo.folders)
    vars(twice)["records"] = tuple(
        replace(run, spec=run.spec.model_copy(update={"name": "same"})) for run in demo.records[:2]
    )
    with pytest.raises(cl.UserError, match="2 runs are named 'same'"):
        twice.matrix("same")
    assert twice.matrix(demo[0].name).equals(demo.matrix(demo[0].name))


@pytest.mark.models
def test_without_a_stderr_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(cl.run(cl.Recipe(**RECIPE, budget={"items": 2}), store=tmp_path)) == 1


@pytest.mark.models
def test_threads_make_what_one_makes(tmp_path):
    learners = [{"name": "lora", "lora_dropout": 0.3, "lr": lr, "epochs": 1} for lr in (0.01, 0.02)]
    recipes = [cl.Recipe(**RECIPE | {"learner": learner}, budget={"items": 2}) for learner in learners]
    alone = cl.run(recipes[0], store=tmp_path / "alone")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda k: cl.run(recipes[k], store=tmp_path / f"{k}"), (0, 1)))
    assert [s["files"] for s in stages(tmp_path / "alone")] == [s["files"] for s in stages(tmp_path / "0")]
    assert both[0][0].matrix.to_json() == alone[0].matrix.to_json()


def stages(store):
    found = sorted(store.glob("state/*/*/stage.json"))
    assert found
    return [json.loads(path.read_text()) for path in found]


@pytest.mark.models
def test_a_folder_that_is_gone_is_a_users_error(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(cl.UserError, match="folder that this process works in is gone"):
        cl.run("demo")
    with pytest.raises(cl.UserError, match="folder that this process works in is gone"):
        cl.load("results")


@pytest.mark.models
@pytest.mark.slow
def test_workers_read_nothing_of_the_script_that_starts_them(tmp_path):
    script = tmp_path / "mine.py"
    recipe = {**RECIPE, "budget": {"items": 2}}
    script.write_text(f"import clbench as cl\nprint('began')\nprint(len(cl.run(cl.Recipe(**{recipe}), workers=2)))\n")
    assert run_child([sys.executable, script], cwd=tmp_path).stdout.split() == ["began", "1"]


def test_runs_are_drawn(tmp_path):
    runs = cl.load(RECORDED)
    label = runs.groups[0].label
    (matrix,) = runs.plot("matrix", method=label).figures
    assert label in matrix.caption
    assert len(runs.plot("matrix").figures) == len(runs.groups)
    assert len(runs.plot("curves").figures) >= len(runs[0].stream.tasks)
    drawn = runs.plot("tradeoff")
    shown = drawn._repr_html_()
    assert shown.count("<svg") == len(drawn.figures) == 2
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")
    assert "Stability" in repr(drawn)
    assert "<figcaption>" in runs.plot("tradeoff", lang="zh")._repr_html_()
    files = drawn.save(tmp_path / "new" / "figures")
    assert all(file.read_text(encoding="utf-8").startswith("<svg") for file in files)
    for wrong, said in (
        ({"what": "matrx"}, "did you mean 'matrix'"),
        ({"lang": "fr"}, "fr"),
        ({"method": "x"}, "no method"),
    ):
        with pytest.raises(cl.UserError, match=said):
            runs.plot(**wrong)
