import re

import pytest

from clbench.models.tiny import NAMES as SHIPPED
from docs.build import findings, ladder
from docs.build.pages import PAGES
from docs.build.tables import PLACE, TABLED, filled
from tests.builders.places import ROOT
from tests.builders.reported import RUNS, folder_of

pytestmark = [
    pytest.mark.xdist_group("measured"),  # grouping the results takes seconds: once in one process
    pytest.mark.slow,
]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # what was measured lies below it
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("name", TABLED)
def test_tables_are_those_of_the_committed_results(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert PLACE.search(text), "a page that is listed holds a table"
    assert filled(text, ROOT / "results") == text, "run `make docs`"


@pytest.mark.parametrize(("name", "lang"), findings.PAGES.items())
def test_findings_are_those_of_the_committed_results(name, lang):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert findings.with_findings(text, ROOT / "results", lang) == text, "run `make docs`"
    assert findings.PLACE.search(text)


@pytest.mark.parametrize(("name", "lang"), ladder.PAGES.items())
def test_ladders_are_those_that_were_recorded(name, lang):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert ladder.with_ladders(text, ROOT / ladder.RECORDED, lang) == text, "run `make docs`"
    assert {place[2] for place in ladder.PLACE.finditer(text)} == {*SHIPPED}


def test_a_number_changed_by_hand_would_be_noticed(tmp_path):
    for run in RUNS:
        folder = folder_of(tmp_path / "small", run)
        (folder / "provenance.json").write_text('{"cpu": "x", "cores": 2, "packages": {}, "made": "2026-01-01T00:00"}')
    text = filled("<!-- table: small markdown rows -->\n<!-- end -->", tmp_path)
    changed = re.sub(r"(\| joint \| )([\d.]+)", r"\g<1>99.9", text, count=1)
    assert changed != text
    assert filled(changed, tmp_path) == text


def test_a_table_without_results_is_left_as_it_is(tmp_path):
    text = "<!-- table: demo markdown -->\nold\n<!-- end -->"
    assert filled(text, tmp_path) == text
