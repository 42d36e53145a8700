"""`clbench grid`: plan, run, look on, try again, stop and go on, as somebody does it in a terminal."""

import io
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import typer

from clbench.cli.grid import app
from clbench.cli.grid_view import table_of
from clbench.cli.main import main
from clbench.core.errors import BudgetError, ModelError, WorkerError
from clbench.core.spec import Machine
from clbench.engine.executors import processes
from clbench.engine.executors.executor import UnitEvent
from clbench.engine.grid_record import STOP, Driver, GridRecord, drivers, grid_folder, hours_over
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.units import Unit
from clbench.report.decide.grid_text import TEXTS, over_text, plan_text, state_text

RECIPE = """\
name: g
model: {name: tiny-llama}
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: 1, batch_size: 8}
budget: {policy: every, every: 3, items: 2}
axes:
  learner: [sft, replay, l2]
  seed: [0, 1]
exclude: [{learner: [replay, l2], seed: 1}]
"""


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def folder_of(store="store"):
    recipe = load_recipe("g.yaml")
    return grid_folder((processes.Path.cwd() / store), recipe.name, recipe.specs())


def told(capsys, *arguments, code=0):
    assert main(["grid", *arguments]) == code
    return capsys.readouterr()


@pytest.mark.models
def test_a_plan_says_what_is_shared_and_refuses_what_is_too_much(grid, capsys):
    said = told(capsys, "plan", "g.yaml", "--store", "store", "--workers", "2").out
    assert said.startswith("4 runs\nlessons learnt: 11 instead of 12;")
    assert "first lessons taken over from another method: 1, for which 0 more are learnt (24 examples fewer)" in said
    assert "exams of the untouched model: 3 instead of 12" in said
    assert "in the store: 0 of 13 units" in said
    assert "time: unknown; --probe" in said
    over = told(capsys, "plan", "g.yaml", "--store", "store", "--max-disk", "1KB", code=2)
    assert "--max-disk: it writes about" in over.err and "0.0 MB are allowed" in over.err
    over = told(capsys, "plan", "g.yaml", "--store", "store", "--max-hours", "5", code=2)
    assert "--max-hours" in over.err and "is not known" in over.err
    assert not (grid / "store").exists(), "a plan makes nothing"
    found = json.loads(told(capsys, "plan", "g.yaml", "--store", "store", "--json").out)
    assert (found["runs"], found["lessons"], found["lessons_apart"]) == (4, 11, 12)


@pytest.mark.models
@pytest.mark.slow
def test_a_grid_from_its_plan_to_its_end(grid, capsys):
    """Stopped at once by an hour that is over, then failed, tried again, and made; the second time nothing is made."""
    stopped = told(capsys, "run", "g.yaml", "--store", "store", "--workers", "1", "--max-hours", "0", code=2)
    assert "the 0 hours of --max-hours are over" in stopped.err and "goes on where it stopped" in stopped.err
    state = json.loads(told(capsys, "status", "g.yaml", "--store", "store", "--json").out)
    assert (state["done"], state["queued"], state["failed"], state["at_work"]) == (0, 13, 0, 0)
    assert state["stopped"] == "the 0 hours of --max-hours are over"
    nothing = told(capsys, "retry", "g.yaml", "--store", "store", code=2)
    assert "it was stopped: the 0 hours of --max-hours are over" in nothing.err
    with pytest.MonkeyPatch.context() as patch:
        make = processes.make_unit

        def breaks(unit, workplace):
            if unit.label == "l2 lesson 2":
                raise WorkerError("it breaks", where=unit.label)
            make(unit, workplace)

        patch.setattr(processes, "make_unit", breaks)
        said = told(capsys, "run", "g.yaml", "--store", "store", "--workers", "1", "--json", code=2)
    lines = [json.loads(line) for line in said.out.splitlines()]
    kinds = [line["event"] for line in lines]
    assert (kinds.count("due"), kinds.count("made"), kinds.count("failed"), kinds.count("left")) == (13, 11, 1, 1)
    assert kinds[-1] == "end" and len(lines[-1]["results"]) == 3
    state = json.loads(told(capsys, "status", "g.yaml", "--store", "store", "--json").out)
    assert (state["done"], state["failed"], state["queued"]) == (11, 1, 1)
    assert state["failures"] == [["l2 lesson 2", "l2 lesson 2: it breaks"]]
    assert "l2 lesson 2: it breaks" in told(capsys, "status", "g.yaml", "--store", "store").out
    said = told(capsys, "retry", "g.yaml", "--store", "store", "--workers", "1", "--json")
    made = [json.loads(line) for line in said.out.splitlines()]
    assert [line["unit"] for line in made if line["event"] == "made"] == ["l2 lesson 2", "l2 lesson 3"]
    assert "complete" in told(capsys, "status", "g.yaml", "--store", "store", "--watch").out
    again = told(capsys, "run", "g.yaml", "--store", "store", "--workers", "1", "--json")
    assert [json.loads(line)["event"] for line in again.out.splitlines()] == ["end"]
    plan = told(capsys, "plan", "g.yaml", "--store", "store", "--max-hours", "0", "--max-disk", "1KB").out
    assert "nothing to make" in plan
    more = told(capsys, "plan", "g.yaml", "--store", "store", "--set", "axes.seed=[0, 1, 2]", "--lang", "zh")
    assert "依据本存储的记录" in more.out and "最长的链" in more.out


