"""Exams when memory runs out: the questions of a batch are asked in smaller ones, which is told and put on record."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.resource_probes import EXAM_BATCHES
from clbench.core.spec import ModelSpec

T = TypeVar("T")
# What allocators say that raise no error of their own kind: torch's on the CPU, Apple's, and cuBLAS.
SAID = ("defaultcpuallocator", "can't allocate memory", "not enough memory", "out of memory", "status_alloc_failed")


def ran_out(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a device or on the CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SAID)


def within_memory(
    model: ModelSpec, batches: Iterable[Sequence[int]], ask: Callable[[list[int]], T]
) -> Iterator[tuple[list[int], T]]:
    """Ask batch after batch; where memory runs out, ask that batch and all later ones in halves, down to one question.

    In 16 bits an answer may depend on what stands beside it, and the batch is part of its key: there it is an error.

    Args:
        model: Who is asked.
        batches: Questions by index.
        ask: Asks some of them side by side.

    Yields:
        (questions, what `ask` made of them), every question once.

    Raises:
        ModelError: Memory ran out in 16 bits.
    """
    most: int | None = None
    for batch in batches:
        waiting = [[*batch]]
        while waiting:
            part = waiting.pop(0)
            if most is not None and len(part) > most:
                waiting = [part[start : start + most] for start in range(0, len(part), most)] + waiting
                continue
            fitted, found = _tried(model, part, ask)
            if not fitted:
                most = len(part) // 2
                waiting.insert(0, part)
                continue
            yield part, found[0]


def _tried(model: ModelSpec, part: list[int], ask: Callable[[list[int]], T]) -> tuple[bool, list[T]]:
    """Return (whether memory sufficed, what `ask` made of the questions); a single question must fit."""
    try:
        return True, [ask(part)]
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error) or len(part) == 1:
            raise
        if model.dtype != "float32":
            raise ModelError(
                f"memory ran out with {len(part)} questions side by side; in 16 bits an answer may depend on that "
                "number, so it is not made smaller within a run",
                where=model.name,
                mend=f"run the command with --exam-batch {len(part) // 2}: all exams are then asked with that",
            ) from error
    if torch.cuda.is_available():  # outside of the block: the error holds on to what did not fit
        torch.cuda.empty_cache()
    notice(
        f"{model.name}: memory ran out with {len(part)} questions side by side; {len(part) // 2} are asked at a time"
    )
    EXAM_BATCHES.append(len(part) // 2)
    return False, []


@contextmanager
def memory_explained(model: ModelSpec) -> Generator[None]:
    """Turn an error of memory that no smaller batch can mend into one that says what can be done.

    Raises:
        ModelError: Memory ran out within the block.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise ModelError(
            "memory ran out with as few questions side by side as can be asked",
            where=model.name,
            mend="give model.max_tokens a smaller number, take a 16-bit model.dtype, or name a larger --device",
        ) from error
