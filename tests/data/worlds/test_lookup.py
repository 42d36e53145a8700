"""Lookups: the prompt holds the answer exactly once, in every form, and no training holds the held-out wordings."""

import re

import pytest

from clbench.core.errors import DataError
from clbench.data.exams.exam import open_named
from clbench.data.worlds import ability_wordings as wordings
from clbench.data.worlds import facts, rules
from clbench.data.worlds.abilities import conversations, generate, num_told
from clbench.data.worlds.ability_lookup import CELLS, FORMS, NUMBERS
from clbench.data.worlds.ability_scenes import Cell
from clbench.data.worlds.lexicon import LANGUAGES

SLOTS = ("name", "relation", "code", *rules.FEATURES)


def text_of(example):
    return "\n".join(m.content for m in example.prompt)


@pytest.fixture(scope="module")
def exam():
    return generate("lookup", 2 * len(CELLS), 3, "exam")


def test_every_cell_has_equally_many_questions(exam):
    assert len(CELLS) == len(FORMS) * len(NUMBERS) * 4
    groups = [e.group for e in exam]
    assert {g: groups.count(g) for g in set(groups)} == {c.name: 2 for c in CELLS}
    assert len({e.id for e in exam}) == len(exam)
    assert exam == generate("lookup", 2 * len(CELLS), 3, "exam")


def test_the_answer_stands_in_the_prompt_unless_it_is_that_it_does_not(exam):
    for example in exam:
        form, _, lang, _ = example.group.split()
        answer = example.targets[0]
        assert answer in example.choices
        assert (answer in text_of(example)) == (form != "missing")
        assert (answer == wordings.NOT_STATED[lang]) == (form == "missing")


RULE = re.compile(r"Code \w+: (\w+) goods go to \w+\.|规则..:(\w+)的东西去..。")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("num", NUMBERS)
def test_as_many_facts_are_shown_as_asked(lang, num):
    for example in generate("lookup", 4, 1, "exam", num, Cell("turns", None, lang)):
        assert len(example.prompt) == 2 * num + 1, "each fact is a question and an answer"
    for example in generate("lookup", 4, 1, "exam", num, Cell("rules", None, lang)):
        assert len(RULE.findall(text_of(example))) == num


def test_a_chosen_cell_is_asked_alone():
    chosen = generate("lookup", 6, 1, "exam", 4, Cell("pairs", None, "zh", "held-out"))
    assert {e.group for e in chosen} == {"pairs 4 zh held-out"}
    assert {e.group.split()[0] for e in generate("lookup", 40, 1, "exam", 8)} == set(FORMS)


def test_what_there_is_not_is_refused():
    with pytest.raises(DataError, match="no such questions"):
        generate("lookup", 1, 0, "exam", 3)
    with pytest.raises(DataError, match="no such questions"):
        generate("lookup", 1, 0, "exam", None, Cell("songs"))
    with pytest.raises(DataError, match="comes in one form"):
        generate("reading", 1, 0, "exam", None, Cell("pairs"))


def test_exactly_one_rule_is_for_the_goods():
    for example in generate("lookup", 40, 1, "exam", None, Cell("rules", None, "en")):
        document, asked = text_of(example).rstrip("\n").rsplit("\n", 1)
        ruled = {en for en, _ in RULE.findall(document)}
        assert len(ruled & set(re.findall(r"\w+", asked))) == 1


@pytest.mark.slow
def test_no_training_holds_a_held_out_wording():
    shown = "\n".join(text_of(e) for e in conversations(0, 1500, 1.0, {"lookup": 1.0}))
    for lang in LANGUAGES:
        for wording in (*wordings.HELD_OUT[lang], *wordings.RULE_HELD_OUT[lang]):
            assert wording not in wordings.WHOLE[lang] + wordings.CLAUSES[lang]
            pattern = re.sub(r"\\{\w+\\}", r"[\\w ]{1,9}", re.escape(wording))
            assert not re.search(pattern, shown), wording
            assert re.search(pattern, wording.format_map(dict.fromkeys(SLOTS, "红色"))), "the pattern finds it"
    assert wordings.HELD_OUT["en"][0] == facts.HELD_OUT["en"][0]


def test_what_the_worlds_teach_is_among_the_wordings():
    for lang in LANGUAGES:
        assert set(facts.TAUGHT[lang][: wordings.TRAINED]) <= set(wordings.WHOLE[lang])
        assert facts.SENTENCE[lang] in wordings.STATED[lang]
        assert set(rules.TAUGHT[lang][: wordings.TRAINED]) <= set(wordings.RULE_ASKED[lang])


def test_turns_that_only_tell_are_counted():
    made = conversations(0, 300, 1.0, {"lookup": 1.0})
    told = [e for e in made if num_told(e)]
    assert 0.1 < len(told) / len(made) < 0.5
    for example in told:
        assert num_told(example) < sum(m.role == "user" for m in example.prompt)
    assert not any(num_told(e) for e in conversations(0, 50, 1.0, {"reading": 1.0}))


def test_documents_grow():
    def longest(level):
        return max(len(text_of(e)) for e in conversations(0, 200, level, {"lookup": 1.0}, 1))

    assert longest(0.0) < longest(0.3) < longest(1.0)


@pytest.mark.slow
def test_the_exam_is_on_its_card():
    (exam,) = open_named(["mini_context"], None, None)
    assert len(exam.examples) == 9 * len(CELLS)
    assert exam.guess_rate == pytest.approx(
        sum(1 / len(e.choices) for e in exam.examples) / len(exam.examples), abs=1e-4
    )
