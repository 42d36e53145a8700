"""What a card can say about its rows: several sources, made columns, choices of a row, and that nobody checked it."""

import json
import random

import pytest

from clbench.core import events
from clbench.core.errors import DataError
from clbench.data.readers import hub
from clbench.data.tasks import template
from clbench.data.tasks.card import load_task_card
from clbench.data.tasks.columns import Join, Part, Spans, as_text
from clbench.data.tasks.lock import write_lock
from clbench.data.tasks.task import guessed, open_task, read_task, verify_lock

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"text": f"text {i} {{brace}} 文字", "label": "ab"[i % 2]} for i in range(8)]
HEAD = """\
name: mine
prompt: [{role: user, content: "Say: {text}"}]
target: "{label}"
splits: {lesson: train, dev: null, exam: test}
"""


def write(folder, train, test):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("test", test)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def own(tmp_path, card, train=ROWS[:6], test=ROWS[6:], folder="rows"):
    write(tmp_path / folder, train, test)
    path = tmp_path / "mine.yaml"
    path.write_text(card, encoding="utf-8")
    return str(path)


def one(tmp_path, more, row, head=HEAD):
    """Open a card over one row a split, and give the lesson's example."""
    card = head + "source: {path: rows}\n" + more
    return read_task(load_task_card(own(tmp_path, card, [row], [{**row, "other": 1}])), None).lesson[0]


def refusal(tmp_path, more, row, head=HEAD):
    with pytest.raises(DataError) as error:
        one(tmp_path, more, row, head)
    return str(error.value)


def hub_gives(monkeypatch, rows):
    """Put rows at the place of the Hub; None: it cannot be reached."""

    def fake(repo, config, revision, split):
        if rows is None:
            raise DataError("the data set cannot be had: no network", where=repo)
        yield from ((f"{repo}:row {i}", row) for i, row in enumerate(rows[split], start=1))

    monkeypatch.setattr(hub, "rows", fake)


# --- several sources ---------------------------------------------------------------------------------------------

BOTH = f"source: [{{path: rows}}, {{path: mirror}}, {{repo: owner/set, revision: {COMMIT}}}]\n"


@pytest.mark.parametrize("place", ["rows", "mirror", "hub"])
def test_the_lock_holds_for_the_rows_wherever_they_came_from(tmp_path, monkeypatch, place):
    locked = own(tmp_path / "first", HEAD + BOTH)
    write_lock(locked, None)
    text = (tmp_path / "first" / "mine.yaml").read_text()
    hub_gives(monkeypatch, {"train": ROWS[:6], "test": ROWS[6:]} if place == "hub" else None)
    assert open_task(own(tmp_path / "second", text, folder="unnamed" if place == "hub" else place), None)


def test_the_first_source_that_is_there_is_read_and_a_broken_one_is_no_reason_to_go_on(tmp_path, monkeypatch):
    hub_gives(monkeypatch, {"train": ROWS[:6], "test": ROWS[6:]})
    path = own(tmp_path, HEAD + BOTH, ROWS[:2], ROWS[2:3])
    assert len(open_task(path, None).lesson) == 2
    write(tmp_path / "mirror", ROWS[:6], ROWS[6:])
    (tmp_path / "rows" / "train.jsonl").write_text("{broken\n")
    with pytest.raises(DataError, match=r"rows.train\.jsonl:1"):
        open_task(path, None)


def test_when_no_source_is_there_all_are_named(tmp_path, monkeypatch):
    hub_gives(monkeypatch, None)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    with pytest.raises(DataError) as error:
        open_task(own(tmp_path, HEAD + BOTH, folder="elsewhere"), None)
    for part in ("none of the 3 sources", "rows", "mirror", f"owner/set@{COMMIT[:12]}", "no network", "--data"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("[]", "at least 1"),
        ("[{path: a}, {world: {kind: facts}}]", "a source in a list"),
        ("[{path: a, repo: b}]", "a source in a list"),
        ("[{path: ../a}]", "stay below"),
        ("{repo: owner/set, revision: main}", "not a commit"),
        ("{repo: owner/set}", "revision is missing"),
        ("[{path: a}, {repo: owner/set}]", "revision is missing"),
        ("{folder: a}", "a source is one of"),
    ],
)
def test_bad_sources_are_refused(tmp_path, source, says):
    with pytest.raises(DataError, match=says):
        load_task_card(own(tmp_path, f"{HEAD}source: {source}\n"))


# --- unverified --------------------------------------------------------------------------------------------------


@pytest.fixture
def told():
    heard = []
    token = events.notice_listener.set(heard.append)
    yield heard
    events.notice_listener.reset(token)


