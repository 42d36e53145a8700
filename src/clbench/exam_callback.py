"""Exams while somebody else's trainer fine-tunes: a callback for `transformers.Trainer` and what extends it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from accelerate.utils import broadcast_object_list
from transformers.trainer_callback import CallbackHandler, TrainerCallback

from clbench.core.errors import ModelError, SpecError, UserError, said_of
from clbench.core.events import notice
from clbench.engine.ask import answers_of, check_answers
from clbench.engine.grade import combine_grades, grade_answer, open_scorer
from clbench.models.untouched import net_of, untouched

if TYPE_CHECKING:
    from clbench.core.types import Exam

SCORE, LOST = "exam/", "forgetting/"
EXAM_BATCH = 64  # most questions side by side; where memory runs out, half of them, and so on


class ExamCallback(TrainerCallback):
    """Let the model sit exams while it is fine-tuned, and change nothing of the training.

    Before the first step and then at each interval it logs, through the trainer's own log, `exam/NAME` in [0, 1] and
    `forgetting/NAME`, what the score has lost since then or against `baseline`; above 0 is worse. Weights, modes,
    generators and the order of data are left as they were: the training ends with the same weights, bit for bit, as
    without it. The answers are those of `clbench exam` for the checkpoint that would be saved there; under mixed
    precision they are computed as the trainer computes.

    Data sets of exams lie in `$CLBENCH_DATA`. Among several processes the main one asks and the others wait, so
    `ddp_timeout` must be longer than the exams take.

    Args:
        exams: Names of exams or suites, or card files; those of the baseline, where one is given.
        baseline: File of `clbench baseline`; None compares with the model before the first step.
        every: "epoch", or a number of optimiser steps; the last step is always followed by exams.
        max_drop: Stop the training once an exam has lost more than this, in (0, 1]; None never stops it.
        items: Most questions per exam; None is all.
        model: Folder of the tokenizer and template; None is where the model was loaded from.

    Raises:
        UserError: An argument is wrong, or an exam is not here; and, before the first step, what cannot be asked.

    Example:
        >>> import clbench as cl
        >>> callback = cl.ExamCallback(["mini_knowledge"], every=100, max_drop=0.05)
        >>> sorted(callback.reference)
        []
    """

    def __init__(
        self,
        exams: Sequence[str] | str = (),
        *,
        baseline: Path | str | None = None,
        every: Literal["epoch"] | int = "epoch",
        max_drop: float | None = None,
        items: int | None = None,
        model: Path | str | None = None,
    ) -> None:
        self.every, self.max_drop = _interval(every), _drop(max_drop)
        self._exams = _opened([exams] if isinstance(exams, str) else list(exams), baseline, items)
        self._baseline = {} if baseline is None else _scores_in(Path(baseline), self._exams)
        self.reference = dict(self._baseline)
        self._model = None if model is None else str(model)
        self._net: Any = None
        self._asked: int | None = None  # the step after which exams were asked last

    # --- events of the trainer ------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Refuse what cannot be asked, and ask the model as it begins where there is no baseline."""
        _check_whole(args)
        if state.is_world_process_zero:
            checkpoint = self._model or str(more["model"].config._name_or_path)
            if not checkpoint:
                what = "the model was not loaded from a checkpoint, so its tokenizer and template are not known"
                raise ModelError(what, where="ExamCallback", mend="name a folder with its tokenizer: model=FOLDER")
            self._net = net_of(more["model"], checkpoint, more.get("processing_class"), EXAM_BATCH)
        self._asked = None
        self.reference = dict(self._baseline) or _logged(state.log_history)
        if self.reference:
            return
        if state.global_step and state.is_world_process_zero:
            what = "the training goes on from a checkpoint whose log has no exam of its beginning"
            notice(f"{what}: what is lost since then is not known; name a baseline")
        elif not state.global_step:
            self._examine(args, state, control, more)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Ask after each so many optimiser steps, however many batches are added up in one."""
        last = state.global_step >= state.max_steps
        if self.every != "epoch" and (state.global_step % self.every == 0 or last):
            self._examine(args, state, control, more)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Ask after each epoch."""
        if self.every == "epoch":
            self._examine(args, state, control, more)

    # --- exams ----------------------------------------------------------------------------------------------

    def _examine(self, args: Any, state: Any, control: Any, more: Mapping[str, Any]) -> None:
        """Ask on the main process, log there, and stop everywhere if too much is lost."""
        if self._asked == state.global_step:
            return
        self._asked = state.global_step
        over: list[str] = []
        if state.is_world_process_zero:
            scores = self._scores(first=not state.global_step)
            if not state.global_step and not self.reference:
                self.reference = scores
            lost = {name: self.reference[name] - score for name, score in scores.items() if name in self.reference}
            over = [name for name, drop in lost.items() if self.max_drop is not None and drop > self.max_drop]
            logs = {f"{SCORE}{n}": s for n, s in scores.items()} | {f"{LOST}{n}": d for n, d in lost.items()}
            _log(args, state, control, logs)
        (over,) = broadcast_object_list([over])
        if over:
            control.should_training_stop = True
            if state.is_world_process_zero:
                lost_of = ", ".join(over)
                notice(
                    f"the training stops after step {state.global_step}: more than {self.max_drop} lost of {lost_of}"
                )

    def _scores(self, *, first: bool) -> dict[str, float]:
        """Return exam -> score; later than before the first step, an exam that cannot be asked is told, not raised."""
        scores: dict[str, float] = {}
        for exam in self._exams:
            try:
                with untouched(self._net.module):
                    score = self._asked_now(exam)
            except Exception as error:  # hours of somebody's training stand against one exam
                if first:
                    raise
                why = error.what if isinstance(error, UserError) else said_of(error)
                notice(f"exam {exam.name} could not be asked, and the training goes on: {why}")
                continue
            if score is None:
                notice(f"exam {exam.name}: no answer could be graded")
            else:
                scores[exam.name] = score
        return scores

    def _asked_now(self, exam: Exam) -> float | None:
        self._net.decode_plainly()
        answers = answers_of(self._net, exam)
        check_answers(answers, exam, "ExamCallback")
        plugin = open_scorer(exam.scorer.name)
        scorer = plugin.build(exam.scorer.settings)
        where = f"exam {exam.name}, scorer {exam.scorer.name}"
        grades = [grade_answer(scorer, *pair, where) for pair in zip(exam.examples, answers, strict=True)]
        return combine_grades(grades, plugin, where)


