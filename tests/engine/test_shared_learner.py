"""A learner on several ranks: what one of them cannot do is told to rank 0, and the others stay with it."""

import ast

import pytest

from clbench.core.errors import LessonError
from clbench.core.events import notice
from clbench.engine.shared_learner import _Done, _first_error, _noted
from clbench.training.team import ElsewhereError
from tests.builders import ranks

pytestmark = pytest.mark.xdist_group("ranks")


@pytest.mark.slow
def test_an_error_on_one_rank_is_told_and_the_others_go_on(tmp_path):
    assert ranks.run_ranks(2, ranks.fail_on_one, tmp_path, 2) == [0, 0]
    texts = [(tmp_path / f"told-{rank}").read_text() for rank in (0, 1)]
    told, answered = ast.literal_eval(texts[0])
    assert "LessonError: ewc.py:Ewc.loss, lesson 1: ZeroDivisionError: only here" in told
    assert answered == [example.id for example in ranks.lesson(2).examples]
    assert texts[1] == texts[0], "what comes out, comes out on every rank"
    assert not list((tmp_path / "store").glob(".ranks-*"))


@pytest.mark.slow
def test_a_rank_for_which_the_others_wait_in_vain_ends_the_run_with_its_own_reason(tmp_path):
    assert ranks.run_ranks(2, ranks.fail_before_the_others_meet, tmp_path, 2, seconds=120) == [0, 0]
    assert "ZeroDivisionError: only here" in (tmp_path / "told-1").read_text()
    assert "another rank has ended" in (tmp_path / "told-0").read_text()


def test_the_error_that_says_why_goes_before_that_of_a_rank_which_only_noticed():
    why, noticed = LessonError("broken"), ElsewhereError("another rank")
    assert _first_error([_Done(error=noticed), _Done(error=why)], noticed) is why
    assert _first_error([_Done(error=why), _Done(error=noticed)], why) is why
    assert _first_error([_Done(error=noticed)], noticed) is noticed


def test_notices_of_other_ranks_are_kept_for_rank_0(heard):
    kept, own = [], []
    with _noted(kept, tell=False):
        notice("of rank 1")
    with _noted(own, tell=True):
        notice("of rank 0")
    assert (kept, own, heard) == (["of rank 1"], ["of rank 0"], ["of rank 0"])
