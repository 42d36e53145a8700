"""The pages in a real browser: what stands on them, nothing on the console, nothing from the network."""

import json
import re
import shutil
import subprocess

import pytest

from clbench.cli.main import main
from clbench.core.item_scores import ExampleItem, ExampleItems, ShownAnswer
from clbench.report.decide.compare import compare
from clbench.report.page.html import write_page, write_report
from tests.builders.compared import cells, groups, run, written
from tests.builders.context_rows import answers, data_set, write
from tests.builders.reported import RUNS

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=2000"
).split()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no Chromium here: install the package chromium to see the pages tested"
    ),
]


def opened(page, folder, *more):
    """Give the DOM of a page, after asserting that it was quiet and asked for nothing."""
    log = folder / "net.json"
    found = subprocess.run(
        [BROWSER, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", *more, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "CONSOLE" not in found.stderr
    if log.is_file():
        text = log.read_text(errors="replace")
        urls = {part.split('"')[0] for part in text.split('"url":"')[1:]}
        assert not {u for u in urls if u.startswith(("http:", "https:")) and "google" not in u}, urls
    return found.stdout


def test_report_in_a_browser(tmp_path):
    page = write_report(RUNS, tmp_path, "browser")
    dom = opened(page, tmp_path, "--dump-dom")
    assert dom.count('<svg class="heat"') == 4  # three methods, and how alike the tasks are
    assert dom.count('<svg class="curve"') == 4  # two tasks, one ability, and its exam by itself
    assert dom.count('<svg class="scatter"') == 2
    assert dom.count('<svg class="parallel"') == 1
    assert dom.count('<section id="ranking">') == 1
    assert dom.count('<table class="lessons">') == 1
    assert dom.count("lessons kept") == 1


def test_a_comparison_in_a_browser_and_on_paper(tmp_path):
    records = [run("sft", cells(10), folder=tmp_path), run("replay", cells(45), folder=tmp_path)]
    page = write_page(records, tmp_path, "compared", "zh", [compare(*groups(records))])
    dom = opened(page, tmp_path, "--dump-dom")
    assert dom.count('id="compared"') == 1
    assert '<html lang="zh">' in dom
    paper = tmp_path / "page.pdf"
    opened(page, tmp_path, f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF")


def test_single_items_are_filtered_searched_and_walked_by_keyboard(tmp_path):
    rows = cells(10)
    shown = tuple(
        ExampleItem(
            exam="facts",
            id=f"facts-{i}",
            question=f"Where is place {i}?",
            expected=("here",),
            answers={k: ShownAnswer(text=f"said {i} after {k}", score=row[i]) for k, row in enumerate(rows["facts"])},
        )
        for i in range(60)
    )
    page = write_page([run("sft", rows, example_items=ExampleItems(items=shown))], tmp_path, "items", "en")
    script = (
        "<script>addEventListener('load', function () {"
        "var box = document.querySelector('#item-browser select'); box.value = 'f';"
        "var form = document.querySelector('#item-browser form'); form.dispatchEvent(new Event('input'));"
        "document.title = document.querySelector('#item-browser [role=status]').textContent;"
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: '/'}));"
        "document.title += '|' + document.activeElement.type;"
        "document.activeElement.value = 'PLACE 3'; form.dispatchEvent(new Event('input'));"
        "var list = document.querySelector('[role=listbox]');"
        "list.dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}));"
        "list.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown'}));"
        "});</script></body>"
    )
    page.write_text(page.read_text().replace("</body>", script))
    dom = opened(page, tmp_path, "--dump-dom")
    total = 60 - 5  # all but those that were right from the beginning to the end
    assert f"<title>40 of {total} items|search</title>" in dom, "right after the lesson: 50; at the end: 10"
    assert dom.count('role="option"') == 13, "both words, in any order: 13, 23, 43 and 30 to 39"
    (chosen,) = re.findall(r'<div role="option"[^>]*aria-selected="true">(.*?)</div>', dom)
    assert "facts-30" in chosen
    detail = dom.split('class="item-detail"')[1]
    assert [f"said 30 after {k}" in detail for k in range(3)] == [True] * 3
    assert [f'class="{mark}"' in detail for mark in ("right", "wrong")] == [True, True]


