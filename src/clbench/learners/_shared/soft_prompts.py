"""Soft prompts inside a net: vectors of no token, read where the model reads the embeddings of a text.

They stand directly before the text's first token, behind the padding of rows that are filled up on the left: padding in
between would count where distances are counted in places (sliding windows, ALiBi by columns). On encoders they stand
after the first token, whose state the head reads. Models that scale embeddings do so inside their embedding layer, and
what comes out of it is what a soft prompt stands beside. Positions of the text move by the prompts' length.

Shapes: B texts, T tokens, P prompt vectors, X places of a row with prompts, H hidden.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from clbench.core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.models.net import Net


def read_with(net: Net, prompts: Callable[[], Tensor | None]) -> None:
    """Let a net read soft prompts before every text.

    Args:
        net: The model; the part of it that turns tokens into hidden states gets hooks, for good.
        prompts: Gives the vectors (P, H) of a call; None to read the text alone.
    """
    module: Any = net.module
    # Some causal models (OPT) call their decoder past the model around it.
    inner = module.base_model if net.labels else module.get_decoder()
    embed = module.get_input_embeddings()
    names = list(inspect.signature(inner.forward).parameters)
    first = 1 if net.labels else 0  # an encoder's head reads the first token, which must stay first
    most = module.config.to_dict().get("max_position_embeddings")
    text_BT: list[Tensor] = []  # where the text stands in the call that is running, if prompts stand there too

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any] | None:
        text_BT.clear()
        prompts_PH = prompts()
        if prompts_PH is None:
            return None
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        moved = _moved(given, len(prompts_PH), first)
        if not _goes_on(given):
            ids_BT = moved.pop("input_ids")
            (rows, width), num = ids_BT.shape, len(prompts_PH)
            check_length(width, num, most)
            start_B, words_BTH = _start(given, first), embed(ids_BT)
            own_BPH = prompts_PH.to(words_BTH.dtype).expand(rows, -1, -1)
            moved["inputs_embeds"] = _taken(torch.cat([own_BPH, words_BTH], dim=1), _places(start_B, rows, width, num))
            text_BT.append(_behind(start_B, width, num).expand(rows, -1))
        return (), moved

    def after(_: Any, _args: Any, _kwargs: dict[str, Any], output: Any) -> Any:
        if text_BT:
            output.last_hidden_state = _taken(output.last_hidden_state, text_BT.pop())
        return output

    inner.register_forward_pre_hook(before, with_kwargs=True)
    inner.register_forward_hook(after, with_kwargs=True)


def check_length(text: int, num: int, most: int | None) -> None:
    """Refuse a text that leaves no room for its prompts.

    Args:
        text: Tokens of the text.
        num: Vectors of the prompts.
        most: Positions of the model; None for unlimited.

    Raises:
        ModelError: Both together need more positions than the model has.
    """
    if most is not None and text + num > most:
        shorter = f"set model.max_tokens to {most - num} or less, or " if num < most else ""
        raise ModelError(
            f"{num} prompt vectors and a text of {text} tokens need more than the model's {most} positions",
            where="model.max_tokens",
            mend=f"{shorter}lower learner.length",
        )


def _goes_on(given: Mapping[str, Any]) -> bool:
    """Return whether a call goes on from a cache, in which the prompts stand already."""
    from transformers.cache_utils import Cache

    if given.get("state") is not None:  # RWKV's form of a cache
        return True
    return any(_filled(layer) for value in given.values() if isinstance(value, Cache) for layer in value.layers)


def _filled(layer: Any) -> bool:
    """Return whether a layer of a cache holds keys and values, or a state, of what was read before."""
    state = vars(layer).get("has_previous_state")
    if state is None:
        return layer.get_seq_length() > 0
    return any(state.values()) if isinstance(state, dict) else bool(state)


def _start(given: Mapping[str, Any], first: int) -> Tensor:
    """Return the place of the prompts in each row, (B,) or (1,): behind the padding and the `first` tokens."""
    mask = given.get("attention_mask")
    if mask is None:
        return torch.tensor([first], device=_device(given))
    seen = mask == 0 if _is_added(mask) else mask != 0
    return seen.flatten(1, -2).any(1).int().argmax(1) + first if mask.dim() > 2 else seen.int().argmax(1) + first


def _is_added(mask: Tensor) -> bool:
    """Return whether a mask is added to scores, and says 0 for what is seen; one that counts tokens says 1 or True."""
    return mask.is_floating_point() and mask.dim() > 2


def _device(given: Mapping[str, Any]) -> torch.device:
    return next(value.device for value in given.values() if isinstance(value, torch.Tensor))


def _places(start_B: Tensor, rows: int, width: int, num: int) -> Tensor:
    """Return for each place of rows with prompts what stands there: 0..P-1 a vector, from P on a place of the text.

    Example:
        >>> _places(torch.tensor([0, 1]), 2, 3, 2).tolist()
        [[0, 1, 2, 3, 4], [2, 0, 1, 3, 4]]
    """
    place_X, start_B1 = torch.arange(num + width, device=start_B.device), start_B[:, None]
    found_BX = torch.where(place_X < start_B1, place_X + num, place_X)
    found_BX = torch.where((place_X >= start_B1) & (place_X < start_B1 + num), place_X - start_B1, found_BX)
    return found_BX.expand(rows, -1)


def _behind(start_B: Tensor, width: int, num: int) -> Tensor:
    """Return where the tokens of a text stand once `num` vectors are put before those from `start_B` on, (B, T)."""
    place_T = torch.arange(width, device=start_B.device)
    return place_T + num * (place_T >= start_B[:, None])


def _taken(values: Tensor, places_BX: Tensor) -> Tensor:
    """Return the values (B, T, H) at these places of each row."""
    return values.gather(1, places_BX[..., None].expand(-1, -1, values.shape[-1]))


def _moved(given: dict[str, Any], num: int, first: int) -> dict[str, Any]:
    """Return the arguments of a call with `num` more places where the prompts stand: all that follow see them."""
    moved = dict(given)
    mask, positions = given.get("attention_mask"), given.get("position_ids")
    start_B = _start(given, first)
    if mask is not None:
        seen = mask.new_full((*mask.shape[:-1], num), 0 if _is_added(mask) else 1)
        places = _places(start_B, len(mask), mask.shape[-1], num)
        places = places.view(len(mask), *[1] * (mask.dim() - 2), -1).expand(*mask.shape[:-1], -1)
        moved["attention_mask"] = torch.cat([seen, mask], dim=-1).gather(-1, places)
    if positions is not None and _goes_on(given):
        moved["position_ids"] = positions + num
    elif positions is not None:
        rows = max(len(positions), len(start_B))
        width = positions.shape[1]
        own = torch.arange(first, first + num, device=positions.device).expand(rows, -1)
        later = _behind(start_B, width, num) - torch.arange(width, device=positions.device)
        text = (positions + later).expand(rows, -1)
        moved["position_ids"] = torch.cat([own, text], dim=1).gather(1, _places(start_B, rows, width, num))
    return moved
