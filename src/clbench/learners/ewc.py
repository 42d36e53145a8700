"""Elastic weight consolidation: hold each weight near its old value, the firmer the more old tasks depend on it.

Online (default): one anchor theta*, the weights after the last lesson, and one running sum F of Fishers,

    loss = CE + (strength / 2) * sum_k F_k (theta_k - theta*_k)^2,   F = F_new + decay_old * F_old

or, `per_task`, every lesson t's own anchor theta*_t and Fisher F_t:

    loss = CE + (strength / 2) * sum_t sum_k F_t,k (theta_k - theta*_t,k)^2

F is the diagonal of the Fisher information, the mean over examples of the squared gradient of ln p(y | x), streamed
example by example, with y drawn from the model itself ("sampled", the definition) or the taught answer ("empirical",
which goes to 0 where the lesson has been fitted). The per-task sum of quadratics is one quadratic around the
F-weighted mean of the anchors, plus a constant: it is added up once a lesson, and a step costs what it does online.

Source: Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks", PNAS 114(13), eq. 3,
arXiv:1612.00796 (per task); Schwarz et al. 2018, "Progress & Compress", ICML, arXiv:1805.06370, eq. 8-9 (online).
Otherwise than there, Fishers are means over examples and are not normalised, so they sum in the units of the loss.
Label rows that an encoder's head has gained since are free.

Defaults: strength is ours (the papers' values belong to image and game nets); 32 examples keep the Fisher pass below
half an epoch of a lesson of 160 short examples. A lesson of under 100 examples pays more than that.
Keeps: two numbers per trained weight, anchor and Fisher (in float32); `per_task` two per lesson, and in memory two
more. More than 100 MB is announced before it is taken.
Told: where a lesson ends.
Not for: class-incremental lessons, where nothing in the loss sets old labels against new ones; rehearsal is far ahead.
Falls short: over three orders of the tasks no gain in AP over plain fine-tuning is shown, once corrected for the number
of methods; in one of the orders it stands below replay, in the others above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from clbench.core.footprint import PLAIN, Footprint
from clbench.core.types import Lesson
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Batch, Forward, Net


class Config(Training):
    """Settings of EWC.

    Attributes:
        strength: lambda, >= 0; 0 is plain fine-tuning.
        per_task: Every lesson keeps an anchor and a Fisher of its own, instead of one anchor and a running sum.
        decay_old: gamma of online EWC in [0, 1]: how much of the earlier lessons' Fisher is kept; 1 sums them.
            With `per_task` it must be 1.
        fisher: Whose answers the Fisher is taken on.
        fisher_examples: Examples per lesson on which it is estimated, >= 1; a smaller lesson is taken whole.
    """

    strength: float = Field(default=100.0, ge=0)
    per_task: bool = False
    decay_old: float = Field(default=1.0, ge=0, le=1)
    fisher: Literal["sampled", "empirical"] = "sampled"
    fisher_examples: int = Field(default=32, ge=1)

    @model_validator(mode="after")
    def _decay_is_online(self) -> Self:
        if self.per_task and self.decay_old != 1:
            raise ValueError("decay_old belongs to the online form: leave it at 1 with per_task")
        return self


class Ewc(Method):
    """A quadratic penalty around the weights after the last lesson, or after each."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.anchor: dict[str, Tensor] = {}
        self.information: dict[str, Tensor] = {}
        self.offset: Tensor | None = None  # of the merged quadratic
        self.lessons: dict[int, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}  # per task: anchor, Fisher

    def loss(self, net: Net, batch: Batch, out: Forward) -> Tensor:
        """Add (strength / 2) * sum F (theta - theta*)^2; rows that a label head has gained since are free."""
        if not self.anchor:
            return out.loss
        from clbench.learners._shared.anchors import pull

        penalty = pull(net, self.anchor, self.information)
        if self.offset is not None:
            penalty = penalty + self.offset
        return out.loss + 0.5 * self.config.strength * penalty

    def consolidate(self, net: Net, lesson: Lesson, rng: np.random.Generator) -> None:
        """Estimate the Fisher on the lesson; add it to the earlier ones and move the anchor, or keep both apart."""
        if self.config.strength == 0:
            return
        from clbench.learners._shared.anchors import announce, weights_of
        from clbench.learners._shared.label_rows import add_to_known_rows

        if not self.anchor:
            announce("ewc", net, 2, "per lesson" if self.config.per_task else "in all")
        num = min(self.config.fisher_examples, len(lesson.examples))
        chosen = [lesson.examples[i] for i in sorted(rng.choice(len(lesson.examples), num, replace=False))]
        new = fisher_diagonal(net, [net.batch([e]) for e in chosen], sampled=self.config.fisher == "sampled")
        if self.config.per_task:
            self.lessons[lesson.number] = weights_of(net), new
            self._merge()
            return
        for name, value in new.items():
            old = self.information.get(name)
            if old is not None:
                add_to_known_rows(value, self.config.decay_old * old)
        self.information = new
        self.anchor = weights_of(net)

    def _merge(self) -> None:
        in_order = [self.lessons[number] for number in sorted(self.lessons)]
        self.anchor, self.information, self.offset = merge_quadratics(in_order)

    def shards(self) -> bool:
        """Return that its loss looks at weights alone."""
        return True

    def state(self) -> dict[str, Any]:
        """Return anchor and Fisher; per task "anchor.1", "information.1", "anchor.2" and so on."""
        if not self.config.per_task:
            return {"anchor": self.anchor, "information": self.information} if self.anchor else {}
        anchors = {f"anchor.{number}": anchor for number, (anchor, _) in self.lessons.items()}
        return anchors | {f"information.{number}": fisher for number, (_, fisher) in self.lessons.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over anchor and Fisher, or those of each lesson."""
        self.anchor = state.get("anchor", {})
        self.information = state.get("information", {})
        steps = [int(name.removeprefix("anchor.")) for name in state if name.startswith("anchor.")]
        self.lessons = {number: (state[f"anchor.{number}"], state[f"information.{number}"]) for number in sorted(steps)}
        if self.lessons:
            self._merge()


def fisher_diagonal(net: Net, batches: list[Batch], *, sampled: bool) -> dict[str, Tensor]:
    """Estimate the diagonal of the Fisher information: the mean over examples of the squared gradient of ln p(y | x).

    Args:
        net: The model, in evaluation mode.
        batches: One example each; with more, cross terms between examples would enter.
        sampled: Draw y from the model (from torch's generator, which the caller seeds) instead of the taught one.

    Returns:
        One float32 tensor >= 0 per trainable parameter, of its shape.
    """
    import torch
    from torch.nn import functional

    params = {n: p for n, p in net.module.named_parameters() if p.requires_grad}
    # In float32 whatever the weights are: squares of small gradients would be lost in a sum of bfloat16.
    total = {n: torch.zeros_like(p, dtype=torch.float32) for n, p in params.items()}
    for batch in batches:
        out = net.forward(net.module, batch)
        answer_N = out.labels_N
        if sampled:
            answer_N = torch.multinomial(out.logits_NV.detach().softmax(-1), 1)[:, 0]
        surprise = functional.cross_entropy(out.logits_NV, answer_N, reduction="sum")
        grads = torch.autograd.grad(surprise, list(params.values()), allow_unused=True, materialize_grads=True)
        for name, grad in zip(params, grads, strict=True):
            wide = grad.float()
            total[name].addcmul_(wide, wide, value=1 / len(batches))
    return total


def merge_quadratics(
    lessons: list[tuple[dict[str, Tensor], dict[str, Tensor]]],
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Make one quadratic of many: sum_t F_t (x - a_t)^2 = F (x - a)^2 + c for every x.

    Args:
        lessons: Anchor a_t and Fisher F_t of each, oldest first; later ones may have more rows.

    Returns:
        a, F and c, where F = sum F_t and a = sum F_t a_t / F (0 where F is 0).
    """
    import torch

    from clbench.learners._shared.label_rows import add_to_known_rows, known_rows

    newest = lessons[-1][1]
    total = {n: torch.zeros_like(f) for n, f in newest.items()}
    centre = {n: torch.zeros_like(f) for n, f in newest.items()}
    for anchor, fisher in lessons:
        for name, value in fisher.items():
            add_to_known_rows(total[name], value)
            add_to_known_rows(centre[name], value * anchor[name])
    for name, value in total.items():
        centre[name] = torch.where(value > 0, centre[name] / value, 0.0)
    offset = torch.zeros((), device=next(iter(total.values())).device)
    for anchor, fisher in lessons:
        for name, value in fisher.items():
            offset += (value * (known_rows(centre[name], value) - anchor[name]).square()).sum()
    return centre, total, offset


def footprint_of(config: Config) -> Footprint:
    """Return anchor and Fisher, one pair in all or one for each lesson beside their sum, and the pull of every step."""
    if config.strength == 0:
        return PLAIN
    if config.per_task:
        return Footprint(later=2, each=2, step=1, after=2, keeps=2, keeps_each=2)
    return Footprint(later=2, step=1, after=2, keeps=2)


PLUGIN = plugin(
    Config,
    Ewc,
    version=2,
    footprint=footprint_of,
    stores="derived",
    neutral={"strength": 0.0},
    first_lesson_as="sft",
    family="regularisation",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="all",
    paper="Kirkpatrick et al. 2017, arXiv:1612.00796",
    about="Pull weights back to where they were, each as hard as it mattered to old lessons.",
)
