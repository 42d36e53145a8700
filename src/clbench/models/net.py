"""What a trainable model offers to learners, whatever its family, and how one is loaded."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from clbench.core.errors import ModelError, SpecError
from clbench.core.extras import explained
from clbench.core.gauge import DEVICE, GAUGES, Gauge
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Prompt
from clbench.models import source
from clbench.models.loaded import check_loaded, check_shapes

MOST_ROWS = 512  # continuations scored in one forward pass; bounds the memory of a spread cache
MOST_TOKENS = 64 * 512  # of the prompts of one forward pass, padding counted: long inputs go by themselves
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Batch:
    """Examples as tensors. Shapes: B examples, T tokens (padded).

    Attributes:
        ids_BT: Token ids.
        mask_BT: 1 where a token stands, 0 where padding does.
        labels: Causal: (B, T), -100 where no loss is taken (prompt, padding). Encoder: (B,), label rows.
        num_tokens: Tokens without padding.
        num_targets: Positions on which loss is taken.
    """

    ids_BT: Tensor
    mask_BT: Tensor
    labels: Tensor
    num_tokens: int
    num_targets: int


@dataclass(frozen=True)
class Forward:
    """What a model says about a batch, at the N positions on which loss is taken.

    Attributes:
        loss: Scalar, mean cross-entropy in nats over the N positions.
        logits_NV: Scores over the vocabulary, or over the label rows.
        labels_N: The taught ids.
    """

    loss: Tensor
    logits_NV: Tensor
    labels_N: Tensor


class Cut(NamedTuple):
    """Tokens of a prompt and of an answer that are left out because both together do not fit."""

    prompt: int
    answer: int


class Net(Protocol):
    """A model that can be trained and asked."""

    module: nn.Module
    identity: str
    head_name: str  # the output layer: label head or vocabulary

    @property
    def can(self) -> frozenset[Ability]:
        """What it is able to answer."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Rows of the label head; empty for models without one."""
        ...

    def grow(self, labels: Iterable[str]) -> None:
        """Make room for labels that the head does not know; nothing to do for models without one."""
        ...

    def render(self, prompt: Prompt) -> str:
        """Write a prompt as the model reads it."""
        ...

    def length(self, example: Example) -> int:
        """Tokens of the example as it is trained on."""
        ...

    def cut(self, example: Example) -> Cut:
        """Count what of the example does not fit when it is trained on."""
        ...

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Make tensors of examples, on the model's device."""
        ...

    def forward(self, module: nn.Module, batch: Batch) -> Forward:
        """Run `module` (this net's, perhaps wrapped for distribution) on a batch."""
        ...

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer examples, in order."""
        ...


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Run a block under its own seed and leave the global generators as they were."""
    if device.type == "cuda":
        with torch.random.fork_rng(devices=[device]):
            torch.manual_seed(seed)
            yield
        return
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed looks at every backend, which a step would feel
    try:
        yield
    finally:
        torch.set_rng_state(before)


def device_of(machine: Machine) -> torch.device:
    """Give the device that the machine names; "auto" takes an accelerator if there is one.

    Raises:
        SpecError: There is no such device here.
    """
    if machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mend = "auto takes an accelerator if there is one; cpu is always there"
    try:
        device = torch.device(machine.device)
    except RuntimeError:
        raise SpecError(f"{machine.device!r} is no device", where="--device", mend=mend) from None
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= here.get(device.type, 1):
        what = f"there is no device {machine.device!r} here: {here[device.type]} of the kind {device.type}"
        raise SpecError(what, where="--device", mend=mend)
    return device


def _watch_memory() -> float:
    torch.cuda.reset_peak_memory_stats()
    return 0.0


DEVICE_MEMORY = Gauge(_watch_memory, lambda _: float(torch.cuda.max_memory_allocated()))


def load_net(spec: ModelSpec, machine: Machine) -> Net:
    """Load a base model with its tokenizer.

    Raises:
        ModelError: No such model, no checkpoint, or one that does not load.
    """
    from clbench.models.causal import Causal
    from clbench.models.encoder import Encoder

    source.check_architecture(spec)
    folder, spec = source.locate(spec), source.settled(spec)
    family = source.family_of(spec, list(source.configuration(spec).get("architectures") or []))
    device = device_of(machine)
    DEVICE["device"] = str(device)
    if device.type == "cuda":
        GAUGES["device_memory_bytes"] = DEVICE_MEMORY
    loader = Causal if family == "causal" else Encoder
    with seeded(0, device):  # parts that a checkpoint lacks (a pooler) are drawn at random: the same for everybody
        return loader.load(spec, folder, device, machine.exam_batch)


