"""Ratios against what a user would run instead: a bare loop, Trainer, and label exams one choice at a time.

    make bench      # writes bench/README.md

Every ratio is the median of several repeats taken in turn within one process, on the shipped tiny LLaMA.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import decode
import harness
import torch
from transformers import Trainer, TrainingArguments
from transformers.utils import logging

from clbench.core import plugins
from clbench.core.keys import digest, rng
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.data.worlds.lexicon import COMMON_EN
from clbench.engine.provenance import cpu_model
from clbench.models.load import load_net
from clbench.training.schedule import rate, schedule

torch.set_num_threads(1)
logging.set_verbosity_error()
REPEATS = 5
MACHINE = Machine(device="cpu")
MODEL = ModelSpec(name="tiny-llama")


def examples(num: int) -> tuple[Example, ...]:
    """Make texts of log-normal length (median 24 words, at most 200), as real lessons have."""
    generator = rng(0, 0, "bench")
    made: list[Example] = []
    for i in range(num):
        words = min(200, max(3, int(generator.lognormal(3.2, 0.8))))
        text = " ".join(COMMON_EN[j] for j in generator.integers(len(COMMON_EN), size=words))
        prompt = (Message(role="user", content=text),)
        made.append(Example(id=str(i), prompt=prompt, targets=("red",), choices=LABELS))
    return tuple(made)


LABELS = ("red", "blue", "green", "yellow", "black", "white", "brown", "gold")
DATA = examples(256)
LESSON = Lesson(number=1, examples=DATA, digest=digest(DATA))


def our_loop() -> float:
    """Give real tokens per second of our training loop."""
    plugin = plugins.load("learner", "sft", "PLUGIN")
    learner = plugin.build(plugin.config(lr=1e-4, epochs=1), MODEL, 0, MACHINE)
    tokens = sum(learner.net.length(e) for e in DATA)  # encodes, as the others have done before their clock starts
    started = time.perf_counter()
    learner.learn(LESSON)
    return tokens / (time.perf_counter() - started)


def bare_loop() -> float:
    """Give real tokens per second of a loop written out by hand, on the same batches."""
    net = load_net(MODEL, MACHINE)
    lengths = [net.length(e) for e in DATA]
    settings = plugins.load("learner", "sft", "PLUGIN").config(lr=1e-4, epochs=1)
    batches = schedule(lengths, settings, rng(0, 1, "order"))
    tensors = [net.batch([DATA[i] for i in b]) for b in batches]
    optimizer = torch.optim.AdamW(net.module.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    net.module.train()
    started = time.perf_counter()
    for step, batch in enumerate(tensors):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, len(tensors), settings)
        logits = net.module(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
        wanted = batch.labels[:, 1:]
        loss = torch.nn.functional.cross_entropy(logits[:, :-1][wanted != -100], wanted[wanted != -100])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return sum(lengths) / (time.perf_counter() - started)


def hf_trainer() -> float:
    """Give real tokens per second of transformers.Trainer as it comes: random batches, padded to their longest."""
    net = load_net(MODEL, MACHINE)
    rows = [net.batch([e]) for e in DATA]
    data = [{"input_ids": r.ids_BT[0].tolist(), "labels": r.labels[0].tolist()} for r in rows]
    pad = net.tokenizer.pad_token_id

    def collate(items):
        longest = max(len(i["input_ids"]) for i in items)

        def padded(name, filler):
            return torch.tensor([i[name] + [filler] * (longest - len(i[name])) for i in items])

        mask = torch.tensor([[1] * len(i["input_ids"]) + [0] * (longest - len(i["input_ids"])) for i in items])
        return {"input_ids": padded("input_ids", pad), "labels": padded("labels", -100), "attention_mask": mask}

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=16,
            num_train_epochs=1,
            learning_rate=1e-4,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        trainer = Trainer(model=net.module, args=arguments, train_dataset=data, data_collator=collate)
        started = time.perf_counter()
        trainer.train()
        return sum(net.length(e) for e in DATA) / (time.perf_counter() - started)


def ranked_together() -> float:
    """Give questions per second of the label exam: choices share the prompt's forward pass."""
    net = load_net(MODEL, MACHINE)
    started = time.perf_counter()
    net.respond(DATA[:128], Decode(kind="label"))
    return 128 / (time.perf_counter() - started)


def ranked_one_by_one() -> float:
    """Give questions per second when every choice is a full row of prompt and choice, scored over all its tokens."""
    net = load_net(MODEL, MACHINE)
    started = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, 128, 16):
            for label in LABELS:
                rows = [e.model_copy(update={"targets": (label,)}) for e in DATA[start : start + 16]]
                batch = net.batch(rows)
                logits = net.module(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits
                logits[:, :-1].log_softmax(-1).gather(-1, batch.ids_BT[:, 1:, None])
    return 128 / (time.perf_counter() - started)


def ratio(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float, float]:
    """Give (median of ours, median of theirs, median of the ratios), measured in turn."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(REPEATS)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


ROWS = (
    ("our loop / bare PyTorch loop, same batches", "real tokens/s", our_loop, bare_loop, 0.95),
    ("our loop / transformers.Trainer, same data", "real tokens/s", our_loop, hf_trainer, 1.3),
    ("label exam / one choice at a time", "questions/s", ranked_together, ranked_one_by_one, 3.0),
    ("few-shot choices / lm_eval --model hf", "questions/s", harness.ours, harness.theirs, 2.0),
    ("written answers of mixed length / whole batches", "answers/s", decode.ours, decode.theirs, 1.2),
    ("the same, sampled / one at a time", "answers/s", decode.ours_sampled, decode.theirs_sampled, 2.0),
)


def main() -> None:
    """Measure and write the first part of bench/README.md; what other scripts measured stands below, and stays."""
    lines = [
        "# Speed",
        "",
        f"Made by `make bench` on {cpu_model()}, one thread, torch {torch.__version__}:",
        f"medians of {REPEATS} repeats in turn on tiny-llama, 256 texts of log-normal length, batch 16, 8 labels.",
        "Machines differ; read the ratios.",
        "",
        "| what | unit | ours | theirs | ratio | wanted |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for what, unit, ours, theirs, wanted in ROWS:
        mine, other, times = ratio(ours, theirs)
        lines.append(f"| {what} | {unit} | {mine:,.0f} | {other:,.0f} | **{times:.2f}** | >= {wanted} |")
        print(lines[-1], flush=True)
    lines += ["", decode.shares()]
    page = Path(__file__).parent / "README.md"
    _, below, others = page.read_text(encoding="utf-8").partition("\n## ")
    page.write_text("\n".join(lines) + "\n" + below + others, encoding="utf-8")


if __name__ == "__main__":
    main()
