"""Parts of isolated learners as modules: bottleneck columns after each block, and a label head per part.

Part k is trained in lesson k and frozen afterwards; the base is frozen from the first lesson on.
Shapes: B texts, T tokens, H hidden, R bottleneck, K label rows.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.errors import ModelError
from clbench.learners._shared.label_rows import with_zero_rows

if TYPE_CHECKING:
    from clbench.models.net import Net


class Switch:
    """Which part is at work.

    Attributes:
        part: 1..t, or None for the base alone. Between exams it is the last part.
    """

    def __init__(self) -> None:
        self.part: int | None = None

    @contextmanager
    def at(self, part: int | None) -> Generator[None]:
        """Put another part to work for a block."""
        usual = self.part
        self.part = part
        try:
            yield
        finally:
            self.part = usual


class Bottleneck(nn.Module):
    """What one part adds after one block; it starts as nothing, since `up` starts at 0."""

    def __init__(self, width: int, bottleneck: int, num_earlier: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck)
        self.lateral = nn.ModuleList([nn.Linear(bottleneck, bottleneck, bias=False) for _ in range(num_earlier)])
        self.up = nn.Linear(bottleneck, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def inner(self, x_BTH: Tensor, earlier: Sequence[Tensor]) -> Tensor:
        """Return act(down x + sum_j lateral_j(earlier_j)), shape (B, T, R)."""
        found_BTR = self.down(x_BTH)
        for lateral, inner_BTR in zip(self.lateral, earlier, strict=True):
            found_BTR = found_BTR + lateral(inner_BTR)
        return functional.gelu(found_BTR)


class Columns:
    """Bottlenecks after every transformer block of a net, one set per part, named `part_K` inside the block.

    Attributes:
        lateral: Part k reads the bottlenecks of parts 1..k-1.
    """

    def __init__(self, net: Net, switch: Switch, bottleneck: int, *, lateral: bool) -> None:
        self.net = net
        self.switch = switch
        self.bottleneck = bottleneck
        self.lateral = lateral
        self.heads = PartHeads(net, switch)
        net.module.requires_grad_(False)
        self._blocks = blocks_of(net.module)
        for block in self._blocks:
            block.register_forward_hook(self._after_block)

    def add(self, part: int) -> None:
        """Add part `part`, which learns from now on; earlier parts are frozen."""
        self._add_columns(part)
        self.heads.add(part)
        self.switch.part = part

    def _add_columns(self, part: int) -> None:
        example = next(self._blocks[0].parameters())
        config: Any = self.net.module.config
        for block in self._blocks:
            if part > 1:
                block.get_submodule(f"part_{part - 1}").requires_grad_(False)
            new = Bottleneck(config.hidden_size, self.bottleneck, part - 1 if self.lateral else 0)
            block.add_module(f"part_{part}", new.to(example))

    def add_all(self, num: int) -> None:
        """Add parts 1..num, of which the last one learns."""
        for part in range(1, num + 1):
            self._add_columns(part)
        self.heads.add(num)
        self.switch.part = num

    def _after_block(self, block: nn.Module, _inputs: Any, output: Any) -> Any:
        if self.switch.part is None:
            return output
        if isinstance(output, (tuple, list)):  # some architectures' blocks give more than the hidden state
            more: list[Any] = [self._corrected(block, output[0], self.switch.part), *output[1:]]
            return more if isinstance(output, list) else tuple(more)
        return self._corrected(block, output, self.switch.part)

    def _corrected(self, block: nn.Module, x_BTH: Tensor, part: int) -> Tensor:
        earlier: list[Tensor] = []
        if self.lateral:
            for other in range(1, part):
                earlier.append(_column(block, other).inner(x_BTH, earlier))
        column = _column(block, part)
        return x_BTH + column.up(column.inner(x_BTH, earlier))


def _column(block: nn.Module, part: int) -> Bottleneck:
    column = block.get_submodule(f"part_{part}")
    assert isinstance(column, Bottleneck), "added by Columns.add"
    return column


class PartHeads:
    """A label head per part: what part k adds to the scores of the base's own head, which stays as it was.

    The head has rows for every label seen so far. A row that came after a part's lesson is 0 in it, so that the
    base's row alone speaks, as it would if the label had never been seen.
    """

    def __init__(self, net: Net, switch: Switch) -> None:
        self.net = net
        self.switch = switch
        if net.labels:
            net.module.get_submodule(net.head_name).register_forward_hook(self._after_head)

    def add(self, part: int) -> None:
        """Add the head of part `part`, and rows for new labels to the frozen heads of earlier parts."""
        if not self.net.labels:
            return
        head = self.net.module.get_submodule(self.net.head_name)
        assert isinstance(head, nn.Linear), "a label head is a linear layer"
        modules = dict(self.net.module.named_children())
        for number in range(1, part + 1):
            new = nn.Linear(head.in_features, head.out_features).to(head.weight).requires_grad_(number == part)
            with torch.no_grad():
                new.weight.zero_()
                new.bias.zero_()
                if number < part and f"head_part_{number}" in modules:  # not yet, where a state is loaded
                    old = _head(self.net, number)
                    new.weight.copy_(with_zero_rows(old.weight, new.weight))
                    new.bias.copy_(with_zero_rows(old.bias, new.bias))
            self.net.module.add_module(f"head_part_{number}", new)

    def _after_head(self, _head_module: nn.Module, inputs: Any, scores_BK: Tensor) -> Tensor:
        if self.switch.part is None:
            return scores_BK
        own = _head(self.net, self.switch.part)(inputs[0])
        # Labels that the part has never seen get rows of the net's head alone.
        return scores_BK + nn.functional.pad(own, (0, scores_BK.shape[-1] - own.shape[-1]))


def _head(net: Net, part: int) -> nn.Linear:
    head = net.module.get_submodule(f"head_part_{part}")
    assert isinstance(head, nn.Linear), "added by PartHeads.add"
    return head


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Find a model's transformer blocks: the list of modules that holds the most parameters.

    Raises:
        ModelError: There is no list of modules.
    """
    lists = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        raise ModelError(
            f"{type(module).__name__} has no list of transformer blocks",
            where="model",
            mend="take a model whose blocks stand in one torch.nn.ModuleList",
        )
    return list(max(lists, key=lambda m: sum(p.numel() for p in m.parameters())))
