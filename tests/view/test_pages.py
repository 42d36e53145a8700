"""The pages that are shown, and what a store is said to be at."""

import json
import os
import shutil

import pytest

from clbench.core.errors import DataError
from clbench.report.runs.load import load_runs
from clbench.store.stage import here
from clbench.store.store import Store
from clbench.view.pages import Pages
from clbench.view.progress import progress
from clbench.view.texts import TEXTS
from tests.builders.places import RECORDED, ROOT


@pytest.fixture(scope="module")
def pages():
    return Pages(RECORDED, "en")


def text(page):
    return page.body.decode()


def test_the_first_page_leads_to_all_others(pages):
    runs = load_runs([RECORDED])
    first = text(pages.find(""))
    assert all(f'href="runs/{run.name}"' in first for run in runs)
    assert 'href="report"' in first
    assert "Progress" not in first, "recorded results are no store"
    assert runs[0].spec.stream in first


def test_bounds_stand_behind_the_methods_and_are_named():
    pages = Pages(ROOT / "results" / "demo", "zh")
    first = text(pages.find(""))
    rows = [row.partition("</td>")[0].partition("<td>")[2] for row in first.split("<tr>")[2:]]
    assert len(rows) == 7
    assert rows[-1] == '<i>joint</i> <span class="soft">上下界</span>'
    assert not any("<i>" in row for row in rows[:-1])


@pytest.mark.slow
def test_each_page_is_there_and_nothing_else(pages):
    run = load_runs([RECORDED])[0]
    assert f"<title>{run.spec.name}" in text(pages.find(f"runs/{run.name}"))
    assert "<title>" in text(pages.find("report"))
    board = text(pages.find("leaderboard/"))
    names = {part.partition('"')[0] for part in board.split('href="')[1:]}
    assert names
    assert all(pages.find(f"leaderboard/{name}") is not None for name in names if not name.startswith("#"))
    for path in ("runs/", "runs/none", "reports", f"runs/{run.name}/", "leaderboard/none.html", str(RECORDED)):
        assert pages.find(path) is None


def test_new_results_are_shown_and_broken_ones_told(tmp_path):
    for file in RECORDED.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    shown = Pages(tmp_path, "zh")
    assert "<h2>" in text(shown.find(""))
    record = next(p for p in tmp_path.glob("*.json"))
    record.write_text("{")
    os.utime(record, (1, 1))
    broken = text(shown.find(""))
    assert 'class="wrong"' in broken
    assert record.name in broken
    assert shown.find("report") is None


def test_where_nothing_is_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match="no store and no result"):
            Pages(place, "en")


def test_progress_counts_what_is_finished_and_what_is_made_by_processes_that_live(tmp_path):
    store = Store(tmp_path)
    for key in ("aa11", "aa22", "bb33"):
        store.once("state", key, lambda folder: (folder / "x").write_text("1"), {})
    store.once("ask", "cc44", lambda folder: (folder / "x").write_text("1"), {})
    for name in (
        f"state-aa55-{here()}-{os.getpid()}-00",
        f"ask-aa66-{here()}-4194399-00",  # no process has this number
        "mark-aa77-0123abcd-7-00",
        "write-00-00-1-00",
        "rubbish",
    ):
        (tmp_path / "drafts" / name).mkdir(parents=True, exist_ok=True)
    found = progress(tmp_path)
    assert found["finished"] == {"state": 3, "ask": 1, "mark": 0}
    assert 0 <= found["last_s"] < 60
    assert [(one["kind"], one["process"]) for one in found["making"]] == [("mark", None), ("state", os.getpid())]
    page = text(Pages(tmp_path, "en").find(""))
    assert "There is no finished run yet." in page
    assert json.loads(Pages(tmp_path, "en").find("progress.json").body)["runs"] == 0
    assert progress(tmp_path / "none") == {
        "finished": dict.fromkeys(("state", "ask", "mark"), 0),
        "last_s": None,
        "making": [],
    }


def test_names_of_strangers_are_escaped(tmp_path):
    place = tmp_path / "<script>alert(1)<"
    Store(place).once("state", "aa", lambda folder: (folder / "x").write_text("1"), {})
    page = text(Pages(place, "en").find(""))
    assert "<script>alert" not in page


def test_both_languages_say_all():
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    assert all(TEXTS[lang][name] for lang in TEXTS for name in TEXTS["en"])