def pretrained(auto: Any, spec: ModelSpec, folder: Any, **settings: Any) -> Any:
    """Call `auto.from_pretrained` on a folder or a pinned Hub id, with a clear error.

    Raises:
        ModelError: It does not load, or its weights are not those of the model (`check_loaded`).
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # ours stand on stderr already
    logging.set_verbosity_error()  # what matters of its report we tell
    has_weights = auto.__name__.startswith("AutoModel")
    if has_weights:
        settings |= {"output_loading_info": True, "weights_only": True}  # a pickle may hold tensors, and no code
    place = str(folder) if folder is not None else spec.name
    revision: dict[str, Any] = {} if folder is not None else {"revision": spec.revision}
    try:
        # Where it is not said, transformers asks at the terminal whether code of the checkpoint may run.
        found = auto.from_pretrained(place, trust_remote_code=False, **revision, **settings)
    except Exception as error:  # whatever the library meets in a file that is not what it seems
        if isinstance(error, ImportError) and explained(error) is not None:
            raise
        check_shapes(auto, spec.name, folder)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if type(error).__name__ == "UnpicklingError":
            first = f"{type(error).__name__}: a file of weights holds more than tensors (nothing of it was run)"
        raise ModelError(
            f"{spec.name!r} does not load: {first}",
            where="model.name",
            mend="the folder must hold config.json, weights and tokenizer files in Hugging Face format",
        ) from error
    if not has_weights:
        return found
    module, info = found
    check_loaded(spec.name, info, module)
    return module


def padded(rows: Sequence[Sequence[int]], filler: int, device: torch.device) -> Tensor:
    """Give rows of ids as one tensor of shape (B, T), filled up on the right."""
    ids_BT = np.full((len(rows), max(map(len, rows))), filler, dtype=np.int64)
    for row, ids in zip(ids_BT, rows, strict=True):
        row[: len(ids)] = ids
    return torch.from_numpy(ids_BT).to(device)


def like_lengths(mask_BT: Tensor, least: int = 64) -> list[tuple[Tensor, int]]:
    """Part the rows of a right-padded batch by length, wherever a cut saves a tenth of what it cuts.

    Batches of a lesson are of like length; old examples that a method mixes in are not, and padding would cost more
    than they do.

    Args:
        mask_BT: 1 where a token stands.
        least: Places that a cut must save, >= 0: a forward pass of its own costs about as much.

    Returns:
        Parts, each (its rows in rising order, its longest row in tokens).
    """
    lengths = mask_BT.sum(1).tolist()
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    parts = _cut([lengths[row] for row in order], least)
    parts = [order[start:end] for start, end in parts]
    return [(torch.tensor(sorted(rows), device=mask_BT.device), lengths[rows[-1]]) for rows in parts]


def same_lengths(mask_BT: Tensor) -> list[tuple[Tensor, int]]:
    """Part the rows of a right-padded batch so that none is padded; as `like_lengths` else."""
    lengths = mask_BT.sum(1)
    return [((lengths == length).nonzero()[:, 0], int(length)) for length in lengths.unique().tolist()]


def _cut(lengths: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Cut rising lengths in two where that saves most, and the halves again."""
    num, longest = len(lengths), lengths[-1]
    saved = [at * (longest - lengths[at - 1]) for at in range(1, num)]
    most = max(saved, default=0)
    if most <= max(least, 0.1 * num * longest):
        return [(0, num)]
    at = 1 + saved.index(most)
    return _cut(lengths[:at], least) + [(at + start, at + end) for start, end in _cut(lengths[at:], least)]


def by_length(lengths: Sequence[int], rows: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Cut indices into batches of like length; `rows[i]` rows each, at most MOST_ROWS and MOST_TOKENS in a batch."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    taken: list[int] = []
    total = 0
    for i in order:
        full = len(taken) == batch or total + rows[i] > MOST_ROWS or (len(taken) + 1) * lengths[i] > MOST_TOKENS
        if taken and full:
            yield taken
            taken, total = [], 0
        taken.append(i)
        total += rows[i]
    if taken:
        yield taken
