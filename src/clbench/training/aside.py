"""One job at a time beside the work: checkpoints of what learns on an accelerator, once they are copied from it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from types import TracebackType


class Aside:
    """A thread for jobs of which at most one goes on; a block of it ends when its last job has.

    What goes wrong in a job is raised by the next one, or at the end of the block.
    """

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether a job goes on."""
        return self._thread is not None and self._thread.is_alive()

    def run(self, job: Callable[[], None]) -> None:
        """Begin a job, after the one before."""
        self.wait()

        def work() -> None:
            try:
                job()
            except BaseException as error:
                self._error = error

        self._thread = Thread(target=work, name="clbench checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Wait for the job that goes on, and raise what went wrong in it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Aside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.wait()
        elif self._thread is not None:  # the work's own error is the one to be told
            self._thread.join()
            self._thread = self._error = None
