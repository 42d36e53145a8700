"""What a card, or a row, may say of an lm_eval task, and which lm_eval tasks are always refused.

The harness runs what it reads: templates with Python's attributes, functions and files that a YAML includes, metrics
that it fetches. So a card may set plain values only. And some tasks run what a model wrote, in this very process.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from clbench.core.errors import DataError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FIXED = frozenset({"include", "task", "class", "unsafe_code"})  # may not even be set to null
SPLITS = frozenset({"training_split", "validation_split", "test_split", "fewshot_split"})
TEXTS = frozenset({"description", "target_delimiter", "fewshot_delimiter"})  # the harness renders them as templates
SHOTS = frozenset({"sampler", "split"})
INCLUDED = re.compile(r"""(?m)^include\s*:\s*["']?([^"'#\n]+?)["']?\s*$""")
UNSAFE = re.compile(r"(?mi)^unsafe_code\s*:\s*[\"']?(?:true|yes|on)")
RUNS = frozenset({"eval", "exec"})


def check_changes(changes: Mapping[str, Any], where: str) -> None:
    """Refuse changes of an lm_eval task that would make the harness run, open or fetch something.

    Raises:
        DataError: Names the field.
    """
    for field, value in changes.items():
        if not _is_plain(str(field), value):
            raise DataError(
                f"changes: {field} may not be set to {str(value)[:80]!r}: the harness would run or open what stands "
                "there",
                where=where,
                mend="a card sets num_fewshot, splits, fewshot_config: {sampler: ..., split: ...}, generation_kwargs, "
                "plain texts for description and delimiters, or leaves a field out with null",
            )


def _is_plain(field: str, value: Any) -> bool:
    if value is None:
        return NAME.fullmatch(field) is not None and field not in FIXED
    if field in SPLITS:
        return _is_name(value)
    if field in TEXTS:
        return isinstance(value, str) and "{" not in value
    if field in SETTINGS:
        fits = SETTINGS[field]
        return isinstance(value, Mapping) and all(fits(str(name), part) for name, part in value.items())
    return field == "num_fewshot" and _is_number(value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_shot(name: str, value: Any) -> bool:
    return name in SHOTS and _is_name(value)


def _is_setting(_: str, value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(isinstance(part, str) for part in value)
    return isinstance(value, str) or _is_number(value)


SETTINGS = {"fewshot_config": _is_shot, "generation_kwargs": _is_setting}


@lru_cache(maxsize=256)
def check_grading(file: Path) -> None:
    """Refuse an lm_eval task whose own code runs what a model wrote.

    Args:
        file: The YAML file of the task.

    Raises:
        DataError: It does, or another task in its folder does.
    """
    if any(map(_runs_answers, {path.parent for path in _chain(file)})):
        raise DataError(
            "this lm_eval task runs programs that a model wrote in clbench's own process, with all your rights",
            where=file.stem,
            mend="use the exams humaneval or mbpp, whose programs run in a sandbox",
        )


def _chain(file: Path) -> Iterator[Path]:
    """Yield a task's file, and those that it includes."""
    waiting, seen = [file], {file}
    while waiting:
        yield (at := waiting.pop())
        for name in INCLUDED.findall(at.read_text(encoding="utf-8", errors="replace")):
            part = (at.parent / name).resolve()
            if part.is_file() and part not in seen:
                seen.add(part)
                waiting.append(part)


@lru_cache(maxsize=256)
def _runs_answers(folder: Path) -> bool:
    texts = (p.read_text(encoding="utf-8", errors="replace") for p in folder.iterdir() if _is_yaml(p))
    if any(map(UNSAFE.search, texts)):
        return True
    for path in folder.glob("*.py"):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        if any(isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in RUNS for n in ast.walk(tree)):
            return True
    return False


def _is_yaml(path: Path) -> bool:
    return path.is_file() and path.name.endswith(("yaml", "yml"))
