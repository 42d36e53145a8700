"""The one training loop, and the learner around it. Methods differ by the hooks of `Method` alone."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clbench.core.errors import LessonError
from clbench.core.keys import canonical, rng, seed_of
from clbench.core.progress import track
from clbench.core.spec import Machine
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.learners import _checkpoint
from clbench.learners._files import load_state, load_tensors, save_state, save_tensors
from clbench.learners._method import Method
from clbench.learners._training import Training, rate, refuse_eval_only, schedule
from clbench.models.net import Net, seeded


class GradientLearner:
    """A learner that trains a net with a method.

    Attributes:
        net: The model.
        method: What differs from plain fine-tuning.
        step: Lessons learnt.
    """

    def __init__(self, training: Training, method: Method, net: Net, seed: int, machine: Machine) -> None:
        self.training = training
        self.method = method
        self.net = net
        self.seed = seed
        self.machine = machine
        self.step = 0
        self._base_parameters = sum(p.numel() for p in net.module.parameters())
        self._changed: set[str] = set()
        self._train_tokens = 0
        self._cut = {"cut_prompts": 0, "cut_answers": 0}

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with the net as it stands, in the way of the method."""
        return self.method.answer(self.net, examples, decode) if examples else []

    # --- learning -------------------------------------------------------------------------------------------

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Train on a lesson, then let the method keep what it needs. See `Learner.learn`."""
        refuse_eval_only(lesson)
        self._count_cuts(lesson)
        with seeded(seed_of(self.seed, lesson.step, "widen"), self._device):
            wide = self.method.widen(self.net, lesson, rng(self.seed, lesson.step, "widen"))
        self._open(wide)
        self._train(wide, progress)
        self._close(lesson)

    def settle(self, folder: Path, lesson: Lesson) -> None:
        """Take over the weights of an equal first lesson from `folder`, and keep what later lessons need."""
        refuse_eval_only(lesson)
        self._count_cuts(lesson)
        self._open(lesson)
        self._take_weights(folder)
        self._train_tokens += json.loads((folder / "meters.json").read_text(encoding="utf-8"))["train_tokens"]
        self._close(lesson)

    def _count_cuts(self, lesson: Lesson) -> None:
        """Count the lesson's prompts and answers that do not fit into the model's input."""
        found = [self.net.cut(e) for e in lesson.examples]
        self._cut = {"cut_prompts": sum(c.prompt > 0 for c in found), "cut_answers": sum(c.answer > 0 for c in found)}

    def _open(self, lesson: Lesson) -> None:
        self.step += 1
        self.net.grow(
            {e.targets[0] for e in lesson.examples if e.choices} | {c for e in lesson.examples for c in e.choices}
        )
        self._prepare(self.step)

    def _prepare(self, step: int) -> None:
        with seeded(seed_of(self.seed, step, "prepare"), self._device):
            self.method.prepare(self.net, step)
        self._changed |= set(self._trainable())

    def _finish(self, step: int) -> None:
        self.method.finish(self.net, step)
        self._changed |= set(self._trainable())

    def _close(self, lesson: Lesson) -> None:
        self.net.module.eval()
        self._finish(self.step)
        with seeded(seed_of(self.seed, self.step, "settle"), self._device):
            self.method.settle(self.net, lesson, rng(self.seed, self.step, "settle"))

    def _train(self, lesson: Lesson, progress: Path | None) -> None:
        accelerator = _accelerator(self.training, self._device)
        params = self._trainable()
        optimizer = torch.optim.AdamW(
            _groups(params, self.method), lr=self.training.lr, weight_decay=self.training.weight_decay, fused=True
        )
        lengths = [self.net.length(e) for e in lesson.examples]
        batches = schedule(lengths, self.training, rng(self.seed, lesson.step, "order"), lesson.passes)
        done = self._resume(progress, params, optimizer)
        module, stepper = accelerator.prepare(self.net.module, optimizer)
        module.train()
        clock = time.monotonic()
        for index in track(range(done, len(batches)), f"lesson {lesson.step}", total=len(batches), done=done):
            for group in optimizer.param_groups:
                group["lr"] = group["speed"] * rate(index, len(batches), self.training)
            chosen = [lesson.examples[i] for i in batches[index]]
            with seeded(seed_of(self.seed, lesson.step, f"noise {index}"), self._device):
                mixed = self.method.mix(chosen, rng(self.seed, lesson.step, f"mix {index}"))
                loss = self._descend(accelerator, module, mixed)
            norm = float(accelerator.clip_grad_norm_(params.values(), self.training.clip))
            if not math.isfinite(loss + norm):
                raise _not_finite((loss, norm), index, len(batches), lesson, progress)
            stepper.step()
            stepper.zero_grad(set_to_none=True)
            if progress is not None and time.monotonic() - clock >= self.machine.checkpoint_s:
                _checkpoint.write(
                    progress,
                    _checkpoint.Point(index + 1, self._train_tokens),
                    params,
                    optimizer,
                    {**self.method.state(), **self.method.guide()},
                )
                clock = time.monotonic()
        module.eval()

    def _descend(self, accelerator: Any, module: torch.nn.Module, examples: list[Example]) -> float:
        """Run one batch forward and backward; give its loss. Each process takes its share of the batch."""
        whole = self.net.batch(examples)
        self._train_tokens += whole.num_tokens
        batch, share = whole, 1.0
        if accelerator.num_processes > 1:
            mine = examples[accelerator.process_index :: accelerator.num_processes] or examples[:1]
            batch = self.net.batch(mine)
            # Gradients are averaged over processes: weigh by targets, so that the sum equals one big batch.
            share = accelerator.num_processes * batch.num_targets / whole.num_targets
        with accelerator.autocast():
            out = self.net.forward(module, batch)
            loss = self.method.penalise(self.net, batch, out)
        accelerator.backward(loss * share if share != 1.0 else loss)
        self.method.project(self.net)
        return float(loss.detach())

    def _resume(self, progress: Path | None, params: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
        found = _checkpoint.latest(progress) if progress is not None else None
        if found is None:
            return 0
        point, folder = found
        self.method.restore(_checkpoint.read(folder, params, optimizer))
        self._train_tokens = point.train_tokens
        return point.index

    # --- sleeping and waking --------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write `answers/` (weights and labels), `keeps/` (the method's state) and `meters.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.step:
            params = dict(self.net.module.named_parameters())
            changed = {n: params[n] for n in self._changed if n in params}  # what was added may be gone again
            if changed:
                save_tensors(folder / "answers" / "weights.safetensors", changed)
            if self.net.labels:
                (folder / "answers" / "labels.json").write_text(canonical(self.net.labels), encoding="utf-8")
        kept = save_state(folder / "keeps", self.method.state())
        guide = save_state(folder / "answers", self.method.guide())
        parameters = sum(p.numel() for p in self.net.module.parameters())
        meters = {
            "step": self.step,
            "train_tokens": self._train_tokens,
            "kept_bytes": kept + guide,
            "parameters": parameters,
            "added_parameters": parameters - self._base_parameters,
            **{name: num for name, num in self._cut.items() if num},
        }
        (folder / "meters.json").write_text(canonical(meters), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over the state that `save` wrote."""
        meters = json.loads((folder / "meters.json").read_text(encoding="utf-8"))
        labels = folder / "answers" / "labels.json"
        if labels.is_file():
            for label in json.loads(labels.read_text(encoding="utf-8")):  # one by one: the order of rows matters
                self.net.grow([label])
        for step in range(1, meters["step"] + 1):
            self._prepare(step)
            self._finish(step)
        if meters["step"]:
            self._take_weights(folder)
        self.step, self._train_tokens = meters["step"], meters["train_tokens"]
        self._cut = {name: meters.get(name, 0) for name in self._cut}
        self._recall(folder)
        self.net.module.eval()

    def _recall(self, folder: Path) -> None:
        self.method.restore(load_state(folder / "keeps", self._device) | load_state(folder / "answers", self._device))

    def _take_weights(self, folder: Path) -> None:
        weights = folder / "answers" / "weights.safetensors"
        if not weights.is_file():
            return
        params = dict(self.net.module.named_parameters())
        with torch.no_grad():
            for name, value in load_tensors(weights, self._device).items():
                params[name].copy_(value)
                self._changed.add(name)

    @property
    def _device(self) -> torch.device:
        return next(self.net.module.parameters()).device

    def _trainable(self) -> dict[str, Tensor]:
        return {n: p for n, p in self.net.module.named_parameters() if p.requires_grad}


