"""Labels and choices of closed sets: folded once when they are read, compared by identity, told where they clash."""

import json
import unicodedata

import pytest

from clbench.core.errors import DataError
from clbench.core.keys import normal_text, plain_label
from clbench.data.streams.card import StreamCard
from clbench.data.streams.stream import build
from clbench.data.streams.summary import stream_summary
from clbench.data.tasks.card import load_task_card
from clbench.data.tasks.task import open_task, read_task
from clbench.testing import check_card

HEAD = """\
name: mine
source: {path: rows}
prompt: [{role: user, content: "{text}"}]
target: "{label}"
splits: {lesson: train, dev: null, exam: test}
"""


def written(tmp_path, rows, more="labels: from-data\n", head=HEAD):
    (tmp_path / "rows").mkdir(exist_ok=True)
    for split, start in (("train", 0), ("test", 100)):
        lines = [json.dumps({"text": f"text {start + i}", **row}) for i, row in enumerate(rows)]
        (tmp_path / "rows" / f"{split}.jsonl").write_text("\n".join(lines))
    (tmp_path / "mine.yaml").write_text(head + more, encoding="utf-8")
    return str(tmp_path / "mine.yaml")


INVISIBLE = [
    0xAD,
    0x34F,
    0x61C,
    0x180E,
    0x200B,
    0x200C,
    0x200D,
    0x200E,
    0x202E,
    0x2060,
    0x2066,
    0xFE0F,
    0xFEFF,
    0xE0101,
]


@pytest.mark.parametrize("code", INVISIBLE)
def test_what_is_not_seen_makes_no_difference(code):
    for text in (f"{chr(code)}pos", f"p{chr(code)}os", f"pos{chr(code)}"):
        assert plain_label(text) == normal_text(text) == "pos"


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", "\u2009", "\t", "\r\n", "  ", "\u202f"])
def test_blanks_are_one(blank):
    assert plain_label(f"{blank}a{blank}b{blank}") == "a b"


def test_normal_forms_are_one_and_what_is_seen_stands():
    for text in ("café", "Ångström", "각", "Ω"):
        forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
        assert {plain_label(form) for form in forms} == {unicodedata.normalize("NFC", text)}
    seen = ["mW", "MW", "m2", "m²", "Ａ", "A", "C", "C++", "C#", "-5", "5", "👨‍👩‍👧", "👨👩👧", "می‌خواهم", "میخواهم"]
    assert [plain_label(text) for text in seen] == seen
    flags = {f"\U0001f3f4{''.join(chr(0xE0000 + ord(c)) for c in land)}\U000e007f" for land in ("gbeng", "gbsct")}
    assert len({plain_label(f) for f in flags}) == len({normal_text(f) for f in flags}) == 2


def test_labels_are_folded_once_and_told(tmp_path, heard):
    path = written(tmp_path, [{"label": label} for label in ("pos ", "ne\u00adg", "pos ", "ne\u00adg")])
    task = open_task(path, None)
    assert task.labels == ("neg", "pos")
    assert {e.targets for e in task.exam} == {("neg",), ("pos",)}
    assert all(e.choices == task.labels for e in task.exam)
    assert len(heard) == 1
    assert "8 labels or choices" in heard[0]
    assert "'pos ' is read as 'pos'" in heard[0]
    assert not any(o.problem for o in check_card(path, None, locked=False)), "one form of each label is no clash"


@pytest.mark.parametrize("pair", [("café", "cafe\u0301"), ("pos", "pos\u200b"), ("a b", "a\u00a0b"), ("x", "x ")])
def test_a_set_whose_members_fold_together_is_an_error(tmp_path, heard, pair):
    rows = [{"label": label} for label in (*pair, "other", "more")]
    problems = {o.check: o.problem for o in check_card(written(tmp_path, rows), None, locked=False) if o.problem}
    assert list(problems) == ["labels stand apart"]
    assert "train.jsonl:1" in problems["labels stand apart"]
    assert "train.jsonl:2" in problems["labels stand apart"]
    listed = f"labels: {json.dumps([*pair, 'other'])}\n"
    with pytest.raises(DataError, match="are one label"):
        load_task_card(written(tmp_path, rows, listed))
    names = f"labels: from-data\nlabel_names: {json.dumps(dict(zip('ab', pair, strict=True)))}\n"
    with pytest.raises(DataError, match="are one label"):
        load_task_card(written(tmp_path, rows, names))


def test_members_that_differ_in_case_width_or_height_stand(tmp_path, heard):
    rows = [{"label": label} for label in ("mW", "MW", "m2", "m²", "Ａ", "A")]
    path = written(tmp_path, rows)
    assert len(open_task(path, None).labels) == 6
    assert not any(o.problem for o in check_card(path, None, locked=False) if o.check == "labels stand apart")
    assert heard == []


def test_a_row_with_a_repeated_choice_is_one_bad_row(tmp_path, heard):
    good = [{"options": [f"red {i}", f"Red {i}", "blue"], "label": "blue"} for i in range(5)]
    bad = {"options": ["re\u200bd", "red", "blue"], "label": "blue"}
    path = written(tmp_path, [*good, bad], 'choices: "{options}"\n')
    task = open_task(path, None)
    assert (len(task.lesson), len(task.exam)) == (5, 5)
    assert "without 2 rows" in heard[-1]
    assert "train.jsonl:6: choices must be at least two different texts" in heard[-1]
    assert task.guess_rate == pytest.approx(1 / 3)


