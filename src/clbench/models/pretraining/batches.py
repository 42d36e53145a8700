"""Batches and losses of the tiny models' pretraining."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.keys import rng as generator
from clbench.core.keys import seed_of
from clbench.core.types import Example
from clbench.models.pretraining import tokenizer as pretrain_tokenizer

if TYPE_CHECKING:
    from clbench.models.pretraining.recipe import Material, Recipe

IGNORED = -100
NUM_SPECIAL = len(pretrain_tokenizer.CHAT_TOKENS) + len(pretrain_tokenizer.ENCODER_TOKENS)
POOL = 1500  # conversations sorted by length at a time


@dataclass(frozen=True)
class Rows:
    """A batch: ids of shape (B, T), and targets of shape (B, T), or (B,) for labels."""

    ids: Tensor
    mask: Tensor
    targets: Tensor
    kind: str


@dataclass
class Place:
    """A place in the endless row of batches, from which it goes on the same.

    Attributes:
        step: Batches before the pool of conversations that is being read.
        state: The generator's state before that pool; empty at the very beginning.
        taken: Batches of that pool that were taken.
    """

    step: int = 0
    state: Mapping[str, Any] = field(default_factory=dict[str, Any])
    taken: int = 0


def batches(recipe: Recipe, material: Material, tokenizer: Any, place: Place) -> Iterator[Rows]:
    """Yield batches without end from a place on, which is moved along."""
    pool = causal_pool if recipe.family == "causal" else encoder_pool
    rng = generator(recipe.seed, 0, "pretraining batches")
    step, skipped = place.step, place.taken
    if place.state:
        rng.bit_generator.state = place.state
    while True:
        place.step, place.state, place.taken = step, rng.bit_generator.state, 0
        for rows in pool(recipe, material, tokenizer, step, rng):
            step, place.taken = step + 1, place.taken + 1
            if place.taken > skipped:
                yield rows
        skipped = 0


def causal_loss(module: nn.Module, rows: Rows) -> Tensor:
    """Return the mean cross-entropy in nats at the targets."""
    # Rows are padded on the right, so no mask is needed: no position with loss sees what comes after it.
    hidden_BTH = module.model(input_ids=rows.ids, use_cache=False).last_hidden_state  # type: ignore[operator]  # Hugging Face body
    wanted_BT = rows.targets[:, 1:] != IGNORED
    logits_NV = module.lm_head(hidden_BTH[:, :-1][wanted_BT])  # type: ignore[operator]  # Hugging Face head
    return functional.cross_entropy(logits_NV, rows.targets[:, 1:][wanted_BT])


def causal_pool(recipe: Recipe, material: Material, tokenizer: Any, step: int, rng: Generator) -> Iterator[Rows]:
    """Yield the batches of one pool: conversations as long as the step has them, and repeated random tokens."""
    seed = seed_of(recipe.seed, step, "pretraining pool")
    level = min(1.0, step / (recipe.growth * recipe.steps))
    sample = material.late if step >= recipe.late_from * recipe.steps else material.sample
    encoded = [_conversation(e, tokenizer, material.num_told(e)) for e in sample(seed, POOL, level, None)]
    encoded = [e for e in encoded if len(e[0]) <= recipe.positions]
    known = _known(encoded)
    everything = np.arange(NUM_SPECIAL, recipe.vocab)
    for group in _by_length(encoded, recipe.batch_tokens, rng):
        share = recipe.repeats * max(0.2, 1 - 2 * step / recipe.steps)
        if rng.random() < share:
            yield _repeated(recipe, known if rng.random() < 0.8 else everything, rng)
            step += 1
        if recipe.drills and rng.random() < recipe.drills * max(0.2, 1 - 2 * step / recipe.steps):
            yield _drilled(recipe, known, rng)
            step += 1
        yield _padded(group, everything=bool(rng.random() < recipe.all_tokens))
        step += 1


def _ids(text: str, tokenizer: Any) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def _conversation(example: Example, tokenizer: Any, told: int) -> tuple[list[int], list[bool]]:
    """Return a conversation's tokens, and which are to be learnt: the assistant's after the turns that only tell.

    Every message is encoded by itself, as in exams.
    """
    ids, taught = [tokenizer.token_to_id("<|begin|>")], [False]
    end = tokenizer.token_to_id("<|end|>")
    for role, content in [*((m.role, m.content) for m in example.prompt), ("assistant", example.targets[0])]:
        tokens = [*_ids(content, tokenizer), end]
        ids += [tokenizer.token_to_id(f"<|{role}|>"), *tokens]
        taught += [False, *[role == "assistant" and told <= 0] * len(tokens)]
        told -= role == "assistant"
    return ids, taught


def _by_length(items: list[tuple[list[int], Any]], budget: int, rng: Generator) -> Iterator[list[Any]]:
    """Yield groups of similar length whose padded size is at most `budget` tokens, in random order."""
    ordered = sorted(items, key=lambda item: len(item[0]))
    groups: list[list[Any]] = [[]]
    for item in ordered:
        if groups[-1] and (len(groups[-1]) + 1) * len(item[0]) > budget:
            groups.append([])
        groups[-1].append(item)
    for i in rng.permutation(len(groups)).tolist():
        yield groups[i]


def _padded(group: list[tuple[list[int], list[bool]]], everything: bool) -> Rows:
    longest = max(len(ids) for ids, _ in group)
    ids_BT = torch.zeros(len(group), longest, dtype=torch.long)
    mask_BT = torch.zeros(len(group), longest, dtype=torch.long)
    targets_BT = torch.full((len(group), longest), IGNORED)
    for row, (ids, taught) in enumerate(group):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        mask_BT[row, : len(ids)] = 1
        wanted = ids if everything else [t if x else IGNORED for t, x in zip(ids, taught, strict=True)]
        targets_BT[row, : len(ids)] = torch.tensor(wanted)
    return Rows(ids_BT, mask_BT, targets_BT, "text" if everything else "answers")


def _known(encoded: Sequence[tuple[list[int], Any]]) -> NDArray[np.int64]:
    """Return the tokens that the conversations use, without special ones."""
    return np.array(sorted({i for ids, _ in encoded for i in ids if i >= NUM_SPECIAL}))


def _repeated(recipe: Recipe, tokens: NDArray[np.int64], rng: Generator) -> Rows:
    """Return rows of random tokens that are repeated: only looking back predicts the second half."""
    half = int(rng.integers(8, 49))
    num = max(1, recipe.batch_tokens // (2 * half))
    first = torch.from_numpy(tokens[rng.integers(0, len(tokens), size=(num, half))])
    ids_BT = torch.cat([first, first], dim=1)
    targets_BT = ids_BT.clone()
    targets_BT[:, :half] = IGNORED
    return Rows(ids_BT, torch.ones_like(ids_BT), targets_BT, "repeats")


def _drilled(recipe: Recipe, tokens: NDArray[np.int64], rng: Generator) -> Rows:
    """Return rows of random entries that come again in another order: the densest form of a lookup.

    An entry is a key of one or two tokens, a few tokens that are the same in all entries of a row, and a value. Keys
    share their tokens, so that both must be compared; only the values are learnt, where they come again.
    """
    num, gap, width = int(rng.integers(3, 17)), int(rng.choice([0, 1, 1, 2, 3, 4, 5])), 1 + int(rng.random() < 0.7)
    length = width + gap + 2
    rows = max(1, recipe.batch_tokens // (2 * num * length))
    entries = np.zeros((rows, 2, num, length), dtype=np.int64)
    for row in range(rows):
        drawn = rng.permutation(tokens)
        pool, values = drawn[: int(rng.integers(num, 2 * num + 8))], drawn[-int(rng.integers(3, 13)) :]
        if width == 1:
            keys = rng.permutation(pool)[:num, None]
        else:
            places = rng.choice(len(pool) * len(pool), size=num, replace=False)
            keys = np.stack([pool[places // len(pool)], pool[places % len(pool)]], axis=1)
        entries[row, 0, :, :width], entries[row, 0, :, -2] = keys, rng.choice(values, size=num)
        entries[row, 0, :, width : width + gap], entries[row, 0, :, -1] = drawn[-20 : -20 + gap], drawn[-30]
        entries[row, 1] = entries[row, 0, rng.permutation(num)]
    targets = np.full(entries.shape, IGNORED)
    targets[:, 1, :, -2] = entries[:, 1, :, -2]
    ids_BT = torch.from_numpy(entries.reshape(rows, -1))
    return Rows(ids_BT, torch.ones_like(ids_BT), torch.from_numpy(targets.reshape(rows, -1)), "drills")


# --- the encoder ------------------------------------------------------------------------------------------------


class MaskedHead(nn.Module):
    """A head that predicts masked tokens from the body's hidden states; used in pretraining only and not saved."""

    def __init__(self, module: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.dense = nn.Linear(recipe.hidden, recipe.hidden)
        self.norm = nn.LayerNorm(recipe.hidden)
        self.bias = nn.Parameter(torch.zeros(recipe.vocab))
        embeddings = module.get_input_embeddings()  # type: ignore[operator]  # Hugging Face model
        self._embeddings = [embeddings]  # in a list, so that its weights are not counted twice

    def forward(self, hidden_NH: Tensor) -> Tensor:
        """Return logits_NV."""
        states_NH = self.norm(functional.gelu(self.dense(hidden_NH)))
        return functional.linear(states_NH, self._embeddings[0].weight, self.bias)


def encoder_loss(module: nn.Module, head: MaskedHead, rows: Rows) -> Tensor:
    """Return the mean cross-entropy in nats: of labels, or of masked tokens."""
    if rows.kind == "labels":
        logits_BK = module(input_ids=rows.ids, attention_mask=rows.mask).logits
        return functional.cross_entropy(logits_BK, rows.targets)
    hidden_BTH = module.bert(input_ids=rows.ids, attention_mask=rows.mask).last_hidden_state  # type: ignore[operator]  # body
    wanted_BT = rows.targets != IGNORED
    return functional.cross_entropy(head(hidden_BTH[wanted_BT]), rows.targets[wanted_BT])


def encoder_pool(recipe: Recipe, material: Material, tokenizer: Any, step: int, rng: Generator) -> Iterator[Rows]:
    """Yield the batches of one pool: masked text and labelled questions in the recipe's share."""
    index = {label: i for i, label in enumerate(material.labels)}
    level = min(1.0, step / (recipe.growth * recipe.steps))
    seeds = [seed_of(recipe.seed, step, f"pretraining pool {kind}") for kind in ("masked", "labels")]
    sample = material.late if step >= recipe.late_from * recipe.steps else material.sample
    masked = [_masked_text(e, tokenizer) for e in sample(seeds[0], POOL, level, None)]
    known = _known(masked)
    single = [e for e in sample(seeds[1], 2 * POOL, level, 1) if e.choices and e.targets[0] in index]
    labelled = [(_text_ids(_asked(e), tokenizer), index[e.targets[0]]) for e in single]
    queues = [
        _by_length([x for x in items if len(x[0]) <= recipe.positions], recipe.batch_tokens, rng)
        for items in (masked, labelled)
    ]
    while True:
        which = 0 if rng.random() < recipe.masked else 1
        group = next(queues[which], None)
        if group is None:
            return
        if which == 0 and rng.random() < recipe.repeats:
            rows = _repeated(recipe, known, rng)
            yield _masked(rows, torch.where(rows.targets == IGNORED, 0.0, 0.3), tokenizer, rng)
        yield _masked_rows(group, tokenizer, rng) if which == 0 else _label_rows(group)


def _asked(example: Example) -> list[str]:
    """Return a single question with the turns before it; the assistant's instruction is left out."""
    return [m.content for m in example.prompt if m.role != "system"]


def _text_ids(contents: Sequence[str], tokenizer: Any) -> list[int]:
    ids = _ids("\n".join(contents), tokenizer)
    return [tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")]


def _masked_text(example: Example, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Return (tokens, which belong to answers) of a conversation as one text; answers are masked more often."""
    ids, answer = [tokenizer.token_to_id("[CLS]")], [False]
    for role, content in [*((m.role, m.content) for m in example.prompt), ("assistant", example.targets[0])]:
        tokens = _ids(content + "\n", tokenizer)
        ids += tokens
        answer += [role == "assistant"] * len(tokens)
    return [*ids, tokenizer.token_to_id("[SEP]")], [*answer, False]


def _masked_rows(group: list[tuple[list[int], list[bool]]], tokenizer: Any, rng: Generator) -> Rows:
    rows = _padded(group, everything=True)
    answer_BT = _padded(group, everything=False).targets != IGNORED
    return _masked(rows, torch.where(answer_BT, 0.6, 0.08) * rows.mask, tokenizer, rng)


def _masked(rows: Rows, probability_BT: Tensor, tokenizer: Any, rng: Generator) -> Rows:
    wanted_BT = torch.from_numpy(rng.random(rows.ids.shape)) < probability_BT
    wanted_BT &= rows.ids >= NUM_SPECIAL
    ids_BT = rows.ids.masked_fill(wanted_BT, tokenizer.token_to_id("[MASK]"))
    kind = "repeats" if rows.kind == "repeats" else "masked"
    return Rows(ids_BT, rows.mask, rows.ids.masked_fill(~wanted_BT, IGNORED), kind)


def _label_rows(group: list[tuple[list[int], int]]) -> Rows:
    rows = _padded([(ids, [False] * len(ids)) for ids, _ in group], everything=False)
    return Rows(rows.ids, rows.mask, torch.tensor([label for _, label in group]), "labels")
