"""Data sets of the Hub where it cannot be reached: nobody waits, and the cache is read."""

import datasets
import pytest
from datasets import config
from huggingface_hub import constants, utils

from clbench.core.errors import AbsentError
from clbench.data.readers import hub


class Session:
    """A way to the Hub that counts its questions; without an answer it raises."""

    def __init__(self, answers):
        self.asked, self.answers = [], answers

    def head(self, url, timeout):
        self.asked.append((url, timeout))
        if not self.answers:
            raise ConnectionResetError("no way")


@pytest.fixture
def session(monkeypatch, request):
    found = Session(request.param)
    monkeypatch.setattr(utils, "get_session", lambda: found)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)
    hub.unreachable.cache_clear()
    yield found
    hub.unreachable.cache_clear()


def loaded(monkeypatch):
    """Return what is offline while each of two data sets is loaded."""
    modes = []

    def load(*_, **__):
        modes.append((constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE))
        raise ConnectionError("not in the cache")

    monkeypatch.setattr(datasets, "load_dataset", load)
    for name in ("a/b", "c/d"):
        with pytest.raises(AbsentError, match="not in the cache"):
            list(hub.rows(name, None, "0" * 40, "train"))
    return modes


@pytest.mark.parametrize("session", [False], indirect=True)
def test_a_hub_that_cannot_be_reached_is_asked_once_and_then_its_cache_alone(session, monkeypatch, capsys):
    assert loaded(monkeypatch) == [(True, True)] * 2
    assert session.asked == [(constants.ENDPOINT, hub.SECONDS)]
    assert capsys.readouterr().err.count("the Hub cannot be reached (ConnectionResetError)") == 1
    assert (constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE) == (False, False), "as it was, for whoever comes next"


@pytest.mark.parametrize("session", [True], indirect=True)
def test_a_hub_that_answers_is_asked_for_the_data(session, monkeypatch, capsys):
    assert loaded(monkeypatch) == [(False, False)] * 2
    assert len(session.asked) == 1
    assert "cannot be reached" not in capsys.readouterr().err


@pytest.mark.parametrize("session", [True], indirect=True)
def test_who_says_offline_is_not_asked(session, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.unreachable()
    assert session.asked == []
