"""Any trainer as a learner: a command learns each lesson, and the exams and everything after them are clbench's.

    theta_t = what COMMAND makes of theta_{t-1} and the examples of lesson t

For every lesson clbench writes the examples (`lesson.jsonl`, in the messages format), what may be known of the lesson
(`lesson.json`), and a copy of the checkpoint before it into a folder of its own, starts the command, waits, and takes
the checkpoint that it leaves: whole, or a PEFT adapter, which is merged into the checkpoint before. Time, processor
time and memory of the command with all its processes are measured; tokens are those that it states, or that its trainer
counted. Other files that it leaves beside the checkpoint are handed to it again with the next lesson, so a memory can
lie there. Source: ours.

Defaults: no command; a run needs one.
Keeps: what it likes, in the checkpoint's folder or elsewhere: nothing bounds it, so it is ranked apart.
Told: the number of the lesson and where it ends; the task, where the stream gives it.
Not for: a method that answers by more than the weights of one model, an encoder, or a base in four bits.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator

from clbench.core.atomic_write import write_atomically
from clbench.core.counts import write_counts
from clbench.core.errors import LessonError, SpecError, did_you_mean, near_paths
from clbench.core.events import notice
from clbench.core.keys import canonical, digest, file_digest, folder_digest
from clbench.core.protocols import Elsewhere, Learner, LearnerPlugin
from clbench.core.scratch import new_scratch
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.core.value import Value
from clbench.learners._shared.handed_over import check_unchanged, copy_files, stamps, write_about, write_lesson
from clbench.learners._shared.left_checkpoint import answering, beside, spec_of, take_over, tokens_of, write_base
from clbench.learners._shared.program import Ended, last_words, run_program
from clbench.models.pins import pin, unpinned
from clbench.store.measure import count_program
from clbench.training.schedule import refuse_eval_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clbench.models.net import Net

NAMES = ("lesson", "folder", "about", "previous", "out", "costs", "seed", "number")
PLACE = re.compile(r"\{([a-z_]+)\}")
ANSWERS, KEEPS, NUMBERS = Path("answers", "checkpoint"), Path("keeps", "beside"), Path("keeps", "lesson.json")
NOT_KNOWN = (
    *("train_tokens", "forward_tokens", "device_memory_bytes", "kept_bytes", "kept_bytes_by_lesson", "buffer_bytes"),
    *("buffer_bytes_by_lesson", "buffer_examples_by_lesson", "state_bytes", "cut_by_lesson", "trained_by_lesson"),
)
BEFORE_S = 10.0  # of a time limit that is left for what comes after the command


class Config(Value):
    """The command.

    Attributes:
        learn: The command that learns one lesson, run without a shell in the folder that clbench was started in. In it
            {lesson}, {about}, {previous} and {out} stand for paths, {folder} for that of the examples alone, {seed} and
            {number} for numbers, {costs} for a file in which it may state its tokens; its environment has the same as
            CLBENCH_LESSON, CLBENCH_ABOUT, ...
        files: Files and folders that the command reads beside those that stand in it as words: configurations, modules.
            All of them are pinned by the digests of their content (`train.py@...`): changed ones make another run.
    """

    learn: str = ""
    files: tuple[str, ...] = ()
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"files"})

    @field_validator("learn")
    @classmethod
    def _can_be_read(cls, learn: str) -> str:
        try:
            words = shlex.split(learn)
        except ValueError as error:
            raise ValueError(f"the command cannot be read: {error}") from None
        for name in (name for word in words for name in PLACE.findall(word)):
            if name not in NAMES:
                raise ValueError(f"{{{name}}} stands for nothing; {did_you_mean(name, NAMES)}")
        return learn


class Command:
    """Learns by a command and answers with the checkpoint that it left; before the first, as the base model."""

    def __init__(self, config: Config, model: ModelSpec, seed: int, machine: Machine) -> None:
        self._config, self._model, self._seed, self._machine = config, model, seed, machine
        self._lessons = 0
        self._tokens: int | None = 0
        self._checkpoint: Path | None = None  # the folder of the last one; None is the base model
        self._beside: Path | None = None
        self._scratch: Path | None = None

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    @cached_property
    def net(self) -> Net:
        """The model of the last lesson, loaded when it is first asked."""
        from clbench.models.load import load_net

        at = self._checkpoint
        return load_net(self._model if at is None else spec_of(at, self._model), self._machine)

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer as the checkpoint does."""
        return self.net.respond(examples, decode)

    # --- learning -------------------------------------------------------------------------------------------

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Let the command learn; what it has finished under `progress` is taken over and not run again."""
        refuse_eval_only(lesson)
        work = self._folder(lesson.number) if progress is None else progress.resolve()
        work.mkdir(parents=True, exist_ok=True)
        where = f"lesson {lesson.number}, {_short(self._config.learn)}"
        done = _read(work / "done.json")
        identity = self._identity(lesson)
        if done.get("of") == identity and done.get("left") == folder_digest(work / "out"):
            notice(f"{where}: the command had ended when the run was stopped; it is not run again")
            ended = Ended(**done["ended"])
        else:
            vars(self).pop("net", None)  # two models at a time may not fit
            _give_back_memory()
            ended = self._run(lesson, work, where)
            vars(self)["net"] = take_over(work / "out", work / "previous", self._model, self._machine, where)
            value = {"of": identity, "left": folder_digest(work / "out"), "ended": asdict(ended)}
            write_atomically(work / "done.json", canonical(value))
            ended = Ended(ended.code, 0.0, ended.cpu_s, ended.peak_memory_bytes)  # its wall time is being measured
        count_program(wall_s=ended.wall_s, cpu_s=ended.cpu_s, peak_memory_bytes=ended.peak_memory_bytes)
        tokens = tokens_of(work / "out", work / "costs.json")
        self._tokens = None if tokens is None or self._tokens is None else self._tokens + tokens
        self._lessons += 1
        self._checkpoint = self._beside = work / "out"
        shutil.rmtree(work / "previous", ignore_errors=True)

    def _folder(self, number: int) -> Path:
        if self._scratch is None:
            self._scratch = new_scratch("command")
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        return self._scratch / str(number)

    def _identity(self, lesson: Lesson) -> str:
        before = None if self._checkpoint is None else folder_digest(self._checkpoint)
        return digest([self._config, self._model, self._seed, lesson.digest, self._lessons, before])

    def _run(self, lesson: Lesson, work: Path, where: str) -> Ended:
        """Hand the lesson over, and run the command to its end.

        Raises:
            LessonError: It failed, was ended, or changed what it was given; gives what it said last.
        """
        for name in ("previous", "out", "adapter", "lesson"):
            shutil.rmtree(work / name, ignore_errors=True)
        for name in ("done.json", "costs.json"):
            (work / name).unlink(missing_ok=True)
        paths = {"folder": work / "lesson", "lesson": work / "lesson" / "lesson.jsonl", "about": work / "lesson.json"}
        paths |= {"previous": work / "previous", "out": work / "out", "costs": work / "costs.json"}
        self._write_previous(paths["previous"])
        paths["out"].mkdir()
        values = {name: str(path) for name, path in paths.items()}
        values |= {"seed": str(self._seed), "number": str(lesson.number)}
        write_lesson(paths["lesson"], lesson)
        write_about(paths["about"], lesson, {"seed": self._seed, **{n: str(p) for n, p in paths.items()}})
        given = [paths["folder"], paths["about"], paths["previous"]]
        before = stamps(*given)
        if not self._config.learn:  # refused where a run begins; the contract is checked without a trainer
            copy_files(paths["previous"], paths["out"])
            return Ended(0, 0.0, 0.0, 0)
        words = [PLACE.sub(lambda found: values[found[1]], word) for word in shlex.split(self._config.learn)]
        limit, said = _left_of(self._machine.limit_s), work / "said.txt"
        environment = {f"CLBENCH_{name.upper()}": value for name, value in values.items()}
        ended = run_program(words, environment, said, limit, f"lesson {lesson.number}: {Path(words[0]).name}")
        _check_ended(ended, limit, said, where)
        check_unchanged(before, *given, where=where)
        return ended

    def _write_previous(self, folder: Path) -> None:
        if self._checkpoint is None:
            write_base(self._model, folder, self._machine)
            return
        copy_files(self._checkpoint, folder, answering(self._checkpoint))
        if self._beside is not None and self._beside.is_dir():
            more = beside(self._beside) if self._beside == self._checkpoint else None
            copy_files(self._beside, folder, more)

    # --- state ----------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write the checkpoint, and what lay beside it."""
        (folder / NUMBERS).parent.mkdir(parents=True, exist_ok=True)
        numbers = {"lessons": self._lessons, "train_tokens": self._tokens}
        (folder / NUMBERS).write_text(canonical(numbers), encoding="utf-8")
        if self._checkpoint is None:
            return
        copy_files(self._checkpoint, folder / ANSWERS, answering(self._checkpoint))
        if self._beside is not None and self._beside.is_dir():
            more = beside(self._beside) if self._beside == self._checkpoint else None
            copy_files(self._beside, folder / KEEPS, more)
        net: Any = self.net
        counts = {"lessons": self._lessons, "parameters": sum(p.numel() for p in net.module.parameters())}
        write_counts(folder, counts | ({} if self._tokens is None else {"train_tokens": self._tokens}))

    def load(self, folder: Path) -> None:
        """Turn to the checkpoint of a state."""
        vars(self).pop("net", None)
        numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
        self._lessons, self._tokens = int(numbers["lessons"]), numbers["train_tokens"]
        there = (folder / ANSWERS).is_dir()
        self._checkpoint, self._beside = (folder / ANSWERS, folder / KEEPS) if there else (None, None)