# --- how it ends --------------------------------------------------------------------------------------------


def attempted(monkeypatch, *outcomes, reported=()):
    """Let these be the outcomes of a grid's runs."""
    monkeypatch.setattr("clbench.cli.grid.check_models", lambda *_, **__: None)
    monkeypatch.setattr("clbench.engine.run.attempt", lambda *_: list(outcomes))

    def tell(results, prices, out, name, record, lang, write):
        if lang is None:
            write({"results": [*map(str, reported)]})

    monkeypatch.setattr("clbench.cli.run._tell", tell)


BROKEN = "m: it breaks\n  to mend: another m"


@pytest.mark.parametrize(("outcomes", "runs"), [
    ([ModelError("it breaks", where="m", mend="another m")] * 2, 2),
    ([Path("r"), ModelError("it breaks", where="m", mend="another m")], 1),
])  # fmt: skip
def test_the_last_event_says_what_could_not_be_made_also_where_nothing_was(grid, capsys, monkeypatch, outcomes, runs):
    attempted(monkeypatch, *outcomes, reported=[one for one in outcomes if isinstance(one, Path)])
    said = told(capsys, "run", "g.yaml", "--store", "store", "--json", code=2)
    (end,) = map(json.loads, said.out.splitlines())
    assert (end["event"], end["failed"]) == ("end", [{"runs": runs, "why": BROKEN}])
    assert end["results"] == ["r"] * (2 - runs)
    assert "m: it breaks" in said.err
    assert "{" not in told(capsys, "run", "g.yaml", "--store", "store", code=2).out, "JSON is for machines"


BUDGET = BudgetError("the budget of 1 USD allows no further request; spent so far: 0.9 USD", where="g", mend="raise it")


def test_a_second_try_after_a_stop_says_what_stopped_it(grid, capsys, monkeypatch):
    attempted(monkeypatch, BUDGET)
    said = told(capsys, "run", "g.yaml", "--store", "store", "--json", code=2)
    assert json.loads(said.out)["stopped"] == f"g: {BUDGET.what}"
    again = told(capsys, "retry", "g.yaml", "--store", "store", code=2)
    assert f"it was stopped: g: {BUDGET.what}" in again.err
    assert "`clbench grid run` goes on where it stopped" in again.err
    again = told(capsys, "retry", "g.yaml", "--store", "store", "--lang", "zh", code=2)
    assert "上次制作这个网格时没有失败，而是被停下：" in again.err and "请提高它" in again.err


def test_a_second_try_of_what_was_never_made_says_so(grid, capsys, monkeypatch):
    attempted(monkeypatch)
    again = told(capsys, "retry", "g.yaml", "--store", "store", code=2)
    assert "nothing failed when this grid was last made\n" in again.err
    assert "makes all that is missing" in again.err


def test_run_and_retry_take_the_same_options():
    verbs = typer.main.get_command(app).commands
    run, retry = ([(p.name, p.opts, p.default) for p in verbs[name].params] for name in ("run", "retry"))
    assert run == retry


# --- the record ---------------------------------------------------------------------------------------------


def unit(key, weight=10):
    return Unit(key=key, spec=None, lesson=1, label=f"unit {key}", needs=None, weight=weight)


def test_a_record_counts_what_happens(grid):
    record = GridRecord(folder_of(), Machine(workers=2))
    for event in [
        *(UnitEvent("due", unit(k)) for k in "abc"),
        *(UnitEvent("began", unit(k)) for k in "ab"),
        UnitEvent("lost", unit("a"), "gone"),
        UnitEvent("began", unit("a")),
        UnitEvent("made", unit("a")),
        UnitEvent("failed", unit("b"), "no"),
        UnitEvent("left", unit("c"), "no"),
    ]:
        record.hear(event)
    record.end()
    (driver,) = drivers(folder_of())
    assert (driver.due, driver.made, driver.lost, driver.weight, driver.weight_made) == (3, 1, 1, 30, 10)
    assert driver.failed == {"b": ["unit b", "no"]} and driver.running == {}
    assert not driver.lives
    assert driver.seconds_left is not None


