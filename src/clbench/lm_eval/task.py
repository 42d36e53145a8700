"""Open an lm_eval task, read its questions, and grade replies by its own rules.

Nothing global is left changed: random generators are put back, the index of all tasks (14 to 22 s) is not built, and
the harness's cache, whose key forgets the model, is never used.
"""

from __future__ import annotations

import importlib.util
import logging
import random
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any
from uuid import uuid4

import numpy as np
import yaml
from jinja2 import TemplateError

from clbench.core.errors import AbsentError, DataError, did_you_mean
from clbench.core.scratch import scratch
from clbench.core.types import Reply, Request
from clbench.lm_eval.rows import drop, hold
from clbench.lm_eval.trust import check_changes, check_grading

Splits = Mapping[str, Sequence[Mapping[str, Any]]]
KINDS: dict[str, str] = {"loglikelihood": "loglik", "loglikelihood_rolling": "rolling", "generate_until": "text"}


@dataclass(frozen=True)
class Question:
    """One document of an lm_eval task as it is asked.

    Attributes:
        doc: The document that the task's own rules grade.
        context: What stands before the answer, few-shot examples included.
        target: The right answer as text, where the task has one.
        requests: What is asked of the model.
        guess_rate: Expected score of guessing, in [0, 1].
    """

    doc: Mapping[str, Any]
    context: str
    target: str
    requests: tuple[Request, ...]
    guess_rate: float = 0.0


@contextmanager
def untouched() -> Generator[None]:
    """Leave Python's and numpy's random generators and the harness's logging as they were before the block."""
    python, arrays = random.getstate(), np.random.get_state()
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        logger.setLevel(level)


def folder() -> Path:
    """Return the folder of the harness's tasks.

    Raises:
        AbsentError: lm-evaluation-harness is not installed.
    """
    try:
        import lm_eval
    except ImportError:
        raise AbsentError(
            "lm_eval exams need lm-evaluation-harness", where="harness", mend='pip install "clbench[abilities]"'
        ) from None
    return Path(str(lm_eval.__file__)).parent / "tasks"


@lru_cache(maxsize=256)
def file_of(name: str) -> Path:
    """Return the YAML file of an lm_eval task.

    Raises:
        AbsentError: There is no task of that name, or it is a group of tasks.
    """
    root = folder()
    files = sorted(root.rglob("*.yaml"))
    likely = [f for f in files if f.stem == name]
    named = re.compile(rf"""^["']?task["']?\s*:\s*["']?{re.escape(name)}["']?\s*$""", re.MULTILINE)
    for file in [*likely, *(f for f in files if f.stem != name)]:
        if named.search(file.read_text(encoding="utf-8", errors="replace")):
            return file
    raise AbsentError(f"there is no lm_eval task {name!r}", where="harness", mend=did_you_mean(name, _stems(files)))


def _stems(files: Sequence[Path]) -> list[str]:
    return [f.stem for f in files if not f.stem.startswith("_")]


@lru_cache(maxsize=256)
def function_of(task: str, name: str) -> Callable[[str], str]:
    """Return a function of text out of the `utils.py` beside an lm_eval task.

    Raises:
        DataError: There is no such function.
    """
    file = file_of(task).parent / "utils.py"
    spec = importlib.util.spec_from_file_location(f"clbench_stock_{task}", file) if file.is_file() else None
    if spec is None or spec.loader is None:
        raise DataError(f"lm_eval task {task!r} has no utils.py", where="prepare", mend="leave `prepare` out")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Only functions defined in the file: what it imports may do anything with a text.
    own = {n: f for n, f in vars(module).items() if isinstance(f, FunctionType) and f.__module__ == module.__name__}
    if name not in own:
        raise DataError(f"{file} has no function {name!r}", where="prepare", mend=did_you_mean(name, own))
    found = own[name]
    return lambda text: str(found(text))


