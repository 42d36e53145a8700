"""The verb: what it says, opens and refuses."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from functools import partial

import pytest

from clbench.cli.main import main
from tests.builders.places import RECORDED, ROOT


def test_nothing_to_show_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["view", "--no-open"]) == 2
    assert "there is no store and no result here" in capsys.readouterr().err
    assert not (tmp_path / "clbench-store").exists()


@pytest.mark.parametrize("more", [["--no-open"], []])
def test_it_opens_the_browser_unless_told_not_to(monkeypatch, capsys, more):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda _: None)
    assert main(["view", str(RECORDED), "--lang", "en", *more]) == 0
    address = capsys.readouterr().out.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert opened == ([] if more else [address])


@pytest.mark.slow
def test_a_process_that_serves_until_it_is_interrupted():
    line = [sys.executable, "-m", "clbench", "view", str(RECORDED), "--no-open", "--lang", "en"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests that run in the background ignore it
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=env, preexec_fn=heeds) as ours:
        address = ours.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"clbench: results" in answer.read()
        ours.send_signal(signal.SIGINT)
        assert ours.wait(60) == 0
