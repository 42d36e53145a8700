"""Keys: one value gives one text and one key, in every process."""

import math
from typing import ClassVar

import pytest

from clbench.core import keys
from clbench.core.spec import RunSpec
from clbench.core.value import Value, written
from tests.builders.child import run_python


def test_canonical_ignores_order_and_kind_of_sequence():
    assert keys.canonical({"b": (1, 2), "a": {3, 1}}) == keys.canonical({"a": [1, 3], "b": [1, 2]})
    with pytest.raises(ValueError, match="NaN"):
        keys.canonical({"x": math.nan})


def test_keys_do_not_depend_on_the_hash_seed():
    code = "from clbench.core.keys import key; print(key('k', a={'x','y','z'}, b={'q': 1.5}))"
    said = {run_python(code, PYTHONHASHSEED=s).stdout for s in ("0", "1", "2")}
    assert len(said) == 1
    assert said != {""}


def test_every_field_of_a_spec_is_in_its_key():
    spec = RunSpec(name="a", learner={"name": "sft", "lr": 1e-3}, stream="worlds")
    others = [
        spec.model_copy(update=u)
        for u in (
            {"seed": 1},
            {"stream": "x"},
            {"exams": ("e",)},
            {"learner": {"name": "sft", "lr": 2e-3}},
            {"name": "b"},
        )
    ]
    assert len({s.key for s in [spec, *others]}) == 6


def test_generators_of_different_purposes_differ_and_repeat():
    draws = {p: keys.rng(0, 1, p).integers(1 << 40) for p in ("order", "mix", "settle")}
    assert len(set(draws.values())) == 3
    assert keys.rng(0, 1, "order").integers(1 << 40) == draws["order"]


class Older(Value):
    first: int = 0
    newer: int = 0
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"newer"})


class Newer(Older):
    newest: int = 0
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"newest"})


def test_a_class_with_newer_fields_of_its_own_has_those_of_its_bases_too():
    assert keys.canonical(Newer()) == '{"first":0}'
    assert keys.canonical(Newer(newer=1, newest=2)) == '{"first":0,"newer":1,"newest":2}'
    assert written(Newer(newest=2)) == {"first": 0, "newest": 2}
    assert keys.canonical(Older(newer=1)) == '{"first":0,"newer":1}'


def test_halves_of_characters_have_digests_of_their_own():
    assert len({keys.digest(text) for text in ("\ud800", "\udc00", "\\ud800", "\ufffd", "?")}) == 5
