import json
import shutil

import pytest

from clbench.core import events
from clbench.core.errors import DataError
from clbench.core.types import Message
from clbench.data.readers import hub, open_rows
from clbench.data.tasks.card import CARDS, WorldSource, list_cards, load_task_card
from clbench.data.tasks.source import HubSource
from clbench.data.tasks.task import open_task, read_task
from clbench.scoring import entity_f1, triple_f1
from clbench.testing import check_card
from clbench.testing.cards import CHECKS, check_task

NAMES = list_cards("tasks")
UNVERIFIED = [n for n in NAMES if load_task_card(n).unverified]
WORLDS = [n for n in NAMES if isinstance(load_task_card(n).source, WorldSource)]
REAL = [n for n in NAMES if n not in WORLDS + UNVERIFIED]
KINDS = {"classification", "generation", "qa"}


@pytest.mark.parametrize("name", WORLDS)
def test_generated_cards_hold_their_contract(name):
    assert [o for o in check_card(name, None) if o.problem] == []


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_cards_hold_their_contract(name, data_root):
    assert [o for o in check_card(name, data_root) if o.problem] == []


def ill(card):
    """What is wrong with a shipped card before any row is read."""
    found = []
    if card.lock is None and not card.unverified:
        found.append("neither locked nor unverified")
    about = {k: card.about.get(k) for k in ("license", "language", "kind", "domain")}
    found += [f"about.{k} is missing" for k, v in about.items() if not v]
    if about["kind"] not in KINDS:
        found.append(f"kind {about['kind']!r}")
    return found


def test_every_shipped_card_is_locked_or_says_that_it_is_not():
    assert {n: ill(load_task_card(n)) for n in NAMES if ill(load_task_card(n))} == {}
    card = load_task_card("trec6")
    assert ill(card.model_copy(update={"lock": None})) == ["neither locked nor unverified"]
    assert ill(card.model_copy(update={"about": {**card.about, "kind": "x", "license": ""}})) == [
        "about.license is missing",
        "kind 'x'",
    ]


def test_the_shelf_is_wide():
    real = [load_task_card(n) for n in REAL]
    assert len(real) >= 80
    assert {c.about["kind"] for c in real} == KINDS
    for language in ("en", "zh"):
        assert {c.about["kind"] for c in real if c.about["language"] == language} == KINDS
    assert len({(c.scorer.name if c.scorer else "") for c in real}) >= 10


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "read"),
    [*((n, entity_f1.read) for n in ("gum", "re3d", "wnut17")), ("webnlg_food_triples", triple_f1.read)],
)
def test_a_scorer_reads_every_item_of_a_target_as_one(name, read, data_root):
    """Some of these sets have `;` within an item, which would make two of it."""
    card = load_task_card(name)
    (how,) = [m for m in card.columns.values() if m.separator == "; "]
    one_a_line = how.model_copy(update={"separator": "\0"})
    seen = 0
    for _, row in open_rows(data_root / card.source.path / "train.jsonl.xz"):
        made = one_a_line.make(row)
        seen += 1
        assert read(how.make(row)).total() == (0 if made == "none" else made.count("\0") + 1), row
    assert seen >= card.lock.lesson


# Rows in the form that the documentation of each set gives, so that an unverified card is at least coherent with it.
LONGBENCH = {
    "_id": "x1",
    "input": "Who wrote it?",
    "context": "A long text.",
    "answers": ["Ann", "Ann B."],
    "all_classes": ["Ann", "Ann B.", "Bob"],
    "length": 3,
    "dataset": "x",
    "language": "en",
}
DOCUMENTED = {
    **{name: LONGBENCH for name in UNVERIFIED if name.startswith("longbench_")},
    "yelp": {"label": 4, "text": "dr. goldberg offers everything"},
    "yahoo": {
        "id": 7,
        "topic": 5,
        "question_title": "why does an optical mouse work?",
        "question_content": "",
        "best_answer": "It uses an LED",
    },
    "imdb": {"text": "I rented it.<br />", "label": 0},
    "qqp": {"question1": "How is life?", "question2": "How is it?", "label": 0, "idx": 0},
    "cb": {"premise": "It was a complex language.", "hypothesis": "It was peeled", "label": 0, "idx": 0},
    "wic": {
        "word": "place",
        "sentence1": "Do you want to come over to my place later?",
        "sentence2": "A political system with no place for them.",
        "start1": 31,
        "start2": 27,
        "end1": 36,
        "end2": 32,
        "idx": 0,
        "label": 0,
    },
    "fomc": {"sentence": "Inflation remains muted.", "year": 2003, "label": 0, "orig_index": 1},
    "meetingbank": {"id": 0, "uid": "x_1", "summary": "A bill passed.", "transcript": "We will now vote."},
    "medmcqa": {
        "id": "a-1",
        "question": "Which nerve?",
        "opa": "Ulnar",
        "opb": "Radial",
        "opc": "Median",
        "opd": "Facial",
        "cop": 2,
        "choice_type": "single",
        "exp": None,
        "subject_name": "Anatomy",
        "topic_name": None,
    },
    "casehold": {
        "context": "the court held (<HOLDING>)",
        "endings": [f"holding that {i}" for i in range(5)],
        "label": 4,
    },
    "finqa": {"id": "f1", "query": "Context: ... Question: what is 2 + 2?", "answer": "4.0", "text": "x"},
}


