"""The contract of every learner, as checks that compare saved states: on answers alone, bugs slip through.

    from clbench.testing import check_learner
    outcomes = check_learner("replay")

The same suite runs over the shipped learners and over yours (a dotted module path).
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from clbench.core import plugins
from clbench.core.errors import DataError, LearnerError, LessonError, SpecError, UserError, said_of
from clbench.core.events import Progress, progress_listener
from clbench.core.keys import canonical, digest, folder_digest
from clbench.core.process import staying
from clbench.core.scratch import scratch
from clbench.core.spec import ModelSpec
from clbench.core.types import Budget, Example, Lesson
from clbench.data.exams.exam import open_exams
from clbench.data.streams.stream import lessons, open_stream
from clbench.engine.resolve import open_learner
from clbench.testing.bench import Bench
from clbench.testing.outcome import Outcome
from clbench.testing.outside import nothing_held_outside
from clbench.testing.stored import quoted_example, stored_examples

QUICK = {"lr": 1e-3, "epochs": 1, "batch_size": 8, "warmup": 0.0}


class NotApplicableError(Exception):
    """Raised by a check that has nothing to say about a learner."""


def _answers_in_order(bench: Bench) -> str:
    learner = bench.learner()
    if learner.respond([], bench.exam.decode) != []:
        return "asked nothing, it answers something"
    examples = list(reversed(bench.exam.examples))
    ids = [a.example_id for a in learner.respond(examples, bench.exam.decode)]
    return "" if ids == [e.id for e in examples] else "answers do not come in the order of the questions"


def _asking_changes_nothing(bench: Bench) -> str:
    learner = bench.taught(1)
    before = bench.state(learner)
    learner.respond(bench.exam.examples, bench.exam.decode)
    if bench.state(learner) != before:
        return "its state differs after an exam"
    other = bench.taught(1)
    for each in (learner, other):
        each.learn(bench.lessons[1])
    return "" if bench.state(learner) == bench.state(other) else "having been asked, it learns differently"


def _sleep_changes_nothing(bench: Bench) -> str:
    awake = bench.taught(1)
    folder = bench.save(awake)
    woken = bench.learner()
    woken.load(folder)
    if bench.state(woken) != folder_digest_of(folder):
        return "saved again after loading, its state differs"
    for learner in (awake, woken):
        for lesson in bench.lessons[1:3]:
            learner.learn(lesson)
    return "" if bench.state(awake) == bench.state(woken) else "after sleep it learns differently"


def folder_digest_of(folder: Path) -> str:
    """Return what `Bench.state` gives, of a folder that is already written."""
    return digest([folder_digest(folder)])


def _starts_as_base(bench: Bench) -> str:
    if not bench.plugin.starts_as_base:
        raise NotApplicableError("it does not claim to start as the base model")
    learner, base = bench.learner(), bench.learner("frozen")
    if any((bench.save(learner) / "answers").glob("*")):
        return "before any lesson it saves something that answers depend on"
    same = learner.respond(bench.exam.examples, bench.exam.decode) == base.respond(
        bench.exam.examples, bench.exam.decode
    )
    return "" if same else "before any lesson it answers otherwise than the base model"


def _neutral_is_sft(bench: Bench) -> str:
    if bench.plugin.neutral is None:
        raise NotApplicableError("it declares no `neutral` settings, at which it would be plain fine-tuning")
    learner, sft = bench.taught(2, **dict(bench.plugin.neutral)), bench.learner("sft")
    for lesson in bench.lessons[:2]:
        sft.learn(lesson)
    same = bench.state(learner, "answers") == bench.state(sft, "answers")
    return "" if same else f"at {dict(bench.plugin.neutral)} its weights are not those of sft"


def _first_lesson_as_declared(bench: Bench) -> str:
    parent = bench.plugin.first_lesson_as
    if parent is None:
        raise NotApplicableError("it declares no first_lesson_as")
    if bench.plugin.adopt_first_lesson is None:
        return "it declares first_lesson_as and no adopt_first_lesson, so its first lesson cannot be shared"
    own, other, copied = bench.taught(1), bench.learner(parent), bench.learner()
    other.learn(bench.lessons[0])
    folder = bench.save(other)
    if bench.state(own, "answers") != digest([folder_digest(folder / "answers")]):
        return f"its first lesson is not that of {parent}"
    bench.plugin.adopt_first_lesson(copied, folder, bench.lessons[0])
    for learner in (own, copied):
        learner.learn(bench.lessons[1])
    return "" if bench.state(own) == bench.state(copied) else "settled on a shared first lesson, it goes on differently"


def _same_seed_same_bytes(bench: Bench) -> str:
    return "" if bench.state(bench.taught(2)) == bench.state(bench.taught(2)) else "two equal runs give two states"


def _global_rng_untouched(bench: Bench) -> str:
    before = _rng_state()
    learner = bench.taught(2)
    learner.respond(bench.exam.examples, bench.exam.decode)
    bench.save(learner)
    return "" if _rng_state() == before else "a global random generator has moved"


def _rng_state() -> str:
    import importlib

    torch = importlib.import_module("torch")
    return digest([random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()])


def _lesson_not_mutated(bench: Bench) -> str:
    before = canonical(bench.lessons)
    bench.taught(2)
    return "" if canonical(bench.lessons) == before else "it changed its lesson"


def _keeps_within_budget(bench: Bench) -> str:
    for budget in (Budget(examples=3), Budget(bytes=900), Budget(examples=0)):
        learner = bench.learner()
        for lesson in bench.lessons[:2]:
            learner.learn(lesson.model_copy(update={"budget": budget}))
        kept = list(stored_examples(bench.save(learner)))
        if budget.examples is not None and len(kept) > budget.examples:
            return f"it keeps {len(kept)} examples where {budget.examples} are allowed"
        if budget.bytes is not None and len(canonical(kept).encode()) > budget.bytes:
            return f"it keeps {len(canonical(kept).encode())} bytes of examples where {budget.bytes} are allowed"
    return ""


def _says_what_it_stores(bench: Bench) -> str:
    level = bench.plugin.stored(bench.plugin.config.model_validate(bench.settings))
    net = bench.net()
    told = [bench, replace(bench, lessons=_with_free_answers(bench.lessons))] if "text" in net.can else [bench]
    for each in told:
        learner, taught = each.learner(), list[Example]()
        for lesson in each.lessons:
            learner.learn(lesson)
            taught += lesson.examples
            folder = each.save(learner)
            if any(stored_examples(folder)) and level != "examples":
                return (
                    f'it keeps examples as they are, and says {_quoted(level)}: write stores="examples" in its PLUGIN'
                )
            found = quoted_example(folder, taught, lambda e: net.batch([e]).ids_BT[0].tolist())
            if found is not None and level not in ("may_quote", "examples"):
                return f'it keeps text of example {found.id!r}, and says {_quoted(level)}: write stores="examples"'
    return ""


def _with_free_answers(given: Sequence[Lesson]) -> tuple[Lesson, ...]:
    """Make lessons of the same questions whose answers are texts and not labels."""
    found: list[Lesson] = []
    for lesson in given:
        taught = tuple(
            e.model_copy(update={"targets": (f"{e.targets[0]}, as {e.id} has it",), "choices": ()})
            for e in lesson.examples
        )
        found.append(lesson.model_copy(update={"examples": taught, "digest": digest(taught)}))
    return tuple(found)


def _quoted(level: str | None) -> str:
    return "nothing of what it stores" if level is None else f'stores="{level}"'


def _unknown_setting_refused(bench: Bench) -> str:
    try:
        open_learner({"name": bench.name, **bench.settings, "no_such_setting": 1})
    except SpecError:
        return ""
    return "an unknown setting is accepted"


def _exam_items_refused(bench: Bench) -> str:
    first = bench.lessons[0]
    examples = (first.examples[0].model_copy(update={"eval_only": True}), *first.examples[1:])
    try:
        bench.learner().learn(first.model_copy(update={"examples": examples}))
    except DataError:
        return ""
    return "it learns an example that is marked eval_only"


class _StoppedError(Exception):
    """Stands for a kill in the middle of a lesson."""


def _stop_and_resume(bench: Bench) -> str:
    uninterrupted = bench.taught(1)
    base = bench.save(uninterrupted)
    uninterrupted.learn(bench.lessons[1])
    for stop_after in (1, 2):
        progress = bench.scratch / "progress"
        shutil.rmtree(progress, ignore_errors=True)
        broken = bench.learner()
        broken.load(base)
        try:
            with _stopping(stop_after):
                broken.learn(bench.lessons[1], progress)
        except _StoppedError:
            pass
        again = bench.learner()
        again.load(base)
        again.learn(bench.lessons[1], progress)
        if bench.state(again) != bench.state(uninterrupted):
            return f"stopped after step {stop_after} and gone on, it ends in another state"
    return ""


@contextmanager
def _stopping(after: int) -> Generator[None]:
    def listen(progress: Progress) -> None:
        if progress.done > after:
            raise _StoppedError

    token = progress_listener.set(listen)
    try:
        yield
    finally:
        progress_listener.reset(token)


def _label_head_grows(bench: Bench) -> str:
    """Check lessons that bring new labels to an encoder: the shapes of what a method keeps must follow."""
    if "encoder" not in bench.plugin.model_families:
        raise NotApplicableError("it is not defined on encoders")
    growing = replace(bench, model=ModelSpec(name="tiny-bert"), lessons=_bringing_labels(bench.lessons))
    learner = growing.learner()
    for lesson in growing.lessons[:3]:
        folder = growing.save(learner)
        woken = growing.learner()
        woken.load(folder)
        try:
            for each in (learner, woken):
                each.learn(lesson)
        except LessonError as error:
            return f"on a label head that gains rows: {error.where}: {error.what}"
        if growing.state(learner) != growing.state(woken):
            return "on a label head that gains rows, it learns differently after sleep"
    return ""


def _bringing_labels(lessons: Sequence[Lesson]) -> tuple[Lesson, ...]:
    """Return lessons that each have labels of their own, made from the questions of others."""
    found: list[Lesson] = []
    for lesson in lessons:
        names = tuple(f"label {lesson.number}.{i}" for i in range(1 + lesson.number))
        taught = tuple(
            e.model_copy(update={"targets": (names[i % len(names)],), "choices": names})
            for i, e in enumerate(lesson.examples[:16])
        )
        found.append(lesson.model_copy(update={"examples": taught, "digest": digest(taught)}))
    return tuple(found)


def _learning_does_something(bench: Bench) -> str:
    if bench.plugin.elsewhere is not None:
        raise NotApplicableError("it takes over what others have learnt")
    if bench.plugin.family == "bounds" and bench.plugin.trains == "none":
        raise NotApplicableError("it is meant to learn nothing")
    learner = bench.taught(2)
    return "" if any((bench.save(learner) / "answers").glob("*")) else "two lessons leave no trace in its answers"


# This check comes first: it works best in a process in which the learner has not yet worked.
CHECKS: dict[str, Callable[[Bench], str]] = {
    "nothing kept outside of it": nothing_held_outside,
    "answers in order": _answers_in_order,
    "asking changes nothing": _asking_changes_nothing,
    "sleep changes nothing": _sleep_changes_nothing,
    "starts as the base model": _starts_as_base,
    "neutral settings equal sft": _neutral_is_sft,
    "first lesson as declared": _first_lesson_as_declared,
    "same seed, same bytes": _same_seed_same_bytes,
    "global random state untouched": _global_rng_untouched,
    "lesson not mutated": _lesson_not_mutated,
    "kept examples within the budget": _keeps_within_budget,
    "what it stores is said": _says_what_it_stores,
    "unknown setting refused": _unknown_setting_refused,
    "exam items refused": _exam_items_refused,
    "stop and resume": _stop_and_resume,
    "learning leaves a trace": _learning_does_something,
    "label head that grows": _label_head_grows,
}


def check_learner(
    name: str, model: str = "tiny-llama", stream: str = "worlds-tiny", only: str | None = None
) -> list[Outcome]:
    """Check a learner against its contract.

    Args:
        name: A learner of the package, or a dotted module path.
        model: The base model it is checked on.
        stream: A small stream of at least two lessons.
        only: Name of one check; None runs all.

    Returns:
        One outcome per check; the learner conforms if no outcome has a problem.

    Raises:
        SpecError: There is no such learner.
    """
    plugin, _ = open_learner({"name": name})
    lesson_stream = open_stream(stream, None)
    if plugin.needs_task_ids:
        lesson_stream = lesson_stream.model_copy(update={"task_ids": "given"})
    settings = {k: v for k, v in QUICK.items() if k in plugin.config.model_fields}
    outcomes: list[Outcome] = []
    for title, check in CHECKS.items():
        if only not in (None, title):
            continue
        with scratch("check") as folder:
            exam = open_exams((), lesson_stream, None)[0]
            bench = Bench(name, plugin, settings, ModelSpec(name=model), lessons(lesson_stream), exam, folder)
            try:
                outcomes.append(Outcome(title, problem=check(bench)))
            except NotApplicableError as reason:
                outcomes.append(Outcome(title, skipped=str(reason)))
    return outcomes


def contained_check(name: str) -> list[Outcome]:
    """Check a learner of a user's file in a process that it may not leave unseen.

    Raises:
        LearnerError: It would end its process, or raises an error that no check expects.
        SpecError: There is no such learner.
    """
    try:
        with staying():
            return check_learner(name)
    except SystemExit as error:
        mend = "raise an exception where something is wrong, and return where nothing is"
        raise LearnerError(f"it ended its process (SystemExit: {error.code})", where=name, mend=mend) from error
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        what = f"{said_of(error)}{plugins.user_file_line(error)}"
        raise LearnerError(what, where=name, mend="correct what it gives or raises there") from error
