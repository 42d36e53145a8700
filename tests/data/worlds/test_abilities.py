"""Exams of abilities that are made: any length, one right answer, nothing that pretraining showed."""

import pytest

from clbench.core.errors import DataError
from clbench.data.exams.exam import open_named
from clbench.data.worlds.abilities import conversations, generate


@pytest.mark.parametrize("length", [1, 7, 60, 500, 6000])
def test_recall_is_made_at_any_length_and_has_one_right_answer(length):
    num = 20 if length < 1000 else 4
    items = generate("recall", num, 3, "exam", length)
    assert len({e.id for e in items}) == num
    assert {e.id.split("-")[1] for e in items} == {"en", "zh"}
    for example in items:
        *pairs, asked = example.prompt[-1].content.split("\n")
        table = dict(pair.split("=") for pair in pairs)
        assert len(pairs) == len(table) == length, "no key stands twice"
        assert table[asked.removesuffix("=?")] == example.targets[0]
        assert example.targets[0] in example.choices
    assert items == generate("recall", num, 3, "exam", length)
    assert items != generate("recall", num, 4, "exam", length)


def test_lists_as_long_as_those_of_pretraining_are_none_of_them():
    shown = {e.prompt[0].content.rsplit("\n", 1)[0] for e in conversations(0, 400, 0.3, {"recall": 1.0}, 1)}
    asked = {e.prompt[-1].content.rsplit("\n", 1)[0] for e in generate("recall", 50, 0, "exam", 4)}
    assert not shown & asked


def test_lengths_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="no 50001 different keys"):
        generate("recall", 1, 0, "exam", 50_001)
    with pytest.raises(DataError, match="cannot be asked at a length"):
        generate("arithmetic", 1, 0, "exam", 5)


def test_knowledge_has_no_document_and_one_choice_that_fits():
    from clbench.data.worlds import lexicon
    from clbench.data.worlds.ability_reading import CLOSED

    for example in generate("knowledge", 40, 0, "exam"):
        assert len(example.choices) == 4 == len(set(example.choices))
        lang = example.id.split("-")[1]
        kinds = [k for k in CLOSED.values() for c in example.choices if c in lexicon.words(k, lang)]
        assert len(kinds) == len(set(kinds)) == 4, "one word of each of four relations"
        asked = example.prompt[-1].content
        rel = next(r for r in CLOSED if lexicon.RELATIONS[r][lang] in asked)
        assert example.targets[0] in lexicon.words(CLOSED[rel], lang)
        assert "\n" not in example.prompt[-1].content


def test_pretraining_does_not_show_what_it_did_not_show_before():
    from clbench.data.worlds.abilities import ABILITIES

    assert [name for name, a in ABILITIES.items() if not a.practised] == ["knowledge"]


def test_the_suite_grows_with_its_numbers():
    names = [e.name for e in open_named(["long-recall"], 2, None)]
    assert names == [f"long_recall_{n}" for n in (8, 16, 32, 64, 128)]