@pytest.mark.parametrize("name", UNVERIFIED)
def test_unverified_cards_fit_the_documented_rows_and_open_with_a_notice(name, tmp_path):
    card = load_task_card(name)
    folder = tmp_path / card.sources[0].path
    folder.mkdir(parents=True)
    names = sorted({str(v) for v in (card.label_names or {}).values()})
    for place, split in enumerate((card.splits.lesson, card.splits.exam)):
        row = {**DOCUMENTED[name]}
        if card.id:
            row[card.id] = f"{row[card.id]}-{place}"
        first = next(iter(row)) if card.id is None else ""
        lines = json.dumps({**row, "place": place} if first else row)
        (folder / f"{split}.jsonl").write_text(lines + "\n")
    heard = []
    token = events.notice_listener.set(heard.append)
    try:
        task = open_task(name, tmp_path)
    finally:
        events.notice_listener.reset(token)
    assert len(heard) == 1
    assert "unverified" in heard[0]
    example = task.exam[0]
    assert example.targets[0] in (*example.choices, *names) or not example.choices
    assert "{" not in example.prompt[0].content


@pytest.mark.parametrize("name", UNVERIFIED)
def test_unverified_cards_without_data_are_refused_with_what_was_tried(name, monkeypatch, tmp_path):
    def unreachable(repo, config, revision, split):
        raise DataError("the data set cannot be had: no network", where=repo)
        yield

    monkeypatch.setattr(hub, "rows", unreachable)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    token = events.notice_listener.set(lambda _: None)
    try:
        with pytest.raises(DataError, match="none of the 2 sources") as error:
            open_task(name, tmp_path)
    finally:
        events.notice_listener.reset(token)
    (source,) = [s for s in load_task_card(name).sources if isinstance(s, HubSource)]
    assert ("is not pinned" if source.revision is None else "no network") in str(error.value)
    assert ("give the 40-hex commit, then `clbench check card" in str(error.value)) == (source.revision is None)
    assert source.repo in str(error.value)


def test_unverified_cards_are_listed_as_such():
    from clbench.cli.listing import line_of, tasks

    listed = {str(row["name"]): line_of("tasks", row) for row in tasks()}
    assert [n for n, about in listed.items() if about.startswith("unverified: ")] == UNVERIFIED
    assert UNVERIFIED


def _with(task, **changes):
    return task.model_copy(update=changes)


def _bug(check, task):
    lesson, exam = task.lesson, task.exam
    asked = (Message(role="user", content=exam[0].prompt[0].content.upper()),)
    return {
        "ids unique": lambda: _with(task, exam=(*exam, exam[0])),
        "no lesson prompt in the exam": lambda: _with(
            task, lesson=(*lesson, lesson[0].model_copy(update={"id": "new", "prompt": asked}))
        ),
        "labels covered": lambda: _with(task, exam=(exam[0].model_copy(update={"targets": ("nonsense",)}), *exam[1:])),
        "targets there": lambda: _with(task, exam=(exam[0].model_copy(update={"targets": (" ",)}), *exam[1:])),
        "lock fits": lambda: _with(task, exam=exam[1:]),
        "silence scores 0": lambda: _with(
            task, exam=tuple(e.model_copy(update={"targets": (e.targets[0], "")}) for e in exam)
        ),
        "guess rate stated truly": lambda: _with(task, guess_rate=0.9),
    }[check]()


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "oracle scores 1"])
def test_planted_bugs_are_caught(check):
    card = load_task_card("world_tiny_facts")
    task = read_task(card, None)
    if check == "guess rate stated truly":
        card = card.model_copy(update={"about": {**card.about, "guess_rate": 0.9}})
    assert check in {o.check for o in check_task(card, _bug(check, task)) if o.problem}


def test_a_scorer_that_marks_the_right_answer_wrong_is_caught():
    card = load_task_card("world_facts_en")
    task = read_task(card, None)
    broken = tuple(e.model_copy(update={"targets": (f"{e.targets[0]}.",)}) for e in task.exam)
    wrong = task.model_copy(update={"exam": broken, "scorer": task.scorer.model_copy(update={"name": "rouge"})})
    assert check_task(card, wrong)  # ROUGE reads "x." as "x": still right
    wrong = wrong.model_copy(update={"scorer": task.scorer.model_copy(update={"name": "entity_f1"})})  # of another form
    assert "oracle scores 1" in {o.check for o in check_task(card, wrong) if o.problem}


def test_lock_is_written_once_and_guards(tmp_path):
    from clbench.data.tasks.lock import write_lock

    text = (CARDS / "tasks" / "world_tiny_facts.yaml").read_text().replace("name: world_tiny_facts", "name: mine")
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert write_lock(str(path), None) == write_lock(str(path), None)
    assert path.read_text().count("lock:") == 1
    open_task(str(path), None)
    path.write_text(path.read_text().replace("seed: 41", "seed: 44"))
    with pytest.raises(DataError, match="not what was locked"):
        open_task(str(path), None)
    shutil.rmtree(tmp_path)