def test_opening_an_unverified_card_tells_and_its_lock_ends_that(tmp_path, told):
    path = own(tmp_path, HEAD + "unverified: true\nsource: {path: rows}\n")
    assert open_task(path, None)
    assert len(told) == 1
    assert "'mine' is unverified" in told[0]
    assert "check card mine --lock" in told[0]
    write_lock(path, None)
    assert "unverified" not in (tmp_path / "mine.yaml").read_text()
    assert open_task(path, None)
    assert len(told) == 1


def test_a_notice_reaches_stderr_when_nobody_listens(capsys):
    events.notice("mind the gap")
    assert capsys.readouterr().err == "notice: mind the gap\n"


def test_an_unpinned_card_is_refused_with_the_way_to_pin_it(tmp_path, told):
    path = own(tmp_path, HEAD + "unverified: true\nsource: {repo: owner/set}\n")
    for attempt in (lambda: open_task(path, None), lambda: write_lock(path, None)):
        with pytest.raises(DataError, match="not pinned") as error:
            attempt()
        assert "give the 40-hex commit, then `clbench check card mine --lock`" in str(error.value)
    assert told == [], "what cannot be opened needs no warning"


def test_an_unpinned_card_is_not_locked_from_another_source(tmp_path, told):
    path = own(tmp_path, HEAD + "unverified: true\nsource: [{path: rows}, {repo: owner/set}]\n")
    assert open_task(path, None)
    with pytest.raises(DataError, match="not pinned"):
        write_lock(path, None)


def test_unverified_and_locked_contradict_each_other(tmp_path):
    path = own(tmp_path, HEAD + "source: {path: rows}\n")
    write_lock(path, None)
    text = (tmp_path / "mine.yaml").read_text() + "unverified: true\n"
    with pytest.raises(DataError, match="not both"):
        load_task_card(own(tmp_path, text))


def test_a_lock_guards_the_chance_level_and_older_locks_lack_it(tmp_path):
    path = own(tmp_path, HEAD + "labels: from-data\nsource: {path: rows}\n")
    line = write_lock(path, None)
    assert "guess_rate: 0.5," in line
    card = load_task_card(path)
    task = read_task(card, None)
    verify_lock(card, task)
    verify_lock(card.model_copy(update={"lock": card.lock.model_copy(update={"guess_rate": None})}), task)
    with pytest.raises(DataError, match=r"guess_rate 0\.5, lock says 0\.25"):
        verify_lock(card.model_copy(update={"lock": card.lock.model_copy(update={"guess_rate": 0.25})}), task)


# --- choices of a row --------------------------------------------------------------------------------------------

PICK = {"text": "q", "label": "B", "a": "red {x}", "b": "blue", "options": ["red {x}", "blue", "green"]}


@pytest.mark.parametrize(
    ("more", "label", "target", "choices"),
    [
        ('choices: "{options}"\n', "blue", "blue", ("red {x}", "blue", "green")),
        ('choices: ["{a}", "{b}"]\n', "red {x}", "red {x}", ("red {x}", "blue")),
        ('choices: ["{a}", "{b}"]\nchoice_keys: [A, B]\n', "B", "blue", ("red {x}", "blue")),
        ('choices: ["{a}", "{b}!"]\nchoice_keys: ["0", "1"]\n', 1, "blue!", ("red {x}", "blue!")),
        ('choices: "{options}"\nchoice_keys: ["0", "1", "2", "3"]\n', 2, "green", ("red {x}", "blue", "green")),
    ],
)
def test_choices_of_a_row(tmp_path, more, label, target, choices):
    example = one(tmp_path, more, {**PICK, "label": label})
    assert example.targets == (target,)
    assert example.choices == choices


def test_chance_is_the_mean_over_questions_and_they_are_ranked(tmp_path):
    rows = [
        {"text": f"q{i}", "label": "yes", "options": ["yes", "no", "maybe", "never"][:n]}
        for i, n in enumerate((2, 4, 4))
    ]
    task = read_task(
        load_task_card(own(tmp_path, HEAD + 'source: {path: rows}\nchoices: "{options}"\n', rows, rows)), None
    )
    assert task.guess_rate == pytest.approx((1 / 2 + 1 / 4 + 1 / 4) / 3)
    assert task.labels == ()
    assert task.decode.kind == "label"
    assert task.scorer.name == "label"
    same = tuple(e.model_copy(update={"choices": ("a", "b", "c")}) for e in task.exam)
    assert guessed(same) == 1 / 3
    assert guessed(tuple(e.model_copy(update={"choices": ()}) for e in task.exam)) == 0


