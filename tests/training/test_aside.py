"""Checkpoints that are written beside the steps: what they hold, what goes wrong, and a kill in the middle."""

import signal
import textwrap
import threading

import pytest
import torch

from clbench.core import plugins
from clbench.core.keys import folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.data.streams.stream import lessons, open_stream
from clbench.testing.learners import _StoppedError, _stopping
from clbench.training import checkpoint
from clbench.training.aside import Aside
from tests.builders.child import run_python

pytestmark = pytest.mark.models


def at(value):
    """Give a weight of some value, and an optimiser that has stepped on it."""
    param = torch.nn.Parameter(torch.full((1000,), float(value)))
    optimizer = torch.optim.AdamW([param])
    param.grad = torch.ones(1000)
    optimizer.step()
    return {"w": param}, optimizer


def point(index):
    return checkpoint.Point(index, 10 * index, 0)


def test_what_is_written_is_what_stood_when_it_was_asked_for(tmp_path, monkeypatch):
    params, optimizer = at(1)
    state = {"anchor": {"w": torch.ones(5)}, "list": [1, 2], "one": torch.zeros(3)}
    checkpoint.write(tmp_path / "here", point(3), params, optimizer, state)
    go, real = threading.Event(), checkpoint.save_tensors
    monkeypatch.setattr(checkpoint, "save_tensors", lambda *args: (go.wait(30), real(*args)))
    with Aside() as aside:
        rhythm = checkpoint.Rhythm(aside)
        rhythm.begin(0)
        assert rhythm.due()
        checkpoint.write(tmp_path / "aside", point(3), params, optimizer, state, aside)
        assert aside.busy and not rhythm.due() and checkpoint.latest(tmp_path / "aside") is None
        with torch.no_grad():
            params["w"].zero_()
            optimizer.state[params["w"]]["exp_avg"].zero_()
            state["anchor"]["w"].zero_()
            state["one"].add_(1)
        state["list"].append(3)
        go.set()
    assert rhythm.due()
    folders = [tmp_path / place / "step-00000003" for place in ("here", "aside")]
    assert folder_digest(folders[0]) == folder_digest(folders[1])


def test_what_goes_wrong_is_raised_by_the_next_or_at_the_end(tmp_path):
    def fails():
        raise OSError("the disk is full")

    done = []
    aside = Aside()
    aside.run(fails)
    with pytest.raises(OSError, match="full"):
        aside.run(lambda: done.append(1))
    with pytest.raises(OSError, match="full"), aside:
        aside.run(fails)
    with pytest.raises(ValueError, match="of the work"), aside:
        aside.run(fails)
        raise ValueError("of the work")
    with aside:
        aside.run(lambda: done.append(2))
    assert done == [2] and not aside.busy


def test_a_kill_while_one_is_written_leaves_the_one_before(tmp_path):
    code = f"""
        import os, signal, torch
        from clbench.training import checkpoint
        from clbench.training.aside import Aside
        param = torch.nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([param])
        aside, place = Aside(), {str(tmp_path)!r}
        from pathlib import Path
        with aside:
            checkpoint.write(Path(place), checkpoint.Point(1, 1, 0), {{"w": param}}, optimizer, {{}}, aside)
        checkpoint.save_state = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        with torch.no_grad():
            param.zero_()
        checkpoint.write(Path(place), checkpoint.Point(2, 2, 0), {{"w": param}}, optimizer, {{}}, aside)
        aside.wait()
    """
    run_python(textwrap.dedent(code), ends=-signal.SIGKILL)
    assert len(list(tmp_path.glob("draft-*"))) == 1
    found = checkpoint.latest(tmp_path)
    assert found is not None and found[0].index == 1
    param = torch.nn.Parameter(torch.zeros(4))
    assert checkpoint.resume(tmp_path, {"w": param}, torch.optim.AdamW([param])) is not None
    assert param.tolist() == [1.0] * 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ewc", "replay"])
def test_a_lesson_that_is_stopped_goes_on_to_the_same_bits(tmp_path, monkeypatch, name):
    taught = lessons(open_stream("worlds-tiny", None))[:2]
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(lr=1e-3, epochs=1, batch_size=8)

    def made():
        machine = Machine(device="cpu", checkpoint_s=0)
        learner = plugin.build(config, ModelSpec(name="tiny-llama"), 0, machine)
        learner.learn(taught[0])
        return learner

    whole, half = made(), made()
    whole.learn(taught[1])
    real, used = checkpoint.write, []
    monkeypatch.setattr(checkpoint, "write", lambda *args: (used.append(1), real(*args[:5], half._aside)))
    with pytest.raises(_StoppedError), _stopping(1):
        half.learn(taught[1], tmp_path / "progress")
    assert used and not half._aside.busy
    other = made()
    other.learn(taught[1], tmp_path / "progress")
    whole.save(tmp_path / "whole")
    other.save(tmp_path / "other")
    assert folder_digest(tmp_path / "whole") == folder_digest(tmp_path / "other")
