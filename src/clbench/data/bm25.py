"""BM25: how alike a question is to each of some texts, by the words that both hold.

Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in
Information Retrieval 3(4), section 3.4. Otherwise than there: 1 is added in the logarithm, so that a word in more than
half of the texts never counts against one; a word counts once per question.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class Bm25:
    """BM25 over a set of texts.

    Args:
        texts: Their words.
        k1: How slowly repeated words stop counting, >= 0.
        b: How far long texts are discounted, in [0, 1].
    """

    def __init__(self, texts: Sequence[Sequence[str]], k1: float = 1.2, b: float = 0.75) -> None:
        self.num = len(texts)
        mean = sum(map(len, texts)) / max(self.num, 1) or 1.0
        weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, text in enumerate(texts):
            long = k1 * (1 - b + b * len(text) / mean)
            for word, tf in Counter(text).items():
                weights[word].append((i, tf / (tf + long)))
        self._weights = {
            word: [(i, math.log1p((self.num - len(found) + 0.5) / (len(found) + 0.5)) * w) for i, w in found]
            for word, found in weights.items()
        }

    def scores(self, question: Sequence[str]) -> F64:
        """Return the likeness of a question's words to each text, shape (N,), >= 0."""
        scores = np.zeros(self.num)
        for word in sorted(set(question)):  # in one order, so that sums are the same in every process
            for i, weight in self._weights.get(word, ()):
                scores[i] += weight
        return scores

    def best(self, question: Sequence[str], num: int) -> list[int]:
        """Return the places of the `num` texts most like a question, the most alike first; ties in their order."""
        scores = np.round(self.scores(question), 6)  # machines sum otherwise, and must agree on the order
        return np.argsort(-scores, kind="stable")[:num].tolist()
