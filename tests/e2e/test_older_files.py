"""Files that were written with older words: results, baselines, cards, counts of states, values of the keys.

`tests/fixtures/older` was written by clbench before its second edition; see `docs/adr/0006-second-edition.md`.
"""

import json

import pytest

from clbench.cli.main import main
from clbench.core.baseline import read_baseline
from clbench.core.counts import read_counts, write_counts
from clbench.core.errors import DataError, SpecError
from clbench.core.keys import canonical
from clbench.core.older_names import new_word
from clbench.core.types import Decode
from clbench.data.streams.card import load_stream_card
from clbench.data.tasks.card import CARDS, load_task_card
from clbench.learners._shared.prompts_shown import Taught
from clbench.report.runs.load import read_runs
from clbench.training.method import Method
from clbench.training.new_method import new_method
from tests.builders.places import FIXTURES, RECORDED

OLDER = FIXTURES / "older"
RESULT = OLDER / "demo-frozen-c16c5924"


def test_an_older_result_is_read_with_equal_figures():
    (older,), (newer,) = read_runs([RESULT]), read_runs([RECORDED / f"{RESULT.name}.json"])
    assert "meters.json" in {p.name for p in RESULT.iterdir()}
    for part in ("spec", "stream", "scores", "costs", "item_scores", "example_items", "provenance"):
        assert getattr(older, part) == getattr(newer, part), part
    assert older.matrix.to_json() == newer.matrix.to_json()


def test_an_older_result_follows_from_its_records_and_is_converted(tmp_path, capsys):
    assert main(["leaderboard", "verify", str(RESULT)]) == 0
    assert "every figure follows from its records" in capsys.readouterr().out
    assert main(["report", str(RESULT), "--out", str(tmp_path / "r"), "--record", str(tmp_path / "new")]) == 0
    (record,) = (tmp_path / "new").glob("*.json")
    assert json.loads(record.read_text()) == json.loads((RECORDED / f"{RESULT.name}.json").read_text())


def test_an_older_baseline_is_read_and_its_seal_still_holds(tmp_path):
    text = (OLDER / "baseline.json").read_text()
    found = read_baseline(OLDER / "baseline.json")
    written = json.loads(text)
    assert [e.scores.exam for e in found.exams] == [e["sheet"]["exam"] for e in written["exams"]]
    assert [e.guess_rate for e in found.exams] == [e["chance"] for e in written["exams"]]
    written["exams"][0]["chance"] = 0.5
    (tmp_path / "edited.json").write_text(json.dumps(written))
    with pytest.raises(DataError, match="the baseline was edited"):
        read_baseline(tmp_path / "edited.json")


@pytest.mark.parametrize(
    ("older", "newer"), [("nothing", "hidden"), ("boundary", "boundaries"), ("task", "given"), ("given", "given")]
)
def test_an_older_stream_card_is_read_and_told_of(older, newer, tmp_path, heard):
    card = tmp_path / f"{older}.yaml"
    card.write_text(f"name: {older}\ntasks: [world_facts_en]\nreveals: {older}\nper_round: 2\n")
    found = load_stream_card(str(card))
    assert (found.task_ids, found.per_lesson) == (newer, 2)
    (told,) = heard
    assert f"`reveals: {older}` is now `task_ids: {newer}`" in told
    load_stream_card(str(card))
    assert heard == [told], "it is told once"


def test_an_older_field_left_empty_is_told_of_as_it_stands(tmp_path, heard):
    card = tmp_path / "empty.yaml"
    card.write_text("name: empty\ntasks: [world_facts_en]\nreveals:\n")
    with pytest.raises(DataError):
        load_stream_card(str(card))
    assert "`reveals:` is now `task_ids:`" in heard[0]


def test_an_older_hook_is_refused_wherever_it_is_set():
    class Mine(Method):
        def __init__(self, config):
            self.speed = 3  # a value of the method's own
            self.penalise = lambda net, out, batch: out.loss

    with pytest.raises(SpecError, match="Mine defines penalise, a hook that is called loss now"):
        new_method(Mine, None)
    Mine.__init__ = lambda self, config: vars(self).update(speed=3)
    assert new_method(Mine, None).speed == 3


@pytest.mark.parametrize(
    ("function", "word", "said"),
    [
        ("plugin", "settle", "leave settle= out: first_lesson_as= says it all"),
        ("LearnerPlugin.__init__", "settle", "write adopt_first_lesson= instead of settle="),
        ("plugin", "needs_task", "write needs_task_ids= instead of needs_task="),
        ("plugin", "model_familes", "did you mean 'model_families'?"),
    ],
)
def test_older_keywords_name_what_to_write(function, word, said):
    assert new_word(TypeError(f"{function}() got an unexpected keyword argument '{word}'")) == said


def test_both_words_at_once_are_refused(tmp_path):
    card = tmp_path / "both.yaml"
    card.write_text("name: both\ntasks: [world_facts_en]\nreveals: task\ntask_ids: hidden\n")
    with pytest.raises(DataError, match="older name of `task_ids`, and the card has both"):
        load_stream_card(str(card))


def test_an_older_task_card_keeps_its_guess_rate(tmp_path, heard):
    text = (CARDS / "tasks" / "world_tiny_rules.yaml").read_text()
    text = text.replace("name: world_tiny_rules", "name: mine").replace("guess_rate", "chance")
    text = text.replace("about: {", "about: {chance: 0.3, ")
    (tmp_path / "mine.yaml").write_text(text)
    assert load_task_card(str(tmp_path / "mine.yaml")).about["guess_rate"] == 0.3
    assert "about.chance" in heard[0]


def test_counts_of_an_older_state_are_read(tmp_path):
    (tmp_path / "meters.json").write_text('{"kept_bytes":3,"step":2}')
    assert read_counts(tmp_path) == {"kept_bytes": 3, "lessons": 2}
    write_counts(tmp_path, {"lessons": 5})
    assert read_counts(tmp_path) == {"lessons": 5}


def test_keys_and_states_hold_the_older_words():
    assert canonical(Decode(task_id="a")) == canonical(Decode.model_validate({"told": "a"}))
    assert '"told":"a"' in canonical(Decode(task_id="a"))
    taught = Taught.model_validate({"step": 3, "example": {"id": "a", "prompt": []}})
    assert taught.lesson == 3
    assert canonical(taught).endswith('"step":3}')


def test_both_names_in_one_file_are_an_error():
    with pytest.raises(ValueError, match="'told' is an older name of 'task_id', and both are there"):
        Decode.model_validate({"told": "a", "task_id": "b"})
