"""What is run (`RunSpec`, all of it hashed) and how (`Machine`, recorded)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from clbench.core.keys import key
from clbench.core.prices import Prices
from clbench.core.types import AnswerRule
from clbench.core.value import Value

MOST_NAME = 200  # characters of a name: it names a folder, and a file system takes 255 bytes
OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt", "continue_final_message"})
SERVER = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"  # of the name of an engine
PROVIDER = r"^[a-z][a-z0-9_-]*$"
OF_WEIGHTS = ("family", "revision", "dtype", "adapter", "attention", "template", "trust_code")
FOLDERS = "folders"  # the setting of a learner that names checkpoints
COMMAND, LEARN = "command", "learn"  # the learner that starts another program, and its setting that says how
MOST_COMMAND = 60  # characters of a command in a label
Keep = Literal["all", "last", "branch"]
QLORA = "qlora"  # of `adapter`: the base stands in four bits, and adapters learn on it
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


def folder_name(path: Any) -> Any:
    """Return a path as the name of a model that is nothing but a folder: `models/x` becomes `./models/x`.

    Example:
        >>> folder_name("tiny-llama"), folder_name("../x"), folder_name("/models/x"), folder_name("~/x")
        ('./tiny-llama', '../x', '/models/x', '~/x')
    """
    plain = not isinstance(path, str) or path.startswith(("./", "../", "/", "~")) or Path(path).is_absolute()
    return path if plain else f"./{path}"


class TemplateSpec(Value):
    """The chat template of a model, where it is not what the checkpoint says.

    Attributes:
        file: A Jinja template in place of the checkpoint's; its digest is written behind it (`chat.jinja@...`).
        arguments: What the template is told beside the conversation: `{enable_thinking: false}`.
    """

    file: str | None = None
    arguments: Mapping[str, JsonValue] = {}

    @model_validator(mode="after")
    def _says_something(self) -> TemplateSpec:
        if taken := sorted(OURS & self.arguments.keys()):
            raise ValueError(f"{', '.join(taken)}: clbench gives this to the template itself")
        if odd := sorted(name for name in self.arguments if not name.isidentifier()):
            raise ValueError(f"{odd[0]!r} cannot be the name of an argument")
        return self


class ModelSpec(Value):
    """A base model.

    Attributes:
        name: A shipped model ("tiny-llama"), a checkpoint folder, or a Hub id; of a model behind an API, its name
            there. `path` in its place is always a folder, from that of the recipe that names it.
        family: "causal", "encoder", or "auto" (by the checkpoint's configuration).
        revision: Commit of a Hub model; a Hub id without one is refused.
        dtype: Precision of the weights; part of the result's identity.
        adapter: A PEFT adapter that is merged into the weights: "use" takes the one that lies beside them, "ignore"
            leaves that aside, a path names the folder of another; None refuses base weights with an adapter beside.
            "qlora" merges none: the linear layers of the base are rounded to four bits (nf4), and `dtype` is that of
            all else and of the products; low-rank adapters alone learn on it.
        max_tokens: Longest input in tokens, at most the model's positions; what does not fit is cut, and counted. None
            is the model's own length, which is written here before anything is hashed.
        answer: Which part of its text is the answer, unless an exam says so. None takes what follows the reasoning
            that the chat template knows (`</think>`); `{after: ""}` takes all.
        attention: How attention is computed; None leaves it to transformers.
        template: The chat template and what it is told; None takes the checkpoint's.
        trust_code: Digest of the checkpoint's own Python code, which then runs; None runs none.
        provider: Who serves it behind an OpenAI-compatible API ("openai"), by a name that stands for the provider in
            every result; where it is, the machine says. None: its weights are here.
    """

    name: str = "tiny-llama"
    family: Literal["auto", "causal", "encoder"] = "auto"
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_tokens: int | None = Field(default=None, ge=8)
    adapter: str | None = Field(default=None, min_length=1)
    answer: AnswerRule | None = None
    attention: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"] | None = None
    template: TemplateSpec | None = None
    trust_code: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    provider: str | None = Field(default=None, pattern=PROVIDER, max_length=60)
    absent_at_default: ClassVar[frozenset[str]] = frozenset(
        {"adapter", "answer", "attention", "template", "trust_code", "provider"}
    )

    @model_validator(mode="before")
    @classmethod
    def _path_is_a_name(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "path" not in values:
            return values  # pyright: ignore[reportUnknownVariableType]  # checked next
        if "name" in values:
            raise ValueError("a model has a name or a path, and both are there")
        return {("name" if k == "path" else k): folder_name(v) if k == "path" else v for k, v in values.items()}  # pyright: ignore[reportUnknownVariableType]  # a bare Mapping has no item types

    @model_validator(mode="after")
    def _has_weights_or_a_provider(self) -> ModelSpec:
        fields = type(self).model_fields
        told = [name for name in OF_WEIGHTS if vars(self)[name] != fields[name].default]
        if self.provider is not None and told:
            raise ValueError(f"{told[0]} is of weights that are here, and {self.name!r} is behind an API")
        return self

    @property
    def quantised(self) -> bool:
        """Whether the linear layers of the base stand in four bits."""
        return self.adapter == QLORA

    @property
    def longest(self) -> int:
        """Longest input in tokens; the spec must state it (`clbench.models.source.settled`)."""
        assert self.max_tokens is not None, "the spec is settled where it enters"
        return self.max_tokens


class JudgeSpec(Value):
    """Who grades answers by rubrics, and how it is asked: `exact`, or `{model: ..., ...}`.

    Attributes:
        by: "model" asks a model; "exact" compares with the texts that rubrics of generated worlds accept.
        model: Who is asked, in this process or behind an API; its name alone is short for `{name: ...}`.
        effort: Its reasoning effort; None sends none.
        mode: Rubrics in one request: "all", "per-rubric", or "batch:K".
        sees: What it is shown: the response, and beside it the task, its context (earlier turns), the reference.
        na: What an "n/a" counts as.
        votes, orders: How often, and in how many orders, each rubric is asked for; the majority counts, a tie is a no.
        wording: Version of what it is asked; None is this one's, which is written here before anything is hashed.
    """

    by: Literal["model", "exact"] = "model"
    model: ModelSpec | None = None
    effort: Literal["low", "medium", "high"] | None = None
    mode: str = Field(default="all", pattern=r"^(all|per-rubric|batch:[1-9][0-9]{0,3})$")
    sees: tuple[Literal["response", "task", "context", "reference"], ...] = ("response",)
    na: Literal["fail", "pass", "exclude"] = "fail"
    votes: int = Field(default=1, ge=1)
    orders: int = Field(default=1, ge=1)
    wording: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if isinstance(values, str):
            return {"by": "exact"} if values == "exact" else {"model": {"name": values}}
        if isinstance(values, Mapping) and isinstance(values.get("model"), str):  # pyright: ignore[reportUnknownMemberType]  # a bare Mapping has no item types
            return {**values, "model": {"name": values["model"]}}  # pyright: ignore[reportUnknownVariableType]  # same
        return values

    @model_validator(mode="after")
    def _asks_somebody(self) -> JudgeSpec:
        if (self.by == "model") != (self.model is not None):
            raise ValueError(
                "a judge is `exact`, or names a model: `judge: {model: {provider: openai, name: gpt-5.1}}`"
            )
        if self.by == "exact" and any(
            vars(self)[n] != f.default for n, f in type(self).model_fields.items() if n != "by"
        ):
            raise ValueError("exact checks ask nobody: settings of a judge have no use")
        if "response" not in self.sees or len(set(self.sees)) < len(self.sees):
            raise ValueError("sees lists the response, and each of task, context and reference once at most")
        return self

    @property
    def batch(self) -> int:
        """Rubrics in one request; 0 is all."""
        return {"all": 0, "per-rubric": 1}.get(self.mode) or int(self.mode.partition(":")[2] or 0)

    @property
    def label(self) -> str:
        """What reports call it."""
        if self.model is None:
            return self.by
        return f"{self.model.name} ({self.model.provider})" if self.model.provider else self.model.name


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
        judge: Who grades exams whose items carry rubrics; null where there are none.
        seed: Seed of data order, initialisation and a method's own randomness.
        metrics: Figures to compute.
        budget: The rule for which cells are due.
        exam_server: Engine and version of the server that writes the answers to exams ("vllm-0.11"): they are other
            answers than those of our own engine, which None takes. Where it is, the machine says.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=MOST_NAME)
    model: ModelSpec = ModelSpec()
    learner: Mapping[str, Any]
    stream: str
    exams: tuple[str, ...] = ()
    judge: JudgeSpec | None = None
    seed: int = Field(default=0, ge=0)
    metrics: tuple[str, ...] = HEADLINE
    budget: ExamBudget = ExamBudget()
    exam_server: str | None = Field(default=None, pattern=SERVER, max_length=60)
    absent_at_default: ClassVar[frozenset[str]] = frozenset({"exam_server"})

    @property
    def learner_name(self) -> str:
        """Name of the learner, by which its file is found."""
        return str(self.learner["name"])

    @property
    def learner_label(self) -> str:
        """Name of the learner for people; for a user's own file, `my_file.py:MyL2@digest`, the class alone."""
        return self.learner_name.partition("@")[0].rpartition(":")[2]

    @property
    def told_settings(self) -> dict[str, str]:
        """Settings of the learner as a label writes them; paths of checkpoints by the run's name."""
        settings = {k: v for k, v in self.learner.items() if k not in ("name", "version")}
        if FOLDERS in settings:
            return {FOLDERS: self.name}
        if self.learner_name == COMMAND:  # the files behind it are named by digests, and the line may be long
            settings = {LEARN: settings[LEARN][:MOST_COMMAND]} if LEARN in settings else {}
        return {k: f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in settings.items()}

    @property
    def key(self) -> str:
        """Key of the run, over all fields."""
        return key("run", spec=self)


class Spending(Value):
    """How much may be spent on replies of models behind APIs. It changes no result.

    Attributes:
        name: Of the recipe: all commands that run it over one store share one account.
        session: Of this command; its processes share it.
        usd, tokens: Most that may be spent, by all commands together; None for no limit.
        prices: Model -> its prices; needed for a limit in USD.
        dry: Whether nobody is asked, and replies of the longest length stand for all: so a plan is reckoned.
    """

    name: str
    session: str = ""
    usd: float | None = Field(default=None, ge=0.0)
    tokens: int | None = Field(default=None, ge=0)
    prices: Mapping[str, Prices] = {}
    dry: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.usd is not None or self.tokens is not None


class Machine(Value):
    """How a run is made. It does not change results, so it is recorded and not hashed (except `exam_batch`).

    Attributes:
        store: Folder of the store.
        data: Folder under which local data sets lie; None if there is none.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        workers: Processes that make stages side by side, one thread each.
        exam_batch: Most questions per forward pass; where memory runs out, fewer are asked at a time, which is told. In
            16 bits it may change an answer, and is then part of its key: there memory that runs out ends the run.
        micro_batch: Most examples that go forward and backward at a time while a lesson is learnt; gradients of an
            optimiser step's batch are added up. It bounds memory; results differ by rounding (and by dropout's noise).
            None takes the whole batch.
        recompute: Whether activations are made again in the backward pass instead of kept (gradient checkpointing).
        checkpoint_s: Seconds between checkpoints inside a lesson at least. Where writing one is slow they come less
            often, so that they take at most 5 % of the time. 0 writes one after every step, whatever it costs.
        exam_server: Address of a running server that exams are asked at, where `RunSpec.exam_server` names its engine.
        serve: Command that starts one for each state, with `{folder}` and `{port}`.
        limit_s: Most seconds that one unit (a lesson and its exams) may take; None sets no limit.
        memory: Bytes of the device, where not all of the one that is here are meant; None is all of it.
        anyway: Whether what is planned not to fit is made all the same.
        keep: Which learner states stay in the store once a run is complete: "all", only the "last" of each chain of
            lessons, or with it those from which several go on ("branch"). What is removed can be made again.
        processes: Ranks that learn each lesson and answer each exam together, on one machine or several; then
            `workers` is 1. Results differ by rounding, and in 16 bits the number is part of the key of answers.
        shard: Whether weights, gradients and moments of a lesson are shared out over the ranks (FSDP).
        providers: Provider of an API -> its address; keys of accounts stand in the environment.
        executor: Where units are made: in "processes" of this machine, on a cluster of "ray", or by jobs of "slurm".
        cluster: Options of that cluster, by name.
        spending: What may be spent on replies, and in which account it is written down; None keeps none.
    """

    store: Path = Path("clbench-store")
    data: Path | None = None
    device: str = "auto"
    workers: int = Field(default=1, ge=1)
    exam_batch: int = Field(default=64, ge=1)
    micro_batch: int | None = Field(default=None, ge=1)
    recompute: bool = False
    checkpoint_s: float = Field(default=60.0, ge=0.0)
    exam_server: str | None = None
    serve: str | None = None
    limit_s: float | None = Field(default=None, gt=0.0)
    memory: int | None = Field(default=None, ge=1)
    anyway: bool = False
    keep: Keep = "all"
    processes: int = Field(default=1, ge=1)
    shard: bool = False
    providers: Mapping[str, str] = {}
    executor: Literal["processes", "ray", "slurm"] = "processes"
    cluster: Mapping[str, str] = {}
    spending: Spending | None = None