def test_choices_and_targets_are_folded_alike(tmp_path, heard):
    rows = [{"options": ["cafe\u0301 ", "tea"], "label": "café"}, {"options": ["tea", "juice"], "label": "tea\u200b"}]
    task = open_task(written(tmp_path, rows, 'choices: "{options}"\n'), None)
    assert {(e.targets[0], e.choices) for e in task.exam} == {("café", ("café", "tea")), ("tea", ("tea", "juice"))}


def test_names_in_the_data_are_folded_where_the_card_lacks_their_form(tmp_path, heard):
    rows = [{"label": "A\u200b", "options": ["x", "y"]}, {"label": "B ", "options": ["x", "y"]}]
    task = open_task(written(tmp_path, rows, "labels: from-data\nlabel_names: {A: first, B: second}\n"), None)
    assert task.labels == ("first", "second")
    task = open_task(written(tmp_path, rows, 'choices: "{options}"\nchoice_keys: [A, B]\n'), None)
    assert sorted(e.targets for e in task.exam) == [("x",), ("y",)]


def test_accepted_answers_may_be_squad_s(tmp_path):
    rows = [{"label": "a", "answers": {"text": ["a", "the a"], "answer_start": [0, 0]}}]
    task = open_task(written(tmp_path, rows, 'accept: "{answers}"\n'), None)
    assert task.exam[0].targets == ("a", "the a")


@pytest.mark.parametrize("field", ["text", "label", "id", "options"])
@pytest.mark.parametrize("id_", ["", "id: id\n"])
def test_half_a_character_is_named_with_its_row(tmp_path, field, id_):
    rows = [{"id": f"r{i}", "text": f"t{i}", "label": "a", "options": ["a", "b"]} for i in range(3)]
    rows[1][field] = ["a", "\ud83d"] if field == "options" else "cut \ud83d"
    path = written(tmp_path, rows, f'{id_}choices: "{{options}}"\n')
    outcome = check_card(path, None, locked=False)[0]
    if field != "label":  # which is then no choice
        assert "half a character (U+D83D)" in outcome.problem
    assert "train.jsonl:2" in outcome.problem


def test_half_a_character_in_a_card_is_refused(tmp_path):
    path = written(tmp_path, [{"label": "a"}], head=HEAD.replace("{text}", r"{text} \ud83d"))
    with pytest.raises(DataError, match="half a character"):
        load_task_card(path)


def test_an_empty_column_of_a_prompt_that_is_not(tmp_path):
    head = HEAD.replace('"{text}"', r'"{text}\n\n{more}"')
    rows = [{"more": more, "label": label} for more, label in (("so", "a"), ("", "b"), (None, "a"), (" ", "b"))]
    task = open_task(written(tmp_path, rows, head=head), None)
    assert sorted(e.prompt[0].content for e in task.exam) == ["text 100\n\nso", "text 101", "text 102", "text 103"]
    with pytest.raises(DataError, match="column 'label' is empty"):
        open_task(written(tmp_path, [{"more": "so", "label": ""}], head=head), None)
    with pytest.raises(DataError, match="column 'more' is empty"):
        open_task(written(tmp_path, [{"more": "", "label": "a"}], head=HEAD.replace("{text}", "{more}")), None)


@pytest.mark.parametrize(
    ("more", "labels"),
    [
        ("labels: from-data\n", ("Sport", "World")),
        ('labels: ["0", "1"]\n', ("0", "1")),
        ('labels: from-data\nlabel_names: {"0": the world, "1": sports}\n', ("sports", "the world")),
        ("labels: from-data\nlabel_names: {World: w, Sport: s}\n", ("s", "w")),
    ],
)
def test_a_card_may_name_classes_by_number_or_by_name(tmp_path, more, labels):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["World", "Sport"])})
    written(tmp_path, [], more)
    for split in ("train", "test"):
        (tmp_path / "rows" / f"{split}.jsonl").unlink()
        rows = {"text": [f"{split} {i}" for i in range(4)], "label": [0, 1, 0, 1]}
        Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "rows" / f"{split}.parquet"))
    assert open_task(str(tmp_path / "mine.yaml"), None).labels == labels


def test_labels_of_a_stream_are_counted_by_name(tmp_path):
    tasks = []
    for domain in ("books", "films"):
        (tmp_path / domain).mkdir()
        path = written(tmp_path / domain, [{"text": f"{domain} {i}", "label": "pn"[i % 2]} for i in range(4)])
        lines = (tmp_path / domain / "rows" / "train.jsonl").read_text().replace(domain, f"new {domain}")
        (tmp_path / domain / "rows" / "train.jsonl").write_text(lines)
        tasks.append(read_task(load_task_card(path), None).model_copy(update={"name": domain}))
    card = StreamCard.model_validate({"name": "s", "tasks": ["books", "films"]}, context={"path": tmp_path / "s.yaml"})
    outline = stream_summary(build(card, tasks))
    assert [(r.new_labels, r.labels) for r in outline.lessons] == [(2, 2), (0, 2)]
