"""Encoders (BERT and its kin): a label head with one row per label ever seen, which grows as labels arrive.

Shapes: B texts, T tokens, K label rows, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from clbench.core.errors import ModelError
from clbench.core.keys import seed_of
from clbench.core.spec import ModelSpec
from clbench.core.types import Ability, Answer, Decode, Example, Prompt
from clbench.models import source
from clbench.models.adapter import base_alone, with_adapter
from clbench.models.backoff import memory_explained, within_memory
from clbench.models.batching import like_lengths, padded, same_lengths
from clbench.models.continuations import alike
from clbench.models.finite import check_finite
from clbench.models.loaded import check_vocabulary
from clbench.models.net import Batch, Cut, Forward
from clbench.models.pretrained import DTYPES, load_tokenizer, pretrained
from clbench.models.probe import SHARE, SHARE_16, TEXT, check_known, known_rows, scale_border
from clbench.models.reader import Reader, cut_middle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS = ("classifier.out_proj", "classifier.dense_out", "classifier", "score", "classification_head.out_proj")


class Encoder:
    """An encoder with a label head.

    The head starts with the labels that the checkpoint's `id2label` names. A label it has never seen has a
    row drawn from the label's own text, so the untouched model answers the same whatever comes later.

    Attributes:
        module: The Hugging Face model; its last linear layer is the head.
        tokenizer: Its tokenizer.
        pads: Whether texts of other lengths may stand in one batch; else each batch holds texts of one length.
    """

    def __init__(self, spec: ModelSpec, module: nn.Module, tokenizer: Any, exam_batch: int) -> None:
        self.spec = spec
        self.module = module
        self.tokenizer = tokenizer
        self.exam_batch = exam_batch
        self.micro_batch: int | None = None
        self.head_name = _find_head(module, spec)
        self.rows = known_rows(module)
        self.padding = _padding(module, tokenizer, self.rows)
        # Decoders with a label head look for the last token that is not padding.
        cast("PreTrainedModel", module).config.pad_token_id = self.padding
        self.pads = True
        self._labels: list[str] = []
        self._reader = Reader(tokenizer, spec)
        self._encoded: dict[Prompt, list[int]] = {}
        self._lost: dict[Prompt, int] = {}

    @classmethod
    def load(cls, spec: ModelSpec, folder: Path | None, device: torch.device, exam_batch: int) -> Self:
        """Return the model with weights, tokenizer and the labels that the checkpoint knows."""
        from transformers import AutoModelForSequenceClassification

        tokenizer = load_tokenizer(spec, folder)
        with base_alone(folder) as base:
            module = pretrained(AutoModelForSequenceClassification, spec, base)
        check_vocabulary(spec.name, tokenizer, module)
        module = with_adapter(module, source.adapter_of(spec), spec)
        net = cls(spec, module.to(device).eval(), tokenizer, exam_batch)
        known = [str(module.config.id2label[i]) for i in range(module.config.num_labels)]
        named = [] if all(k == f"LABEL_{i}" for i, k in enumerate(known)) else known
        net.adopt_labels(named)
        net.pads = net.ignores_padding()
        return net

    def adopt_labels(self, labels: Sequence[str]) -> None:
        """Assign the head's first rows to these labels, and drop the others."""
        head = self._head()
        self._labels = list(labels)
        bias = cast("Tensor | None", head.bias)  # decoders' label heads have none
        self._replace_head(head.weight.detach()[: len(labels)], None if bias is None else bias.detach()[: len(labels)])

    @property
    def identity(self) -> str:
        """Digest of the base checkpoint: reading all of it takes a while, so only where it is asked for."""
        return source.identity(self.spec)

    @property
    def can(self) -> frozenset[Ability]:
        """Labels only: it chooses, and writes nothing."""
        return frozenset({"label"})

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the head's rows."""
        return tuple(self._labels)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.module.parameters()).device

    def grow(self, labels: Iterable[str]) -> None:
        """Add rows for labels that the head does not know, in sorted order."""
        new = sorted(set(labels) - set(self._labels))
        if not new:
            return
        head = self._head()
        # In the model's own type, also during a lesson, when the head is float32: a row is always the same.
        rows_KH = torch.stack([self._new_row(label) for label in new]).to(DTYPES[self.spec.dtype])
        weight_KH = torch.cat([head.weight.detach(), rows_KH.to(head.weight)])
        bias = cast("Tensor | None", head.bias)
        bias_K = None if bias is None else torch.cat([bias.detach(), bias.new_zeros(len(new))])
        self._replace_head(weight_KH, bias_K)
        self._labels += new

    def _new_row(self, label: str) -> Tensor:
        generator = torch.Generator().manual_seed(seed_of(0, 0, f"label row {label}"))
        # With the spread of the checkpoint's own initial weights: rows far smaller than the others are learnt late.
        config: Any = self.module.config
        spread = config.to_dict().get("initializer_range", 0.02)
        return torch.randn(self._head().in_features, generator=generator) * spread

    def _head(self) -> nn.Linear:
        head = self.module.get_submodule(self.head_name)
        assert isinstance(head, nn.Linear), "found by _find_head"
        return head

    def _replace_head(self, weight_KH: Tensor, bias_K: Tensor | None) -> None:
        head = self._head()
        head.weight = nn.Parameter(weight_KH.clone(), requires_grad=head.weight.requires_grad)
        if bias_K is not None:
            head.bias = nn.Parameter(bias_K.clone(), requires_grad=head.bias.requires_grad)
        head.out_features = weight_KH.shape[0]

    # --- encoding and training ------------------------------------------------------------------------------

    def render(self, prompt: Prompt) -> str:
        """Return a prompt as the model reads it: its messages, one after another."""
        return "\n".join(m.content for m in prompt)

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a prompt, with special tokens, without its middle if it is too long."""
        if prompt not in self._encoded:
            if len(self._encoded) >= 100_000:
                self._encoded.clear()
                self._lost.clear()
            ids = check_known(self._reader.framed_ids(self.render(prompt)), self.rows, self.tokenizer, self.spec.name)
            self._encoded[prompt] = cut_middle(ids, self.spec.longest)
            if len(ids) > self.spec.longest:
                self._lost[prompt] = len(ids) - self.spec.longest
        return self._encoded[prompt]

    def cut(self, example: Example) -> Cut:
        """Return how many tokens of an example do not fit; its answer is a label and always fits."""
        self.prompt_ids(example.prompt)
        return Cut(self._lost.get(example.prompt, 0), 0)

    def length(self, example: Example) -> int:
        """Return the number of tokens of the text."""
        return len(self.prompt_ids(example.prompt))

    def _pad(self, prompts: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        ids_BT = padded(prompts, self.padding, self.device)
        return ids_BT, padded([[1] * len(p) for p in prompts], 0, self.device)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return examples as tensors; the label is the first target, which the head must know.

        Raises:
            ModelError: An example is free text, which an encoder cannot learn.
        """
        rows: list[int] = []
        for example in examples:
            if not example.choices:
                raise ModelError(
                    "an encoder learns labels, and this example is free text",
                    where=f"example {example.id}",
                    mend="use a causal model for this stream, or a stream of classification tasks",
                )
            rows.append(self._labels.index(example.targets[0]))
        prompts = [self.prompt_ids(e.prompt) for e in examples]
        ids_BT, mask_BT = self._pad(prompts)
        labels_B = torch.tensor(rows, device=self.device)
        return Batch(ids_BT, mask_BT, labels_B, num_tokens=sum(map(len, prompts)), num_targets=len(rows))

    def forward(self, module: nn.Module, batch: Batch) -> Forward:
        """Return the predictions over all labels ever seen, as class-incremental learning asks."""
        if batch.together and not self.pads:
            what = f"{type(self.module).__name__} cannot tell padding from text, so that a batch needs several passes"
            raise ModelError(what, where="--shard", mend="leave --shard out: then ranks need not make equally many")
        parts = like_lengths(batch.mask_BT, together=batch.together) if self.pads else same_lengths(batch.mask_BT)
        found = [
            module(input_ids=batch.ids_BT[rows, :longest], attention_mask=batch.mask_BT[rows, :longest]).logits.float()
            for rows, longest in parts
        ]
        logits_BK = torch.cat(found)[torch.cat([rows for rows, _ in parts]).argsort()] if len(parts) > 1 else found[0]
        return Forward(functional.cross_entropy(logits_BK, batch.labels), logits_BK, batch.labels)

    def hidden(self, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Tensor:
        """Return the last layer's states, (B, T, H)."""
        return self.module(input_ids=ids_BT, attention_mask=mask_BT, output_hidden_states=True).hidden_states[-1]

    # --- answering ------------------------------------------------------------------------------------------

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Return the best of each example's choices.

        Raises:
            ModelError: The exam asks for text.
        """
        if decode.kind != "label":
            raise ModelError("an encoder cannot write text", where="exam", mend="use a causal model for this exam")
        if not examples:
            return []
        index = {label: i for i, label in enumerate(self._labels)}
        unseen = sorted({c for e in examples for c in e.choices} - set(index))
        index.update({label: len(self._labels) + i for i, label in enumerate(unseen)})
        answers: dict[int, Answer] = {}

        def read(rows: list[int]) -> Tensor:
            return self._logits([examples[i] for i in rows], unseen)

        batches = self._batches([self.length(e) for e in examples])
        with memory_explained(self.spec), torch.inference_mode():
            for rows, logits_BK in within_memory(self.spec, batches, read):
                for i, logits_K in zip(rows, logits_BK.tolist(), strict=True):
                    check_finite(logits_K, self.spec.name, f"example {examples[i].id}")
                    answers[i] = self._choose(examples[i], logits_K, index)
        return [answers[i] for i in range(len(examples))]

    def _batches(self, lengths: Sequence[int]) -> Iterable[list[int]]:
        if not self.pads:
            return alike(lengths, self.exam_batch)
        order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
        return [order[start : start + self.exam_batch] for start in range(0, len(order), self.exam_batch)]

    def ignores_padding(self) -> bool:
        """Return whether padding changes nothing, by a probe; models without attention (FNet) mix it in.

        Nor may the length of another row: with some rotary positions the longest row of a pass sets the scale of all.
        """
        if scale_border(self.module, self.spec.longest) is not None:
            return False
        ids = self._reader.framed_ids(TEXT)
        with torch.inference_mode():
            (beside,), (alone,) = (self._read_by_head(rows)[-1:] for rows in ([ids[:8], ids[:4]], [ids[:4]]))
        beside = beside[: len(alone)] if alone.dim() == 2 else beside  # a decoder's head reads every position
        return float((beside - alone).abs().max()) <= SHARE.get(alone.dtype, SHARE_16) * float(alone.float().std())

    def _read_by_head(self, prompts: Sequence[list[int]]) -> Tensor:
        """Return the input of the head, whatever the architecture does before it."""
        seen_in: list[Tensor] = []
        hook = self._head().register_forward_pre_hook(lambda _, inputs: seen_in.append(inputs[0]))
        try:
            ids_BT, mask_BT = self._pad(prompts)
            self.module(input_ids=ids_BT, attention_mask=mask_BT)
        finally:
            hook.remove()
        return seen_in[0]

    def _logits(self, examples: Sequence[Example], unseen: Sequence[str]) -> Tensor:
        seen_in: list[Tensor] = []
        # A hook sees what the head reads, whatever the architecture does before it.
        hook = self._head().register_forward_pre_hook(lambda _, inputs: seen_in.append(inputs[0]))
        try:
            ids_BT, mask_BT = self._pad([self.prompt_ids(e.prompt) for e in examples])
            logits_BK = self.module(input_ids=ids_BT, attention_mask=mask_BT).logits.float()
        finally:
            hook.remove()
        if not unseen:
            return logits_BK
        rows_KH = torch.stack([self._new_row(label) for label in unseen]).to(seen_in[0])
        if seen_in[0].dim() == 2:
            return torch.cat([logits_BK, (seen_in[0] @ rows_KH.T).float()], dim=1)
        return self._with_rows(rows_KH, ids_BT, mask_BT)

    def _with_rows(self, rows_KH: Tensor, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the logits with more rows in the head, by the model itself: for heads that read every token."""
        head = self._head()
        more = {f"{self.head_name}.weight": torch.cat([head.weight, rows_KH])}
        bias: Tensor | None = dict(head.named_parameters()).get("bias")
        if bias is not None:
            more[f"{self.head_name}.bias"] = torch.cat([bias, bias.new_zeros(len(rows_KH))])
        inputs = {"input_ids": ids_BT, "attention_mask": mask_BT}
        return torch.func.functional_call(self.module, more, (), inputs).logits.float()

    def _choose(self, example: Example, logits_K: list[float], index: dict[str, int]) -> Answer:
        if not example.choices:
            raise ModelError("no choices to rank", where=f"example {example.id}", mend="give the task `labels`")
        best = max(range(len(example.choices)), key=lambda i: (logits_K[index[example.choices[i]]], -i))
        read, lost = self.length(example), self.cut(example).prompt
        return Answer(example_id=example.id, text=example.choices[best], tokens_in=read, tokens_cut=lost)


def _padding(module: nn.Module, tokenizer: Any, rows: int | None) -> int:
    """Return the padding token: it is masked, and must be an id that the model knows.

    It is the first with an embedding of the tokenizer's, the configuration's and the end token; else 0.
    """
    model = cast("PreTrainedModel", module)
    known = (tokenizer.pad_token_id, model.config.to_dict().get("pad_token_id"), tokenizer.eos_token_id)
    return next((i for i in known if i is not None and 0 <= i < (rows or i + 1)), 0)


def _find_head(module: nn.Module, spec: ModelSpec) -> str:
    modules = dict(module.named_modules())
    for name in HEADS:
        if isinstance(modules.get(name), nn.Linear):
            return name
    raise ModelError(
        f"no label head found in {type(module).__name__}",
        where=spec.name,
        mend=f"the last layer must be a linear one named {', '.join(HEADS)}",
    )
