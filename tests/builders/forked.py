"""Workers that are forked from the test itself, so that they see what it has put in the place of the work."""

import multiprocessing

from clbench.engine.executors import processes
from clbench.engine.executors.workers import ReadOnce, Workers


class _Forked(multiprocessing.get_context("fork").Process):
    _Popen = staticmethod(ReadOnce)


class ForkedWorkers(Workers):
    _name = "fork"
    kind = _Forked

    def set_forkserver_preload(self, modules):
        """Load nothing: there is no server."""


def fork_workers(monkeypatch, single_thread=lambda: None):
    """Let pools fork their workers here; `single_thread` stands for what a worker does first."""
    monkeypatch.setattr(processes, "Workers", ForkedWorkers)
    monkeypatch.setattr(processes, "_single_thread", single_thread)
