"""What is made of results: advice, leaderboard, verification, prices, trackers, Parquet, and their safety."""

import json
import math
import re
import sys
import types
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from clbench.cli.advise import size
from clbench.cli.main import main
from clbench.core import plugins
from clbench.core.errors import SpecError
from clbench.core.item_scores import ExampleItem, ExampleItems, ShownAnswer
from clbench.core.keys import key
from clbench.core.matrix import Matrix
from clbench.core.results import Costs
from clbench.core.traits import Traits
from clbench.engine.verify.records import problems, strays
from clbench.report.decide import advise as advice
from clbench.report.drawings.plots import Axis, Point, front, parallel, scatter, strips
from clbench.report.escape import csv_cell, latex, markdown, plain
from clbench.report.page.browser import browser
from clbench.report.page.html import html_report
from clbench.report.page.leaderboard import build_site, entries
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import load_runs
from clbench.report.runs.prices import add_prices, read_prices
from clbench.report.runs.traits import traits_of
from clbench.report.tables.exports import to_csv, to_latex, to_markdown, to_rows
from clbench.report.tables.trackers import send
from tests.builders.compared import COLUMNS, NUM, cells, outline, run, written

COSTS = {
    "sft": Costs(train_s=100.0, train_tokens=10, kept_bytes=0, peak_memory_bytes=10**9, parameters_by_lesson=(7,)),
    "replay": Costs(train_s=150.0, train_tokens=10, kept_bytes=5 * 10**6, peak_memory_bytes=10**9),
    "ewc": Costs(train_s=120.0, train_tokens=10, kept_bytes=10**9, peak_memory_bytes=3 * 10**9),
}
LAST = {"sft": 10, "replay": 50, "ewc": 30, "joint": 55, "separate": 55}
CLEAN = {"git": {"commit": "a" * 40, "dirty": False}, "packages": {"clbench": "1"}, "arguments": ["run", "x.yaml"]}


def learnt(name, seed=0, folder=None, **changes):
    costs = COSTS.get(name, Costs())
    made = run(name, cells(LAST[name] + seed), seed, folder, costs=costs, provenance=CLEAN)
    scores = {**made.scores, "train_seconds": costs.train_s, "kept_bytes": float(costs.kept_bytes)}
    scores["peak_memory_bytes"] = float(costs.peak_memory_bytes)
    return run(name, cells(LAST[name] + seed), seed, folder, costs=costs, provenance=CLEAN, scores=scores, **changes)


ALL = [learnt(name, seed) for name in LAST for seed in (0, 1, 3)]


# --- advice -------------------------------------------------------------------------------------------------------


def reasons(found):
    return {each["label"]: each["why"] for each in advice.as_json(found)["excluded"]}


def test_the_best_is_recommended_and_bounds_are_not():
    found = advice.advise(group_runs(ALL), advice.Limits())
    assert [g.label for g in found.ranked] == ["replay", "ewc", "sft"]
    assert reasons(found).keys() == {"joint", "separate"}
    assert found.best_shares[0] > 0.99
    assert found.gap[0] == pytest.approx(20 / NUM / 2)
    text = advice.as_table(found)
    assert text.startswith("Recommended: replay (16.7 points of AP above ewc")
    assert "significant at 5 %" in text
    assert json.loads(json.dumps(advice.as_json(found)))["recommended"] == "replay"


@pytest.mark.parametrize(
    ("limits", "out", "why"),
    [
        (advice.Limits(stored_data=False), "replay", "it keeps users' examples"),
        (advice.Limits(memory_bytes=2e9), "ewc", "memory: 3.0 GB, more than 2.0 GB"),
        (advice.Limits(kept_bytes=1e6), "replay", "kept bytes: 5.0 MB, more than 1.0 MB"),
        (advice.Limits(hours=0.035), "replay", "time: 150.0 s, more than 126.0 s"),
        (advice.Limits(ability_drop=0.1), "replay", "loss of general ability: 16.7, more than 10.0"),
    ],
)
def test_what_breaks_a_limit_is_out_and_told_why(limits, out, why):
    found = advice.advise(group_runs(ALL), limits)
    assert reasons(found)[out] == why
    assert out not in [g.label for g in found.ranked]


def test_nothing_left_and_nothing_else_left():
    nothing = advice.advise(group_runs(ALL), advice.Limits(hours=0.0))
    assert "No method that was measured is within these limits" in advice.as_table(nothing)
    alone = advice.advise(group_runs(ALL), advice.Limits(kept_bytes=1e3))
    assert "sft (no other method is left)" in advice.as_table(alone)


