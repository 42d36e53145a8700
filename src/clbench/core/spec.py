"""What is run (`RunSpec`, all of it hashed) and how (`Machine`, recorded)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from clbench.core.keys import key
from clbench.core.types import AnswerRule
from clbench.core.value import Value

MOST_NAME = 200  # characters of a name: it names a folder, and a file system takes 255 bytes
Keep = Literal["all", "last", "branch"]
HEADLINE = (
    "average_performance",
    "learning_accuracy",
    "fwt",
    "general_ability_delta",
    "instruction_delta",
    "long_context_delta",
    "forgetting",
    "forgetting_rate",
    "bwt",
    "worst_retention",
    "fluctuation",
    "train_seconds",
    "tokens_per_s",
    "exam_latency_s_p50",
    "peak_memory_bytes",
    "kept_bytes",
    "examples_used",
)


class ModelSpec(Value):
    """A base model.

    Attributes:
        name: A shipped model ("tiny-llama"), a checkpoint folder, or a Hub id.
        family: "causal", "encoder", or "auto" (by the checkpoint's configuration).
        revision: Commit of a Hub model; a Hub id without one is refused.
        dtype: Precision of the weights; part of the result's identity.
        adapter: Of a folder that holds a PEFT adapter beside the base weights: "use" merges it into them, "ignore"
            leaves it aside; None refuses such a folder.
        max_tokens: Longest input in tokens, at most the model's positions; what does not fit is cut, and counted. None
            is the model's own length, which is written here before anything is hashed.
        answer: Which part of its text is the answer, unless an exam says so. None takes what follows the reasoning
            that the chat template knows (`</think>`); `{after: ""}` takes all.
    """

    name: str = "tiny-llama"
    family: Literal["auto", "causal", "encoder"] = "auto"
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_tokens: int | None = Field(default=None, ge=8)
    adapter: Literal["use", "ignore"] | None = None
    answer: AnswerRule | None = None
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"adapter", "answer"})

    @property
    def longest(self) -> int:
        """Longest input in tokens; the spec must state it (`clbench.models.source.settled`)."""
        assert self.max_tokens is not None, "the spec is settled where it enters"
        return self.max_tokens


class ExamBudget(Value):
    """The rule for which cells of the matrix are due.

    Attributes:
        policy: Row 0 and the last row are always complete. "full" asks every exam after every lesson; "seen" leaves
            out tasks not yet taught; "every" asks each task after its own lesson, and all that were taught in
            every `every`-th row; "anchors" asks each task after its own lesson, and `anchors` tasks in every row
            from their lesson on. Exams of abilities are asked in every row, or in every `every`-th if that is set.
        items: Most questions per exam, chosen by hash of id so that every row asks the same ones; None is all.
        every: Distance of rows; needed by "every", optional for the abilities with "anchors".
        anchors: Number of anchor tasks, chosen by hash of name so that it is the same ones in every run.
    """

    policy: Literal["full", "seen", "every", "anchors"] = "full"
    items: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=1)
    anchors: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _says_what_its_policy_needs(self) -> ExamBudget:
        if self.policy == "every" and self.every is None:
            raise ValueError('policy "every" needs the distance of rows, for example every: 5')
        if self.policy == "anchors" and self.anchors is None:
            raise ValueError('policy "anchors" needs the number of anchors, for example anchors: 5')
        if self.every is not None and self.policy not in ("every", "anchors"):
            raise ValueError(f'policy "{self.policy}" has no use for every')
        if self.anchors is not None and self.policy != "anchors":
            raise ValueError(f'policy "{self.policy}" has no use for anchors')
        return self


class RunSpec(Value):
    """One run: a model, a learner, a stream, exams and a seed. Every field is part of its identity.

    Attributes:
        name: The name of the result folder.
        model: The base model.
        learner: `{name: ..., **settings}`; settings are those of the learner's config.
        stream: Name of a stream card, or path of one.
        exams: Names of exam cards beyond the stream's own tasks.
        judge: null: no model grades answers yet, and anything else is refused in a recipe.
        seed: Seed of data order, initialisation and a method's own randomness.
        metrics: Figures to compute.
        budget: The rule for which cells are due.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MOST_NAME)
    model: ModelSpec = ModelSpec()
    learner: Mapping[str, Any]
    stream: str
    exams: tuple[str, ...] = ()
    judge: ModelSpec | None = None
    seed: int = Field(default=0, ge=0)
    metrics: tuple[str, ...] = HEADLINE
    budget: ExamBudget = ExamBudget()

    @property
    def learner_name(self) -> str:
        """Name of the learner, by which its file is found."""
        return str(self.learner["name"])

    @property
    def learner_label(self) -> str:
        """Name of the learner for people; for a user's own file, `my_file.py:MyL2@digest`, the class alone."""
        return self.learner_name.partition("@")[0].rpartition(":")[2]

    @property
    def key(self) -> str:
        """Key of the run, over all fields."""
        return key("run", spec=self)


class Machine(Value):
    """How a run is made. It does not change results, so it is recorded and not hashed (except `exam_batch`).

    Attributes:
        store: Folder of the store.
        data: Folder under which local data sets lie; None if there is none.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        workers: Processes that make stages side by side, one thread each.
        exam_batch: Questions per forward pass. In 16 bits it may change an answer, and is then part of its key.
        micro_batch: Most examples that go forward and backward at a time while a lesson is learnt; gradients of an
            optimiser step's batch are added up. It bounds memory; results differ by rounding (and by dropout's noise).
            None takes the whole batch.
        recompute: Whether activations are made again in the backward pass instead of kept (gradient checkpointing).
        checkpoint_s: Seconds between checkpoints inside a lesson.
        limit_s: Most seconds that one unit (a lesson and its exams) may take; None sets no limit.
        keep: Which learner states stay in the store once a run is complete: "all", only the "last" of each chain of
            lessons, or with it those from which several go on ("branch"). What is removed can be made again.
    """

    store: Path = Path("clbench-store")
    data: Path | None = None
    device: str = "auto"
    workers: int = Field(default=1, ge=1)
    exam_batch: int = Field(default=64, ge=1)
    micro_batch: int | None = Field(default=None, ge=1)
    recompute: bool = False
    checkpoint_s: float = Field(default=60.0, ge=0.0)
    limit_s: float | None = Field(default=None, gt=0.0)
    keep: Keep = "all"