@pytest.mark.parametrize(
    ("more", "row", "says"),
    [
        ('choices: "{options}"\n', PICK, "'B' is not among the choices"),
        ('choices: ["{a}", "{b}"]\nchoice_keys: [C, D]\n', PICK, "'B' names none of the choices"),
        ('choices: "{options}"\nchoice_keys: [A, B]\n', {**PICK, "options": ["red"]}, "at least two different"),
        ('choices: "{options}"\nchoice_keys: [A, B]\n', {**PICK, "options": ["r\u00aded", "red"]}, "two different"),
        ('choices: "{options}"\nchoice_keys: [A, B]\n', {**PICK, "options": "red"}, "must be a list of texts"),
        ('choices: "{options}"\nchoice_keys: [A, B]\n', {**PICK, "options": ["red", ""]}, "none empty"),
        ('choices: "{option}"\n', PICK, "did you mean 'options'"),
        ('choices: "{options}"\nchoice_keys: [A, B, C, D]\n', {**PICK, "label": "D"}, "names none"),
        ('choices: "one of {options}"\n', PICK, "choices names one column"),
        ('choices: ["{a}"]\n', PICK, "at least two"),
        ('choices: ["{a}", "{b}"]\nchoice_keys: [A]\n', PICK, "2 choices and 1 choice_keys"),
        ('choices: ["{a}", "{b}"]\nchoice_keys: [A, A]\n', PICK, "must differ"),
        ("choice_keys: [A, B]\n", PICK, "choice_keys needs choices"),
        ('choices: "{options}"\nlabels: from-data\n', PICK, "give one of them"),
        ('choices: ["{a.b}", "{b}"]\n', PICK, "not a plain column name"),
    ],
)
def test_bad_choices_are_refused(tmp_path, more, row, says):
    assert says in refusal(tmp_path, more, row)


# --- made columns ------------------------------------------------------------------------------------------------


def test_a_list_is_joined():
    row = {"words": ["今天", "天气", 3], "pairs": [{"type": "PER", "text": "{Ann}"}, {"type": "LOC", "text": "Rome"}]}
    assert Join(join="words", separator="").make(row) == "今天天气3"
    assert Join(join="words", item="{letter}) {item}", separator="\n").make(row) == "A) 今天\nB) 天气\nC) 3"
    pairs = Join(join="pairs", item="{type}: {text}", separator="; ", empty="none")
    assert pairs.make(row) == "PER: {Ann}; LOC: Rome"
    assert pairs.make({"pairs": []}) == "none"


@pytest.mark.parametrize(
    ("how", "row", "says"),
    [
        (Join(join="x"), {"x": []}, "empty list"),
        (Join(join="x"), {"x": "text"}, "must be a list, not str"),
        (Join(join="x"), {"x": None}, "must be a list, not NoneType"),
        (Join(join="x"), {"x": [["nested"]]}, "holds list"),
        (Join(join="x", item="{typ}"), {"x": [{"type": "PER"}]}, "did you mean 'type'"),
        (Join(join="x", item="{letter}"), {"x": list(range(27))}, "without 'letter'"),
        (Spans(spans="t", tokens="w"), {"t": ["O"], "w": ["a", "b"]}, "1 tags for 2 tokens"),
        (Spans(spans="t", tokens="w", empty="none"), {"t": ["X-PER"], "w": ["a"]}, "'X-PER'"),
        (Spans(spans="t", tokens="w", empty="none"), {"t": ["B-"], "w": ["a"]}, "'B-'"),
        (Spans(spans="t", tokens="w", empty="none"), {"t": [3], "w": ["a"]}, "the tag 3"),
        (Spans(spans="t", tokens="w"), {"t": ["O"], "w": ["a"]}, "empty list"),
        (Part(part="x", after="Text:"), {"x": "no mark"}, "does not hold 'Text:'"),
    ],
)
def test_bad_lists_are_refused(how, row, says):
    with pytest.raises(ValueError, match=r".") as error:
        how.make(row)
    assert says in str(error.value)


def test_spans_go_on_begin_anew_and_may_lack_their_beginning():
    how = Spans(spans="t", tokens="w", empty="none")
    row = {"w": list("abcdefg"), "t": ["B-X", "I-X", "B-X", "I-Y", "O", "I-Y", "I-Y"]}
    assert how.make(row) == "X: a b; X: c; Y: d; Y: f g"
    assert how.make({"w": ["a"], "t": ["O"]}) == "none"
    assert (
        Spans(spans="t", tokens="w", glue="").make({"w": ["周", "黑", "鸭"], "t": ["B-ORG", "I-ORG", "I-ORG"]})
        == "ORG: 周黑鸭"
    )