def test_close_methods_are_not_called_sure():
    other = cells(31)
    other["facts"][2] = other["facts"][2][::-1]  # other items are right, and one more of them
    near = [run("sft", cells(30), s) for s in (0, 1)] + [run("ewc", other, s) for s in (0, 1)]
    found = advice.advise(group_runs(near), advice.Limits())
    assert "not significant" in advice.as_table(found)
    assert 0.3 < found.best_shares[0] < 0.9


def test_tasks_that_were_told_count_where_they_are_not_known():
    told = outline().model_copy(update={"task_ids": "given"})
    groups = group_runs([learnt("sft", stream=told), run("lora_per_task", cells(40), stream=told)])
    why = reasons(advice.advise(groups, advice.Limits(task_known=False)))
    assert why.keys() == {"lora_per_task"}
    assert "measured with task ids given" in why["lora_per_task"]
    assert traits_of({"name": "combine", "parts": ["ewc", {"name": "replay"}]}).stores_text is True
    assert traits_of({"name": "my.py:Mine"}) == traits_of({"name": "nobody"}) == Traits()
    assert traits_of({"name": "my.py:Mine"}).stores_text is None


def test_what_nothing_bounds_is_out():
    found = advice.advise(group_runs([run(name, cells(30)) for name in ("sft", "command")]), advice.Limits())
    assert reasons(found) == {"command": "another program trains it, with a memory that nothing bounds"}


def test_what_the_model_cannot_use_is_out():
    groups = group_runs([run(name, cells(30)) for name in ("sft", "generative_replay", "lora")])
    found = advice.advise(groups, advice.Limits(family="encoder"))
    assert reasons(found) == {"generative_replay": "it cannot be used with an encoder"}
    assert reasons(advice.advise(groups, advice.Limits(family="causal"))) == {}


def test_what_is_stored_is_typed_and_a_run_speaks_before_its_plug_in():
    assert traits_of({"name": "generative_replay"}).stores == "may_quote"
    assert (
        traits_of({"name": "combine", "parts": [{"name": "ewc"}, {"name": "generative_replay"}]}).stores == "may_quote"
    )
    assert traits_of({"name": "combine", "parts": [{"name": "ewc"}, {"name": "lora"}]}).stores == "derived"
    assert traits_of({"name": "my.py:Mine@0"}, {"learner": {"stores": "examples"}}).stores_text is True
    assert traits_of({"name": "my.py:Mine@0"}, {"learner": {"stores": "a novelty"}}).stores is None
    groups = group_runs([run(n, cells(30)) for n in ("sft", "generative_replay", "notebook", "lora_per_task")])
    found = advice.advise(groups, advice.Limits(stored_data=False))
    why = reasons(found)
    assert why.keys() == {"generative_replay", "notebook"}
    assert all("may quote" in text for text in why.values())
    assert {m["label"]: m["stores"] for m in advice.as_json(found)["methods"]}["lora_per_task"] == "derived"


def test_traits_are_read_from_the_record_of_a_run():
    said = Traits(family="regularisation", stores="derived", trains="all", paper="Somebody 2030", about="A new one.")
    third = {"name": "theirs.py:New@0"}
    assert traits_of(third, {"learner": {"version": 3, **said.record()}}) == said
    assert traits_of({"name": "sft"}, {"learner": {"version": 9, **said.record()}}) == said
    odd = {"family": "magic", "stores": 7, "trains": [], "needs_task_ids": "no", "model_families": 5, "about": None}
    assert traits_of(third, {"learner": odd}) == Traits()
    older = traits_of({"name": "ewc"}, {"learner": {"version": 1, "stores": "examples"}})
    assert (older.family, older.stores, older.trains) == ("regularisation", "examples", "all")
    assert traits_of({"name": "combine", "parts": ["lora", "nobody"]}).family == "hybrid"
    assert traits_of({"name": "combine", "parts": ["lora_per_task"]}).uses_task_ids is True
    assert traits_of({"name": "combine", "parts": ["lora", "replay"]}).trains == "part"


def test_a_trait_with_another_value_is_refused():
    with pytest.raises(SpecError, match="stores is 'exampels'") as error:
        replace(plugins.load("learner", "sft", "PLUGIN"), stores="exampels")
    assert error.value.mend == "did you mean 'examples'?"


@pytest.mark.parametrize(("text", "value"), [("24GB", 24e9), ("500 MB", 5e8), ("1e9", 1e9), ("2GiB", 2 * 2**30)])
def test_sizes(text, value):
    assert size(text, "x") == value


@pytest.mark.parametrize("text", ["much", "24 XB", "", "1.2.3GB"])
def test_bad_sizes(text):
    with pytest.raises(SpecError, match="not a valid size"):
        size(text, "x")


