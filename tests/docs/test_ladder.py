"""The ladder of shown facts: what is recorded is counted, and the page's table is what was recorded."""

import json

import pytest

from clbench.data.worlds.ability_lookup import CELLS
from docs.build import ladder


class Knowing:
    """A net that answers every question of its forms rightly, and no other."""

    def __init__(self, *forms):
        self.forms = forms

    def respond(self, examples, decode):
        for example in examples:
            knows = (example.group or "").split()[0] in self.forms
            yield type("Answer", (), {"text": example.targets[0] if knows else "no answer"})


pytestmark = pytest.mark.models


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    place = tmp_path / "ladder.json"
    for model, forms in {"b": ("rules", "table"), "a": ladder.FORMS, "c": ()}.items():
        monkeypatch.setattr("clbench.models.load.load_net", lambda spec, machine, forms=forms: Knowing(*forms))
        ladder.record(model, ladder.ladder(model, 1), place)
    return place


def test_every_cell_is_counted(recorded):
    known = json.loads(recorded.read_text())
    assert list(known) == ["a", "b", "c"]
    assert all(len(found["right"]) == len(CELLS) and found["items"] == 1 for found in known.values())
    assert [sum(found["right"].values()) for found in known.values()] == [len(CELLS), 2 * len(CELLS) // 7, 0]


@pytest.mark.parametrize(
    ("lang", "says"), [("en", "b, 28.6 % over all, 1 questions a cell:"), ("zh", "b，总计 28.6 %")]
)
def test_a_place_is_filled_from_the_record_alone(recorded, lang, says):
    page = ladder.with_ladders("x\n<!-- ladder: b -->\nold\n<!-- end -->\ny\n", recorded, lang)
    assert says in page
    assert "| rules | zh | 100 / 100 | 100 / 100 | 100 / 100 | 100 / 100 | 100 / 100 |" in page
    assert "| turns | en | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 |" in page
    assert "old" not in page
    assert ladder.with_ladders(page, recorded, lang) == page


def test_a_model_without_a_record_is_refused(recorded):
    with pytest.raises(KeyError, match="nobody"):
        ladder.with_ladders("<!-- ladder: nobody -->\n<!-- end -->", recorded, "en")
