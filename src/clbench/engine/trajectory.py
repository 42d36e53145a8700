"""The learner after 0..T lessons: all keys at once, states on first use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from clbench.core import plugins
from clbench.core.counts import read_counts
from clbench.core.events import notice
from clbench.core.keys import canonical, digest, key
from clbench.core.process import end_copy
from clbench.core.protocols import Learner
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Lesson, Stream
from clbench.data.streams.stream import lessons, merge_lessons
from clbench.engine.resolve import open_learner
from clbench.engine.shared_learner import SharedLearner
from clbench.models import source
from clbench.store.shared import share, whole_digest
from clbench.store.store import Store
from clbench.training.method import answers_with_net
from clbench.training.new_method import new_method
from clbench.training.plugin import saves_tensor_files
from clbench.training.settings import FLOAT16, LOOP


def load_record(store: Store, state: str) -> Mapping[str, Any] | None:
    """Return what the store remembers of a state by its key, without making anything."""
    folder = store.find("effective", state)
    return json.loads((folder / "effective.json").read_text(encoding="utf-8")) if folder is not None else None


def answer_fingerprint(known: Mapping[str, Any], answerer: str) -> str:
    """Return the digest of all that answers depend on.

    Args:
        known: What is remembered of the state: the digest of the base model and of what was learnt.
        answerer: Digest of who answers, see `Trajectory.answerer`; empty where it is the net alone.
    """
    return digest([known["effective"], answerer]) if answerer else str(known["effective"])


def _version(learner: str) -> int:
    plugin, _ = open_learner({"name": learner})
    return plugin.version


def _code(learner: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the modules from outside that a learner, or a part of it, is named by."""
    named = [name for name in plugins.learners_in(learner) if not plugins.runs_user_file(name)]
    return {name: found for name in named if (found := plugins.code_of("learner", name))}