@contextmanager
def open_task(name: str, splits: Splits | None, changes: Mapping[str, Any]) -> Generator[Any]:
    """Open an lm_eval task on our own rows, or (`splits` None) on those that it fetches itself.

    Args:
        name: The task's.
        splits: Split as the task names it -> rows with the columns that it reads.
        changes: Fields of its YAML that get other values.

    Raises:
        AbsentError: There is no such task, or its data cannot be fetched.
        DataError: It cannot read the rows; or see `clbench.lm_eval.trust`.
    """
    check_changes(changes, name)
    check_grading(file_of(name))
    from lm_eval.tasks import TaskManager

    token = uuid4().hex
    overlay: dict[str, Any] = {"include": str(file_of(name)), "task": name, **changes}
    text = yaml.safe_dump(overlay, sort_keys=False, allow_unicode=True)
    if splits is not None:
        text += f"custom_dataset: !function clbench.lm_eval.rows.held\ndataset_kwargs: {{rows: {token}}}\n"
        hold(token, splits)
    try:
        with scratch("overlay") as place, untouched():
            path = place / "overlay.yaml"
            path.write_text(text, encoding="utf-8")
            yield next(iter(TaskManager(include_defaults=False).load(str(path))["tasks"].values()))
    except (DataError, GeneratorExit):
        raise
    except (ConnectionError, FileNotFoundError) as error:
        mend = "give a card with rows of your own, or check the network"
        raise AbsentError(
            f"the data of lm_eval task {name!r} cannot be fetched: {error}", where=name, mend=mend
        ) from error
    except (KeyError, ValueError, TypeError, IndexError, TemplateError) as error:
        mend = "compare the card's `columns` and `splits` with the task's YAML"
        what = f"lm_eval task {name!r} cannot read these rows: {type(error).__name__} {error}"
        raise DataError(what, where=str(file_of(name)), mend=mend) from error
    finally:
        drop(token)


def questions(task: Any, seed: int, metric: str = "", filter_: str = "") -> list[Question]:
    """Return the questions of an open task, in the order of its rows, as the harness puts them.

    Args:
        task: The open task.
        seed: Seed of the few-shot examples, where the task draws them.
        metric: The metric of the guess rate, by the task's name for it; "" is its first.
        filter_: The filter, likewise.
    """
    task.set_fewshot_seed(seed)
    shots = task.config.num_fewshot or 0
    found: list[Question] = []
    for place, doc in enumerate(task.eval_docs):
        context, starts = _context(task, doc, shots)
        asked = task.construct_requests(doc=doc, ctx=context, metadata=(task.config.task, place, 1))
        instances: list[Any] = asked if isinstance(asked, list) else [asked]
        requests = tuple(
            r.model_copy(update={"starts": starts}) if r.kind == "text" and r.context == context else r
            for r in map(request_of, instances)
        )
        question = Question(doc, context if isinstance(context, str) else "", _target(task, doc), requests)
        found.append(replace(question, guess_rate=guess_rate(task, question, metric, filter_)))
    return found


OPTIONS = (re.compile(r"^\s*\(([A-Z])\)", re.MULTILINE), re.compile(r"(?m)^[ \t]*- (.+)$"))
PAIRS = ({"yes", "no"}, {"true", "false"}, {"valid", "invalid"})


def guess_rate(task: Any, question: Question, metric: str, filter_: str) -> float:
    """Return the expected score of guessing one question, in [0, 1].

    If answers are ranked, it is the mean of the task's own grades over the answers, each in turn taken for certain. So
    one of n gives 1/n, and a metric that weighs true answers gives their share. If answers are written, it is 1 / the
    number of options that the question lists, or 1/2 if the answer is yes or no (true, valid); else 0.
    """
    if any(r.kind == "rolling" for r in question.requests):
        return 0.0
    if all(r.kind == "text" for r in question.requests):
        return _guessed_text(question)
    num = len(question.requests)
    name = metric or next(iter(task._metric_fn_list), "")
    if not callable(task.config.process_results) and name in ("acc", "acc_norm") and not task.multiple_target:
        return 1 / num
    scores: list[float] = []
    for sure in range(num if num > 1 else 0):
        replies = [Reply(loglik=0.0 if place == sure else -1e6) for place in range(num)]
        grades = results(task, question.doc, replies)
        values = grades.get(filter_) or next(iter(grades.values()))
        value = values.get(metric) if metric else next(iter(values.values()))
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            return 0.0  # a metric that is not a mean over questions has no guess rate
        scores.append(float(value))
    return sum(scores) / num if num else 0.0