def test_the_leaderboard_sorts_and_filters_by_keyboard_and_mouse(tmp_path):
    from clbench.report.page.leaderboard import build_site, entries
    from clbench.report.runs.load import load_runs

    provenance = {"git": {"commit": "a" * 40, "dirty": False}, "packages": {"clbench": "1"}}
    for name, kept in (("sft", 10), ("replay", 45), ("ewc", 30)):
        made = run(name, cells(kept), provenance=provenance)
        written(tmp_path / "r" / made.spec.name, made)
    index = build_site(entries(load_runs([tmp_path / "r"]), {}), tmp_path / "site", "board")
    script = (
        "<script>addEventListener('load', function () {"
        "document.querySelectorAll('thead button')[2].click();"
        "var c = document.querySelectorAll('[data-compare]'); c[0].click(); c[1].click();"
        "document.querySelector('#columns input[value=\"3\"]').click();"
        "document.title = getComputedStyle(document.querySelector('td.c3')).display + '|'"
        " + getComputedStyle(document.querySelector('td.c4')).display + '|' + document.querySelector('#tabs').hidden;"
        "var s = document.querySelector('select[data-field=family]'); s.value = 'replay';"
        "document.querySelector('form').dispatchEvent(new Event('change'));"
        "});</script></body>"
    )
    index.write_text(index.read_text().replace("</body>", script))
    dom = opened(index, tmp_path, "--dump-dom")
    body = dom.split('<table class="board learners">')[1].split("<tbody>")[1]
    order = [body.index(f">{name}</a>") for name in ("sft", "ewc", "replay")]
    assert order == sorted(order), "by AP, lowest first"
    assert 'aria-sort="ascending"' in dom
    shown = [line.partition(">")[0] for line in body.split("</tbody>")[0].split("<tr ")[1:]]
    assert sum('hidden=""' in line for line in shown) == 2
    assert ">1 / 3</p>" in dom
    assert "<title>none|table-cell|true</title>" in dom, "a column is hidden; one scenario needs no tabs"
    panel = re.search(r'<div id="compared"[^>]*>(.*?)</table>', dom, flags=re.S)[1]
    assert [f'col">{name}</th>' in panel for name in ("sft", "ewc", "replay")] == [True, True, False]
    assert re.search(r"<th[^>]*>AP ↑</th><td>50.0[^<]*</td><td>66.7[^<]*</td><td>\+16.7</td>", panel)
    json.loads((tmp_path / "site" / "leaderboard.json").read_text())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_of_context_learning_in_a_browser(tmp_path, lang):
    rows = answers(data_set(8, 3), 0.8, grading_rationale="<script>throw 1</script>", state="ok")
    path = write(tmp_path / "m_graded.jsonl", rows)
    page = tmp_path / "page.html"
    assert main(["context", "report", str(path), "--out", str(page), "--lang", lang]) == 0
    dom = opened(page, tmp_path, "--dump-dom")
    assert dom.count('<svg class="bars"') == dom.count('<svg class="histogram"') == dom.count('<svg class="curve"') == 1
    assert dom.count('<details class="item"') == 24
    assert re.search(r"<form aria-label=\"[^\"]+\">", dom), "the script shows the filter"


def test_a_board_of_context_learning_in_a_browser(tmp_path):
    data = write(tmp_path / "d.jsonl", data_set(8, 3))
    write(tmp_path / "m_graded.jsonl", answers(data_set(8, 3), 0.8, state="ok"))
    site = tmp_path / "site"
    given = [str(tmp_path / "m_graded.jsonl"), "--dataset", str(data), "--out", str(site)]
    assert main(["leaderboard", "build", *given]) == 0
    dom = opened(site / "index.html", tmp_path, "--dump-dom")
    assert dom.count('<table class="board">') == 1
    assert "<form" not in dom
