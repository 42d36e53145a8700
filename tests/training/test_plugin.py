"""What a plug-in declares is checked where it is declared."""

import math

import pytest

import clbench as cl

GOOD = (cl.Training, cl.Method)


def factory(config):
    return cl.Method()


@pytest.mark.parametrize(
    ("given", "fields", "said"),
    [
        ((cl.Method, cl.Training), {"version": 1}, "the method stands before its Config"),
        ((factory, cl.Training), {"version": 1}, "the method stands before its Config"),
        ((None, cl.Method), {"version": 1}, "None is not a Config"),
        ((cl.Training(), cl.Method), {"version": 1}, "is not a Config"),
        ((dict, cl.Method), {"version": 1}, "is not a Config"),
        ((cl.Training, None), {"version": 1}, "None is not a method"),
        ((cl.Training, cl.Training), {"version": 1}, "is not a method"),
        (GOOD, {}, "version is missing"),
        (GOOD, {"version": "1"}, "version is '1'"),
        (GOOD, {"version": True}, "version is True"),
        (GOOD, {"version": -1}, "version is -1"),
        (GOOD, {"version": 1.0}, "version is 1.0"),
        (GOOD, {"version": 1, "stores": "exampels"}, "did you mean 'examples'?"),
        (GOOD, {"version": 1, "store": "none"}, "did you mean 'stores'?"),
        (GOOD, {"version": 1, "families": ()}, "write model_families= instead of families="),
        (GOOD, {"version": 1, "neutral": {"epoch": 1}}, "did you mean 'epochs'?"),
        (GOOD, {"version": 1, "neutral": {"lr": math.nan}}, "neutral has lr=nan, not a finite number"),
    ],
)
def test_what_cannot_be_declared_is_told_at_once(given, fields, said):
    with pytest.raises(cl.UserError) as told:
        cl.plugin(*given, **fields)
    assert said in str(told.value)


def test_swapped_arguments_are_told_their_order():
    with pytest.raises(cl.UserError, match="first the Config, then the method"):
        cl.plugin(cl.Method, cl.Training, version=1)


def test_a_function_that_makes_the_method_is_one():
    assert cl.plugin(cl.Training, factory, version=1, neutral={"epochs": 1}).version == 1