# --- leaderboard and verification ------------------------------------------------------------------------------------


def place(tmp_path, made):
    return written(tmp_path / "results" / f"{made.spec.name}-{made.spec.key[:8]}", made)


def keyed(sheet):
    """Give every row the key of its grades that follows from that of its answers."""
    parts = {"scorer": sheet.scorer, "version": sheet.version, "judge": None}
    rows = {
        s: r.model_copy(update={"grades_key": key("mark", ask=r.answers_key, **parts)}) for s, r in sheet.rows.items()
    }
    return sheet.model_copy(update={"rows": rows})


@pytest.fixture
def results(tmp_path):
    from clbench.core.spec import RunSpec

    records = []
    for name in ("sft", "replay"):
        spec = RunSpec(name=f"b-{name}", learner={"name": name}, stream="mine", metrics=("average_performance", "bwt"))
        made = run(name, cells(LAST[name]))
        scores = {k: v for k, v in made.scores.items() if k in spec.metrics}
        num, seconds = int(made.matrix.n.sum()), (0.001,) * int((made.matrix.n > 0).sum())
        costs = Costs(exam_answers=num, examples_used=18, exam_s=0.001 * num, exam_latency_s=seconds)
        sheets = made.item_scores.model_copy(update={"exams": tuple(map(keyed, made.item_scores.exams))})
        records.append(
            run(name, cells(LAST[name]), spec=spec, scores=scores, provenance=CLEAN, costs=costs, item_scores=sheets)
        )
    return [place(tmp_path, r) for r in records]


def test_an_honest_result_passes(results, capsys):
    assert main(["leaderboard", "verify", str(results[0].parent)]) == 0
    assert capsys.readouterr().out.count("every figure follows from its records") == 2


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


