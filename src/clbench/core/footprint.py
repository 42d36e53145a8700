"""What a method holds beside plain fine-tuning, as its plug-in says: plans add it up before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a method holds, in copies of the weights that learn: of four bytes each, unless it is said otherwise.

    Adapters need not be told here: they are parameters, and are counted as what `prepare` adds.

    Attributes:
        base: Copies in the model's own type, through all lessons (the base weights that `merge` goes back to).
        held: Copies through all lessons.
        later: Further copies from the second lesson on (anchor and Fisher of `ewc`, the teacher of `lwf`).
        each: Further copies for every earlier lesson (the models of `separate`).
        step: Copies that a penalty of the loss makes in every step, beside all activations and all gradients; where
            nothing is `held`, from the second lesson on.
        after: Copies made for a moment when a lesson has been learnt, and its gradients and moments are gone.
        reference: Old examples whose own gradient, another copy, is made after that of the batch (`agem`), as a
            multiple of the batch's examples.
        rows: Old examples that a batch is made longer by, as a share of its own.
        logits: Further sets of predictions over the vocabulary, of four bytes a word (`lwf`).
        keeps: Copies written with a state.
        keeps_each: Further copies written with it for every earlier lesson.
        examples: Most examples kept.
        per_place: Bytes kept beside them for each token of their answers.
        per_word: Bytes kept beside them for each token of their answers and each word of the vocabulary (`derpp`).
    """

    base: float = 0.0
    held: float = 0.0
    later: float = 0.0
    each: float = 0.0
    step: float = 0.0
    after: float = 0.0
    reference: float = 0.0
    rows: float = 0.0
    logits: float = 0.0
    keeps: float = 0.0
    keeps_each: float = 0.0
    examples: float = 0.0
    per_place: float = 0.0
    per_word: float = 0.0

    def __add__(self, other: Footprint) -> Footprint:
        """Return what two methods hold that act together.

        Example:
            >>> (Footprint(later=2) + Footprint(later=1, rows=0.25)).later
            3
        """
        return Footprint(**{name: vars(self)[name] + vars(other)[name] for name in NAMES})


PLAIN = Footprint()
NAMES = tuple(field.name for field in fields(Footprint))
Held = Footprint | Mapping[str, float]  # as a plug-in may say it: {"later": 2, "step": 1}
