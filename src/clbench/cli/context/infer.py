"""`clbench context infer`: a model answers the rows of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clbench.cli.context.asking import Asking, finish, keep_apart, tell, with_asking
from clbench.cli.options import Lang, progress_bars
from clbench.core.errors import SpecError
from clbench.core.events import notice
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from clbench.context.infer import InferOutcome, InferPlan
    from clbench.context.policies import Policy
    from clbench.context.rows import Entry, Index
    from clbench.models.api.client import Address

Input = Annotated[Path, typer.Option("--input", help="Data set: CL-bench or CL-bench Life.")]
Output = Annotated[Path | None, typer.Option(help="Answers (default: outputs/MODEL.jsonl).")]
First = Annotated[int | None, typer.Option(min=1, help="Only the first rows.")]
Compat = Annotated[Literal["upstream"] | None, typer.Option(help="upstream: write the public script's rows alone.")]
Trials = Annotated[int, typer.Option(min=1, help="Answers for each row.")]
Seed = Annotated[int | None, typer.Option(help="Sent plus the number of the trial (default: not sent).")]
Temperature = Annotated[float | None, typer.Option(min=0, help="Default: not sent.")]
Longest = Annotated[int | None, typer.Option(min=1, help="Most tokens of an answer (default: not sent).")]
Effort = Annotated[str | None, typer.Option(help="Reasoning effort, sent as it stands (default: not sent).")]
Sample = Annotated[int | None, typer.Option(min=1, help="Draw this many tasks, or contexts.")]
SampleBy = Annotated[Literal["task", "context", "stratified"], typer.Option(help="What is drawn.")]
SampleSeed = Annotated[int, typer.Option(help="The same seed draws the same rows.")]
Slim = Annotated[bool, typer.Option("--slim", help="Leave messages and rubrics to the data set.")]


Shown = Annotated[str, typer.Option("--context-policy", help="full, none (the floor), last-turn, rag:K or notes.")]
Provider = Annotated[
    Literal["openai", "local"], typer.Option(help="openai: an address; local: --model is loaded in this process.")
]


@with_asking
def infer(
    asking: Asking,
    model: Annotated[str, typer.Option(help="Model name.")] = "gpt-5.1",
    input_: Input = Path("CL-bench.jsonl"),
    output: Output = None,
    max_samples: First = None,
    compat: Compat = None,
    provider: Provider = "openai",
    context_policy: Shown = "full",
    trials: Trials = 1,
    seed: Seed = None,
    temperature: Temperature = None,
    max_tokens: Longest = None,
    reasoning_effort: Effort = None,
    sample: Sample = None,
    sample_by: SampleBy = "stratified",
    sample_seed: SampleSeed = 0,
    slim: Slim = False,
    lang: Lang = None,
) -> None:
    """Ask a model for answers: every answer is on the disk before the next step, and a stopped run goes on."""
    from clbench.context.infer import InferPlan, manifest_beside
    from clbench.context.policies import policy_of
    from clbench.core.replies import ReplyCache

    path = output or Path("outputs") / f"{model.replace('/', '_').replace(':', '_')}.jsonl"
    keep_apart([input_], path)
    keep_apart([input_, path], asking.manifest or manifest_beside(path), "--manifest")
    policy = policy_of(context_policy)
    _header(input_, path, model, asking.workers)
    if provider == "local":
        _check_local(reasoning_effort, trials, temperature, seed)
    address = None if provider == "local" else asking.address()
    budget = asking.budget(model)
    index, entries = _loaded(input_, (sample, sample_by, sample_seed), max_samples)
    _tell_guesses(index, entries, policy)
    here = None
    if address is None:  # last, since a model takes long to load
        here = asking.here(model)
        address = here.address
    longest = "max_completion_tokens" if address.is_public else "max_tokens"
    params = {"temperature": temperature, "reasoning_effort": reasoning_effort, longest: max_tokens}
    params = {name: value for name, value in params.items() if value is not None}
    plan = InferPlan(index, entries, path, model, params, seed, trials, compat is not None, slim)
    plan.budget, plan.cache, plan.policy = budget, ReplyCache(asking.cache), policy
    plan.here, plan.manifest = here, asking.manifest
    _run(plan, address, asking)


def _check_local(effort: str | None, trials: int, temperature: float | None, seed: int | None) -> None:
    """Refuse what a model in this process has not, and say where trials cannot differ.

    Raises:
        SpecError: It has no reasoning effort.
    """
    if effort is not None:
        mend = "leave out --reasoning-effort"
        raise SpecError("a model in this process has no reasoning effort", where="--reasoning-effort", mend=mend)
    if trials > 1 and (not temperature or seed is None):
        notice("a model in this process answers alike in all trials, unless --temperature and --seed are set")


def _tell_guesses(index: Index, entries: list[Entry], policy: Policy) -> None:
    """Say how often the place where a context ends is a guess."""
    from clbench.context.policies import parts_of
    from clbench.context.rows import Reader, messages_of

    if policy.name in ("full", "last-turn"):
        return
    with Reader(index.path) as reader:
        guessed = sum(parts_of(messages_of(reader.read(entry))).guessed for entry in entries)
    if guessed:
        what = "nothing marks where the context ends: the last paragraph of the first message counts as the task"
        notice(f"{index.path}: in {guessed} of {len(entries)} rows {what}")


def _loaded(path: Path, how: tuple[int | None, Any, int], most: int | None) -> tuple[Index, list[Entry]]:
    """Return a data set and those of its rows that are asked."""
    from clbench.context.order import sample
    from clbench.context.rows import read_index, require_sound

    tell("📖 Loading data...")
    index = require_sound(read_index(path))
    tell(f"   Total {len(index.entries)} samples")
    entries = sample(index.entries, *how)[:most]
    if len(entries) < len(index.entries):
        tell(f"   Limited to {len(entries)} samples")
    return index, entries


def _run(plan: InferPlan, address: Address, asking: Asking) -> None:
    from clbench.context.infer import run_infer

    with progress_bars():
        outcome = run_infer(plan, address, asking.limits(), tell)
    _summary(outcome, plan.output, plan.budget.said())
    finish(outcome.stop.error, outcome.num_failed, sum(outcome.states.values()), asking.max_fail_rate, "answer")


def _header(input_: Path, output: Path, model: str, workers: int) -> None:
    tell(f"📂 Input file: {input_}")
    tell(f"📂 Output file: {output}")
    tell(f"🤖 Model: {model}")
    tell(f"🔧 Workers: {workers}")


def _summary(outcome: InferOutcome, output: Path, spent: str) -> None:
    total = sum(outcome.states.values())
    num_new = total - outcome.num_failed - outcome.num_done_before
    if num_new == 0 and outcome.num_failed == 0:
        tell("✅ All samples already processed")
        return
    tell("=" * 50)
    tell("✅ Inference completed!" if outcome.stop.error is None else tr("Inference stopped; the same command goes on"))
    tell(f"   Success: {num_new}")
    tell(f"   Failed: {outcome.num_failed}")
    tell(f"   Output: {output}")
    states = ", ".join(f"{state} {num}" for state, num in sorted(outcome.states.items()))
    tell(tr("   States: {states}", states=states))
    tell(tr("   Spent: {spent}", spent=translated(spent)))
    if times := outcome.seconds:
        ends = {"median": f"{times[len(times) // 2]:.2f}", "most": f"{times[int(0.95 * (len(times) - 1))]:.2f}"}
        tell(tr("   Seconds: median {median}, 95 % below {most}", **ends))
    if outcome.failure is not None and outcome.stop.error is None:
        tell(tr("   Last refusal: {said}", said=translated(outcome.failure.text)))