def _check_ended(ended: Ended, limit: float | None, said: Path, where: str) -> None:
    """Refuse the end of a command that is not exit code 0.

    Raises:
        LessonError: Says how it ended, and what it said last.
    """
    if ended.code == 0:
        return
    mend = f"all that it said lies in {said}; what is finished is kept, and the same command goes on with this lesson"
    if ended.code is None:
        what, more = f"it was ended after {limit:.0f} seconds", "give it a longer --limit; "
    elif ended.code < 0:
        often = ", as when memory runs out" if ended.code == -9 else ""
        what, more = f"it was ended by signal {-ended.code}{often}", ""
    else:
        what, more = f"it ended with exit code {ended.code}", ""
    raise LessonError(f"{what}: {last_words(said)}", where=where, mend=more + mend)


def _left_of(limit: float | None) -> float | None:
    """Return the seconds of a unit's limit that the command may take: what ends the unit must not come first.

    Example:
        >>> _left_of(100.0), _left_of(4.0), _left_of(None)
        (90.0, 3.0, None)
    """
    return None if limit is None else max(limit - BEFORE_S, 0.75 * limit)


def _give_back_memory() -> None:
    """Free the memory of an accelerator that a model took which is gone: the command wants it."""
    import gc
    import sys

    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; {} where there is none that can be read."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _short(learn: str) -> str:
    return learn if len(learn) <= 60 else f"{learn[:57]}..."


