"""The batches of a lesson: every epoch shows all, kinds are mixed as their sizes say, lengths are alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.core.keys import rng
from clbench.core.types import Example, Lesson, Message
from clbench.training.schedule import ANY, kinds_in, schedule, without_documents
from clbench.training.settings import Training


def example(name):
    return Example(id=name, prompt=(Message(role="user", content=name),), targets=("a",))


def shares(batches, kinds, kind):
    return [sum(kinds[i] == kind for i in batch) / len(batch) for batch in batches]


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(-1, 3)), min_size=1, max_size=200), st.integers(1, 20))
def test_every_epoch_shows_every_example_once(rows, size):
    lengths, kinds = zip(*rows, strict=True)
    batches = schedule(lengths, Training(epochs=1, batch_size=size, bucket=4), rng(0, 1, "order"), None, kinds)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))


def test_one_kind_is_walked_as_if_kinds_were_unknown():
    lengths = np.random.default_rng(0).integers(1, 90, 300).tolist()
    training = Training(epochs=2, batch_size=8, bucket=8)
    same = [schedule(lengths, training, rng(0, 1, "order"), None, kinds) for kinds in ((), [3] * 300)]
    assert same[0] == same[1]


@pytest.mark.parametrize("bucket", [1, 16])
def test_batches_hold_of_each_kind_its_share(bucket):
    """Tasks of very different lengths: sorted by length alone, every batch would be one task."""
    kinds = [0] * 128 + [1] * 256 + [2] * 128
    lengths = [5] * 128 + [50] * 256 + [20] * 128
    training = Training(epochs=1, batch_size=16, bucket=bucket)
    batches = schedule(lengths, training, rng(0, 1, "order"), None, kinds)
    for kind, share in enumerate((0.25, 0.5, 0.25)):
        found = shares(batches, kinds, kind)
        assert np.mean(found) == pytest.approx(share)
        assert np.std(found) < (0.13 if bucket == 1 else 0.06), found
    alone = shares(schedule(lengths, training, rng(0, 1, "order")), kinds, 0)
    assert bucket == 1 or np.std(alone) > 0.3, "the planted case: without kinds the tasks stand apart"


def test_within_a_kind_lengths_are_alike():
    lengths = np.random.default_rng(1).integers(1, 100, 256).tolist()
    kinds = [i % 2 for i in range(256)]
    batches = schedule(lengths, Training(epochs=1, batch_size=16, bucket=16), rng(0, 1, "order"), None, kinds)
    spreads = [np.ptp([lengths[i] for i in batch if kinds[i] == 0]) for batch in batches]
    assert np.mean(spreads) < 15


def test_old_examples_are_a_mixture_in_random_order():
    lengths = [10] * 64 + list(range(64))
    kinds = [0] * 64 + [ANY] * 64
    batches = schedule(lengths, Training(epochs=1, batch_size=16, bucket=8), rng(0, 1, "order"), None, kinds)
    assert all(0.4 <= share <= 0.6 for share in shares(batches, kinds, ANY))
    assert np.mean([np.ptp([lengths[i] for i in b if kinds[i] == ANY]) for b in batches]) > 30


def test_kinds_of_a_lesson_with_old_examples():
    old, new = [example(f"old {i}") for i in range(2)], [example(f"new {i}") for i in range(3)]
    plain = Lesson(number=2, examples=tuple(new), digest="")
    several = plain.model_copy(update={"kinds": (0, 1, 0)})
    assert kinds_in(plain, plain) == ()
    assert kinds_in(several, several) == (0, 1, 0)
    assert kinds_in(plain.model_copy(update={"examples": (*old, *new)}), plain) == (ANY, ANY, 0, 0, 0)
    assert kinds_in(several.model_copy(update={"examples": (*new, *old)}), several) == (0, 1, 0, ANY, ANY)


def test_who_trains_keeps_no_documents():
    """A memory with a budget of bytes would else hold fewer examples of a stream that has documents."""
    stated = example("a").model_copy(update={"document": "The answer of a is a."})
    lesson = Lesson(number=1, examples=(stated, example("b")), digest="", kinds=(0, 1))
    plain = without_documents(lesson)
    assert plain.examples == (example("a"), example("b"))
    assert plain.kinds == (0, 1)
    assert without_documents(plain) is plain
