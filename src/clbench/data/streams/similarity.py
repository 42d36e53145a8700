"""How alike tasks are, and how easy, without any model: TF-IDF over the words of lesson prompts.

Shapes: D examples of a task, N tasks, V words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clbench.core.keys import normal_text
from clbench.core.types import Example, Task
from clbench.data.tasks.task import smallest

MOST_EXAMPLES = 200  # of each task, chosen by hash of id
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")

F64 = NDArray[np.float64]


def words(text: str) -> list[str]:
    """Return the words of a text, folded; each Chinese or Japanese character is one.

    Example:
        >>> words("The cat's 3 天气")
        ['the', 'cat', 's', '3', '天', '气']
    """
    return _WORD.findall(normal_text(text))


def similarity(tasks: Sequence[Task]) -> F64:
    """Return the cosine between the TF-IDF vectors of tasks: shape (N, N), in [0, 1], 1 on the diagonal.

    A task's vector is the mean of the vectors of its examples, each of length 1. A word that occurs in every example
    of every task weighs the least: idf = 1 + ln(D / document frequency).
    """
    vectors = _vectors(tasks)
    means_NV = np.stack([v.mean(axis=0) for v in vectors]) if vectors else np.zeros((0, 0))
    means_NV = _unit(means_NV)
    return _steady(np.clip(means_NV @ means_NV.T, 0.0, 1.0))


def ease(task: Task) -> float:
    """Return how easy a task is by copying the answer of the most similar other example, in [0, 1].

    The mean, over examples of the lesson, of how well the answer of the nearest other example (cosine of TF-IDF)
    fits: equal or not for labels, shared words (Dice) for free text. 0 for a task of one example.
    """
    examples = _sample(task)
    if len(examples) < 2:
        return 0.0
    (vectors_DV,) = _vectors([task])
    near_DD = _steady(vectors_DV @ vectors_DV.T)
    np.fill_diagonal(near_DD, -1.0)
    pairs = zip(examples, near_DD.argmax(axis=1).tolist(), strict=True)
    fits = [_fit(e.targets[0], examples[i].targets[0], closed=bool(task.labels)) for e, i in pairs]
    return math.fsum(fits) / len(fits)


def _fit(right: str, said: str, *, closed: bool) -> float:
    if closed or right == said:
        return float(right == said)
    a, b = Counter(words(right)), Counter(words(said))
    return 2 * (a & b).total() / max(a.total() + b.total(), 1)


def _sample(task: Task) -> tuple[Example, ...]:
    return smallest(task.lesson, MOST_EXAMPLES, 0)


def _vectors(tasks: Sequence[Task]) -> list[F64]:
    """Return one TF-IDF matrix of shape (D, V) per task, with rows of length 1, over one common vocabulary."""
    counts = [[Counter(words("\n".join(m.content for m in e.prompt))) for e in _sample(t)] for t in tasks]
    documents = [c for of_task in counts for c in of_task]
    frequency = Counter(word for c in documents for word in c)
    index = {word: i for i, word in enumerate(sorted(frequency))}
    idf_V = np.array([1 + math.log(len(documents) / frequency[word]) for word in index])
    vectors: list[F64] = []
    for of_task in counts:
        tf_DV = np.zeros((len(of_task), len(index)))
        for row, count in zip(tf_DV, of_task, strict=True):
            for word, num in count.items():
                row[index[word]] = num
        vectors.append(_unit(tf_DV * idf_V))
    return vectors


def _steady(cosines: F64) -> F64:
    """Return cosines rounded, so that orders made of them do not differ between machines."""
    return np.round(cosines, 9)


def _unit(rows: F64) -> F64:
    length = np.linalg.norm(rows, axis=1, keepdims=True) if rows.size else np.ones((len(rows), 1))
    return rows / np.where(length > 0, length, 1.0)
