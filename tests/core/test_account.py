"""The account of a recipe: processes see each other's reservations, and what a killed one left harms nobody."""

import pytest

from clbench.core.account import Account
from clbench.core.chat import Usage
from clbench.core.prices import Prices
from clbench.core.spec import Spending

PRICES = {"m": Prices(input=10, cached=1, output=100)}


def account(path, session="a", **limits):
    return Account(path, Spending(name="r", session=session, prices=PRICES, **limits))


def test_processes_of_one_command_share_what_is_left(tmp_path):
    one, two = (account(tmp_path / "r.jsonl", tokens=100) for _ in range(2))
    first = one.reserve("m", Usage(60))
    assert two.reserve("m", Usage(50)) is None
    second = two.reserve("m", Usage(40))
    one.settle(first, "answers", "m", Usage(10, 0, 5))
    assert two.reserve("m", Usage(50)) is None
    two.settle(second, "verdicts", "m", Usage(20))
    assert two.reserve("m", Usage(65)) is not None
    assert one.refresh().usage() == Usage(30, 0, 5)
    assert one.usage("answers") == Usage(10, 0, 5)
    assert (one.num_paid, two.refresh().num_paid) == (2, 2)


def test_a_later_command_counts_what_was_paid_and_not_what_was_on_its_way(tmp_path):
    killed = account(tmp_path / "r.jsonl", tokens=100)
    killed.settle(killed.reserve("m", Usage(30)), "answers", "m", Usage(30))
    assert killed.reserve("m", Usage(60)) is not None  # and then it is killed
    later = account(tmp_path / "r.jsonl", "b", tokens=100)
    assert later.reserve("m", Usage(71)) is None
    assert later.reserve("m", Usage(70)) is not None
    assert later.num_paid == 0


@pytest.mark.parametrize(
    "torn", [b'{"session": "a", "id"', b"\x00\xff", b"[1]\n", b'{"used": 3, "guess": []}\n', b"{}"]
)
def test_lines_that_cannot_be_read_are_passed_over(tmp_path, torn):
    path = tmp_path / "r.jsonl"
    account(path).settle("", "answers", "m", Usage(7))
    with path.open("ab") as f:
        f.write(torn)
    account(path).settle("", "answers", "m", Usage(8))
    assert account(path).refresh().usage() == Usage(15)


def test_money_is_of_each_model_and_not_known_without_a_price(tmp_path):
    found = account(tmp_path / "r.jsonl", usd=1e-3)
    name = found.reserve("m", Usage(90))
    assert name is not None
    assert found.reserve("m", Usage(20)) is None
    found.settle(name, "answers", "m", Usage(100, 50, 1))
    assert found.refresh().usd() == pytest.approx((50 * 10 + 50 * 1 + 100) / 1e6)
    found.settle("", "verdicts", "other", Usage(1))
    assert found.refresh().usd() is None
    assert found.usd("answers") == pytest.approx(650e-6)
