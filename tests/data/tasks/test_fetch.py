"""What comes from strangers is read and no more: YAML, redirects, links, and recipes of too many runs."""

import io
import urllib.error
import urllib.request

import pytest

from clbench.core.errors import AbsentError, DataError, SpecError
from clbench.data.tasks import fetch
from clbench.data.tasks.card import load_task_card
from clbench.data.tasks.card_file import read_text, read_value
from clbench.data.tasks.task import open_task
from clbench.engine.recipe.recipe import load_recipe

ROWS = '{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n'
CARD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "Topic of: {text}"}]
target: "{label}"
labels: from-data
splits: {lesson: train, dev: null, exam: test}
about: {license: own, language: en, kind: classification}
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("1e-3", 0.001),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("yes", "yes"),
        ("no", "no"),
        ("true", True),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("'010'", "010"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_values_are_read_as_yaml_1_2_says(tmp_path, text, value):
    found = read_value(text)
    assert found == value and type(found) is type(value)
    (tmp_path / "c.yaml").write_text(f"x: {text}\n", encoding="utf-8")
    assert read_text(tmp_path / "c.yaml").values["x"] == value


def test_a_seed_is_what_it_looks_like(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: r\nlearner: frozen\nstream: worlds-tiny\nseed: 010\n", encoding="utf-8")
    assert load_recipe(path).specs()[0].seed == 10
    path.write_text("name: r\nlearner: frozen\nstream: worlds-tiny\nseed: 1:30\n", encoding="utf-8")
    with pytest.raises(SpecError, match="seed"):
        load_recipe(path).specs()


def test_a_recipe_of_too_many_runs_is_refused_before_it_is_expanded(tmp_path):
    axes = "\n".join(f"  {field}: [{', '.join(map(str, range(1, 400)))}]" for field in ("seed", "budget.items"))
    path = tmp_path / "r.yaml"
    path.write_text(f"name: r\nlearner: frozen\nstream: worlds-tiny\naxes:\n{axes}\n", encoding="utf-8")
    with pytest.raises(SpecError, match="159,201 runs, more than 10,000"):
        load_recipe(path).specs()


@pytest.mark.parametrize("to", ["ftp://h/x", "file:///etc/passwd", "gopher://h/", "FILE:///x"])
def test_redirects_stay_on_the_web(to):
    request = urllib.request.Request("https://example.org/a")
    with pytest.raises(urllib.error.URLError, match="not a web address"):
        fetch.WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, to)
    assert fetch.WebOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "https://b.org/x") is not None


class Endless(io.RawIOBase):
    """A reply that goes on for ever."""

    length = None
    block = b"x" * 1000

    def read1(self, size=-1):
        return self.block


class Opener:
    """Gives it for every address."""

    def open(self, url, timeout):
        return Endless()


def test_a_download_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.urllib.request, "build_opener", lambda *_: Opener())
    monkeypatch.setattr(fetch, "MOST_BYTES", 10_000)
    with pytest.raises(DataError, match="more than 10,000 bytes"):
        fetch._get("https://example.org/x", tmp_path / "draft", "card.yaml")


def test_a_server_that_sends_next_to_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch.urllib.request, "build_opener", lambda *_: Opener())
    clock = iter(range(10_000))  # a second for each block of 1,000 bytes
    monkeypatch.setattr(fetch.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(AbsentError, match="1,000 bytes a second"):
        fetch._get("https://example.org/x", tmp_path / "draft", "card.yaml")
    assert (tmp_path / "draft").stat().st_size == 60_000


@pytest.fixture
def card(tmp_path):
    place = tmp_path / "cards"
    (place / "rows").mkdir(parents=True)
    for split in ("train", "test"):
        (place / "rows" / f"{split}.jsonl").write_text(ROWS, encoding="utf-8")
    (place / "mine.yaml").write_text(CARD, encoding="utf-8")
    return place / "mine.yaml"


def test_a_link_out_of_the_cards_folder_is_refused(card, tmp_path):
    (tmp_path / "secret.jsonl").write_text(ROWS, encoding="utf-8")
    (card.parent / "rows" / "test.jsonl").unlink()
    (card.parent / "rows" / "test.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(DataError, match="leads out of"):
        list(fetch.split_rows(load_task_card(str(card)), load_task_card(str(card)).sources[0], "test", None))


def test_a_link_out_of_the_data_root_is_refused_and_one_inside_it_is_followed(card, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    rows = card.parent / "rows"
    moved = tmp_path / "elsewhere"
    rows.rename(moved)
    (root / "rows").symlink_to(moved)
    with pytest.raises(DataError, match="leads out of"):
        open_task(str(card), root)
    (root / "rows").unlink()
    moved.rename(root / "real")
    (root / "rows").symlink_to(root / "real")
    source = load_task_card(str(card)).sources[0]
    assert len(list(fetch.split_rows(load_task_card(str(card)), source, "test", root))) == 2