class Trajectory:
    """A learner on its way through a stream.

    Keys chain: K_t is made of K_{t-1}, the learner's settings, its version, the seed and the lesson. So runs
    share every prefix they have in common, and methods whose first lesson is plain fine-tuning share that too.

    Attributes:
        keys: K_0..K_L for the L lessons the learner is given (L = T, or 1 if it is taught at once).
        lessons: What it is given.
    """

    def __init__(
        self,
        spec: RunSpec,
        stream: Stream,
        store: Store,
        machine: Machine,
        identity: Callable[[ModelSpec], str] = source.identity,
    ) -> None:
        self._identity = identity
        self.spec = spec.model_copy(update={"model": source.settled(spec.model)})
        self.stream = stream
        self.store = store
        self.machine = machine
        self.plugin, self.config = open_learner(spec.learner)
        taught = lessons(stream)
        self.lessons = (merge_lessons(taught),) if self.plugin.teaches == "at_once" else taught
        self._live: tuple[int, Learner] | None = None
        self._told = 0  # up to which state it was said that lessons are learnt again

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Keys of the states, by lessons learnt; nothing is loaded."""
        base = {"model": self._identity(self.spec.model)}
        own = {} if self.plugin.starts_as_base else {"learner": self._learner, "seed": self.spec.seed}
        keys = [key("state", **base, **own)]
        for lesson in self.lessons:
            limits: dict[str, Any] = {} if lesson.passes is None else {"passes": lesson.passes}
            limits |= {"kinds": digest(lesson.kinds)} if lesson.kinds else {}
            keys.append(
                key(
                    "state",
                    parent=keys[-1],
                    learner=self._learner,
                    seed=self.spec.seed,
                    lesson=lesson.digest,
                    told=lesson.task_name,
                    budget=lesson.budget,
                    **limits,
                )
            )
        return tuple(keys)

    @cached_property
    def _learner(self) -> dict[str, Any]:
        owned = plugins.find_user_file(self.spec.learner_name)
        name = self.spec.learner_name if owned is None else owned.identity
        # Versions of the package's own learners follow the training loop; others cannot know of it.
        loop: dict[str, Any] = {} if name in plugins.shipped("learner") else {"loop": LOOP}
        loop |= {"float16": FLOAT16} if self.spec.model.dtype == "float16" else {}
        of_others = {} if owned is None else {used: _version(used) for used in plugins.learners_used(owned)}
        uses = {"uses": of_others} if of_others else {}
        code = {"code": found} if (found := _code(self.spec.learner)) else {}
        sees = {"sees": "documents"} if self.plugin.sees_documents else {}
        return {"name": name, "config": self.config, "version": self.plugin.version, **loop, **uses, **code, **sees}

    @property
    def traits(self) -> dict[str, Any]:
        """Return what the plug-in says of itself, for the record: its version and its traits."""
        return {"version": self.plugin.version, **self.plugin.traits(self.config).record()}

    def answerer(self, lesson: int) -> str:
        """Return the digest of who answers after `lesson`: of the learner's name or file, its version and its settings.

        Empty where the net answers alone, so that learners of equal weights share their answers: the untouched model,
        and methods that leave answering to the net.
        """
        if self.index(lesson) == 0 and self.plugin.starts_as_base:
            return ""
        return "" if self._with_net else digest(self._learner)

    @cached_property
    def _with_net(self) -> bool:
        if self.plugin.answers is not None:
            return self.plugin.answers == "net"
        return self.plugin.method is not None and answers_with_net(new_method(self.plugin.method, self.config))

    def index(self, lesson: int) -> int:
        """Return the number of the state that answers after `lesson`."""
        return min(lesson, len(self.lessons))

    @cached_property
    def shared(self) -> Trajectory | None:
        """The trajectory whose first lesson is this one's too (see `first_lesson_as`), or None."""
        if self.plugin.first_lesson_as is None:
            return None
        other, _ = open_learner({"name": self.plugin.first_lesson_as})
        settings = {k: v for k, v in self.config.model_dump(mode="json").items() if k in other.config.model_fields}
        spec = self.spec.model_copy(update={"learner": {"name": self.plugin.first_lesson_as, **settings}})
        return Trajectory(spec, self.stream, self.store, self.machine, self._identity)

    # --- states ---------------------------------------------------------------------------------------------

    def learner_after(self, lesson: int) -> Learner:
        """Return the learner after `lesson` lessons, awake; states that are missing are made.

        Where a learner starts as the base model, row 0 is answered by `frozen`: what all learners share must not
        depend on which of them came first.
        """
        index = self.index(lesson)
        if self._live is None or self._live[0] != index:
            self._tell_of_gone(index)
            self._live = (index, self._awake(index))
        return self._live[1]

    def _tell_of_gone(self, index: int) -> None:
        """Say that lessons are learnt again where a state was learnt once and is no longer in the store."""
        gone = index
        while gone and self.store.find("state", self.keys[gone]) is None:
            gone -= 1
        if gone < index and index > self._told and load_record(self.store, self.keys[index]) is not None:
            which = f"lesson {index} is" if gone == index - 1 else f"lessons {gone + 1} to {index} are"
            notice(
                f"{self.spec.learner_label}: the state after lesson {index} is no longer in the store (--keep, or "
                f"`clbench store gc`); {which} learnt again"
            )
            self._told = index

    def _awake(self, index: int) -> Learner:
        folder = self._state(index)
        if self._live is not None and self._live[0] == index:  # it has just been made, and lives
            return self._live[1]
        if folder is None:
            return self._built(self.spec.model_copy(update={"learner": {"name": "frozen"}}))
        learner = self._fresh()
        learner.load(folder)
        return learner

    def _fresh(self) -> Learner:
        return self._built(self.spec)

    def _built(self, spec: RunSpec) -> Learner:
        if self.machine.processes > 1:
            return SharedLearner(spec, self.machine)
        plugin, config = open_learner(spec.learner)
        return plugin.build(config, spec.model, spec.seed, self.machine)

    def _state(self, index: int) -> Path | None:
        """Return the folder of a state, made if it is missing; None for the base model itself."""
        if index == 0 and self.plugin.starts_as_base:
            return None
        why = {
            "learner": self.spec.learner_name,
            "model": self.spec.model.name,
            "stream": self.spec.stream,
            "step": index,
            "parent": self.keys[index - 1] if index else None,
            "seed": self.spec.seed,
        }
        return self.store.once("state", self.keys[index], lambda folder: self._make(index, folder), why)

    def _make(self, index: int, folder: Path) -> None:
        if index == 0:
            self._fresh().save(folder)
            return
        lesson = self.lessons[index - 1]
        if index == 1 and self.shared is not None:
            learner = self._fresh()
            parent = self.shared.folder(1)
            self.shared.reach(1)  # its cost is part of ours, also when the state itself is gone
            if isinstance(learner, SharedLearner):
                learner.adopt_first_lesson(parent, lesson)
            else:
                assert self.plugin.adopt_first_lesson is not None, (
                    "declared beside first_lesson_as, and checked by the contract suite"
                )
                self.plugin.adopt_first_lesson(learner, parent, lesson)
        else:
            learner = self._fresh() if index == 1 and self.plugin.starts_as_base else self.learner_after(index - 1)
            self._live = None  # until the lesson is learnt, it is neither the old state nor the new one
            learner.learn(lesson, self.store.progress("state", self.keys[index]))
        if saves_tensor_files(learner):
            learner.save(folder, self._earlier(index))
            end_copy()
            share(folder, self._earlier(index))
        else:
            learner.save(folder)
            end_copy()
        self._live = None if self.plugin.from_state else (index, learner)

    def _earlier(self, index: int) -> list[Path]:
        """Return the folders of states that state `index` may have much in common with, as far as they are there."""
        keys = [self.keys[index - 1]]
        if index == 1:
            keys = [self.shared.keys[1]] if self.shared is not None else []
        return [folder for key in keys if (folder := self.store.place("state", key)).is_dir()]

    def folder(self, index: int) -> Path:
        """Return the folder of state `index` >= 1, made if it is missing."""
        folder = self._state(index)
        assert folder is not None, "only the base model has no folder"
        return folder

    # --- what is remembered of a state, even when the state itself is gone ------------------------------------

    def reach(self, lesson: int) -> Mapping[str, Any]:
        """Learn the lessons up to `lesson` that are not learnt yet; return what is kept of that state for ever.

        Returns:
            The digest of what its answers depend on, and its counts.
        """
        index = self.index(lesson)
        if (known := load_record(self.store, self.keys[index])) is not None:
            return known
        state = self._state(index)
        stage = self.store.stage("state", self.keys[index]) if state is not None else None
        cost, made_by = (stage["meter"], stage.get("origin", {})) if stage is not None else ({}, {})
        why = {"step": index, "cost": cost, "origin": made_by}
        self.store.once("effective", self.keys[index], lambda draft: self._remember(state, draft), why)
        known = load_record(self.store, self.keys[index])
        assert known is not None, "it has just been made"
        return known

    def _remember(self, folder: Path | None, draft: Path) -> None:
        answers = {} if folder is None or not any(folder.glob("answers/*")) else whole_digest(folder / "answers")
        base = source.identity(self.spec.model)
        counts = read_counts(folder) if folder is not None else {}
        value = {"effective": digest([base, answers]), "counts": counts}
        (draft / "effective.json").write_text(canonical(value), encoding="utf-8")

    def answer_fingerprint(self, lesson: int) -> str:
        """Return the digest of all that the answers after `lesson` depend on."""
        return answer_fingerprint(self.reach(lesson), self.answerer(lesson))

    def lesson_at(self, lesson: int) -> Lesson | None:
        """Return the last lesson before row `lesson`; None for row 0."""
        return self.lessons[self.index(lesson) - 1] if lesson else None
