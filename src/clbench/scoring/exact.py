"""Exact match with any accepted answer, after folding blanks, width and (unless told otherwise) case."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin
from clbench.core.types import Answer, Example, Grade
from clbench.scoring._settings import settings_of, unmarkable

PUNCTUATION = string.punctuation + "。，、！？；：“”‘’（）《》…"
DEFAULTS: dict[str, Any] = {"case_sensitive": False, "strip_punctuation": True}


def fold(text: str, *, case_sensitive: bool, strip_punctuation: bool) -> str:
    """Fold a text for comparison; punctuation is stripped at both ends only, and never if nothing else is there.

    Example:
        >>> fold(" The  Answer. ", case_sensitive=False, strip_punctuation=True)
        'the answer'
    """
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    text = text if case_sensitive else text.lower()
    return (text.strip(PUNCTUATION + " ") or text) if strip_punctuation else text


def build(settings: Mapping[str, Any]) -> Scorer:
    """Make the scorer: 1 if the answer equals a target, else 0."""
    how = settings_of("exact", settings, DEFAULTS)

    def mark(example: Example, answer: Answer) -> Grade:
        if (grade := unmarkable(example, answer)) is not None:
            return grade
        said = fold(answer.text, **how)
        return Grade(example_id=example.id, score=float(any(said == fold(t, **how) for t in example.targets)))

    return mark


PLUGIN = ScorerPlugin(build=build, version=1, about="exact match with any accepted answer")
