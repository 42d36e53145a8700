import shutil

import pytest

from clbench.core.types import Message
from clbench.data.card import CARDS, WorldSource, list_cards, load_task_card
from clbench.data.task import open_task, read_task
from clbench.testing import check_card
from clbench.testing.cards import CHECKS, check_task

NAMES = list_cards("tasks")
WORLDS = [n for n in NAMES if isinstance(load_task_card(n).source, WorldSource)]
REAL = [n for n in NAMES if n not in WORLDS]


@pytest.mark.parametrize("name", WORLDS)
def test_generated_cards_hold_their_contract(name):
    assert [o for o in check_card(name, None) if o.problem] == []


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_cards_hold_their_contract(name, data_root):
    assert [o for o in check_card(name, data_root) if o.problem] == []


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
        "chance stated truly": lambda: _with(task, chance=0.9),
    }[check]()


@pytest.mark.parametrize("check", [c for c in CHECKS if c != "oracle scores 1"])
def test_planted_bugs_are_caught(check):
    card = load_task_card("world_tiny_facts")
    task = read_task(card, None)
    if check == "chance stated truly":
        card = card.model_copy(update={"about": {**card.about, "chance": 0.9}})
    assert check in {o.check for o in check_task(card, _bug(check, task)) if o.problem}


def test_a_scorer_that_marks_the_right_answer_wrong_is_caught():
    card = load_task_card("world_facts_en")
    task = read_task(card, None)
    broken = tuple(e.model_copy(update={"targets": (f"{e.targets[0]}.",)}) for e in task.exam)
    wrong = task.model_copy(update={"exam": broken, "scorer": task.scorer.model_copy(update={"name": "rouge"})})
    assert check_task(card, wrong)  # ROUGE reads "x." as "x": still right
    silent = tuple(e.model_copy(update={"targets": ("...",)}) for e in task.exam)
    wrong = wrong.model_copy(update={"exam": silent})
    assert "oracle scores 1" in {o.check for o in check_task(card, wrong) if o.problem}


def test_lock_is_written_once_and_guards(tmp_path):
    from clbench.core.errors import DataError
    from clbench.data.lock import write_lock

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
