"""Which processes live, and what ends with another one."""

import os
import subprocess
import sys

import pytest

from clbench.core import process


def test_a_process_lives_until_it_is_collected():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process.is_alive(child.pid)
    child.communicate()
    assert not process.is_alive(child.pid)
    assert process.is_alive(os.getpid())


def test_a_process_of_another_user_lives(monkeypatch):
    def refuse(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert process.is_alive(1)


def test_a_number_that_no_process_can_have_is_of_none():
    assert not process.is_alive(2**80)


def test_one_ends_with_another(monkeypatch):
    class LeftError(Exception):
        pass

    def leave(code):
        raise LeftError(code)

    lives = iter([True, True, False])
    monkeypatch.setattr(process, "is_alive", lambda pid: next(lives))
    monkeypatch.setattr(process.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(process, "leave", leave)
    with pytest.raises(LeftError, match="1"):
        process.end_with(1)
    assert list(lives) == []
