import re
from pathlib import Path

import pytest

from clbench.testing.pages import PAGES
from clbench.testing.tables import PLACE, TABLED, filled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name):
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


@pytest.mark.parametrize("name", TABLED)
def test_tables_are_those_of_the_committed_results(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert PLACE.search(text), "a page that is listed holds a table"
    assert filled(text, ROOT / "results") == text, "run `make docs`"


def test_a_number_changed_by_hand_would_be_noticed():
    place = "<!-- table: demo markdown -->\n<!-- end -->"
    text = filled(place, ROOT / "results")
    changed = re.sub(r"(\| joint \| )([\d.]+)", r"\g<1>99.9", text, count=1)
    assert changed != text
    assert filled(changed, ROOT / "results") == text
