"""`clbench context eval`: a judge grades the answers of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from clbench.core.errors import SpecError

if TYPE_CHECKING:
    from clbench.context.evaluate import EvalOutcome, EvalPlan
    from clbench.context.grade import JudgeSettings, See
    from clbench.context.rows import Index
    from clbench.models.api.client import Address
    from clbench.models.api.limits import Limits

JUDGES = "openai, exact, human:FILE.csv or replay:LOG"


Input = Annotated[Path, typer.Option("--input", help="Answers, as `context infer` or the public script wrote.")]
Output = Annotated[Path | None, typer.Option(help="Grades (default: outputs/INPUT_graded.jsonl).")]
Effort = Annotated[Literal["low", "medium", "high"] | None, typer.Option(help="Of the judge (default: not sent).")]
Compat = Annotated[
    Literal["upstream"] | None,
    typer.Option(help="upstream: grade as the public script, print its figure and beside it the corrected one."),
]
Dataset = Annotated[Path | None, typer.Option(help="Data set: its rows are the denominator.")]
Mode = Annotated[str, typer.Option(help="all, per-rubric or batch:K.")]
Sees = Annotated[str, typer.Option(help="response, and also task, context, reference.")]
Prompt = Annotated[Path | None, typer.Option(help="With --compat: a prompt, or the public eval.py to read it from.")]
Na = Annotated[Literal["fail", "pass", "exclude"], typer.Option(help="What n/a counts as.")]
Votes = Annotated[int, typer.Option(min=1, help="Ask this often; the majority counts.")]
Orders = Annotated[int, typer.Option(min=1, help="Ask in this many orders of the rubrics.")]


def eval_(
    input_: Input,
    output: Output = None,
    judge_model: Annotated[str, typer.Option(help="Judge model name.")] = "gpt-5.1",
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    workers: Workers = 1,
    max_retries: MaxRetries = 3,
    reasoning_effort: Effort = None,
    compat: Compat = None,
    dataset: Dataset = None,
    judge: Annotated[str, typer.Option(help=f"{JUDGES}.")] = "openai",
    judge_mode: Mode = "all",
    judge_sees: Sees = "response",
    judge_prompt: Prompt = None,
    na_policy: Na = "fail",
    votes: Votes = 1,
    order_permutations: Orders = 1,
    retry_delay: RetryDelay = 3,
    timeout: Timeout = 600,
    rpm: Rpm = None,
    tpm: Tpm = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    prices: PriceFile = None,
    cache: Cache = None,
    max_fail_rate: MaxFailRate = 0.05,
) -> None:
    """Grade answers by their rubrics: scores follow from the statuses, and every row of the data set counts."""
    from clbench.context.cache import ReplyCache
    from clbench.context.evaluate import EvalPlan
    from clbench.context.grade import JudgeSettings
    from clbench.models.api.limits import limits_of

    path, public = output or Path("outputs") / f"{input_.stem}_graded.jsonl", compat is not None
    batch, sees, template = _batch_of(judge_mode), _seen(judge_sees), _template(judge_prompt)
    settings = JudgeSettings(
        judge_model, reasoning_effort, batch, sees, na_policy, votes, order_permutations, public, template, max_retries
    )
    keep_apart(input_, path)
    _check_form(settings, judge)
    _header(input_, path, judge_model if judge == "openai" else judge, workers)
    tries = (max_retries**2, 1) if public else (max_retries, 10)  # the public script tries within tries
    address = _address(judge, base_url, api_key, timeout, retry_delay, tries)
    budget = budget_of(prices, judge_model, budget_usd, budget_tokens)
    plan = EvalPlan(*_loaded(input_, dataset), path, settings, judge, budget=budget, cache=ReplyCache(cache))
    if _without_network(plan, judge):
        _run(plan, address, limits_of(workers, rpm, tpm), max_fail_rate)


def _check_form(settings: JudgeSettings, judge: str) -> None:
    """Refuse settings that the form of the question leaves no place for.

    Raises:
        SpecError: Some of them do not go together.
    """
    ours = settings.batch or settings.votes > 1 or settings.permutations > 1 or settings.sees != ("response",)
    if settings.public and (ours or judge.partition(":")[0] not in ("openai", "replay")):
        mend = "leave out --judge, --judge-mode, --judge-sees, --votes and --order-permutations"
        raise SpecError("the public script has one way to ask", where="--compat", mend=mend)
    if settings.template is not None and not settings.public:
        raise SpecError("is for the public form alone", where="--judge-prompt", mend="add --compat upstream")


def _loaded(input_: Path, dataset: Path | None) -> tuple[Index, Index | None]:
    """Return the answers, and the data set if one is named."""
    from clbench.context.rows import read_index, require_sound

    tell("📖 Loading data...")
    index = require_sound(read_index(input_))
    tell(f"   Total {len(index.entries)} samples")
    return index, None if dataset is None else require_sound(read_index(dataset))


def _run(plan: EvalPlan, address: Address, limits: Limits, max_fail_rate: float) -> None:
    from clbench.cli.context.figures import show
    from clbench.context.evaluate import run_eval

    with progress_bars():
        outcome = run_eval(plan, address, limits, tell)
    found = show(plan, lambda failed: _summary(outcome, failed, plan, plan.budget.said()))
    finish(outcome.stop.error, found.unjudged, found.total, max_fail_rate, "verdict")


def _template(path: Path | None) -> str | None:
    from clbench.context.prompts import prompt_template

    return None if path is None else prompt_template(path)


def _address(
    judge: str,
    base_url: str | None,
    api_key: str | None,
    timeout: float,
    retry_delay: float,
    tries: tuple[int, int],
) -> Address:
    from clbench.models.api.client import Address

    if judge != "openai":
        return Address("")
    return replace(address_of(base_url, api_key, timeout, tries[0], retry_delay), patience=tries[1])


def _without_network(plan: EvalPlan, judge: str) -> bool:
    """Set a judge that asks nobody; return False if there is only a sheet to fill in first."""
    from clbench.context import judges
    from clbench.context.evaluate import Rows

    name, _, file = judge.partition(":")
    if judge == "openai":
        return True
    if judge == "exact":
        plan.offline = judges.exactly
        return True
    if name not in ("human", "replay") or not file:
        raise SpecError(f"{judge!r} is not a judge", where="--judge", mend=f"write {JUDGES}")
    if name == "replay":
        plan.offline = judges.from_replies(judges.recorded_replies(Path(file)), plan.settings)
    elif Path(file).exists():
        plan.offline = judges.from_people(judges.read_sheet(Path(file)), plan.settings.na)
    else:
        with Rows(plan) as rows:
            answers = ((e.task_id, e.trial, rows.answer(e)) for e in plan.index.entries)
            num = judges.write_sheet(Path(file), answers)
        tell(f"📝 Wrote {num} lines to label: {file}; fill in the last column (yes, no) and run the same command again")
        return False
    return True


def _batch_of(mode: str) -> int:
    name, _, size = mode.partition(":")
    if mode in ("all", "per-rubric"):
        return int(mode == "per-rubric")
    if name == "batch" and size.isdigit() and int(size) > 0:
        return int(size)
    raise SpecError(
        f"{mode!r} is not a mode", where="--judge-mode", mend="write all, per-rubric or batch:K, such as batch:5"
    )


def _seen(text: str) -> tuple[See, ...]:
    known: tuple[See, ...] = ("response", "task", "context", "reference")
    names = {name.strip() for name in text.split(",")} | {"response"}
    if wrong := sorted(names - set(known)):
        raise SpecError(f"{wrong[0]!r} cannot be shown", where="--judge-sees", mend=f"name some of {', '.join(known)}")
    return tuple(name for name in known if name in names)


def _header(input_: Path, output: Path, judge: str, workers: int) -> None:
    tell("=" * 60)
    tell("🎯 Evaluation Task")
    tell("=" * 60)
    tell(f"📥 Input file: {input_}")
    tell(f"📤 Output file: {output}")
    tell(f"🤖 Judge model: {judge}")
    tell(f"⚡ Workers: {workers}")
    tell("=" * 60)


def _summary(outcome: EvalOutcome, num_failed: int, plan: EvalPlan, spent: str) -> None:
    if outcome.num_judged == outcome.num_done_before and num_failed == 0:
        tell("✅ All samples already evaluated")
        return
    tell("=" * 60)
    tell("✅ Evaluation completed!" if outcome.stop.error is None else "Evaluation stopped; the same command goes on")
    tell(f"   Success: {max(0, outcome.num_judged - outcome.num_done_before - num_failed)}")
    tell(f"   Failed: {num_failed}")
    tell(f"   Output: {plan.output}")
    if plan.offline is None:
        tell(f"   Spent: {spent}")
