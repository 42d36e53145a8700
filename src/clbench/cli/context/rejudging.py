"""`clbench context verify --rejudge`: a sample of a submission is judged again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clbench.cli.context.asking import Asking, keep_apart
from clbench.core.errors import SpecError

if TYPE_CHECKING:
    from clbench.context.rejudge import Rejudged
    from clbench.context.tables import Section

JUDGES = ("openai", "local", "exact")


def judged_again(
    paths: list[Path], dataset: Path, num: int, out: Path, asking: Asking, settings: tuple[str, str, str | None]
) -> Rejudged:
    """Draw a sample, let it be judged, and return what it says.

    Args:
        paths: The submission's files.
        dataset: The data set.
        num: Answers in the sample.
        out: Where its grades are written; the sample stands beside it.
        asking: How a model is asked.
        settings: Kind of the judge, its model, its reasoning effort.

    Raises:
        UserError: The sample cannot be drawn or judged; what was judged is kept.
    """
    from clbench.context import judges
    from clbench.context.evaluate import EvalPlan, run_eval
    from clbench.context.rejudge import compared, draw_sample
    from clbench.context.rows import read_index
    from clbench.core.replies import ReplyCache
    from clbench.models.api.client import Address
    from clbench.scoring.rubric.judge import JudgeSettings

    kind, model, effort = settings
    if kind not in JUDGES:
        raise SpecError(f"{kind!r} cannot judge a sample", where="--judge", mend=f"write one of {', '.join(JUDGES)}")
    sample = out.with_name(f"{out.name.removesuffix('.jsonl')}.sample.jsonl")
    keep_apart([*paths, dataset], out, "--rejudged")
    keep_apart([*paths, dataset], sample, "--rejudged")
    how = JudgeSettings(model, effort, structured=kind == "openai")
    here = asking.here(model) if kind == "local" else None
    address = here.address if here is not None else asking.address(quiet=True) if kind == "openai" else Address("")
    draw_sample(paths, dataset, num, sample)
    plan = EvalPlan(read_index(sample), None, out, how, kind, here=here, cache=ReplyCache(asking.cache))
    plan.budget, plan.manifest = asking.budget(model), asking.manifest
    if kind == "exact":
        plan.offline = judges.exactly
    outcome = run_eval(plan, address, asking.limits(), lambda _: None)
    if outcome.stop.error is not None:
        raise outcome.stop.error
    return compared(out, {"name": kind, **how.identity()}, noisy=kind != "exact")


def rejudged_section(found: Rejudged, claimed: float) -> Section:
    """Return what a sample says, as a table.

    Args:
        found: What it says.
        claimed: The claimed rate, in [0, 1].
    """
    from clbench.context.rejudge import ALARM
    from clbench.context.tables import Section, percent

    notes: list[str] = []
    if found.other:
        notes.append("the claim names another judge, whose verdicts may differ for honest reasons")
    elif not found.recorded:
        notes.append("not every row of the sample names its judge; it is taken to be this one, with the same prompt")
    if found.unjudged:
        notes.append(f"{found.unjudged} answers have no verdict and say nothing")
    rows: list[tuple[str, str]] = [("verdict", found.verdict)]
    if (one := found.found) is not None:
        change, seen = one.change, "none" if one.seen > 1 else f"{100 * one.seen:.1f} points"
        rows += [
            ("answers judged again", str(one.sampled)),
            ("passed in the claim, not again", str(one.lost)),
            ("passed again, not in the claim", str(one.gained)),
            ("P(as many lost | the claim is honest)", f"{one.p:.4f}"),
            ("claimed rate, %", percent(claimed)),
            ("rate by the sample, %", percent(claimed + change.value)),
            ("95 % interval of it", f"{percent(claimed + change.low)} to {percent(claimed + change.high)}"),
            ("raised verdicts that it would show", seen),
        ]
        notes.append(f"overstated is said below {ALARM:g}: so often an honest claim is accused at most")
    return Section("judged again", ("figure", "value"), tuple(rows), tuple(notes), words=True)
