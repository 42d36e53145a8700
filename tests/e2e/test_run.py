"""A grid end to end on the smallest stream: shared work once, resume, workers, kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from clbench.core.events import notice_listener as notices
from clbench.core.spec import Machine
from clbench.engine.plan_table import tabulate
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.report.page.html import write_report
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import load_runs
from clbench.store.store import Store
from tests.builders.contents import content_digest

pytestmark = pytest.mark.xdist_group("runs")
RECIPE = """\
name: tiny
model: {name: tiny-llama}
stream: worlds-tiny
exams: [mini_arithmetic]
training: {lr: 1.0e-3, epochs: 2, batch_size: 8}
budget: {items: 8}
axes:
  learner: [frozen, sft, {name: ewc, fisher_examples: 8}, replay, lora, joint]
"""


def grid_in(folder, text=RECIPE):
    path = folder / "tiny.yaml"
    path.write_text(text)
    return load_recipe(path)


def run_in(folder, workers=1, text=RECIPE):
    machine = Machine(store=folder / "store", workers=workers, device="cpu")
    store = Store(machine.store)
    return run_recipe(grid_in(folder, text), store, machine).folders, store


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_in(tmp_path_factory.mktemp("finished"))


def test_shared_work_is_done_once(finished):
    results, store = finished
    kinds = [kind for kind, _, _ in store.stages()]
    # sft, ewc, replay: 3 lessons each, their first shared as weights; lora 3; frozen 3; joint 1
    assert kinds.count("state") == 3 * 5 + 1
    matrices = {r.name.split("-")[1]: json.loads((r / "matrix.json").read_text())["values"] for r in results}
    assert len(matrices) == 6
    assert all(m[0] == matrices["frozen"][0] for m in matrices.values())
    assert matrices["sft"][1] == matrices["ewc"][1] == matrices["replay"][1]
    assert matrices["frozen"][0] == matrices["frozen"][3]
    assert matrices["joint"][1] == matrices["joint"][3]
    # effective weights: untouched 1, after lesson 1 (sft) 1, lessons 2 and 3 of sft, ewc, replay 6, lora 3, joint 1
    assert kinds.count("ask") == (1 + 1 + 6 + 3 + 1) * 4


def test_again_makes_no_stage(finished, tmp_path):
    results, store = finished
    before = {folder: folder.stat().st_mtime_ns for _, _, folder in store.stages()}
    machine = Machine(store=store.folder, device="cpu")
    again = run_recipe(grid_in(tmp_path), Store(store.folder), machine).folders
    assert again == results
    assert {folder: folder.stat().st_mtime_ns for _, _, folder in store.stages()} == before
    plan = tabulate(grid_in(tmp_path).specs(), store, machine)
    assert all(line.state in ("have", "none") and line.asks_need == 0 for line in plan.lines)


def test_looking_again_with_other_code_changes_no_record_and_is_said_once(finished, tmp_path, monkeypatch):
    results, store = finished
    before = [(r / "provenance.json").read_bytes() for r in results]
    monkeypatch.setattr("clbench.store.origin._unchanging", lambda: {"code": None, "packages": {"clbench": "9"}})
    monkeypatch.setattr(
        Store, "_draft", lambda *_: pytest.fail("a finished run writes nothing: its store may be read-only")
    )
    said = []
    token = notices.set(said.append)
    try:
        again = run_recipe(grid_in(tmp_path), Store(store.folder), Machine(store=store.folder, device="cpu")).folders
    finally:
        notices.reset(token)
    assert again == results
    assert [(r / "provenance.json").read_bytes() for r in results] == before
    assert len(said) == 1 and "made by another version" in said[0]
    told = json.loads(before[1])
    assert told["git"] == told["stages"][0]["origin"]["code"]
    assert sum(each["made"] for each in told["stages"]) == 2 * 4 * 4 + 3


def test_two_workers_give_the_same_bytes(finished, tmp_path):
    _, store = run_in(tmp_path, workers=2)
    assert content_digest(store) == content_digest(finished[1])


def test_a_longer_stream_uses_the_shorter_ones_lessons(finished, tmp_path):
    _, store = finished
    card = tmp_path / "short.yaml"
    card.write_text("name: short\ntasks: [world_tiny_facts, world_tiny_rules]\ntask_ids: boundaries\n")
    grid = grid_in(tmp_path, RECIPE.replace("worlds-tiny", str(card)))
    plan = tabulate(grid.specs(), store, Machine(store=store.folder))
    assert all(line.state != "need" for line in plan.lines if not line.unit.startswith("joint"))


def test_states_may_go_and_answers_stay(finished, tmp_path):
    from clbench.store.gc import collect

    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished[1].folder), str(folder)], check=True)
    store = Store(folder)
    report = collect(store, [])
    assert report.kept_states == 0
    assert report.bytes > 1_000_000
    machine = Machine(store=folder, device="cpu")
    run_recipe(grid_in(tmp_path), Store(folder), machine)
    assert not [kind for kind, _, _ in store.stages() if kind == "state"]


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_damage_is_noticed_and_made_again(finished, tmp_path, damage):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(finished[1].folder), str(folder)], check=True)
    victim = sorted(folder.glob("ask/*/*/answers.jsonl"))[3]
    data = bytearray(victim.read_bytes())
    data = data[:-7] if damage == "truncate" else data[:20] + bytes([data[20] ^ 1]) + data[21:]
    victim.write_bytes(data)
    said = []
    store = Store(folder, notice=said.append)
    run_recipe(grid_in(tmp_path), store, Machine(store=folder, device="cpu"))
    assert any("made again" in s for s in said)
    assert content_digest(Store(folder)) == content_digest(finished[1])


def test_report_of_the_grid(finished, tmp_path):
    runs = load_runs(finished[0])
    assert [g.label for g in group_runs(runs)]
    page = write_report(runs, tmp_path, "tiny")
    assert page.stat().st_size < 1_000_000


def test_an_exam_that_the_model_cannot_sit_is_refused_before_anything_is_made(tmp_path):
    from clbench.core.errors import ModelError

    text = RECIPE.replace("tiny-llama", "tiny-bert").replace("mini_arithmetic", "mini_code")
    with pytest.raises(ModelError, match="needs text"):
        run_in(tmp_path, text=text)
    assert not list((tmp_path / "store").glob("state/*"))


def test_one_failing_run_does_not_take_the_others_along(tmp_path):
    from clbench.core.errors import LessonError

    text = RECIPE.replace(
        "[frozen, sft, {name: ewc, fisher_examples: 8}, replay, lora, joint]", "[{name: sft, lr: 1.0e+30}, frozen]"
    )
    with pytest.raises(LessonError, match="loss is"):
        run_in(tmp_path, text=text)
    assert [p.name.split("-")[1] for p in (tmp_path / "store" / "runs").iterdir()] == ["frozen"]


KILLED = """\
name: killed
model: {name: tiny-llama}
stream: worlds-tiny
training: {lr: 1.0e-3, epochs: 6, batch_size: 4}
axes:
  learner: [sft, {name: ewc, fisher_examples: 8}, replay]