def _groups(params: dict[str, Tensor], method: Method) -> list[dict[str, Any]]:
    """Group parameters by how fast they learn."""
    speeds: dict[float, list[Tensor]] = {}
    for name, param in params.items():
        speeds.setdefault(method.speed(name), []).append(param)
    return [{"params": group, "speed": speed} for speed, group in speeds.items()]


def _accelerator(training: Training, device: torch.device) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one global state; learners of one process may ask for different precisions.
    AcceleratorState._reset_state()  # pyright: ignore[reportPrivateUsage]  # there is no public way
    return Accelerator(cpu=device.type == "cpu", mixed_precision=training.precision)


def _not_finite(
    found: tuple[float, float], index: int, total: int, lesson: Lesson, progress: Path | None
) -> LessonError:
    last = _checkpoint.latest(progress) if progress is not None else None
    good = f"last good checkpoint: step {last[0].index} in {last[1]}" if last else "no checkpoint inside this lesson"
    return LessonError(
        f"the loss is {found[0]:.4g} and the gradient norm {found[1]:.4g} at step {index + 1} of {total}; {good}",
        where=f"lesson {lesson.step}" + (f" ({lesson.task_name})" if lesson.task_name else ""),
        mend="lower learner.lr, raise learner.warmup, or look at the lesson's longest examples with `clbench show`",
    )