def test_spans_give_back_what_was_tagged():
    """Independent of the reader of tags: entities are drawn first, and written as tags."""
    draw = random.Random(0)
    for _ in range(200):
        tokens, tags, entities = [], [], []
        for _ in range(draw.randrange(6)):
            if draw.random() < 0.5:
                tokens.append("o")
                tags.append("O")
            words = [f"w{draw.randrange(9)}" for _ in range(draw.randrange(1, 4))]
            kind = draw.choice(["PER", "ORG.NAM", "creative-work"])
            entities.append(f"{kind}: {' '.join(words)}")
            tokens += words
            tags += [f"B-{kind}", *[f"I-{kind}"] * (len(words) - 1)]
        made = Spans(spans="t", tokens="w", empty="none").make({"t": tags, "w": tokens})
        assert made == ("; ".join(entities) or "none")


def test_a_part_ends_with_the_text_if_its_end_is_not_there():
    assert Part(part="x", before="\n").make({"x": "B\nbecause\nso"}) == "B"
    assert Part(part="x", before="\n").make({"x": "B"}) == "B"
    assert (
        Part(part="x", after="Text:\n", before="\n\nAnswer").make({"x": "Text:\n\nText:\n it\n\nAnswer:"})
        == "Text:\n it"
    )


def test_made_columns_stand_in_prompt_target_accept_and_are_clipped(tmp_path):
    head = """\
name: mine
prompt: [{role: user, content: "{facts} / {text}"}]
target: "{spans}"
accept: "{first}"
columns:
  facts: {join: list, separator: "; "}
  spans: {spans: tags, tokens: words, empty: none}
  first: {part: text, before: " "}
clip: {facts: -9}
splits: {lesson: train, dev: null, exam: test}
"""
    row = {"text": "one two", "list": ["first fact", "last {fact}"], "words": ["Ann"], "tags": ["B-PER"]}
    example = one(tmp_path, "", row, head)
    assert example.prompt[0].content == "{fact} / one two"
    assert example.targets == ("PER: Ann", "one")
    plain = one(tmp_path, "", {**row, "tags": ["O"]}, head)
    assert plain.id != example.id
    assert "'list' must be a list" in refusal(tmp_path, "", {**row, "list": "x"}, head)
    assert "there is no column 'tags'" in refusal(tmp_path, "", {k: v for k, v in row.items() if k != "tags"}, head)
    assert "a column 'facts' of its own" in refusal(tmp_path, "", {**row, "facts": "x"}, head)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("{text: {glue: x}}", "a made column is one of"),
        ("{text: {join: x, spans: y}}", "a made column is one of"),
        ("{text: {join: x, seperator: y}}", "did you mean 'separator'"),
        ("{text: {join: x, item: '{a.b}'}}", "not a plain column name"),
        ("{text: {join: x, empty: ''}}", "at least 1"),
        ("{txt: {join: x}}", "did you mean 'text'"),
        ("{'a.b': {join: x}}", "not a plain column name"),
    ],
)
def test_bad_columns_are_refused(tmp_path, columns, says):
    assert says in refusal(tmp_path, f"columns: {columns}\n", {"text": "x", "label": "a"})


def test_a_list_in_a_template_says_how_to_make_a_text_of_it(tmp_path):
    assert "`columns` makes a text" in refusal(tmp_path, "", {"text": ["x"], "label": "a"})


def test_plain_values_become_text():
    assert [as_text(v) for v in (False, 2, 1.5, None, "x")] == ["false", "2", "1.5", "", "x"]


# --- rows left out -----------------------------------------------------------------------------------------------


def test_a_skipped_row_is_left_out_before_rows_are_taken(tmp_path):
    card = HEAD + "source: {path: rows}\nlabels: from-data\ntake: {lesson: 5}\n"
    task = read_task(load_task_card(own(tmp_path, card)), None)
    (spare,) = {r["text"] for r in ROWS[:6]} - {e.prompt[0].content.removeprefix("Say: ") for e in task.lesson}
    less = read_task(load_task_card(own(tmp_path, f"{card}skip: [{task.lesson[1].id!r}]\n")), None)
    assert task.lesson[1].id not in {e.id for e in less.lesson}
    assert len(less.lesson) == 5
    assert any(spare in e.prompt[0].content for e in less.lesson)
    with pytest.raises(DataError, match="skip names 'nobody'"):
        read_task(load_task_card(own(tmp_path, card + "skip: [nobody]\n")), None)


# --- clip --------------------------------------------------------------------------------------------------------


def test_a_negative_clip_keeps_the_end():
    assert template.clip("one two three", -8) == "three"
    assert template.clip("one two three", -9) == "two three"
    assert template.clip("天地玄黄宇宙洪荒", -4) == "宇宙洪荒"
    assert template.clip("short", -80) == "short"


def test_a_clip_to_nothing_is_refused(tmp_path):
    assert "leaves nothing" in refusal(tmp_path, "clip: {text: 0}\n", {"text": "x", "label": "a"})
