"""State that a learner keeps outside of itself is found, and named."""

import itertools
import sys

import pytest

from clbench.testing import check_learner
from clbench.testing.outside import described

pytestmark = pytest.mark.xdist_group("learners")
CHECK = "nothing kept outside of it"
FILE = """
import itertools

from clbench.training.method import Method

COUNT = 0
SEEN = []
NEXT = itertools.count()
CACHE = {}


def said(net, examples, decode, text):
    return [a.model_copy(update={"text": str(text)}) for a in net.respond(examples, decode)]


class Global(Method):
    def answer(self, net, examples, decode):
        global COUNT
        COUNT += 1
        return said(net, examples, decode, COUNT)


class Attribute(Method):
    made = 0

    def __init__(self):
        type(self).made += 1

    def lr_scale(self, name):
        return 1.0 + 0.1 * self.made


class Listed(Method):
    def consolidate(self, net, lesson, rng):
        SEEN.append(lesson.number)

    def answer(self, net, examples, decode):
        return said(net, examples, decode, len(SEEN))


class Iterator(Method):
    def lr_scale(self, name):
        return 1.0 + 0.01 * (next(NEXT) % 7)


class Once(Method):
    first = None

    def loss(self, net, batch, out):
        Once.first = Once.first or self
        return out.loss * (1.0 if Once.first is self else 0.5)

    def lr_scale(self, name):
        return 1.0 if Once.first in (None, self) else 0.5


class Default(Method):
    def answer(self, net, examples, decode, seen=[]):
        seen.append(1)
        return said(net, examples, decode, len(seen))


class Memo(Method):
    def answer(self, net, examples, decode):
        for e in examples:
            CACHE.setdefault(e.id, len(e.prompt))
        return net.respond(examples, decode)
"""
NAMED = {
    "Global": "kept.COUNT changed",
    "Attribute": "kept.Attribute.made changed",
    "Listed": "kept.SEEN changed",
    "Iterator": "kept.NEXT changed",
    "Once": "kept.Once.first changed",
    "Default": "look at defaults of arguments",
}


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.py").write_text(FILE, encoding="utf-8")
    yield lambda name: check_learner(f"kept.py:{name}", only=CHECK)[0].problem
    for name in [n for n in sys.modules if n.startswith("clbench_own_kept")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", NAMED)
def test_what_is_kept_outside_is_named(name, check):
    problem = check(name)
    assert "it keeps state outside of itself" in problem
    assert NAMED[name] in problem


def test_a_memory_that_changes_no_answer_is_no_fault(check):
    assert check("Memo") == ""


def test_a_changed_value_is_described_otherwise():
    counter, held = itertools.count(), [1, {"a": (2, {3})}]
    before = described(counter), described(held)
    next(counter)
    held[1]["a"][1].add(4)
    assert described(counter) != before[0] and described(held) != before[1]
