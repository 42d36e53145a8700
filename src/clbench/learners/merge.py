"""Merging: every lesson is learnt by itself, from the base or from the merge so far, and merged into one model.

    apart:       tau_i = phi_i - theta_0,   theta_t = theta_0 + scale * M(tau_1, ..., tau_t)
    sequential:  theta_t = theta_{t-1} + scale * (M(sigma_{t-1}, phi_t - theta_0) - sigma_{t-1}),
                 sigma_t = theta_t - theta_0

with theta_0 the base and phi_t what lesson t makes: of theta_0 (`form: apart`), or of theta_{t-1}, the merge of all
lessons before (`form: sequential`). M is the mean ("average"), the mean of what is left after trimming and electing a
sign per weight ("ties"), or the mean after random drops that are made up for by 1 / density ("dare"). Sources: Wortsman
et al. 2022, "Model soups", ICML, arXiv:2203.05482; Yadav et al. 2023, "TIES-Merging", NeurIPS, arXiv:2306.01708; Yu et
al. 2024, "Language Models are Super Mario" (DARE), ICML, arXiv:2311.03099. The functions are peft's: they trim each
tensor by itself, where TIES trims the whole model at once. Otherwise than in the papers, which merge models that are
all at hand: apart, the merge is made anew of all lessons so far after each, DARE with new drops; sequential, the merge
so far stands for t - 1 lessons and the new one for one, so that "average" is

    theta_t = theta_{t-1} + (scale / t) (phi_t - theta_{t-1})

after Marouf et al. 2024, "Weighted Ensemble Models Are Strong Continual Learners", ECCV, arXiv:2312.08977, who take a
fixed share in place of 1 / t. A row of an encoder's label head that a lesson did not have counts as unchanged by it.

Defaults: average, for it has no settings, and apart; density 0.2 is that of TIES (DARE drops as much or more); scale 1.
Keeps: the sum of changes ("average"), or one per lesson ("ties", "dare"), each as large as the model, and nothing where
it is sequential; while it lives it also holds the base weights. Of a change "ties" needs what it does not trim alone:
the rest is set to 0, and is not written. What is kept is still counted as one number for each weight.
Told: where a lesson ends.
Not for: lessons that build on each other, where they are learnt apart; streams of many unlike lessons, in which each
one's share of the mean fades.
Falls short: apart it ends below plain fine-tuning, in the mean and with TIES; of the sequential mean, which ends
higher, that is not shown. A guess: merging shrinks what each lesson has learnt, and facts learnt by heart need the
whole of it; and changes learnt apart may not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from clbench.core.footprint import Footprint
from clbench.core.types import Lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


class Config(Training):
    """Settings of merging.

    Attributes:
        how: How changes are merged.
        density: Share of weights that "ties" and "dare" keep of each change, in (0, 1); unused by "average".
        scale: Factor of the merged change, > 0; sequential, of what a lesson changes in the merge so far.
        form: "apart" learns each lesson from the base; "sequential" from the merge of all lessons before it.
    """

    how: Literal["average", "ties", "dare"] = "average"
    density: float = Field(default=0.2, gt=0, lt=1)
    scale: float = Field(default=1.0, gt=0)
    form: Literal["apart", "sequential"] = "apart"
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"form"})


class Merge(Method):
    """Lessons apart from each other or one after another, merged after each.

    Attributes:
        base, start: Weights of the base, and those that the lesson starts from.
        changes: One per lesson that is merged anew; for "average" their sum alone.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.base: dict[str, Tensor] = {}
        self.start: dict[str, Tensor] = {}
        self.changes: list[dict[str, Tensor]] = []
        self.num = 0
        self.woken = False  # changes have been read, perhaps whole ones of an earlier clbench

    def prepare(self, net: Net, number: int) -> None:
        """Go back to the base, or stay at the merge; rows that a label head has gained since are part of the base."""
        import torch

        from clbench.learners._shared.label_rows import with_new_rows

        with torch.no_grad():
            for name, param in net.module.named_parameters():
                self.base[name] = with_new_rows(self.base.get(name, param), param).clone()
                if self.config.form == "apart":
                    param.copy_(self.base[name])
            self.start = {name: param.clone() for name, param in net.module.named_parameters()}

    def wake(self, net: Net, number: int) -> None:
        """Note the base; the next lesson notes where it starts."""
        self.prepare(net, number)

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Add the lesson's change to the earlier ones, and make the weights of all of them."""
        self.num += 1
        if self.config.form == "sequential":
            self._merge_into_start(net)
        else:
            self._merge_all(net)

    def _merge_into_start(self, net: Net) -> None:
        import torch

        with torch.no_grad():
            for name, param in net.module.named_parameters():
                past, new = self.start[name] - self.base[name], param - self.base[name]
                own = self.config
                made = merge_two(past, new, own, self.num) if self.num > 1 else merge_changes([new], own, 1)
                param.copy_(self.start[name] + self.config.scale * (made - past))

    def _merge_all(self, net: Net) -> None:
        import torch

        from clbench.learners._shared.label_rows import with_zero_rows

        params = dict(net.module.named_parameters())
        change = {name: param.detach() - self.base[name] for name, param in params.items()}
        if self.config.how == "average" and self.changes:
            past = self.changes.pop()
            change = {name: value + with_zero_rows(past[name], value) for name, value in change.items()}
        self.changes.append(change)
        if self.config.how == "ties":
            self._trim(net)
        with torch.no_grad():
            for name, param in params.items():
                changes = [with_zero_rows(change[name], param) for change in self.changes]
                made = merge_changes(changes, self.config, self.num, trims=_grows(net, name))
                param.copy_(self.base[name] + self.config.scale * made)

    def _trim(self, net: Net) -> None:
        for i, change in enumerate(self.changes):
            if self.woken or i == len(self.changes) - 1:
                kept = {n: v if _grows(net, n) else trimmed(v, self.config.density) for n, v in change.items()}
                self.changes[i] = kept
        self.woken = False

    def state(self) -> dict[str, Any]:
        """Return the changes."""
        return {"num": self.num, **{f"change{i}": c for i, c in enumerate(self.changes)}} if self.num else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the changes."""
        self.num = state.get("num", 0)
        self.changes = [state[f"change{i}"] for i in range(max(len(state) - 1, 0))]
        self.woken = True


def _grows(net: Net, name: str) -> bool:
    """Return whether a parameter is of a label head: what it keeps of a change depends on rows that come later."""
    return bool(net.labels) and name.startswith(f"{net.head_name}.")


def trimmed(change: Tensor, density: float) -> Tensor:
    """Return a change with its largest values alone, as "ties" trims it: the rest is 0, and not -0.

    Example:
        >>> import torch
        >>> trimmed(torch.tensor([0.5, -3.0, 2.0, -0.1]), 0.5)
        tensor([ 0., -3.,  2.,  0.])
    """
    from peft.utils import merge_utils

    return merge_utils.prune(change, density, method="magnitude") + 0.0


def merge_two(past: Tensor, new: Tensor, config: Config, num: int) -> Tensor:
    """Merge the change of all lessons so far with that of lesson `num`, which includes the former.

    The past counts as num - 1 lessons; in "ties" each counts once, and a weight goes with the larger of them.
    """
    import torch
    from peft.utils import merge_utils

    shares = torch.tensor([1 - 1 / num, 1 / num], dtype=past.dtype, device=past.device)
    if config.how == "average":
        return merge_utils.task_arithmetic([past, new], shares)
    if config.how == "ties":
        return merge_utils.ties([past, new], torch.ones_like(shares), config.density)
    return merge_utils.dare_linear([past, new], shares, config.density)


def merge_changes(changes: Sequence[Tensor], config: Config, num: int, *, trims: bool = True) -> Tensor:
    """Merge the changes of one parameter.

    Args:
        changes: One per lesson, all of one shape; for "average" their sum alone will do.
        config: How; "dare" draws from torch's generator, which the caller seeds.
        num: Number of lessons.
        trims: Whether "ties" is given whole changes; else they are `trimmed`.
    """
    import torch
    from peft.utils import merge_utils

    equal = torch.full((len(changes),), 1 / num, dtype=changes[0].dtype, device=changes[0].device)
    if config.how == "average":
        return merge_utils.task_arithmetic(list(changes), equal)
    if config.how == "ties":  # its mean is over the lessons that agree in sign, so each counts once
        left = torch.stack([trimmed(change, config.density) if trims else change for change in changes])
        return merge_utils.disjoint_merge(left, merge_utils.calculate_majority_sign_mask(left))
    return merge_utils.dare_linear(list(changes), equal, config.density)


def footprint_of(config: Config) -> Footprint:
    """Return the base weights, those that a lesson starts from, and the changes of earlier lessons."""
    if config.form == "sequential":
        return Footprint(base=1, held=1)
    if config.how == "average":
        return Footprint(base=1, held=1, later=1, after=1, keeps=1)
    return Footprint(base=1, held=1, each=1, after=1, keeps=1, keeps_each=1)


PLUGIN = plugin(
    Config,
    Merge,
    version=2,
    footprint=footprint_of,
    stores="none",
    family="light fine-tuning",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Wortsman et al. 2022, arXiv:2203.05482",
    about="Learn each lesson by itself, and merge the changes.",
)
