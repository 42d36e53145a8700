"""The one training loop, and the learner around it. Methods differ by the hooks of `Method` alone."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from clbench.core.counts import read_counts, write_counts
from clbench.core.errors import ModelError
from clbench.core.events import notice, track
from clbench.core.keys import rng, seed_of
from clbench.core.spec import Machine
from clbench.core.types import Ability, Answer, Decode, Example, Lesson
from clbench.models.net import Batch, Net, seeded
from clbench.models.packing import Packing
from clbench.store.shared import has_tensors
from clbench.training import checkpoint as _checkpoint
from clbench.training import state_files as _files
from clbench.training.aside import Aside
from clbench.training.hooks import Hooks
from clbench.training.kept import examples_in, kept_counts
from clbench.training.method import Method
from clbench.training.packed import packed
from clbench.training.passes import Passes
from clbench.training.precision import Masters
from clbench.training.reached import check_first_batch, count_unreached
from clbench.training.recompute import recomputed
from clbench.training.schedule import by_rate, kinds_in, pieces, rate, refuse_eval_only, schedule, without_documents
from clbench.training.settings import Training
from clbench.training.settled import Settled
from clbench.training.shards import global_norm, sharded
from clbench.training.team import team_of
from clbench.training.watch import not_finite, watched

MASTERS = Path("keeps") / "masters.safetensors"
# Counts of the last lesson alone.
OF_LESSON = ("cut_prompts", "cut_answers", "trained_parameters", "unreached_parameters", "idle_expert_parameters")


class GradientLearner:
    """A learner that trains a net with a method.

    Attributes:
        net: The model.
        method: What differs from plain fine-tuning.
        number: Lessons learnt.
    """

    def __init__(self, training: Training, method: Method, net: Net, seed: int, machine: Machine) -> None:
        self.training = training
        self.method = method
        self._hooks = Hooks(method)
        self.net = net
        self.seed = seed
        self.machine = machine
        self._team = team_of(machine)
        self.number = 0
        self._base_parameters, self._base_bytes = _files.size_of(net.module.parameters())
        self._changed: set[str] = set()
        self._masters = Masters(net.module)
        self._passes = Passes(self._device, self._masters.compute(training.precision))
        self._base = frozenset(name for name, _ in net.module.named_parameters())
        self._counted = dict.fromkeys(OF_LESSON, 0)
        self._packing = Packing()
        self._aside = Aside()
        self._rhythm = _checkpoint.Rhythm(self._aside)
        self._settled = Settled(method, _files.save_tensors, _files.load_tensors)

    @property
    def can(self) -> frozenset[Ability]:
        """What its net can."""
        return self.net.can

    def respond(self, examples: Sequence[Example], decode: Decode) -> list[Answer]:
        """Answer with the net as it is, by the method's `answer`."""
        return self._hooks.answer(self.net, examples, decode) if examples else []

    # --- learning -------------------------------------------------------------------------------------------

    def learn(self, lesson: Lesson, progress: Path | None = None) -> None:
        """Train on a lesson, then let the method keep what it needs. See `Learner.learn`."""
        refuse_eval_only(lesson)
        lesson = without_documents(lesson)
        self._count_cuts(lesson)
        self._hooks.number = lesson.number
        self._masters.take(self.net.module, self._masters.kept)
        with self._passes.of(self.net.module):
            with seeded(seed_of(self.seed, lesson.number, "widen"), self._device):
                wide = self._hooks.expand(self.net, lesson, rng(self.seed, lesson.number, "widen"))
            self._open(wide)
            shared = packed(self.net, self._packing if self._packs() else None, self._passes)
            with recomputed(self.net.module, self.machine.recompute), shared, self._on_shards():
                self._train(wide.model_copy(update={"kinds": kinds_in(wide, lesson)}), progress)
            self._close(lesson)

    def adopt_first_lesson(self, folder: Path, lesson: Lesson) -> None:
        """Take over the weights of an equal first lesson from `folder`, and keep what later lessons need."""
        refuse_eval_only(lesson)
        lesson = without_documents(lesson)
        self._count_cuts(lesson)
        self._open(lesson)
        self._take_weights(folder)
        self._masters.take(self.net.module, self._stored_masters(folder))
        counts = read_counts(folder)
        self._counted |= {name: counts[name] for name in OF_LESSON if name in counts}
        self._passes.start_from(counts["train_tokens"], counts["forward_tokens"])
        self._packing.start_from(counts)
        with self._passes.of(self.net.module):
            self._close(lesson)

    def _count_cuts(self, lesson: Lesson) -> None:
        """Count the lesson's prompts and answers that do not fit into the model's input."""
        found = [self.net.cut(e) for e in lesson.examples]
        cut = {"cut_prompts": sum(c.prompt > 0 for c in found), "cut_answers": sum(c.answer > 0 for c in found)}
        self._counted = dict.fromkeys(OF_LESSON, 0) | cut

    def _open(self, lesson: Lesson) -> None:
        self.number += 1
        self.net.grow(
            {e.targets[0] for e in lesson.examples if e.choices} | {c for e in lesson.examples for c in e.choices}
        )
        self._prepare(self.number)
        self._masters.widen(self.net.module)

    def _prepare(self, number: int) -> None:
        self._hooks.number = number
        with seeded(seed_of(self.seed, number, "prepare"), self._device):
            self._hooks.prepare(self.net, number)
        self._changed |= set(self._trainable())

    def _finish(self, number: int) -> None:
        self._hooks.finish(self.net, number)
        self._changed |= set(self._trainable())

    def _close(self, lesson: Lesson) -> None:
        if self.net.module.training:
            self.net.module.eval()
        self._finish(self.number)
        with seeded(seed_of(self.seed, self.number, "settle"), self._device):
            self._hooks.consolidate(self.net, lesson, rng(self.seed, self.number, "settle"))
        if self._team is not None:
            self._team.equalise(self._trainable().values())
        self._masters.round(self.net.module)
        _, changed, learning = self._weights()
        self._settled.close(changed, learning)

    def _packs(self) -> bool:
        """Return whether examples may share rows."""
        if self.training.packing and self.machine.shard:
            notice("under --shard every rank makes one pass a step: examples are not packed")
        return self.training.packing and not self.machine.shard

    @contextmanager
    def _on_shards(self) -> Generator[None]:
        """Learn on shards for the length of a block, where the machine says so."""
        if self._team is None or not self.machine.shard:
            yield
            return
        whole_in_loss, before = type(self.method).loss is not Method.loss, self._passes.counted()
        with sharded(self.net, self._team, whole_in_loss=whole_in_loss), self._passes.of(self.net.module):
            self._passes.add(before - self._passes.counted())  # measuring how to share out is not learning
            yield

    def _train(self, lesson: Lesson, progress: Path | None) -> None:
        params = self._trainable()
        optimizer = self._optimizer(params, lesson)
        lengths = [self.net.length(e) for e in lesson.examples]
        order = rng(self.seed, lesson.number, "order")
        batches = schedule(lengths, self.training, order, lesson.passes, lesson.kinds)
        done = self._resume(progress, params, optimizer)
        self.net.module.train()
        self._rhythm.begin(self.machine.checkpoint_s)
        with self._aside, watched(self._device, partial(not_finite, len(batches), lesson, progress)) as watch:
            for index in track(range(done, len(batches)), f"lesson {lesson.number}", total=len(batches), done=done):
                for group in optimizer.param_groups:
                    group["lr"] = group["speed"] * rate(index, len(batches), self.training)
                wish = self._team is not None and self._rhythm.due()
                chosen = [lesson.examples[i] for i in batches[index]]
                loss, due = self._descend(chosen, index, lesson.number, wish)
                if index == done:
                    check_first_batch(self.net.module, params, self._base, lesson.number)
                watch.see(index, loss, global_norm(params.values(), self.training.clip))
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                with torch.no_grad():
                    self._hooks.after_step(self.net)
                if progress is not None and (due or (self._team is None and self._rhythm.due())):
                    watch.look()
                    self._write_checkpoint(progress, index + 1, params, optimizer)
        if batches:
            self._counted |= count_unreached(self.net.module, params, optimizer, lesson.number)
        self.net.module.eval()

    def _optimizer(self, params: dict[str, Tensor], lesson: Lesson) -> torch.optim.Optimizer:
        if not params:
            raise ModelError(
                f"this method trains nothing of {type(self.net.module).__name__}",
                where=f"lesson {lesson.number}",
                mend="take a learner that trains the model's own weights (sft, replay, ewc), or another model",
            )
        return torch.optim.AdamW(
            by_rate(params, self._hooks.lr_scale),
            lr=self.training.lr,
            weight_decay=self.training.weight_decay,
            fused=True,
        )

    def _write_checkpoint(
        self, progress: Path, steps: int, params: dict[str, Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        place = progress if self._team is None or self._team.place.leads else None
        aside = self._aside if self._device.type != "cpu" else None  # there a copy would take as much memory again
        with self._rhythm.writing():
            point = _checkpoint.Point(steps, self._passes.tokens, self._passes.forward_tokens, self._packing.counts())
            _checkpoint.write(place, point, params, optimizer, self._hooks.whole_state(), aside)

    def _descend(self, chosen: list[Example], index: int, lesson: int, wish: bool) -> tuple[Tensor, bool]:
        """Compose a batch and run it forward and backward.

        Each rank takes its share of the batch, with noise of its own; all that is drawn for all is drawn alike.

        Returns:
            Its loss, a number on the device; and, among ranks, whether rank 0 wishes a checkpoint after the step.
        """
        team = self._team
        with seeded(seed_of(self.seed, lesson, f"noise {index}"), self._device):
            mixed = self._hooks.compose_batch(chosen, rng(self.seed, lesson, f"mix {index}"))
            if team is None:
                loss = self._backward(self._parts(mixed))
                self._hooks.edit_gradients(self.net)
                return loss, False
        rank = f" of rank {team.place.rank}" if team.place.rank else ""
        with seeded(seed_of(self.seed, lesson, f"noise {index}{rank}"), self._device):
            parts = self._parts(mixed, team.place.rank, team.place.size)
            learning, shards = list(self._trainable().values()), self.machine.shard
            total, due = team.step(
                lambda: float(self._backward(parts)), learning, self._passes, wish=wish, shards=shards
            )
        with seeded(seed_of(self.seed, lesson, f"edit {index}"), self._device):
            self._hooks.edit_gradients(self.net)
        return torch.tensor(total, device=self._device), due

    def _backward(self, parts: list[Batch]) -> Tensor:
        """Run the parts of a batch forward and backward; return their part of its loss."""
        total = torch.zeros((), device=self._device)
        for batch in parts:
            before = self._passes.counted()
            loss = self._hooks.loss(self.net, batch, self.net.forward(self.net.module, batch))
            # Gradients of shards are averaged over the ranks, others are summed.
            weight = batch.share * (self._team.place.size if self._team and self.machine.shard else 1)
            (loss * weight if weight != 1.0 else loss).backward()
            total = total + loss.detach().reshape(()) * batch.share
            if batch.share == 0:  # of a rank that has no part: nothing is learnt from it
                self._passes.add(before - self._passes.counted())
        return total

    def _parts(self, examples: list[Example], rank: int = 0, ranks: int = 1) -> list[Batch]:
        """Return a rank's share of a batch in parts of at most `micro_batch`: the longest first, so all fit."""
        most = self.net.micro_batch
        if ranks == 1 and (most is None or len(examples) <= most):
            return [self.net.batch(examples)]
        ordered = sorted(examples, key=lambda example: -self.net.length(example))
        shares = [[piece for piece in pieces(ordered[at::ranks], most) if piece] for at in range(ranks)]
        before, num = sum(map(len, shares[:rank])), sum(map(len, shares))
        whole = self.net.batch(examples)
        own = [self.net.batch(piece) for piece in shares[rank]]
        found = [
            replace(part, share=part.num_targets / whole.num_targets, whole=whole, part=before + place, parts=num)
            for place, part in enumerate(own)
        ]
        if ranks == 1 or not self.machine.shard:
            return found
        # Ranks that share weights must make equally many passes: those without a part walk one that counts nothing.
        idle = replace(self.net.batch(ordered[:1]), share=0.0, whole=whole)
        found += [idle] * (max(map(len, shares)) - len(found))
        return [replace(part, together=True) for part in found]

    def _resume(self, progress: Path | None, params: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> int:
        found = None
        if progress is not None and self._team is None:
            found = _checkpoint.resume(progress, params, optimizer)
        elif progress is not None and self._team is not None and (last := self._last_point(progress)):
            point, folder = last
            found = point, _checkpoint.read(folder, params, optimizer)
        if found is None:
            return 0
        point, state = found
        self._hooks.restore(state)
        self._passes.start_from(point.train_tokens, point.forward_tokens)
        self._packing.start_from(point.slots)
        return point.index

    def _last_point(self, progress: Path) -> tuple[_checkpoint.Point, Path] | None:
        """Return the newest checkpoint as rank 0 sees it: all ranks go on from the same."""
        assert self._team is not None, "one process looks for itself"
        return self._team.say(_checkpoint.latest(progress) if self._team.place.leads else None)

    # --- sleeping and waking --------------------------------------------------------------------------------

    def save(self, folder: Path, earlier: Sequence[Path] = ()) -> None:
        """Write weights, labels, the method's state and counts; what has settled is linked from `earlier` states."""
        folder.mkdir(parents=True, exist_ok=True)
        params, changed, _ = self._weights()
        if self.number and (own := self._settled.split(changed, folder, earlier)):
            _files.save_tensors(folder / "answers" / "weights.safetensors", own)
        _files.save_labels(folder, self.net.labels if self.number else ())
        state, shown = self._hooks.states()
        keep = partial(self._settled.keep, state=folder, earlier=earlier)
        kept = _files.save_state(folder / "keeps", state, keep) + _files.save_state(folder / "answers", shown, keep)
        if self._masters.kept:
            _files.save_tensors(folder / MASTERS, self._masters.kept)
            kept += (folder / MASTERS).stat().st_size
        parameters, num_bytes = _files.size_of(params.values())
        counts = {
            "lessons": self.number,
            "train_tokens": self._passes.tokens,
            "forward_tokens": self._passes.forward_tokens,
            "parameters": parameters,
            "added_parameters": parameters - self._base_parameters,
            **kept_counts(examples_in({**state, **shown}), kept, num_bytes - self._base_bytes),
            **{name: num for name, num in self._counted.items() if num},
            **self._packing.counts(),
        }
        write_counts(folder, counts)

    def load(self, folder: Path) -> None:
        """Take over the state that `save` wrote."""
        counts = read_counts(folder)
        for label in _files.load_labels(folder):  # one by one: the order of rows matters
            self.net.grow([label])
        if counts["lessons"]:
            self._reshape(counts["lessons"])
        self._masters.round(self.net.module)
        if counts["lessons"]:
            self._take_weights(folder)
        self._masters.kept = self._stored_masters(folder)
        self.number = counts["lessons"]
        self._passes.start_from(counts["train_tokens"], counts["forward_tokens"])
        self._counted = {name: counts.get(name, 0) for name in OF_LESSON}
        self._packing.start_from(counts)
        kept = [_files.load_state(folder / part, self._device, self._settled.note) for part in ("keeps", "answers")]
        self._hooks.restore(kept[0] | kept[1])
        self.net.module.eval()

    def _reshape(self, number: int) -> None:
        """Let the net have the parameters that it has after lesson `number`: at once where the method knows how."""
        self._hooks.number = number
        if not self.method.wakes_at_once():
            for past in range(1, number + 1):
                self._prepare(past)
                self._finish(past)
            return
        with seeded(seed_of(self.seed, number, "prepare"), self._device):
            self._hooks.wake(self.net, number)
        self._changed |= set(self._trainable())

    def _stored_masters(self, folder: Path) -> dict[str, Tensor]:
        return _files.load_tensors(folder / MASTERS, self._device) if has_tensors(folder / MASTERS) else {}

    def _take_weights(self, folder: Path) -> None:
        weights = folder / "answers" / "weights.safetensors"
        own = _files.load_tensors(weights, self._device) if has_tensors(weights) else {}
        found = own | self._settled.read(folder, self._device)
        if not found:
            return
        params = dict(self.net.module.named_parameters())
        self._hooks.park({name: value for name, value in found.items() if name not in params})
        _files.check_same_parts(params.keys() | self._hooks.parked().keys(), found, self._changed, weights)
        with torch.no_grad():
            for name in found.keys() & params.keys():
                params[name].copy_(found[name])
        self._changed |= found.keys()
        self._settled.note_weights({**params, **self._hooks.parked()}, own.keys() - self._trainable().keys())

    def _weights(self) -> tuple[dict[str, Tensor], dict[str, Tensor], set[str]]:
        """Return all weights, in the net and parked; those that differ from the base; and the names of what learns."""
        params: dict[str, Tensor] = dict(self.net.module.named_parameters())
        learning = {name for name, param in params.items() if param.requires_grad}
        params |= self._parked()
        return params, {n: params[n] for n in self._changed if n in params}, learning  # what was added may be gone

    def _parked(self) -> Mapping[str, Tensor]:
        """Return the weights that stand outside the net, in the model's own type, as they stand after loading too."""
        found, half = self._hooks.parked(), self._masters.half
        if half is not None and any(value.dtype != half for value in found.values()):
            self._hooks.park({name: value.to(half) for name, value in found.items()})
        return self._hooks.parked()

    @property
    def _device(self) -> torch.device:
        return next(self.net.module.parameters()).device

    def _trainable(self) -> dict[str, Tensor]:
        return {n: p for n, p in self.net.module.named_parameters() if p.requires_grad}
