"""What runs are about: streams and exams, each read once however many runs share it."""

from __future__ import annotations

from pathlib import Path

from clbench.core.keys import canonical
from clbench.core.spec import RunSpec
from clbench.core.types import Exam, Stream
from clbench.data.exams.exam import open_exams
from clbench.data.streams.stream import open_stream

StreamAndExams = tuple[Stream, tuple[Exam, ...]]


class Inputs:
    """Streams and exams that have been read. Cards and data are taken to stay as they are meanwhile."""

    def __init__(self, data: Path | None) -> None:
        """Read local data sets from below the folder `data`."""
        self._data = data
        self._known: dict[str, StreamAndExams] = {}

    @property
    def num_read(self) -> int:
        """How many different streams with exams have been read."""
        return len(self._known)

    def of(self, spec: RunSpec) -> StreamAndExams:
        """Return a run's stream and its exams: the stream's own tasks first, then the fixed ones.

        Raises:
            DataError: A card, its data or a row is wrong.
        """
        about = canonical([spec.stream, spec.exams, spec.budget.items])
        if about not in self._known:
            stream = open_stream(spec.stream, self._data)
            self._known[about] = (stream, open_exams(spec.exams, stream, spec.budget.items, self._data))
        return self._known[about]
