"""Errors of users say what is wrong, where, and how to mend it."""

from clbench.core.errors import UserError, did_you_mean


def test_user_error_says_what_where_and_how_to_mend():
    assert str(UserError("x is wrong", where="f:3", mend="write y")) == "f:3: x is wrong\n  to mend: write y"
    assert did_you_mean("zzz", []) == "there are none"
