import math
import os
import subprocess
import sys

import numpy as np
import pytest

from clbench.core import keys, plugins
from clbench.core.errors import SpecError, UserError, did_you_mean
from clbench.core.matrix import Column, Matrix
from clbench.core.spec import RunSpec
from clbench.core.types import Grade, Marks


def test_canonical_ignores_order_and_kind_of_sequence():
    assert keys.canonical({"b": (1, 2), "a": {3, 1}}) == keys.canonical({"a": [1, 3], "b": [1, 2]})
    with pytest.raises(ValueError, match="NaN"):
        keys.canonical({"x": math.nan})


def test_keys_do_not_depend_on_the_hash_seed():
    code = "from clbench.core.keys import key; print(key('k', a={'x','y','z'}, b={'q': 1.5}))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": s}, capture_output=True
        ).stdout
        for s in ("0", "1", "2")
    }
    assert len(said) == 1
    assert said != {b""}


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


def test_matrix_counts_ungraded_and_never_averages_them():
    blank = Matrix.of([[None, None]] * 3)
    grades = (Grade(example_id="a", score=1.0), Grade(example_id="b", score=None))
    filled = blank.with_cell(1, 0, Marks(grades=grades, score=1.0))
    assert filled.values[1, 0] == 1.0
    assert (filled.n[1, 0], filled.ungraded[1, 0]) == (1, 1)
    assert np.isnan(blank.values).all()
    nothing = blank.with_cell(1, 0, Marks(grades=grades[1:], score=None))
    assert np.isnan(nothing.values[1, 0])
    assert (nothing.n[1, 0], nothing.ungraded[1, 0]) == (0, 1)
    again = Matrix.from_json(filled.to_json())
    assert np.array_equal(again.values, filled.values, equal_nan=True)
    with pytest.raises(ValueError, match="read-only"):
        filled.values[0, 0] = 1


def test_select_by_kind():
    columns = [Column(name="a", taught=1), Column(name="g", kind="general"), Column(name="i", kind="instruction")]
    matrix = Matrix.of([[0, 0, 0], [1, 1, 1]], columns)
    assert matrix.select("own") == (0,)
    assert matrix.select("general", "instruction") == (1, 2)


def test_plugins_are_files():
    assert {"sft", "ewc", "replay", "lora", "joint", "frozen"} <= set(plugins.names("learner"))
    assert not any(n.startswith("_") for kind in plugins.ROOMS for n in plugins.names(kind))
    with pytest.raises(SpecError, match="repaly") as error:
        plugins.load("learner", "repaly", "PLUGIN")
    assert "did you mean 'replay'?" in str(error.value)
    with pytest.raises(SpecError, match="declares no NOPE"):
        plugins.load("learner", "sft", "NOPE")
    assert plugins.load("learner", "clbench.learners.sft", "PLUGIN") is plugins.load("learner", "sft", "PLUGIN")


def test_user_error_says_what_where_and_how_to_mend():
    assert str(UserError("x is wrong", where="f:3", mend="write y")) == "f:3: x is wrong\n  to mend: write y"
    assert did_you_mean("zzz", []) == "there are none"