def _guessed_text(question: Question) -> float:
    target = question.target.strip()
    text = "\n".join(v for v in question.doc.values() if isinstance(v, str) and v != question.target)
    for pattern in OPTIONS:
        offered = set(pattern.findall(text))
        if target.strip("()") in offered and len(offered) > 1:
            return 1 / len(offered)
    return 0.5 if any(target.lower() in pair for pair in PAIRS) else 0.0


def _context(task: Any, doc: Any, shots: int) -> tuple[Any, tuple[int, ...]]:
    """Return a question with its few-shot examples, and where these and the question begin; () without examples."""
    turns: list[int] = []
    try:
        build = task.build_qa_turn
    except AttributeError:  # a task with code of its own, which may put its prompt together in any way
        return task.fewshot_context(doc, num_fewshot=shots, gen_prefix=task.doc_to_prefix(doc)), ()

    def recording(**parts: Any) -> Any:
        messages = build(**parts)
        turns.append(sum(len(m.to_text()) for m in messages))
        return messages

    task.build_qa_turn = recording
    try:
        context = task.fewshot_context(doc, num_fewshot=shots, gen_prefix=task.doc_to_prefix(doc))
    finally:
        del task.build_qa_turn
    lead = len(context) - sum(turns) if isinstance(context, str) else -1
    if lead < 0 or len(turns) < 2:
        return context, ()
    return context, tuple(lead + sum(turns[:i]) for i in range(len(turns)))


def _target(task: Any, doc: Any) -> str:
    """Return the right answer as text; "" if the task has none."""
    with suppress(KeyError, ValueError, TypeError, IndexError):
        target: Any = task.doc_to_target(doc)
        if isinstance(target, int) and task.config.doc_to_choice is not None:
            target = task.doc_to_choice(doc)[target]
        return target if isinstance(target, str) else str(target)
    return ""


def request_of(instance: Any) -> Request:
    """Return a request of the harness as a plain question."""
    kind: Any = KINDS[instance.request_type]
    if kind == "rolling":
        return Request(kind=kind, continuation=instance.args[0])
    if kind == "loglik":
        return Request(kind=kind, context=instance.args[0], continuation=instance.args[1])
    how: dict[str, Any] = instance.args[1]
    stop = how.get("until") or ()
    temperature = float(how.get("temperature") or 0.0) if how.get("do_sample") else 0.0
    return Request(
        kind=kind,
        context=instance.args[0],
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        max_tokens=int(how.get("max_gen_toks") or how.get("max_tokens") or 256),
        temperature=temperature,
    )


def results(task: Any, doc: Mapping[str, Any], replies: Sequence[Reply]) -> dict[str, dict[str, Any]]:
    """Return the grades of the replies to one document, by the task's own code: filter -> metric -> value."""
    asked = task.construct_requests(doc=doc, ctx="", metadata=(task.config.task, 0, 1))
    instances: list[Any] = asked if isinstance(asked, list) else [asked]
    for instance, reply in zip(instances, replies, strict=True):
        instance.resps = [_response(instance, reply)]
    task._instances = instances
    task.apply_filters()
    names = instances[0].filtered_resps
    return {name: dict(task.process_results(doc, [i.filtered_resps[name] for i in instances])) for name in names}


def _response(instance: Any, reply: Reply) -> Any:
    if instance.request_type == "loglikelihood":
        return (reply.loglik, reply.greedy)
    return reply.loglik if instance.request_type == "loglikelihood_rolling" else reply.text
