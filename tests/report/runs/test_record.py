"""Recorded runs: a JSON a run and a Parquet of items, read as the folders they were made of; forgeries are named."""

import contextlib
import dataclasses
import json
import math
import os
import shutil
import sys
import zipfile

import numpy as np
import pytest

from clbench.cli.main import main
from clbench.cli.submissions import results
from clbench.core.errors import DataError, ExtraError, SpecError
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores, ItemScores
from clbench.core.keys import digest
from clbench.core.types import ScorerSpec
from clbench.report.runs.item_table import FILE, read_items
from clbench.report.runs.load import load_runs, read_runs
from clbench.report.runs.record import indented, record_runs
from clbench.report.tables.exports import EXPORTS
from tests.builders.places import RECORDED
from tests.builders.result_folders import as_folder

DEMO = RECORDED
FIRST = min(p.stem for p in DEMO.glob("*.json"))


def unlike(one, two):
    """Names of the fields in which two records differ."""

    def plain(value):
        if isinstance(value, dict):
            return [(k, plain(v)) for k, v in value.items()]
        return "NaN" if isinstance(value, float) and math.isnan(value) else value

    found = []
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        if field.name == "matrix":
            same = np.array_equal(a.values, b.values, equal_nan=True) and a.columns == b.columns
            same = same and np.array_equal(a.n, b.n) and np.array_equal(a.ungraded, b.ungraded)
        else:
            same = field.name == "folder" or plain(a) == plain(b)
        found += [] if same else [field.name]
    return found


@pytest.fixture
def folders(tmp_path):
    for run in read_runs([DEMO]):
        as_folder(run, tmp_path / "old" / run.name)
    return tmp_path / "old"


