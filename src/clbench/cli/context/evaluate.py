"""`clbench context eval`: a judge grades the answers of a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.context.asking import Asking, finish, keep_apart, tell, tell_all, what_is_left, with_asking
from clbench.cli.options import Lang, progress_bars
from clbench.core.errors import SpecError
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from clbench.context.evaluate import EvalOutcome, EvalPlan
    from clbench.context.figures import Figures
    from clbench.context.panel import Rule
    from clbench.context.rows import Index
    from clbench.models.api.client import Address
    from clbench.scoring.rubric.judge import JudgeSettings, See

JUDGES = "openai, local, exact, human:FILE.csv or replay:LOG"


Input = Annotated[Path, typer.Option("--input", help="Answers, as `context infer` or the public script wrote.")]
Output = Annotated[
    Path | None, typer.Option(help="Grades (default: _graded.jsonl after the name of INPUT, in outputs/).")
]
Models = Annotated[list[str] | None, typer.Option(help="Judge model name (default: gpt-5.1); repeat it for a panel.")]
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
Aggregate = Annotated[
    Literal["majority", "unanimous", "dawid-skene"], typer.Option(help="How several judges become one verdict.")
]


@with_asking
def eval_(
    asking: Asking,
    input_: Input,
    output: Output = None,
    judge_model: Models = None,
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
    aggregate: Aggregate = "majority",
    lang: Lang = None,
) -> None:
    """Grade answers by their rubrics: scores follow from the statuses, and every row of the data set counts."""
    from clbench.context.infer import manifest_beside
    from clbench.scoring.rubric.judge import JudgeSettings

    path, public = output or Path("outputs") / f"{input_.stem}_graded.jsonl", compat is not None
    batch, sees, template = _batch_of(judge_mode), _seen(judge_sees), _template(judge_prompt)
    names = judge_model or ["gpt-5.1"]
    settings = JudgeSettings(
        names[0],
        reasoning_effort,
        batch,
        sees,
        na_policy,
        votes,
        order_permutations,
        public,
        template,
        asking.max_retries,
    )
    keep_apart([input_, dataset], path)
    keep_apart([input_, dataset, path], asking.manifest or manifest_beside(path), "--manifest")
    _check_form(settings, judge)
    _check_panel(names, settings, judge, asking.manifest)
    grading = _Grading(asking, judge, input_, dataset)
    if len(names) == 1:
        grading.by_one(settings, path, asking)
        return
    grading.by_panel(settings, names, path, aggregate)


@dataclass
class _Grading:
    asking: Asking
    judge: str
    input: Path
    dataset: Path | None

    def by_one(self, settings: JudgeSettings, path: Path, asking: Asking) -> EvalPlan:
        """Grade with one judge, write its file and figures, and return what was done.

        Raises:
            UserError: The run was stopped.
            typer.Exit: Too much failed.
        """
        from clbench.context.evaluate import EvalPlan
        from clbench.core.replies import ReplyCache

        name = settings.model if self.judge in ("openai", "local") else self.judge
        _header(self.input, path, name, asking.workers)
        here = asking.here(settings.model) if self.judge == "local" else None
        address = _address(self.judge, asking, public=settings.public) if here is None else here.address
        settings = settings if here is None else replace(settings, structured=False)
        plan = EvalPlan(*_loaded(self.input, self.dataset), path, settings, self.judge)
        plan.budget, plan.cache, plan.here = asking.budget(settings.model), ReplyCache(asking.cache), here
        plan.manifest = asking.manifest
        if _without_network(plan, self.judge):
            outcome, found = _run(plan, address, asking)
            finish(outcome.stop.error, found.unjudged, found.total, asking.max_fail_rate, "verdict")
        return plan

    def by_panel(self, settings: JudgeSettings, names: list[str], path: Path, rule: Rule) -> None:
        """Grade with each judge into a file of its own, then write what they say together."""
        from clbench.cli.context.figures import rows_of
        from clbench.context import figures
        from clbench.context.panel import Panel, part_of, write_panel
        from clbench.context.rows import read_index

        files = {name: part_of(path, name) for name in names}
        left, rates = self.asking, {}
        for name, part in files.items():
            plan = self.by_one(replace(settings, model=name), part, left)
            found = figures.figures_of(rows_of(read_index(part)))
            rates[name] = found.rate
            left = what_is_left(left, plan.budget)
        num = write_panel(Panel(files, rule), path)
        tell("=" * 60)
        each = ", ".join(f"{n} {rate:.4f}" for n, rate in rates.items())
        tell(f"👥 {tr('{rule} of {num} judges: {each}', rule=tr(rule), num=len(names), each=each)}")
        tell(tr("   Output: {path} ({num} rows)", path=path, num=num))
        found = figures.figures_of(rows_of(read_index(path)))
        tell_all(figures.statistics(found))
        finish(None, found.unjudged, found.total, self.asking.max_fail_rate, "verdict")


def _check_panel(names: list[str], settings: JudgeSettings, judge: str, manifest: Path | None) -> None:
    """Refuse several judges where one is meant.

    Raises:
        SpecError: A judge is named twice, or its kind or form has no place for several.
    """
    from clbench.context.panel import part_of

    if len(names) == 1:
        return
    if len({part_of(Path("x"), name) for name in names}) < len(names):
        mend = "name each once; --votes asks one judge several times"
        raise SpecError("a judge is named twice", where="--judge-model", mend=mend)
    if settings.public or judge not in ("openai", "local"):
        mend = "name one --judge-model, or leave out --compat and --judge"
        raise SpecError("several judges grade in the form of this tool alone", where="--judge-model", mend=mend)
    if manifest is not None:
        mend = "leave out --manifest: each judge's manifest stands beside its grades"
        raise SpecError("several judges have several manifests", where="--manifest", mend=mend)


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


def _run(plan: EvalPlan, address: Address, asking: Asking) -> tuple[EvalOutcome, Figures]:
    from clbench.cli.context.figures import show
    from clbench.context.evaluate import run_eval

    with progress_bars():
        outcome = run_eval(plan, address, asking.limits(), tell)
    return outcome, show(plan, lambda failed: _summary(outcome, failed, plan, plan.budget.said()))


def _template(path: Path | None) -> str | None:
    from clbench.context.public_prompts import prompt_template

    return None if path is None else prompt_template(path)


def _address(judge: str, asking: Asking, *, public: bool) -> Address:
    from clbench.models.api.client import Address

    if judge != "openai":
        return Address("")
    if public:  # the public script tries within tries
        return replace(asking.address(), tries=asking.max_retries**2, patience=1)
    return asking.address()


def _without_network(plan: EvalPlan, judge: str) -> bool:
    """Set a judge that asks nobody; return False if there is only a sheet to fill in first."""
    from clbench.context import judges
    from clbench.context.evaluate import Rows

    name, _, file = judge.partition(":")
    if judge in ("openai", "local"):
        return True
    if judge == "exact":
        plan.offline = judges.exactly
        return True
    if name not in ("human", "replay") or not file:
        raise SpecError(f"{judge!r} is not a judge", where="--judge", mend=f"write {JUDGES}")
    if name == "replay":
        plan.offline = judges.from_replies(judges.recorded_replies(Path(file)), plan.settings)
    elif Path(file).exists():
        plan.offline = judges.from_people(judges.read_sheet(Path(file)), plan.settings.na, plan.index.by_key().keys())
    else:
        with Rows(plan) as rows:
            answers = ((e.task_id, e.trial, rows.answer(e)) for e in plan.index.entries)
            num = judges.write_sheet(Path(file), answers)
        what = "Wrote {num} lines to label: {file}; fill in the last column (yes, no) and run the same command again"
        tell(f"📝 {tr(what, num=num, file=file)}")
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
    tell(
        "✅ Evaluation completed!" if outcome.stop.error is None else tr("Evaluation stopped; the same command goes on")
    )
    tell(f"   Success: {max(0, outcome.num_judged - outcome.num_done_before - num_failed)}")
    tell(f"   Failed: {num_failed}")
    tell(f"   Output: {plan.output}")
    if plan.offline is None:
        tell(tr("   Spent: {spent}", spent=translated(spent)))
