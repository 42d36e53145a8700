"""Orthogonal subspace fine-tuning: the strongest singular directions of each weight are frozen, the others learn.

    W = U_high S_high V_high^T + U_low S_low V_low^T,   only the second term learns, orthogonal to the first

Before each lesson every linear layer but the output head is decomposed anew, so what was learnt is held by later
lessons as far as it stands among the strongest directions; after it the layer is put together again. The share
that learns shrinks with the lessons, since nobody tells their number:

    learning share of lesson t = free / (1 + shrink * (t - 1))

With the defaults that is 1/2, 1/3, 1/4, ... of the directions. Source: Nayak et al. 2025, "Sculpting Subspaces:
Constrained Full Fine-Tuning in LLMs for Continual Learning", arXiv:2504.07097. The layers are
peft's. Otherwise than there: (1) peft's recipe between tasks, `unload()`, gives back the weights from before the
lesson, so we merge; (2) projecting gradients is not enough, since AdamW scales each entry by itself and so leaves
the subspace: we take the frozen part out of the directions themselves too, after each step; (3) ranks follow the
schedule above, where the paper measures how much each layer changes its input, and peft's guide needs the number
of tasks. Embeddings, norms and biases stay frozen; a label head learns.

Defaults: half of the directions learn first, as in peft; 1/(t + 1) is the guide's t/n schedule without its n.
Keeps: nothing beyond the weights.
Told: where a lesson ends.
Not for: models so large that a singular value decomposition per layer and lesson is too dear; long streams, in
which ever less can be learnt.
Falls short: it forgets little, and learns less: no gain in AP is shown. A guess: fewer directions are free in every
further lesson, and facts learnt by heart need many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from clbench.core.errors import SpecError
from clbench.core.footprint import PLAIN
from clbench.learners._shared.adapters import Targets, free_label_head, targets_in, tell_trained
from clbench.training.method import Method
from clbench.training.plugin import plugin
from clbench.training.settings import Training

if TYPE_CHECKING:
    from torch import Tensor, nn

    from clbench.models.net import Net

ADAPTER = "default"


class Config(Training):
    """Settings of orthogonal subspace fine-tuning.

    Attributes:
        free: Share of the singular directions of each layer that learns in lesson 1, in (0, 0.9].
        shrink: How fast that share falls with the lessons, >= 0; 0 keeps it.
        targets: Names of linear layers that learn; "all-linear" is every one but the output head.
    """

    free: float = Field(default=0.5, gt=0, le=0.9)
    shrink: float = Field(default=0.5, ge=0)
    targets: str | tuple[str, ...] = "all-linear"


class Osf(Method):
    """Full fine-tuning inside the weak singular directions of each weight."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.tuner: Any = None
        self.turned: list[str] = []  # layers that were `Conv1D` before the lesson, and are again after it

    def prepare(self, net: Net, number: int) -> None:
        """Decompose the weights as they stand, and freeze the strong directions and all other parameters."""
        from peft import OSFConfig
        from peft.tuners.osf import OSFModel

        frozen = 1 - learning_share(self.config, number)
        layers = wide_enough(net, targets_in(net, self.config.targets).layers, frozen)
        for name in layers:
            net.module.get_submodule(name).float()  # directions of weights of 16 bits would not be orthogonal
        self.turned = turn(net.module, layers, back=False)
        config = OSFConfig(effective_rank=frozen, target_modules=layers)
        self.tuner = OSFModel(net.module, config, ADAPTER)  # changes net.module in place; only kept for merging
        if number == 1:
            tell_trained(net, "weak directions", Targets(layers, []))
        free_label_head(net)

    def edit_gradients(self, net: Net) -> None:
        """Keep directions and gradients orthogonal to what is frozen."""
        hold(net.module)

    def finish(self, net: Net, number: int) -> None:
        """Put the weights together again: the net is as plain as it was, and what has learnt is marked as such."""
        from peft.tuners.osf import OSFLayer

        hold(net.module)
        learnt = [name for name, module in net.module.named_modules() if isinstance(module, OSFLayer)]
        self.tuner.merge_and_unload()
        self.tuner = None
        turn(net.module, self.turned, back=True)
        for name in learnt:
            net.module.get_parameter(f"{name}.weight").requires_grad_(True)

    def wake(self, net: Net, number: int) -> None:
        """Mark what learnt in the last lesson; the weights that are loaded need not be decomposed."""
        layers = wide_enough(net, targets_in(net, self.config.targets).layers, 1 - learning_share(self.config, number))
        net.module.requires_grad_(False)
        for name in layers:
            net.module.get_parameter(f"{name}.weight").requires_grad_(True)
        free_label_head(net)


def wide_enough(net: Net, layers: list[str], frozen: float) -> list[str]:
    """Return those of the layers that have directions to freeze; a gate of one output has none.

    Raises:
        SpecError: None has.
    """
    modules: dict[str, Any] = dict(net.module.named_modules())
    found = [n for n in layers if int(frozen * min(modules[n].weight.shape)) >= 1]
    if not found:
        raise SpecError(
            f"no layer has a direction to freeze at a share of {frozen:g}", where="learner.free", mend="lower it"
        )
    return found


def turn(module: nn.Module, names: list[str], *, back: bool) -> list[str]:
    """Put plain linear layers into the places of those of GPT-2's kind (`Conv1D`), or those back; return which."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    old_kind = nn.Linear if back else Conv1D
    turned: list[str] = []
    for name in names:
        old: Any = module.get_submodule(name)
        if isinstance(old, old_kind):
            rows, columns = old.weight.shape
            new: Any = Conv1D(rows, columns) if back else nn.Linear(rows, columns)
            new.weight, new.bias = nn.Parameter(old.weight.detach().T.contiguous()), old.bias
            module.set_submodule(name, new)
            turned.append(name)
    return turned


def learning_share(config: Config, number: int) -> float:
    """Return the share of directions that learns in a lesson, in (0, 0.9].

    Example:
        >>> [round(learning_share(Config(), step), 3) for step in (1, 2, 3)]
        [0.5, 0.333, 0.25]
    """
    return config.free / (1 + config.shrink * (number - 1))


def hold(module: nn.Module) -> None:
    """Take out of the learning directions, and out of their gradients, what lies in the frozen ones."""
    import torch
    from peft.tuners.osf import OSFLayer

    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, OSFLayer):
                fixed = {name.partition(".")[0]: buffer for name, buffer in layer.named_buffers()}
                learning: Any = layer.osf_svd_params[ADAPTER]
                _keep_out(learning["U_low"], fixed["_osf_U_low_init"], fixed.get("_osf_U_high"))
                low_T, high_T = fixed["_osf_V_low_init"], fixed.get("_osf_V_high")
                _keep_out(learning["V_low"], low_T.T, None if high_T is None else high_T.T, rows=True)


def _keep_out(param: Tensor, low: Tensor, high: Tensor | None, *, rows: bool = False) -> None:
    """Project a parameter and its gradient; peft stores `high` only where `low` does not span all the rest."""
    for value in (param, param.grad):
        if value is not None:
            columns = value.T if rows else value
            columns.copy_(low @ (low.T @ columns) if high is None else columns - high @ (high.T @ columns))


PLUGIN = plugin(
    Config,
    Osf,
    version=2,
    footprint=PLAIN,
    stores="none",
    family="light fine-tuning",
    uses_task_ids=False,
    uses_boundaries=True,
    trains="part",
    paper="Nayak et al. 2025, arXiv:2504.07097",
    about="Train only the weak singular directions of each weight.",
)