def test_one_that_is_gone_does_not_live_and_is_swept(grid):
    done = subprocess.Popen(["true"])
    done.wait()
    folder = folder_of()
    record = GridRecord(folder, Machine())
    assert record.driver.lives
    dead = Driver(record.driver.where, done.pid, written=time.time())
    far, silent = Driver("0" * 8, 1, written=time.time()), Driver("0" * 8, 2, written=time.time() - 1000)
    assert (dead.lives, far.lives, silent.lives) == (False, True, False)
    (folder / f"{dead.where}-{dead.pid}.json").write_text(json.dumps(vars(dead)))
    (folder / "odd.json").write_text("{")
    GridRecord(folder, Machine())
    assert [driver.pid for driver in drivers(folder)] == [os.getpid()]


def test_cancel_asks_who_is_at_work_and_nobody_else(grid, capsys):
    assert "nobody makes this grid" in told(capsys, "cancel", "g.yaml", "--store", "store", code=2).err
    record = GridRecord(folder_of(), Machine())
    assert not record.is_stopped()
    assert "told 1 to stop" in told(capsys, "cancel", "g.yaml", "--store", "store", "--lang", "en").out
    assert record.is_stopped()
    record.end("stopped")
    assert not GridRecord(folder_of(), Machine()).is_stopped(), "the next run begins anew"
    assert not (folder_of() / STOP).exists()


def test_another_recipe_of_the_name_is_another_grid(grid):
    before = folder_of()
    (grid / "g.yaml").write_text(RECIPE.replace("lr: 1.0e-3", "lr: 1.0e-4"), encoding="utf-8")
    assert folder_of() != before


def test_hours_are_over_when_they_are():
    now = [0.0]
    over = hours_over(1.5, lambda: now[0])
    assert over() == ""
    now[0] = 5400.0
    assert over() == "the 1.5 hours of --max-hours are over"


# --- texts --------------------------------------------------------------------------------------------------

STATE = {
    "name": "g",
    "units": 10,
    "done": 4,
    "running": 2,
    "queued": 3,
    "failed": 1,
    "shared": 7,
    "at_work": 1,
    "seconds_left": 90.0,
    "stopped": "",
    "now": ["sft lesson 2", "[b]x"],
    "failures": [["l2 lesson 1", "no"]],
}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_state_says_all_counts(lang):
    text = state_text(STATE, lang)
    assert all(word in text for word in ("4", "2", "3", "1", "7", "sft lesson 2", "l2 lesson 1: no"))
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table_of(STATE, lang))
    shown = console.export_text()
    assert TEXTS[lang]["shared_units"] in shown and "[b]x" in shown


def test_both_languages_have_the_same_texts_and_fields():
    import string

    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for name, text in TEXTS["en"].items():
        fields = {field for _, field, _, _ in string.Formatter().parse(text) if field}
        assert fields == {field for _, field, _, _ in string.Formatter().parse(TEXTS["zh"][name]) if field}, name


def test_limits_as_text():
    assert over_text([("hours", 2.5, 1.0)], "en") == "it takes about 2.5 h, and 1 hours are allowed"
    assert over_text([("disk", 5e9, 1e9)], "zh") == "约写入 5.0 GB，只允许 1.0 GB"
    assert "not known" in over_text([("hours", None, 1.0)], "en")
    assert plan_text.__doc__


@pytest.mark.parametrize(("on", "said"), [
    ("rya", "no executor 'rya'"),
    ("ray:adress=x", "'adress=x' is not an option of ray"),
    ("slurm:max", "'max' is not an option of slurm"),
    ("processes:max=2", "is not an option of processes"),
    ("slurm:max=0", "max=0 cannot be"),
    ("ray:cpus=some", "is not a number"),
])  # fmt: skip
def test_a_place_that_there_is_not_is_told(grid, capsys, on, said, monkeypatch):
    monkeypatch.setattr("clbench.core.extras.absent", lambda names: [])
    found = told(capsys, "run", "g.yaml", "--store", "store", "--on", on, code=2)
    assert said in found.err and "to mend" in found.err


@pytest.mark.parametrize(("on", "extra"), [("ray", "ray"), ("slurm:partition=p", "slurm")])
def test_an_extra_that_is_missing_is_one_line(grid, capsys, on, extra, monkeypatch):
    monkeypatch.setattr("clbench.core.extras.absent", lambda names: [n for n in names if n in ("ray", "submitit")])
    found = told(capsys, "run", "g.yaml", "--store", "store", "--on", on, code=2)
    assert f'pip install "clbench[{extra}]"' in found.err
    assert "Traceback" not in found.err
