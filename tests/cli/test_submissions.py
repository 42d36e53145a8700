"""Where the results of a submission lie, and what they say twice: none is passed over, none is read by chance."""

import json
import zipfile

import pytest

from clbench.cli.main import main
from clbench.cli.submissions import DEEPEST, results
from clbench.report.page.leaderboard import build_site, entries
from clbench.report.runs.load import read_runs
from tests.builders.places import RECORDED
from tests.builders.result_folders import as_folder

DEMO = RECORDED
RUNS = {run.name: run for run in read_runs([DEMO])}
NAMES = sorted(name for name in RUNS if not name.startswith(("demo-frozen", "demo-joint")))  # bounds are not ranked


def put(name, place):
    return as_folder(RUNS[name], place / name)


def names(folder):
    return [place.relative_to(folder).as_posix() for place, _ in results(folder)]


def test_results_are_found_at_every_depth_at_once(tmp_path):
    """A result at the top hid all that lay deeper: these were neither verified nor told of."""
    put(NAMES[0], tmp_path)
    put(NAMES[1], tmp_path / "recipe")
    put(NAMES[2], tmp_path / "a" / "b" / "c")
    put(NAMES[3], tmp_path / "store" / "runs")
    assert names(tmp_path) == [
        f"a/b/c/{NAMES[2]}", NAMES[0], f"recipe/{NAMES[1]}", f"store/runs/{NAMES[3]}"
    ]  # fmt: skip


def test_what_a_store_sets_aside_is_no_result(tmp_path):
    put(NAMES[0], tmp_path / "runs")
    put(NAMES[0], tmp_path / "broken")
    put(NAMES[0], tmp_path / "drafts")
    assert names(tmp_path) == [f"runs/{NAMES[0]}"]


def test_a_link_that_leads_round_ends(tmp_path):
    put(NAMES[0], tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "up").symlink_to(tmp_path.parent)
    assert names(tmp_path) == [NAMES[0]]


def test_folders_that_are_too_deep_are_told_of(tmp_path, capsys):
    put(NAMES[0], tmp_path.joinpath(*"d" * (DEEPEST + 2)))
    [(_, found)] = results(tmp_path)
    assert found == "there is no result here"
    assert f"not searched, {DEEPEST} levels down" in capsys.readouterr().err


def test_a_result_without_its_spec_is_told_of(tmp_path):
    put(NAMES[0], tmp_path)
    (put(NAMES[1], tmp_path) / "spec.yaml").unlink()
    found = dict(results(tmp_path))
    assert found[tmp_path / NAMES[1]] == "there is no result here"
    assert not isinstance(found[tmp_path / NAMES[0]], str)


@pytest.mark.parametrize("name", ["scores.json", "costs.json", "items.json", "provenance.json"])
def test_a_key_that_is_written_twice_is_refused(tmp_path, name):
    """Which of two values is read hangs on who reads: this program took the last, others take the first."""
    path = put(NAMES[0], tmp_path) / name
    text = path.read_text(encoding="utf-8")
    first = text[1 : text.index(":")]
    path.write_text(f"{{{first}:0.99,{text[1:]}", encoding="utf-8")
    [(_, found)] = results(tmp_path)
    assert "is written twice" in found


def board(*folders):
    return entries([found for folder in folders for _, found in results(folder) if not isinstance(found, str)], {})


@pytest.mark.slow
def test_rows_that_were_asked_otherwise_are_ranked_apart(tmp_path):
    """A run of few questions, or of another card of the same name, went before those that were asked all of them."""
    whole, few = put(NAMES[0], tmp_path / "whole"), put(NAMES[1], tmp_path / "few")
    assert [(row.rank, row.asked) for row in board(whole, few)] == [(1, ""), (2, "")]
    items = json.loads((few / "items.json").read_text(encoding="utf-8"))
    items["exams"][0]["digest"] = "0" * 64
    (few / "items.json").write_text(json.dumps(items), encoding="utf-8")
    rows = board(whole, few)
    assert [row.rank for row in rows] == [1, 1]
    assert len({row.asked for row in rows}) == 2
    page = build_site(rows, tmp_path / "site", "x").read_text(encoding="utf-8")
    assert all(f"other questions: {row.asked}" in page for row in rows)


def test_two_models_of_one_path_are_ranked_apart(tmp_path):
    folders = [put(name, tmp_path / str(place)) for place, name in enumerate(NAMES[:2])]
    for place, folder in enumerate(folders):
        spec = (folder / "spec.yaml").read_text(encoding="utf-8").replace("name: tiny-llama", "name: models/mine")
        (folder / "spec.yaml").write_text(spec, encoding="utf-8")
        made = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        made["model"]["identity"] = str(place) * 64
        (folder / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
    assert [row.rank for row in board(*folders)] == [1, 1]


def test_seeds_that_were_asked_otherwise_are_rows_of_their_own(tmp_path):
    one, two = put(NAMES[0], tmp_path / "one"), put(NAMES[0], tmp_path / "two")
    spec = (two / "spec.yaml").read_text(encoding="utf-8").replace("seed: 0", "seed: 1")
    (two / "spec.yaml").write_text(spec, encoding="utf-8")
    assert [row.rank for row in board(one, two)] == [1]
    items = json.loads((two / "items.json").read_text(encoding="utf-8"))
    items["exams"][0]["digest"] = "0" * 64
    (two / "items.json").write_text(json.dumps(items), encoding="utf-8")
    assert [(row.rank, len(row.group.runs)) for row in board(one, two)] == [(1, 1), (1, 1)], "and ranked apart"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [(NAMES[0], 0), ("mine", 2)])
def test_a_result_that_was_packed_without_its_folder(tmp_path, capsys, name, code):
    with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
        for file in put(NAMES[0], tmp_path / "packed").iterdir():
            archive.write(file, file.name)
    assert main(["leaderboard", "verify", str(tmp_path / f"{name}.zip")]) == code
    said = capsys.readouterr().out
    assert said.startswith(f"{name}: ")
    assert ("one of them was edited" in said) == bool(code)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("stream.json", lambda v: v["questions"].pop(), "and counts the questions of 4"),
        ("items.json", lambda v: v["exams"][0]["rows"]["1"].update(scores=""), "row 1, world_facts_en: 0 scores for"),
    ],
)
def test_records_that_are_too_short_are_named(tmp_path, capsys, name, edit, says):
    """They were told in the words of Python: an index out of bounds, a zip of unequal lengths."""
    path = put(NAMES[0], tmp_path) / name
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    assert main(["leaderboard", "verify", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert says in said
    assert "cannot be verified" not in said