"""
RUN = """
import sys, clbench.models.warm
from pathlib import Path
from clbench.core.events import notice_listener as notices
from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.store.store import Store
import os
sys.stdout.write("ready\\n"); sys.stdout.flush()
for line in sys.stdin:
    if os.fork() == 0:
        machine = Machine(store=Path(line.strip()), workers=1, device="cpu", checkpoint_s=0.0)
        run_recipe(load_recipe(sys.argv[1]), Store(machine.store), machine).folders
        os._exit(0)
    sys.stdout.write(f"{os.wait()[1]}\\n"); sys.stdout.flush()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=pytest.mark.attack)])
def test_kill_9_at_random_moments_ends_in_the_same_bytes(kills, tmp_path):
    """One process imports torch once and forks a run each time; the run is killed, and started again."""
    recipe = tmp_path / "killed.yaml"
    recipe.write_text(KILLED)
    chance = random.Random(7)
    server = subprocess.Popen(
        [sys.executable, "-c", RUN, str(recipe)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )

    def start(store):
        server.stdin.write(f"{store}\n")
        server.stdin.flush()

    assert server.stdout.readline() == "ready\n"
    began = time.monotonic()
    start(tmp_path / "whole")
    assert server.stdout.readline() == "0\n"
    whole_s = time.monotonic() - began
    killed, stores = 0, [tmp_path / "broken-0"]
    while killed < kills:
        start(stores[-1])
        time.sleep(chance.uniform(0.02, 0.25) * whole_s)
        for pid in subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        if server.stdout.readline() == "0\n":  # it was finished before it could be killed: the next one starts anew
            stores.append(tmp_path / f"broken-{len(stores)}")
        else:
            killed += 1
    start(stores[-1])
    assert server.stdout.readline() == "0\n"
    server.stdin.close()
    server.wait(timeout=30)
    server.stdout.close()
    whole = Store(tmp_path / "whole")
    for folder in stores:
        assert content_digest(Store(folder)) == content_digest(whole)
        assert not list((folder / "broken").glob("*"))
        for run in (whole.folder / "runs").iterdir():
            assert (run / "matrix.json").read_bytes() == (folder / "runs" / run.name / "matrix.json").read_bytes()


def test_a_first_lesson_may_be_shared_with_a_run_that_nobody_asked_for(tmp_path):
    spec = tmp_path / "alone.yaml"
    spec.write_text(
        "name: alone\nmodel: {name: tiny-llama}\nstream: worlds-tiny\nbudget: {policy: seen, items: 4}\n"
        "training: {lr: 1.0e-3, epochs: 1}\naxes: {learner: [{name: olora, lr: 2.0e-3}]}\n"
    )
    machine = Machine(store=tmp_path / "store", workers=1, device="cpu")
    (folder,) = run_recipe(load_recipe(spec), Store(machine.store), machine).folders
    seconds = json.loads((folder / "costs.json").read_text())["train_s_by_lesson"]
    assert len(seconds) == 3
    assert min(seconds) > 0
    learnt = list((machine.store / "effective").glob("*/*/stage.json"))
    assert len(learnt) == 5, "the untouched model, three lessons of olora, and the first one of plain fine-tuning"
