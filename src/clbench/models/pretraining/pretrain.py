"""Pretraining of the tiny models: one short loop for causal models and the encoder.

Recall from a long prompt does not appear by itself in so small a model. What makes it appear: documents that grow
during training, many questions per conversation with loss on every answer, and batches of random tokens repeated,
with loss on all tokens, which form induction heads (Olsson et al. 2022, "In-context Learning and Induction Heads").

Shapes: B rows, T tokens, H hidden, N positions with loss, V vocabulary.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clbench.core.errors import LessonError
from clbench.core.events import Progress, notice
from clbench.core.keys import seed_of
from clbench.core.spec import ModelSpec
from clbench.core.types import Decode, Example
from clbench.models.net import seeded
from clbench.models.pretrained import DTYPES
from clbench.models.pretraining import resume as pretrain_resume
from clbench.models.pretraining import start as pretrain_start
from clbench.models.pretraining import tokenizer as pretrain_tokenizer
from clbench.models.pretraining.batches import MaskedHead, Rows, batches, causal_loss, encoder_loss
from clbench.models.pretraining.recipe import Material, Recipe
from clbench.models.pretraining.resume import Course
from clbench.models.source import locate
from clbench.models.warm import keep_freed_memory


def pretrain(
    recipe: Recipe, material: Material, out: Path, progress: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Train one model, write its folder and return its record; a training that was interrupted there goes on.

    Args:
        recipe: The recipe.
        material: The text to learn from, and the exams.
        out: The checkpoint folder; files of the same names are overwritten.
        progress: Called after every step.

    Returns:
        What `pretraining.json` holds: recipe, hardware, seconds, loss log, exam scores with guess rates.

    Raises:
        LessonError: The loss is not finite.
        ModelError: The checkpoint to start from does not fit the recipe, or what was interrupted is another recipe's.
    """
    out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with seeded(seed_of(recipe.seed, 0, "pretraining"), torch.device("cpu")):
            module, tokenizer = _begin(recipe, material, out)
            course = _train(recipe, material, module, tokenizer, out, progress)
        started = time.monotonic()
        module.eval().to(DTYPES[recipe.stored]).save_pretrained(str(out))  # type: ignore[operator]  # a Hugging Face model, of any class
        scores = examine(out, material.exams)
    finally:
        torch.set_num_threads(threads)
    record = {
        "recipe": recipe.model_dump(),
        "parameters": sum(p.numel() for p in module.parameters()),
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "threads": 1, "torch": torch.__version__},
        "wall_s": round(course.seconds + time.monotonic() - started, 1),
        "scores": scores,
        "log": course.log,
    }
    (out / "pretraining.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    pretrain_resume.clear(out)
    return record


def _begin(recipe: Recipe, material: Material, out: Path) -> tuple[nn.Module, Any]:
    """Return the model as it is before the first step and its tokenizer, whose files are written."""
    begun = None if recipe.start is None else locate(ModelSpec(name=recipe.start))
    tokenizer = pretrain_start.tokenizer_of(begun) if begun else pretrain_tokenizer.make(material.lines, recipe.vocab)
    pretrain_tokenizer.save(tokenizer, out, recipe.family, recipe.positions)
    module = build(recipe, tokenizer, material.labels)
    if begun:
        pretrain_start.take_over(module, begun, recipe.architecture)
    else:
        pretrain_start.look_back(module, recipe.architecture)
    return module, tokenizer


def build(recipe: Recipe, tokenizer: Any, labels: Sequence[str]) -> nn.Module:
    """Return the untrained model; its randomness comes from torch's generator."""
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": recipe.vocab,
        "hidden_size": recipe.hidden,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "intermediate_size": recipe.inner,
        "max_position_embeddings": recipe.positions,
        "initializer_range": recipe.spread,
        "pad_token_id": tokenizer.token_to_id("<|pad|>"),
    }
    if recipe.architecture == "bert":
        config = transformers.BertConfig(
            **shape,
            type_vocab_size=1,
            hidden_dropout_prob=recipe.dropout,
            attention_probs_dropout_prob=recipe.dropout,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
        return transformers.BertForSequenceClassification(config)
    shape |= {
        "num_key_value_heads": recipe.heads,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "bos_token_id": tokenizer.token_to_id("<|begin|>"),
        "eos_token_id": tokenizer.token_to_id("<|end|>"),
    }
    if recipe.architecture == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape))
    head = recipe.hidden // recipe.heads
    return transformers.HunYuanDenseV1ForCausalLM(transformers.HunYuanDenseV1Config(**shape, head_dim=head))


def examine(
    folder: Path, exams: Mapping[str, tuple[Sequence[Example], Decode, float]]
) -> dict[str, dict[str, float | int]]:
    """Return the exam scores of a finished checkpoint: shares of right answers, by the code that benchmarks use."""
    from clbench.core.spec import Machine
    from clbench.models.load import load_net

    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    scores: dict[str, dict[str, float | int]] = {}
    for name, (examples, decode, guess_rate) in exams.items():
        if decode.kind not in net.can:
            continue
        answers = net.respond(examples, decode)
        right = sum(a.text.strip() == e.targets[0] for a, e in zip(answers, examples, strict=True))
        scores[name] = {
            "score": round(right / len(examples), 4),
            "chance": round(guess_rate, 4),
            "items": len(examples),
        }
    return scores


def _train(
    recipe: Recipe,
    material: Material,
    module: nn.Module,
    tokenizer: Any,
    out: Path,
    progress: Callable[[Progress], None],
) -> Course:
    head = None if recipe.family == "causal" else MaskedHead(module, recipe)
    parts = nn.ModuleList([module] if head is None else [module, head])
    optimiser = _optimiser(recipe, parts)
    course = pretrain_resume.resume(out, recipe, parts, optimiser) or Course()
    if course.step:
        notice(f"{recipe.name}: resumed after step {course.step} of {recipe.steps}, from {out / pretrain_resume.FILE}")
    source = batches(recipe, material, tokenizer, course.place)
    started = time.monotonic() - course.seconds
    module.train()
    for step in range(course.step + 1, recipe.steps + 1):
        rows = next(source)
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * _lr_share(step, recipe)
        loss = causal_loss(module, rows) if head is None else encoder_loss(module, head, rows)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LessonError(f"the loss is {value}", where=f"{recipe.name} step {step}", mend="lower the recipe's lr")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimiser.step()
        course.seconds = time.monotonic() - started
        _note(course, recipe, step, rows, value)
        if step % recipe.save_every == 0 and step < recipe.steps:
            pretrain_resume.store(out, recipe, course, parts, optimiser)
        progress(Progress(recipe.name, step, recipe.steps))
    return course


def _optimiser(recipe: Recipe, parts: nn.ModuleList) -> torch.optim.Optimizer:
    parameters = list(parts.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98), fused=True)


def _note(course: Course, recipe: Recipe, step: int, rows: Rows, loss: float) -> None:
    """Count a step, and write an entry of the log where one is due."""
    course.step = step
    course.tokens += int(rows.mask.sum())
    course.losses.setdefault(rows.kind, []).append(loss)
    if step % recipe.log_every == 0 or step == recipe.steps:
        means = {f"loss_{k}": round(sum(v) / len(v), 4) for k, v in sorted(course.losses.items())}
        course.log.append({"step": step, **means, "tokens_per_s": round(course.tokens / max(course.seconds, 1e-9))})
        course.losses = {}


def _lr_share(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return step / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * done))