@pytest.mark.slow
def test_folders_become_records_that_are_equal_in_every_field(folders, tmp_path, capsys):
    assert main(["report", str(folders), "--record", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.startswith("6 runs: ")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in DEMO.iterdir())
    old, new, committed = read_runs([folders]), read_runs([tmp_path / "new"]), read_runs([DEMO])
    assert [r.name for r in old] == [r.name for r in new] == [r.name for r in committed]
    for one, two, three in zip(old, new, committed, strict=True):
        assert unlike(one, two) == unlike(one, three) == []
    for export in EXPORTS.values():
        assert export(old) == export(new)
    for path in DEMO.glob("*.json"):
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes()


def test_a_difference_would_be_seen():
    (run,) = read_runs([DEMO / f"{FIRST}.json"])
    scores = {**run.scores, next(iter(run.recorded)): 0.123}
    assert unlike(run, dataclasses.replace(run, scores=scores)) == ["scores"]
    assert unlike(run, dataclasses.replace(run, item_scores=ItemScores(exams=run.item_scores.exams[1:]))) == [
        "item_scores"
    ]


def row(**changes):
    return GradedItems(questions="q", answers_key="a", grades_key="g", **{"scores": "01-", **changes})


ODD = ItemScores(
    exams=(
        ExamScores(
            exam="all of it",
            digest="d",
            scorer=ScorerSpec(name="ifeval", settings={"which": "é"}),
            version=3,
            ids=("a", "b", "c"),
            groups=("g", "g", "h"),
            lengths=(1, 2, 2**40),
            rows={
                2: row(scores=(0.1, None, -0.0), parts=((1.0, 0.1), (), (0.0,)), declined=(1, 2)),
                0: row(reasoning=(5, 1), cuts=(1, 2, 3)),
            },
        ),
        ExamScores(exam="never asked", digest="d", scorer=ScorerSpec(name="exact"), version=2, ids=("a", "z")),
        ExamScores(
            exam="plain", digest="d", scorer=ScorerSpec(name="exact"), version=2, ids=("a",), rows={1: row(scores="1")}
        ),
    )
)


def test_every_field_of_items_comes_back(tmp_path):
    (run,) = read_runs([DEMO / f"{FIRST}.json"])
    odd = dataclasses.replace(run, folder=tmp_path / "x-1.json", item_scores=ODD)
    record_runs([odd, dataclasses.replace(run, folder=tmp_path / "y-1.json")], tmp_path / "new")
    found = read_runs([tmp_path / "new"])
    assert found[0].item_scores == ODD
    assert list(found[0].item_scores.exams[0].rows) == [2, 0]
    assert math.copysign(1, found[0].item_scores.exams[0].rows[2].scores[0, 2]) == -1
    assert found[1].item_scores == run.item_scores


@pytest.mark.parametrize("change", [{"groups": ("x",)}, {"rows": {0: row(scores="1")}}, {"lengths": (1,)}])
def test_items_that_do_not_fit_together_are_not_recorded(tmp_path, change):
    (run,) = read_runs([DEMO / f"{FIRST}.json"])
    sheets = ItemScores(exams=(ODD.exams[0].model_copy(update=change),))
    with pytest.raises(DataError, match="do not fit together"):
        record_runs([dataclasses.replace(run, item_scores=sheets)], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    shutil.copytree(DEMO, tmp_path / "new")
    runs = read_runs([tmp_path / "new"])
    record_runs(runs[:1], tmp_path / "new")  # in place: what was there is gone
    assert len(list((tmp_path / "new").iterdir())) == 2
    (tmp_path / "new" / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match=r"notes.txt"):
        record_runs(runs, tmp_path / "new")
    assert main(["run", "demo", "--record", str(tmp_path / "new")]) == 2  # before anything is made
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


def test_records_are_read_wherever_folders_are(folders, tmp_path):
    shutil.copytree(DEMO, tmp_path / "store" / "runs")
    assert [r.name for r in load_runs([tmp_path / "store"])] == [r.name for r in load_runs([folders])]
    assert [r.name for r in load_runs([DEMO / f"{FIRST}.json"])] == [FIRST]
    shutil.copytree(folders / FIRST, tmp_path / "store" / "runs" / "copy")
    assert len(read_runs([tmp_path / "store"])) == 7  # both forms beside each other
    assert len(load_runs([tmp_path / "store"])) == 6


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExtraError) as found:
        load_runs([DEMO])
    assert found.value.mend == 'pip install "clbench[data]"'


def test_lines_are_short_lists_stand_whole():
    value = {"n": [1, 2], "rows": {"0": {"a": "x" * 40, "b": "y" * 40}}, "deep": [{"a": [1, {"b": []}]}], "no": []}
    assert json.loads(indented(value)) == value
    assert '"n": [1, 2],\n' in indented(value)


# --- what strangers hand in ------------------------------------------------------------------------------------------


@pytest.fixture
def handed(tmp_path):
    shutil.copytree(DEMO, tmp_path / "in")
    return tmp_path / "in"


def edited(change):
    def apply(folder):
        path = folder / f"{FIRST}.json"
        value = json.loads(path.read_text(encoding="utf-8"))
        change(value)
        path.write_text(json.dumps(value), encoding="utf-8")

    return apply


def table(change):
    """Change the rows of the first run in the table of items."""

    def apply(folder):
        import pyarrow.parquet as pq

        whole = pq.read_table(folder / "items.parquet")
        pq.write_table(change(whole), folder / "items.parquet")

    return apply


def with_column(name, value):
    """Give all rows of a table one value in a column."""

    def change(whole):
        import pyarrow as pa

        place = whole.schema.get_field_index(name)
        return whole.set_column(place, name, pa.array([value] * len(whole), whole.schema.field(name).type))

    return table(change)


def without_run(whole):
    import pyarrow.compute as pc

    return whole.filter(pc.not_equal(whole["run"], FIRST))


def flipped(folder):
    """Damage a byte in the middle of the first run's pages."""
    data = bytearray((folder / "items.parquet").read_bytes())
    data[600] ^= 0xFF
    (folder / "items.parquet").write_bytes(data)


def linked(name):
    def apply(folder):
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return apply


def piped(name):
    return lambda folder: ((folder / name).unlink(), os.mkfifo(folder / name))


def huge(folder):
    with (folder / f"{FIRST}.json").open("r+b") as file:
        file.truncate(200_000_001)


def twice(folder):
    path = folder / f"{FIRST}.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"bwt":', '"bwt": 0.99, "bwt":', 1), encoding="utf-8")


FORGED = {
    "a key written twice": (twice, "is written twice"),
    "a part left out": (edited(lambda v: v.pop("costs")), "does not hold spec"),
    "a part more": (edited(lambda v: v.update(extra=1)), "does not hold spec"),
    "a figure": (edited(lambda v: v["scores"].update(bwt=0.99)), "figure bwt"),
    "a cell": (edited(lambda v: v["matrix"]["values"][1].__setitem__(0, 0.99)), "row 1, world_facts_en: 0.99"),
    "a seed": (edited(lambda v: v["spec"].update(seed=7)), "does not hold its key"),
    "a scorer": (edited(lambda v: v["exams"][0]["scorer"].update(name="venv.__main__")), "not known here"),
    "an exam left out": (edited(lambda v: v["exams"].pop()), "does not hold the cells"),
    "a cell that has no items": (
        edited(lambda v: v["exams"][0]["rows"].update({"9": v["exams"][0]["rows"]["1"]})),
        "does not hold the cells",
    ),
    "items in both files": (edited(lambda v: v["exams"][0].update(ids=["x"])), "and nowhere else"),
    "a link": (linked(f"{FIRST}.json"), "is a link"),
    "a link to items": (linked("items.parquet"), "is a link"),
    "a pipe": (piped(f"{FIRST}.json"), "is not a file"),
    "items that are a pipe": (piped("items.parquet"), "is not a file"),
    "a huge file": (huge, "bytes; more than"),
    "no items at all": (lambda f: (f / "items.parquet").unlink(), "items.parquet is missing"),
    "a run without items": (table(without_run), "has no items of a run"),
    "items of no run": (lambda f: (f / f"{FIRST}.json").unlink(), "and no such run stands beside it"),
    "a damaged table": (flipped, "CANNOT BE READ"),
    "a table that is none": (lambda f: (f / "items.parquet").write_bytes(b"PAR1 x PAR1"), "is damaged"),
    "a column less": (table(lambda whole: whole.drop_columns(["declined"])), "has other columns"),
    "scores": (with_column("score", 1.0), "EDITED"),
    "a score above 1": (with_column("score", 1.5), "scores outside of 0 to 1"),
    "a score that is no number": (with_column("score", math.nan), "CANNOT BE READ"),
    "one id for all items": (with_column("item", "x"), "an item is there twice"),
    "parts that are no list": (with_column("parts", "{"), "CANNOT BE READ"),
    "rows twice": (table(lambda whole: __import__("pyarrow").concat_tables([whole, whole])), "an item is there twice"),
    "other items in one row": (
        table(lambda whole: whole.slice(1)),
        "other items in one row than in another",
    ),
}


def redigest(folder):
    """Do what a forger does: give every record whose items can be read their digest anew."""
    for path in folder.glob("*.json"):
        with contextlib.suppress(Exception):
            value = json.loads(path.read_text(encoding="utf-8"))
            value["items"] = digest(read_items(folder / FILE, path.stem, value["exams"]))
            path.write_text(indented(value), encoding="utf-8")


@pytest.mark.parametrize("what", ["scores", "rows twice", "one id for all items"])
def test_damaged_items_are_an_error_for_every_reader(handed, what):
    FORGED[what][0](handed)
    with pytest.raises(DataError, match="does not hold the items of this run"):
        load_runs([handed])


@pytest.mark.slow
@pytest.mark.parametrize("what", FORGED)
def test_a_forged_record_is_named(handed, capsys, what):
    forge, says = FORGED[what]
    forge(handed)
    if what in ("a scorer", "scores", "a score above 1", "one id for all items", "rows twice"):
        redigest(handed)
    modules = set(sys.modules)
    assert main(["leaderboard", "verify", str(handed)]) == 2
    said = capsys.readouterr().out
    assert says in said, said
    assert "venv.__main__" not in set(sys.modules) - modules


def test_a_forged_record_stops_no_other(handed):
    flipped(handed)
    found = dict(results(handed))
    assert [place.stem for place, run in found.items() if isinstance(run, str)] == [FIRST]


def test_a_table_of_too_many_rows_is_not_read(handed, monkeypatch):
    monkeypatch.setattr("clbench.report.runs.item_table.MOST_ROWS", 10)
    assert all("so much is not read" in run for _, run in results(handed))


@pytest.mark.slow
def test_records_are_true_also_when_packed_and_shown_on_a_board(handed, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for file in handed.iterdir():
            archive.write(file, f"r/{file.name}")
    assert main(["leaderboard", "verify", str(tmp_path / "mine.zip")]) == 0
    assert capsys.readouterr().out.count("every figure follows from its records") == 6
    assert main(["leaderboard", "build", str(handed), "-o", str(tmp_path / "site")]) == 0
    shown = dict(results(tmp_path / "site" / "runs"))
    assert len(shown) == 6 and not any(isinstance(run, str) for run in shown.values())
    assert f'href="runs/{FIRST}/items.parquet"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_other_json_files_are_no_runs(tmp_path):
    (tmp_path / "other.json").write_text('{"id": 1}')
    assert [found for _, found in results(tmp_path)] == ["there is no result here"]


@pytest.mark.parametrize("place", [".", "link"])
def test_runs_are_recorded_in_place_whatever_the_folder_is_called(place, tmp_path, monkeypatch):
    shutil.copytree(DEMO, tmp_path / "demo")
    (tmp_path / "link").symlink_to(tmp_path / "demo")
    monkeypatch.chdir(tmp_path / "demo" if place == "." else tmp_path)
    before = {p.name: p.read_bytes() for p in DEMO.iterdir()}
    assert main(["report", place, "--record", place, "--out", str(tmp_path / "r")]) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "demo").iterdir()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "link"]


def test_a_file_that_is_no_record_is_not_deleted(tmp_path):
    shutil.copytree(DEMO, tmp_path / "demo")
    (tmp_path / "demo" / "package.json").write_text('{"name": "x"}')
    with pytest.raises(SpecError, match=r"holds 'package.json', which is not a result"):
        record_runs(read_runs([DEMO]), tmp_path / "demo")
    assert (tmp_path / "demo" / "package.json").exists()
