"""`clbench context infer`: a model answers the rows of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clbench.cli.context.asking import (
    ApiKey,
    BaseUrl,
    BudgetTokens,
    BudgetUsd,
    Cache,
    MaxFailRate,
    MaxRetries,
    PriceFile,
    RetryDelay,
    Rpm,
    Timeout,
    Tpm,
    Workers,
    address_of,
    budget_of,
    finish,
    keep_apart,
    tell,
)
from clbench.cli.options import progress_bars

if TYPE_CHECKING:
    from clbench.context.infer import InferOutcome, InferPlan
    from clbench.context.rows import Entry, Index
    from clbench.models.api.client import Address
    from clbench.models.api.limits import Limits

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


def infer(
    model: Annotated[str, typer.Option(help="Model name.")] = "gpt-5.1",
    input_: Input = Path("CL-bench.jsonl"),
    output: Output = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    workers: Workers = 1,
    max_samples: First = None,
    retry_delay: RetryDelay = 3,
    compat: Compat = None,
    trials: Trials = 1,
    seed: Seed = None,
    temperature: Temperature = None,
    max_tokens: Longest = None,
    reasoning_effort: Effort = None,
    timeout: Timeout = 600,
    max_retries: MaxRetries = 3,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    prices: PriceFile = None,
    sample: Sample = None,
    sample_by: SampleBy = "stratified",
    sample_seed: SampleSeed = 0,
    cache: Cache = None,
    slim: Slim = False,
    max_fail_rate: MaxFailRate = 0.05,
) -> None:
    """Ask a model for answers: every answer is on the disk before the next step, and a stopped run goes on."""
    from clbench.context.cache import ReplyCache
    from clbench.context.infer import InferPlan
    from clbench.models.api.limits import limits_of

    path = output or Path("outputs") / f"{model.replace('/', '_').replace(':', '_')}.jsonl"
    keep_apart(input_, path)
    _header(input_, path, model, workers)
    address = address_of(base_url, api_key, timeout, max_retries, retry_delay)
    budget = budget_of(prices, model, budget_usd, budget_tokens)
    index, entries = _loaded(input_, (sample, sample_by, sample_seed), max_samples)
    longest = "max_completion_tokens" if address.is_public else "max_tokens"
    params = {"temperature": temperature, "reasoning_effort": reasoning_effort, longest: max_tokens}
    params = {name: value for name, value in params.items() if value is not None}
    plan = InferPlan(index, entries, path, model, params, seed, trials, compat is not None, slim)
    plan.budget, plan.cache = budget, ReplyCache(cache)
    _run(plan, address, limits_of(workers, rpm, tpm), max_fail_rate)


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


def _run(plan: InferPlan, address: Address, limits: Limits, max_fail_rate: float) -> None:
    from clbench.context.infer import run_infer

    with progress_bars():
        outcome = run_infer(plan, address, limits, tell)
    _summary(outcome, plan.output, plan.budget.said())
    finish(outcome.stop.error, outcome.num_failed, sum(outcome.states.values()), max_fail_rate, "answer")


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
    tell("✅ Inference completed!" if outcome.stop.error is None else "Inference stopped; the same command goes on")
    tell(f"   Success: {num_new}")
    tell(f"   Failed: {outcome.num_failed}")
    tell(f"   Output: {output}")
    tell("   States: " + ", ".join(f"{state} {num}" for state, num in sorted(outcome.states.items())))
    tell(f"   Spent: {spent}")
    if times := outcome.seconds:
        tell(f"   Seconds: median {times[len(times) // 2]:.2f}, 95 % below {times[int(0.95 * (len(times) - 1))]:.2f}")
    if outcome.failure is not None and outcome.stop.error is None:
        tell(f"   Last refusal: {outcome.failure.text}")
