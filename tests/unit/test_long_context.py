import math

import numpy as np
import pytest

from clbench.core.errors import DataError
from clbench.core.matrix import Column, Matrix
from clbench.core.sheets import Row, Sheet, Sheets
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, ScorerSpec
from clbench.data.exam import open_named
from clbench.data.worlds.abilities import conversations, generate
from clbench.models.net import load_net
from clbench.report.gather import Group
from clbench.report.lengths import length_buckets, length_rows, length_series, lengths_table


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

    assert [name for name, a in ABILITIES.items() if not a.shown] == ["knowledge"]


def test_the_suite_grows_with_its_numbers():
    names = [e.name for e in open_named(["long-recall"], 2, None)]
    assert names == [f"long_recall_{n}" for n in (8, 16, 32, 64, 128)]


@pytest.fixture(scope="module")
def tiny():
    return load_net(ModelSpec(name="tiny-llama", max_tokens=64), Machine())


@pytest.mark.parametrize("kind", ["label", "text"])
def test_what_did_not_fit_loses_its_middle_and_the_answer_says_how_much(tiny, kind):
    (short,) = generate("recall", 1, 0, "exam", 4)
    (long,) = generate("recall", 1, 0, "exam", 60)
    answers = tiny.respond([short, long], Decode(kind=kind, max_tokens=8))
    assert answers[0].tokens_cut == 0
    whole = len(tiny.tokenizer.encode(tiny.render(long.prompt), add_special_tokens=False))
    assert answers[1].tokens_in + answers[1].tokens_cut == whole
    assert answers[1].tokens_in <= 64 < whole


def test_an_encoder_says_how_much_it_cut():
    net = load_net(ModelSpec(name="tiny-bert", max_tokens=16), Machine())
    texts = ["red " * 40, "red"]
    asked = [
        Example(id=str(i), prompt=(Message(role="user", content=t),), choices=("red", "blue"))
        for i, t in enumerate(texts)
    ]
    long, short = net.respond(asked, Decode(kind="label"))
    assert (long.tokens_in, short.tokens_cut) == (16, 0)
    assert long.tokens_cut >= 26


def sheet(exam, lengths, *rows):
    cells = {
        step: Row(asked="q", ask="a", mark="m", scores=scores) for step, scores in enumerate(rows) if scores is not None
    }
    ids = tuple(f"{exam}-{i}" for i in range(len(lengths)))
    return Sheet(
        exam=exam, digest="d", scorer=ScorerSpec(name="label"), version=1, ids=ids, lengths=lengths, rows=cells
    )


class FakeRun:
    def __init__(self, sheets):
        columns = [Column(name="own", taught=1)]
        columns += [Column(name=n, kind="long_context", chance=0.1) for n in ("recall", "doc")]
        self.matrix = Matrix.of([[0.1, 0.5, 0.5]] * 3, columns)
        self.sheets = Sheets(sheets=sheets)


def test_questions_are_sorted_by_their_own_length_whatever_exam_they_are_in():
    run = FakeRun(
        (
            sheet("own", (5000,), "1", "1", "1"),
            sheet("recall", (40, 64, 65, 2049), "1111", None, "1010"),
            sheet("doc", (4096, 33), (0.5, 1.0), None, (0.0, None)),
        )
    )
    group = Group("sft", (run,), run.matrix, {}, {})
    buckets = {b.name: b for b in length_buckets(group)}
    assert list(buckets) == ["64", "128", "4K"]
    assert buckets["64"].items == (3, 0, 2)
    assert buckets["64"].scores[0] == 1.0
    assert math.isnan(buckets["64"].scores[1])
    assert buckets["64"].scores[2] == 0.5
    assert buckets["4K"].scores[::2] == (0.75, 0.0)
    ticks, series = length_series([group], "untouched")
    assert ticks == ["64", "128", "4K"]
    assert series == {"untouched": [1.0, 1.0, 0.75], "sft": [0.5, 1.0, 0.0]}


def test_where_nothing_was_known_nothing_is_said_to_be_left():
    guessing = FakeRun((sheet("recall", (40,) * 50, "0" * 45 + "1" * 5, None, "1" * 10 + "0" * 40),))
    row = length_rows(Group("sft", (guessing,), guessing.matrix, {}, {}))[0]
    assert row == ["sft", "64", "50", "10.0", "20.0", "–"]
    knowing = FakeRun((sheet("recall", (40,) * 50, "1" * 50, None, "1" * 10 + "0" * 40),))
    assert length_rows(Group("sft", (knowing,), knowing.matrix, {}, {}))[0][-1].startswith("20 % (")
    assert lengths_table([]) == ""


def test_seeds_of_a_question_are_no_further_questions():
    def learner(*lasts):
        runs = tuple(FakeRun((sheet("recall", (40,) * 50, "1" * 40 + "0" * 10, None, last),)) for last in lasts)
        return length_buckets(Group("sft", runs, runs[0].matrix, {}, {}))[0].retention

    last = "1" * 20 + "0" * 30
    once, thrice = learner(last), learner(last, last, last)
    assert thrice == pytest.approx(once)
    assert once[0] == 0.5
    assert 0.33 < once[1] < 0.42
    assert 0.58 < once[2] < 0.67


def test_groups_of_questions_fall_together():
    def wide(groups):
        made = sheet("recall", (40,) * 60, "1" * 60, None, "1" * 30 + "0" * 30).model_copy(update={"groups": groups})
        run = FakeRun((made,))
        _, low, high = length_buckets(Group("sft", (run,), run.matrix, {}, {}))[0].retention
        return high - low

    assert wide(tuple(str(i // 10) for i in range(60))) > 2 * wide(())


def test_sheets_hold_scores_whole():
    row = Row(asked="", ask="", mark="", scores=(0.25, None))
    np.testing.assert_equal(row.values(), [0.25, np.nan])
    made = sheet("recall", (1, 2, 3), "01-", None, "111")
    np.testing.assert_equal(made.array(3), [[0, 1, np.nan], [np.nan] * 3, [1, 1, 1]])
