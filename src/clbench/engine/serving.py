"""Ask exams with written answers at a server (`exam_server`): one for all states, or one that is started for each."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.core.errors import LearnerError, ModelError, SpecError
from clbench.core.events import Progress, notice, report_progress
from clbench.core.scratch import new_scratch
from clbench.core.spec import Machine
from clbench.core.types import Exam
from clbench.engine.by_weights import check_weights_alone
from clbench.models import source
from clbench.models.api.launch import Launched, check_command

if TYPE_CHECKING:
    from clbench.engine.trajectory import Trajectory
    from clbench.models.served import Server

URL = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*)?")
START_S = 1800.0  # that a server is given to load a model
POLL_S = 0.3
OURS = "clbench-"  # begins the names of adapters that we load


def writes(exam: Exam) -> bool:
    """Return whether all answers to an exam are written, so that a server can give them."""
    if exam.decode.kind == "raw":
        return all(r.kind == "text" for e in exam.examples for r in e.requests)
    return exam.decode.kind == "text"


def check_serving(runs: Sequence[Trajectory], exams: Sequence[Exam], machine: Machine) -> Machine:
    """Refuse runs whose exams cannot be asked where they should be, before anything is made.

    Returns:
        The machine, with one worker where a server is started for each state.

    Raises:
        SpecError: The recipe names no engine and the command a server, or the other way round; the runs differ in it;
            or address or command are not such.
        LearnerError: One of them answers with more than weights, which no server has.
    """
    engines = {run.spec.exam_server for run in runs}
    given = [name for name, value in (("--exam-server", machine.exam_server), ("--serve", machine.serve)) if value]
    if len(engines) > 1:
        raise SpecError("some runs name a server and others none, or another", where="exam_server", mend="split them")
    if len(given) > 1:
        raise SpecError("one of --exam-server and --serve is wanted", where="--serve", mend="leave one out")
    engine = next(iter(engines), None)
    if engine is None and given:
        what = "the recipe does not say what answers: answers by another engine are other answers"
        raise SpecError(what, where=given[0], mend="name engine and version: --set exam_server=vllm-0.11")
    if engine is None:
        return machine
    if not given:
        mend = "give the command --exam-server URL, or --serve 'vllm serve {folder} --port {port} --dtype {dtype}'"
        raise SpecError(f"it is not said where {engine!r} is", where="exam_server", mend=mend)
    _check_place(machine)
    if not any(map(writes, exams)):
        what = "no exam of the recipe is answered in writing, so a server would answer none"
        raise SpecError(what, where="exam_server", mend="leave it out: choices and likelihoods are our own engine's")
    for run in runs:
        check_weights_alone(run, len(run.lessons))
        if machine.serve and run.spec.model.quantised:
            what = (
                "a server is started with whole weights in a folder, and `adapter: qlora` keeps the base in four bits"
            )
            raise SpecError(what, where="--serve", mend="name one that serves the base in four bits: --exam-server URL")
    if others := sorted({exam.name for exam in exams if not writes(exam)}):
        notice(f"clbench's own engine asks what a server does not write (choices, likelihoods): {', '.join(others)}")
    if machine.serve and machine.workers > 1:
        notice("one worker, since --serve starts a server for each state")
        return machine.model_copy(update={"workers": 1})
    return machine


def _check_place(machine: Machine) -> None:
    if machine.serve:
        check_command(machine.serve)
    if machine.exam_server and not URL.fullmatch(machine.exam_server):
        what = f"{machine.exam_server!r:.80} is not the address of a server"
        raise SpecError(what, where="--exam-server", mend="such as http://127.0.0.1:8000/v1, without a password")


class Serving:
    """The server of one state; opened for the first exam that needs it, and closed at the end of the block."""

    def __init__(self, trajectory: Trajectory, lesson: int) -> None:
        self._trajectory = trajectory
        self._lesson = lesson
        self._launched: Launched | None = None
        self._folder: Path | None = None
        self._server: Server | None = None
        self._model = ""
        self._adapter = ""
        self._record: dict[str, Any] = {}

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._adapter and self._server is not None:
                self._server.unload_adapter(self._adapter)
        except ModelError as error:
            notice(f"the adapter {self._adapter} stays loaded: {error.what}")
        finally:
            if self._launched is not None:
                self._launched.end()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._server = None

    @contextmanager
    def asking(self, learner: Any, progress: Path) -> Generator[dict[str, Any]]:
        """Let the server write the answers of a learner inside of the block.

        Args:
            learner: The learner in this state, awake.
            progress: A folder for the answers that have come, which outlives a kill.

        Yields:
            What the server says of itself, and how near its model is to ours, for the record.

        Raises:
            LearnerError: The learner's answers are more than the weights of one model.
            ModelError: There is no such server, or it serves another model.
        """
        from clbench.models.served import ServedWriter

        check_weights_alone(self._trajectory, self._lesson)
        net = vars(learner).get("net")
        if net is None:
            label = self._trajectory.spec.learner_label
            raise LearnerError("it has no `net` to be served", where=label, mend="keep the model it answers with there")
        if self._server is None:
            self._open(net)
        assert self._server is not None, "it has just been opened"
        net.server = ServedWriter(self._server, self._model, net, progress / "answers.jsonl")
        try:
            yield self._record
        finally:
            net.server = None

    def _open(self, net: Any) -> None:
        from clbench.models.served import Server, check_same

        machine, spec = self._trajectory.machine, self._trajectory.spec
        if machine.serve:
            server = self._start(net, machine)
        elif machine.exam_server:
            url = machine.exam_server.rstrip("/")
            server = Server(url if url.endswith("/v1") else f"{url}/v1", machine.exam_batch)
        else:
            raise SpecError("it is not said where the server is", where="exam_server", mend="clbench run has --serve")
        self._server = server
        about = server.about()
        self._model = self._named(net, about.models)
        apart = check_same(net, server, self._model)
        if apart is None:
            notice("the server gives no log-probabilities: only its tokens were compared with those of our own model")
        said = f"{about.engine} {about.version}".strip()
        if about.engine and about.engine.lower() not in str(spec.exam_server).lower():
            notice(f"the recipe says exam_server: {spec.exam_server}, and the server says that it is {said}")
        self._record = {"engine": about.engine, "version": about.version, "apart_nats": apart}

    @property
    def _is_base(self) -> bool:
        return self._trajectory.index(self._lesson) == 0 and self._trajectory.plugin.starts_as_base

    def _start(self, net: Any, machine: Machine) -> Server:
        from clbench.models.export import write_checkpoint
        from clbench.models.served import Server

        spec = self._trajectory.spec.model
        folder = source.locate(spec) if self._is_base and spec.adapter is None else None
        if folder is None:
            self._folder = new_scratch("served")
            folder = self._folder / "model"
            write_checkpoint(net, folder)
        parts = {"folder": str(folder.resolve()), "dtype": spec.dtype, "max_tokens": str(spec.longest)}
        self._launched = launched = Launched(str(machine.serve), parts)
        server = Server(f"http://127.0.0.1:{launched.port}/v1", machine.exam_batch)
        started = time.monotonic()
        while (spent := time.monotonic() - started) < START_S:
            launched.check()
            report_progress(Progress("seconds that the server starts", int(spent), int(START_S)))
            try:
                server.about()
            except ModelError:
                time.sleep(POLL_S)
                continue
            return server
        what = f"the server does not answer at port {launched.port} after {START_S / 60:.0f} minutes"
        raise ModelError(what, where="--serve", mend="run the command by hand, and see what it waits for")

    def _named(self, net: Any, models: Sequence[str]) -> str:
        """Return the served model's name; at a server that is there, a state that is an adapter is loaded."""
        assert self._server is not None, "opened before"
        if self._launched is None and not self._is_base:
            return self._loaded(net, self._server)
        base, own = self._trajectory.spec.model.name, [name for name in models if not name.startswith(OURS)]
        known = (base, Path(base).name, str(Path(base).resolve()))
        found = own if len(own) == 1 else [name for name in own if name in known]
        if not found:
            what = f"it serves {', '.join(own[:5]) or 'nothing'}, and not {base}"
            raise ModelError(what, where=self._server.url, mend="serve the recipe's model")
        return found[0]

    def _loaded(self, net: Any, server: Server) -> str:
        """Return the name under which a server has loaded the state, a low-rank adapter."""
        from clbench.models.export import write_adapter

        self._folder = new_scratch("served")
        try:
            write_adapter(net, self._folder / "adapter")
        except ModelError as error:
            raise ModelError(
                f"a running server cannot take the state after lesson {self._lesson}: {error.what}",
                where="--exam-server",
                mend="give --serve COMMAND in its place: it is started for each state with the folder of its weights",
            ) from error
        name = f"{OURS}{self._trajectory.keys[self._trajectory.index(self._lesson)][:16]}"
        server.load_adapter(name, self._folder / "adapter")
        self._adapter = name
        return name