# --- before anything is spent ------------------------------------------------------------------------------------


def pin_files(config: Config, base: ModelSpec) -> Config:
    """Return the settings with the files that the command reads pinned to their content.

    Raises:
        SpecError: There is no command, no such program, no such file; or the base is not one that can be handed over.
        ModelError: A pinned file is not what it was.
    """
    words = shlex.split(config.learn)
    if not words:
        mend = 'learn: "python train.py --data {lesson} --model {previous} --out {out}"'
        raise SpecError("it has no command to learn with", where="learner.learn", mend=mend)
    if shutil.which(words[0]) is None:
        what = f"there is no program {words[0]!r} here"
        raise SpecError(what, where="learner.learn", mend="name one that is on PATH, or its path from this folder")
    if base.quantised or base.trust_code is not None or base.provider is not None:
        why = "is in four bits" if base.quantised else "has code of its own" if base.trust_code else "is behind an API"
        raise SpecError(
            f"the base model {why}, so it cannot be handed to a command as a checkpoint",
            where="model",
            mend="name a checkpoint with whole weights that transformers loads without code of its own",
        )
    named = dict.fromkeys([*map(unpinned, config.files), *_files_in(words)])
    stated = {unpinned(path): path for path in config.files}
    return config.model_copy(update={"files": tuple(sorted(_pinned(stated.get(path, path)) for path in named))})


def _files_in(words: Sequence[str]) -> Iterator[str]:
    """Yield the words that name files which are here, also behind `--config=`; of programs, those given by a path."""
    for place, word in enumerate(words):
        for name in (word, word.partition("=")[2]):
            is_program = place == 0 and (Path(name).is_absolute() or "/" not in name)
            if name and not is_program and len(name) < 1000 and Path(name).is_file():
                yield name


def _pinned(path: str) -> str:
    place = Path(unpinned(path)).expanduser()
    if not place.exists():
        raise SpecError(f"there is no file {str(place)!r}", where="learner.files", mend=near_paths(place))
    content = file_digest(place) if place.is_file() else folder_digest(place)
    return pin(path, content, "learner.files")


def stated_costs(_: Config) -> Mapping[str, Any]:
    """Return no costs: they are measured."""
    return {}


def build(config: Config, model: ModelSpec, seed: int, machine: Machine) -> Learner:
    """Make a learner that loads each checkpoint when it is asked.

    Raises:
        SpecError: Several processes are to learn together, which the command would have to do itself.
    """
    if machine.processes > 1:
        mend = 'give the command what starts them: learn: "accelerate launch train.py ..."'
        raise SpecError("a command is one process to clbench", where="--processes", mend=mend)
    return Command(config, model, seed, machine)


PLUGIN = LearnerPlugin(
    config=Config,
    build=build,
    version=1,
    answers="net",
    elsewhere=Elsewhere(pin=pin_files, costs=stated_costs, unknown=NOT_KNOWN),
    from_state=True,
    uses_task_ids=False,
    unbounded=True,
    model_families=("causal",),
    about="Any trainer: a command learns each lesson, and leaves a checkpoint.",
)