TAMPERED = {
    "a figure": ("scores.json", lambda v: v.update(average_performance=0.99), "figure average_performance"),
    "a cell": ("matrix.json", lambda v: v["values"][2].__setitem__(0, 0.99), "row 2, facts: 0.99"),
    "an item": ("items.json", lambda v: v["exams"][0]["rows"]["2"].update(scores="1" * NUM), "row 2, facts"),
    "a count": ("matrix.json", lambda v: v["n"][2].__setitem__(0, 5), "row 2, facts: 5 marked"),
    "a missing cell": ("matrix.json", lambda v: v["values"][1].__setitem__(0, None), "due and missing"),
    "a dropped exam": ("items.json", lambda v: v["exams"].pop(), "the exams of the matrix and of the items differ"),
    "dropped items": (
        "items.json",
        lambda v: v["exams"][0].update(ids=v["exams"][0]["ids"][:10]),
        "60 questions in the matrix, 10 items",
    ),
    "an item twice": (
        "items.json",
        lambda v: v["exams"][0].update(ids=[v["exams"][0]["ids"][0]] * NUM),
        "an item is there twice",
    ),
    "a figure more": ("scores.json", lambda v: v.update(forgetting=0.0), "the spec does not ask for it"),
    "a figure less": ("scores.json", lambda v: v.pop("bwt"), "asked for and missing"),
    "a lesson's place": (
        "matrix.json",
        lambda v: v["columns"][0].update(taught=2),
        "taught in lesson 2 by the matrix, 1",
    ),
    "a kind": ("matrix.json", lambda v: v["columns"][0].update(kind="general"), "not those of the stream"),
    "a score above 1": (
        "items.json",
        lambda v: v["exams"][0]["rows"]["2"].update(scores=[1.5] * NUM),
        "scores outside of 0 to 1",
    ),
    "a lesson": ("stream.json", lambda v: v["lessons"].pop(), "the stream has 1 lessons, the matrix 2"),
    "the time": ("costs.json", lambda v: v.update(train_s=1.0, train_s_by_lesson=[1.0, 2.0]), "train_s is 1.000"),
    "the seed": ("spec.yaml", lambda v: v.update(seed=7), "does not hold its key"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", TAMPERED)
def test_an_edited_result_is_rejected(results, what, capsys):
    name, change, says = TAMPERED[what]
    edit(results[0] / name, change)
    assert main(["leaderboard", "verify", str(results[0])]) == 2
    said = capsys.readouterr().out
    assert "EDITED" in said
    assert says in said


def test_scores_that_are_no_mean_are_made_by_their_scorers_rule(tmp_path):
    from clbench.core.graded import GradedItems
    from clbench.core.item_scores import ExamScores, ItemScores
    from clbench.core.types import ScorerSpec

    parts = ((1.0, 1.0), (0.0,))  # three verdicts of two prompts: 2/3, while the mean of the prompts is 1/2
    sheet = ExamScores(
        exam="facts",
        digest="d",
        scorer=ScorerSpec(name="ifeval"),
        version=1,
        ids=("a", "b"),
        rows={0: GradedItems(questions="q", answers_key="a", grades_key="m", scores="10", parts=parts)},
    )
    column = COLUMNS[0].model_copy(update={"size": 2, "taught": None})
    matrix = Matrix(np.array([[2 / 3]]), np.array([[2]]), np.array([[0]]), (column,))
    base = run("sft", cells(10))
    spec = base.spec.model_copy(update={"metrics": ()})
    assert problems(spec, matrix, ItemScores(exams=(sheet,)), {}, Costs()) == []
    mean = Matrix(np.array([[0.5]]), np.array([[2]]), np.array([[0]]), (column,))
    assert "the items give 0.666667" in problems(spec, mean, ItemScores(exams=(sheet,)), {}, Costs())[0]


def test_a_showcase_that_says_otherwise_is_seen():
    base = run("sft", cells(10))
    shown = ExampleItem(
        exam="facts", id="facts-0", question="?", expected=("x",), answers={2: ShownAnswer(text="x", score=0.0)}
    )
    found = strays(base.matrix, base.item_scores, outline(), ExampleItems(items=(shown,)))
    assert found == ["examples: facts facts-0, row 2: its score is not that of the items"]


def zipped(path, folder, name):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"{name}/{file.name}")
    return path


def test_archives(results, tmp_path, capsys):
    good = zipped(tmp_path / "good.zip", results[0], results[0].name)
    assert main(["leaderboard", "verify", str(good)]) == 0
    outside = zipped(tmp_path / "evil.zip", results[0], "../../escaped")
    assert main(["leaderboard", "verify", str(outside)]) == 2
    assert "leads out of it" in capsys.readouterr().out
    assert not (tmp_path.parent / "escaped").exists()
    (tmp_path / "no.zip").write_text("x")
    assert main(["leaderboard", "verify", str(tmp_path / "no.zip")]) == 2
    assert main(["leaderboard", "verify", str(tmp_path / "nothing")]) == 2
    said = capsys.readouterr().out
    assert "not a valid .zip" in said
    assert "no such file" in said


def test_rows_are_ranked_and_what_cannot_be_trusted_is_not(tmp_path):
    dirty = {**CLEAN, "git": {"commit": "a" * 40, "dirty": True}}
    hole = run("lora", cells(20), folder=tmp_path / "l", provenance=CLEAN)
    values = hole.matrix.values.copy()
    values[1, 0] = math.nan
    hole = run(
        "lora",
        cells(20),
        folder=tmp_path / "l",
        provenance=CLEAN,
        matrix=Matrix(values, hole.matrix.n.copy(), hole.matrix.ungraded.copy(), hole.matrix.columns),
    )
    runs = [
        learnt("sft", folder=tmp_path / "a"),
        learnt("replay", folder=tmp_path / "b"),
        run("ewc", cells(59), folder=tmp_path / "c", provenance=dirty),
        run("mas", cells(58), folder=tmp_path / "d", provenance=CLEAN),
        hole,
        run("l2", cells(57), folder=tmp_path / "e", provenance={}),
    ]
    found = {e.group.label: e for e in entries(runs, {tmp_path / "d": ["figure x: 1, the records give 0"]})}
    assert {name: e.rank for name, e in found.items()} == {
        "replay": 1,
        "sft": 2,
        "ewc": None,
        "mas": None,
        "lora": None,
        "l2": None,
    }
    assert "changes" in found["ewc"].why_not[0]
    assert "the records give" in found["mas"].why_not[0]
    assert found["lora"].missing == (1, 9)
    assert "1 of 9 cells" in found["lora"].why_not[0]
    assert "not known" in found["l2"].why_not[0]


def test_bounds_stand_apart_and_are_never_ranked(tmp_path):
    learners = {"sft": 10, "joint": 45, "replay": 20, "frozen": 1, "separate": 40, "right_document": 50}
    for name, num in learners.items():
        made = run(name, cells(num), provenance=CLEAN)
        written(tmp_path / "r" / made.spec.name, made)
    runs = load_runs([tmp_path / "r"])
    found = [(e.group.runs[0].spec.learner_name, e.rank, e.is_bound) for e in entries(runs, {})]
    assert found == [
        ("replay", 1, False),
        ("sft", 2, False),
        ("right_document", None, True),
        ("joint", None, True),
        ("separate", None, True),
        ("frozen", None, True),
    ]
    index = build_site(entries(runs, {}), tmp_path / "site", "t").read_text(encoding="utf-8")
    assert len(re.findall(r'<tr class="out bound"', index)) == 4
    listed = json.loads((tmp_path / "site" / "leaderboard.json").read_text(encoding="utf-8"))
    assert [(row["rank"], row["bound"]) for row in listed] == [(rank, bound) for _, rank, bound in found]


def test_the_site_is_in_chinese(results, tmp_path, capsys):
    command = ["leaderboard", "build", str(results[0].parent), "-o", str(tmp_path / "site"), "--lang", "zh"]
    assert main(command) == 0
    assert "2 次运行合为 2 行，其中 2 行有名次" in capsys.readouterr().out
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'lang="zh-CN"' in index
    in_a_script = json.dumps("不是检验")[1:-1]
    for word in ("名次", "怎样阅读", "只看有名次的", "背后的记录推出", in_a_script):
        assert word in index, word
    for word in (">rank<", "How to read", "ranked only", "is no test"):
        assert word not in index, word


def test_the_site_links_spec_command_and_matrix(results, tmp_path, capsys):
    assert main(["leaderboard", "build", str(results[0].parent), "-o", str(tmp_path / "site")]) == 0
    assert "2 rows of 2 runs, 2 ranked" in capsys.readouterr().out
    index = (tmp_path / "site" / "index.html").read_text()
    links = re.findall(r'href="([^"]+)"', index)
    assert links
    for link in links:
        assert (tmp_path / "site" / link).is_file(), link
    assert "clbench run x.yaml" in index
    rows = json.loads((tmp_path / "site" / "leaderboard.json").read_text())
    assert [(r["learner"]["name"], r["rank"]) for r in rows] == [("replay", 1), ("sft", 2)]
    assert not re.findall(r"https?://", index)


# --- prices, trackers, Parquet ---------------------------------------------------------------------------------------


def test_prices_are_read_as_yaml_1_2_says_and_without_aliases(tmp_path):
    table = tmp_path / "prices.yaml"
    table.write_text("machine_hour: 010\n")
    assert read_prices(table) == {"machine_hour": 10.0}
    for text in ("machine_hour: 1:30", "machine_hour: &a 1", "{}", "x", "machine_hour: 1\nmachine_hour: 2"):
        table.write_text(text + "\n")
        with pytest.raises(SpecError):
            read_prices(table)


def test_money_comes_from_a_price_table(tmp_path):
    table = tmp_path / "prices.yaml"
    table.write_text("{machine_hour: 36, labelled_example: 0.5}")
    costs = Costs(train_s=60, exam_s=40, examples_used=10)
    (found,) = add_prices([run("sft", cells(10), costs=costs)], read_prices(table))
    assert found.scores["money"] == pytest.approx(36 * 100 / 3600 + 5)
    table.write_text("{machine_hour: 36, kilowatt_hour: 1}")
    (unknown,) = add_prices([run("sft", cells(10), costs=costs)], read_prices(table))
    assert math.isnan(unknown.scores["money"]), "energy is priced and was not measured"
    measured = costs.model_copy(update={"joules": 3.6e6})
    (known,) = add_prices([run("sft", cells(10), costs=measured)], read_prices(table))
    assert known.scores["money"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "text", ["{machine: 1}", "{machine_hour: -1}", "{machine_hour: x}", "[]", "{", "{machine_hour: .inf}"]
)
def test_bad_price_tables(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(SpecError):
        read_prices(tmp_path / "p.yaml")


class Recorder(types.ModuleType):
    """Takes every call that a tracker's library would."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **settings):
            self.calls.append((name, args, settings))
            return self

        return call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_trackers_get_every_row_as_a_step(monkeypatch, tracker):
    library = Recorder(tracker)
    monkeypatch.setitem(sys.modules, tracker, library)
    send([run("sft", cells(10))], tracker, "mine")
    names = [name for name, _, _ in library.calls]
    assert names == ["init", "log", "log", "log", "finish"]
    assert library.calls[0][2]["project"] == "mine"
    assert library.calls[0][2]["config"]["learner.name"] == "sft"
    steps = [(settings["step"], args[0]) for name, args, settings in library.calls if name == "log"]
    assert [s for s, _ in steps] == [0, 1, 2]
    assert steps[2][1]["R/facts"] == pytest.approx(10 / NUM)
    assert "figure/average_performance" in steps[2][1]
    assert "figure/average_performance" not in steps[1][1]


def test_mlflow_gets_parameters_steps_and_figures(monkeypatch):
    library = Recorder("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", library)
    made = run("sft", cells(10), scores={"average_performance": 0.5, "bwt": math.nan})
    send([made], "mlflow", "mine")
    calls = {name: (args, settings) for name, args, settings in library.calls}
    assert calls["set_experiment"][0] == ("mine",)
    assert calls["log_params"][0][0]["stream"] == "worlds"
    logged = [args[0] for name, args, _ in library.calls if name == "log_metrics"]
    assert len(logged) == 4
    assert logged[-1] == {"figure.average_performance": 0.5}, "what is undefined is not sent"


def test_a_tracker_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(SpecError, match="wandb is not installed") as error:
        send([], "wandb", "x")
    assert "clbench[wandb]" in str(error.value)


def test_parquet_holds_figures_and_items(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra `data`)")
    from clbench.report.tables.parquet import write_parquet

    runs = [replace(one, folder=tmp_path / one.spec.name) for one in (run("sft", cells(10)), run("replay", cells(45)))]
    paths = write_parquet(runs, tmp_path)
    figures, items = (pq.read_table(p).to_pylist() for p in paths)
    assert {r["figure"] for r in figures} >= {"average_performance", "bwt"}
    (ap,) = (r for r in figures if (r["learner"], r["figure"]) == ("sft", "average_performance"))
    assert ap["low"] < ap["value"] < ap["high"]
    assert json.loads(ap["settings"]) == {}
    assert {r["question"] for r in items} == {None}, "no store and no examples: nothing is at hand"
    assert len(items) == 2 * 3 * 3 * NUM
    kept = [r["score"] for r in items if (r["learner"], r["exam"], r["row"]) == ("replay", "facts", 2)]
    assert sum(kept) == 45


# --- energy ---------------------------------------------------------------------------------------------------------


def test_energy_is_read_from_the_processors_counters(tmp_path, monkeypatch):
    from clbench.core.resource_probes import RESOURCE_PROBES
    from clbench.store import energy
    from clbench.store.measure import measure

    package = tmp_path / "intel-rapl:0"
    part = tmp_path / "intel-rapl:0:0"
    for folder, value in ((package, 5_000_000), (part, 9_000_000)):
        folder.mkdir()
        (folder / "energy_uj").write_text(str(value))
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    monkeypatch.setattr(energy, "_devices", lambda: ())
    monkeypatch.delitem(RESOURCE_PROBES, "joules", raising=False)
    with measure() as cost:
        (package / "energy_uj").write_text("7500000")
    assert cost["joules"] == pytest.approx(2.5), "a part of a package is in it already"
    with measure() as cost:
        (package / "energy_uj").write_text("100")
    assert "joules" not in cost, "the counter began again: not known"
    monkeypatch.delitem(RESOURCE_PROBES, "joules")


def test_energy_of_devices_and_none_where_there_is_no_counter(tmp_path, monkeypatch):
    from clbench.core.resource_probes import RESOURCE_PROBES
    from clbench.store import energy

    nvml = types.ModuleType("pynvml")
    nvml.NVMLError = RuntimeError
    nvml.nvmlInit = lambda: None
    nvml.nvmlDeviceGetCount = lambda: 2
    nvml.nvmlDeviceGetHandleByIndex = lambda i: i
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda device: 1000 * (device + 1)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(energy, "RAPL", tmp_path)
    energy._devices.cache_clear()
    assert energy.total_joules() == pytest.approx(3.0)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    energy._devices.cache_clear()
    assert energy.total_joules() is None
    monkeypatch.delitem(RESOURCE_PROBES, "joules", raising=False)
    energy.offer_energy()
    assert "joules" not in RESOURCE_PROBES
    energy._devices.cache_clear()


def test_cost_figures_are_in_every_report():
    from clbench.report.runs.load import cost_figures

    found = cost_figures(Costs(train_tokens=1000, parameters_by_lesson=(2, 5), joules=None, device_memory_bytes=0))
    assert found["train_flops"] == 6 * 5 * 1000
    assert math.isnan(found["joules"])
    assert math.isnan(found["money"])
    assert math.isnan(found["device_memory_bytes"])


# --- drawings ---------------------------------------------------------------------------------------------------------


def test_the_front_holds_what_nothing_beats():
    cost, score = Axis("s", "seconds", low_is_better=True), Axis("AP")
    points = [Point("a", 1, 0.5), Point("b", 2, 0.7), Point("c", 3, 0.6), Point("d", 2, 0.7), Point("e", math.nan, 1)]
    assert [p.label for p in front(points, cost, score)] == ["a", "b", "d"]
    svg = scatter(points, cost, score, "t")
    assert svg.count("<circle") == 4
    assert scatter(points[:1], cost, score, "t") == ""


def test_better_is_up_and_right():
    axis = Axis("s", "seconds", low_is_better=True)
    svg = scatter([Point("slow", 9.0, 0.1), Point("fast", 1.0, 0.9)], axis, Axis("AP"), "t")
    (slow_x, slow_y), (fast_x, fast_y) = re.findall(r'circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    assert float(fast_x) > float(slow_x)
    assert float(fast_y) < float(slow_y)
    lines = parallel(["slow", "fast"], [axis], [[9.0], [1.0]], "t")
    ys = [float(y) for y in re.findall(r'circle cx="[\d.]+" cy="([\d.]+)"', lines)]
    assert ys[1] < ys[0]
    assert strips([("a", [math.nan], (math.nan, math.nan))], Axis("AP"), "t") == ""
    assert strips([("a", [0.1, 0.3], (0.0, 0.4))], Axis("AP"), "t").count("<circle") == 2


# --- hostile texts --------------------------------------------------------------------------------------------------

EVIL = "=HYPERLINK(1)<script>alert(1)</script>\x1b[31m\u202eabc|`x` \\input{/etc/passwd} $x$ 5% [a](javascript)"


def evil_runs():
    columns = [COLUMNS[0].model_copy(update={"name": EVIL}), *COLUMNS[1:]]
    made = run("sft", cells(10))
    sheets = made.item_scores.model_copy(
        update={"exams": (made.item_scores.exams[0].model_copy(update={"exam": EVIL}), *made.item_scores.exams[1:])}
    )
    shown = ExampleItem(
        exam=EVIL, id=EVIL, question=EVIL, expected=(EVIL,), answers={2: ShownAnswer(text=EVIL, score=0.0)}
    )
    matrix = Matrix(made.matrix.values, made.matrix.n, made.matrix.ungraded, tuple(columns))
    spec = made.spec.model_copy(update={"learner": {"name": EVIL}, "stream": EVIL})
    first, *rest = made.stream.lessons
    lessons = (first.model_copy(update={"teaches": (EVIL,)}), *rest)
    return [
        run(
            "sft",
            cells(10),
            spec=spec,
            stream=made.stream.model_copy(update={"lessons": lessons}),
            item_scores=sheets,
            matrix=matrix,
            example_items=ExampleItems(items=(shown,)),
            provenance={"x": EVIL},
        )
    ]


def test_every_output_is_safe_with_hostile_names_and_answers():
    runs = evil_runs()
    page = html_report(runs, EVIL)
    assert "<script" not in page
    csv = to_csv(runs)
    assert "'=HYPERLINK" in csv
    assert not re.search(r"(^|,)\"?=", csv, re.MULTILINE)
    table = to_latex(runs)
    assert r"\input" not in table.replace(r"\textbackslash{}input", "")
    assert r"\$x\$" in table
    texts = [page, csv, table, to_markdown(runs), to_rows(runs)]
    for text in texts:
        assert "\x1b" not in text
        assert "\u202e" not in text
    for text in texts[3:]:
        assert "<script" not in text
        assert not re.search(r"(?<!\\)\]\(", text), "no link"
        header = next(line for line in text.splitlines() if line.startswith("| learner"))
        for line in text.splitlines():
            if line.startswith("|") and "---" not in line:
                assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"(?<!\\)\|", header))


def test_the_leaderboard_is_safe_too(tmp_path):

    (made,) = evil_runs()
    folder = written(tmp_path / "r" / "x", made)
    (loaded,) = load_runs([folder])
    index = build_site(entries([loaded], {folder: [EVIL]}), tmp_path / "site", EVIL).read_text()
    assert index.count("<script>") == 1, "its own, for sorting"
    assert "\x1b" not in index


def test_each_guard_alone():
    assert csv_cell("-2") == "'-2"
    assert csv_cell("a=b") == "a=b"
    assert latex("a_b\n5%") == r"a\_b 5\%"
    assert plain("tab\tand\nline") == "tab\tand\nline"
    assert plain("\ud800") == "\\ud800"
    assert markdown("a|b\nc") == r"a\|b c"


def test_the_browser_shows_answers_over_lessons():
    said = {0: ShownAnswer(text="no", score=0.0), 2: ShownAnswer(text="yes\nit is " + "x" * 300, score=None)}
    shown = ExampleItem(exam="facts", id="facts-1", question="Who?", expected=("N",), answers=said)
    groups = group_runs([run("sft", cells(10), example_items=ExampleItems(items=(shown,)))])
    ((exam, (item,)),) = browser(groups)
    assert (exam, item.lessons) == ("facts", (0, 2))
    (_, cells_) = item.rows[0]
    assert cells_[0] == ("no", "no", 0.0)
    assert cells_[1][0].startswith("yes ⏎ it is xxx")
    assert len(cells_[1][0]) == 120
    assert len(cells_[1][1]) > 300
    page = html_report(groups[0].runs, "t")
    assert 'class="wrong"' in page
    assert 'class="ungraded"' in page
    long_ = {k: ShownAnswer(text=str(k), score=1.0) for k in range(50)}
    groups = group_runs(
        [run("sft", cells(10), example_items=ExampleItems(items=(shown.model_copy(update={"answers": long_}),)))]
    )
    assert len(browser(groups)[0][1][0].lessons) == 12


def test_orders_seeds_and_distances_are_told():
    from clbench.report.page.overview import over_orders, retention
    from clbench.report.page.ranking import ranking
    from clbench.report.tables.translations import TRANSLATIONS

    turned = outline().model_copy(update={"tasks": ("rules", "facts")})
    base = run("sft", cells(10))
    other = run("sft", cells(30), spec=base.spec.model_copy(update={"stream": "turned"}), stream=turned)
    found = over_orders(group_runs([base, other]), TRANSLATIONS["en"])
    assert found is not None
    heads, rows = found
    assert (heads[0], heads[-1]) == ("learner", "orders")
    assert [(row[0], row[1].split(" ")[0], row[-2], row[-1]) for row in rows] == [("sft", "58.3", "11.8", "2")]
    assert over_orders(group_runs([base, run("replay", cells(30))]), TRANSLATIONS["en"]) is None
    (found,) = ranking(
        group_runs([run(n, cells(k + s), s) for n, k in (("sft", 10), ("ewc", 30)) for s in (0, 6)]), TRANSLATIONS["en"]
    )
    assert [r[3] for r in found.rows] == ["3.5", "3.5"]
    assert retention(group_runs([base]), TRANSLATIONS["en"]) is None, "two lessons say nothing about distance"
    decay = [[0.0] * 6, *([[0.8 * 0.5 ** (k - i) if k >= i else 0.0 for i in range(1, 7)] for k in range(1, 7)])]
    columns = [COLUMNS[0].model_copy(update={"name": f"t{i}", "taught": i}) for i in range(1, 7)]
    (group,) = group_runs([run("sft", cells(10), matrix=Matrix.of(decay, columns))])
    kept = retention([group], TRANSLATIONS["en"])
    assert kept["labels"] == ["sft"]
    assert kept["rows"][0][1].startswith("1.0 (")


# --- what a result was made by --------------------------------------------------------------------------------------

CODE = {"code": {"commit": "a" * 40, "dirty": False}, "packages": {"clbench": "1", "torch": "2"}, "python": "3.11"}


def made_by(*origins):
    return {**CLEAN, "stages": [{"origin": origin, "made": 3} for origin in origins]}


@pytest.mark.parametrize(
    ("provenance", "says", "ranked"),
    [
        (made_by(CODE), "", True),
        (made_by(CODE, {**CODE, "device": "cuda:0"}), "", True),
        (made_by(CODE, {**CODE, "code": {"commit": "a" * 40, "dirty": True}}), "working tree with changes", False),
        (made_by(CODE, {**CODE, "code": {"commit": "b" * 40, "dirty": False}}), "stages of 2 versions", False),
        (made_by(CODE, {**CODE, "packages": {"clbench": "1", "torch": "3"}}), "stages of 2 versions", False),
        (made_by(CODE, {}), "do not say which code made them", True),
        (made_by(), "do not say which code made them", True),
        ({**CLEAN, "stages": [7, {"origin": []}]}, "do not say which code made them", True),
        ({**CLEAN, "git": {"commit": "a" * 40, "dirty": True}}, "working tree with changes", False),
    ],
)
def test_what_cannot_be_vouched_for_is_named_and_not_ranked(provenance, says, ranked):
    from clbench.report.page.ranking import ranking
    from clbench.report.page.sentences import summary_sentences
    from clbench.report.runs.vouched import doubts
    from clbench.report.tables.translations import TRANSLATIONS

    odd = run("ewc", cells(59), provenance=provenance)
    assert says in " ".join(doubts(odd)) and bool(says) == bool(doubts(odd))
    groups = group_runs([odd, run("sft", cells(10)), run("mas", cells(20))])
    for lang in ("en", "zh"):
        (found,) = ranking(groups, TRANSLATIONS[lang])
        assert ("ewc" in [row[0] for row in found.rows]) is ranked
        assert any("ewc" in line and says in line for line in summary_sentences(groups, TRANSLATIONS[lang])) or ranked