def _interval(every: Any) -> Any:
    if every == "epoch" or (type(every) is int and every >= 1):
        return every
    raise SpecError(f"{every!r:.40} is not an interval", where="every", mend='write "epoch", or a number of steps >= 1')


def _drop(most: Any) -> float | None:
    if most is None or (isinstance(most, (int, float)) and type(most) is not bool and 0 < most <= 1):
        return most
    what = f"{most!r:.40} is not a part of a score"
    raise SpecError(what, where="max_drop", mend="scores lie in [0, 1]: 0.02 is two points of a hundred")


def _opened(names: list[str], baseline: Any, items: int | None) -> list[Exam]:
    from clbench.core.baseline import read_baseline
    from clbench.data.exams.exam import open_named
    from clbench.data.tasks.fetch import data_root
    from clbench.engine.grade import check_scorers

    if baseline is not None:
        found = read_baseline(Path(baseline))
        if names or items is not None:
            what = "a baseline says itself which exams are asked, and how many questions of each"
            raise SpecError(what, where="exams" if names else "items", mend="leave it out beside `baseline`")
        names, items = list(found.names), found.items
    if not names:
        raise SpecError("no exam is named", where="exams", mend='name some: ["general"], or give a baseline')
    opened = list(open_named(names, items, data_root(None)))
    check_scorers(opened)
    return opened


def _scores_in(path: Path, exams: Sequence[Exam]) -> dict[str, float]:
    """Return the scores of a baseline, whose exams must be those that are here.

    Raises:
        DataError: One of them asks or grades otherwise.
    """
    from clbench.core.baseline import read_baseline
    from clbench.engine.baseline import check_exams
    from clbench.report.decide.gate import scores_of

    baseline = read_baseline(path)
    check_exams(baseline, exams)
    return scores_of(baseline)


def _check_whole(args: Any) -> None:
    """Refuse training in which no process holds the whole model.

    Raises:
        SpecError: Names the option.
    """
    for option in ("fsdp", "deepspeed"):
        if vars(args).get(option):
            what = f"under {option} each process may hold a part of the weights, so none can be asked alone"
            mend = "leave the callback out, and examine the checkpoints afterwards: clbench matrix"
            raise SpecError(what, where=f"TrainingArguments.{option}", mend=mend)


def _logged(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the scores before the first step from the log of a training that goes on."""
    found: dict[str, float] = {}
    for entry in history:
        if entry.get("step") == 0:
            found |= {n.removeprefix(SCORE): float(v) for n, v in entry.items() if n.startswith(SCORE)}
    return found


def _log(args: Any, state: Any, control: Any, logs: dict[str, float]) -> None:
    """Log as the trainer does: into its history, and by all callbacks that log.

    A callback is not told its trainer; but it is the trainer's handler that calls it.
    """
    if not logs:
        return
    logs = logs | ({} if state.epoch is None else {"epoch": state.epoch})
    state.log_history.append({**logs, "step": state.global_step})
    frame = inspect.currentframe()
    while frame is not None and not isinstance(frame.f_locals.get("self"), CallbackHandler):
        frame = frame.f_back
    if frame is not None:
        pending = control.should_log  # which logging turns off: the trainer's own log of this step still comes
        frame.f_locals["self"].on_log(args, state, control, dict(logs))
        control.should_log = pending
