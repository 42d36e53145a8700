"""The figures of one system as tables."""

from __future__ import annotations

import math

from clbench.context.summary import MOST_MISSES, Summary
from clbench.context.tables import Section, decimal, percent, span
from clbench.core.wording import tr

CLUSTERED = "intervals: 95 %, over contexts (tasks of one context are not independent)"


def summary_sections(found: Summary) -> list[Section]:
    """Return the tables of a system."""
    sections = [_head(found), _states(found), _rubrics(found), _curve(found), _misses(found)]
    sections += [_part(found, title) for title in found.parts]
    if found.trials > 1:
        sections.append(_trials(found))
    return sections


def _head(found: Summary) -> Section:
    rate = found.rate
    std = tr("{deviation} over trials", deviation=percent(found.deviation))
    std = tr("one trial: no deviation") if math.isnan(found.deviation) else std
    rows = [
        ("tasks solved, %", percent(rate.value)),
        ("95 % over contexts", span(rate.low, rate.high)),
        ("mean and standard deviation, as on the public board", tr("{mean}, {std}", mean=percent(found.mean), std=std)),
    ]
    if found.unjudged:
        rows.append(("if all unjudged fail, and if all pass", span(*found.limits)))
    notes = [f"{found.tasks} tasks in {found.contexts} contexts, {found.trials} {_trial_word(found.trials)}"]
    notes.append(f"judge: {', '.join(name or tr('not recorded') for name in found.judges) or tr('not recorded')}")
    if not math.isnan(rate.effect):
        naive = span(*rate.naive)
        notes.append(f"contexts raise the variance {decimal(rate.effect)} times ({naive} if tasks were independent)")
    if not math.isnan(found.split.context):
        one, two, three = (decimal(v, 3) for v in (found.split.context, found.split.task, found.split.trial))
        notes.append(f"variance: contexts {one}, tasks {two}, trials {three}; ICC {decimal(found.split.icc)}")
    notes.append(CLUSTERED)
    return Section(found.name, ("figure", "value"), tuple(rows), tuple(notes), words=True)


def _trial_word(trials: int) -> str:
    return "trial" if trials == 1 else "trials"


def _states(found: Summary) -> Section:
    total = found.tasks * found.trials
    rows = tuple((state, str(num), percent(num / total)) for state, num in found.states.items())
    doubts = found.doubts
    notes = [
        f"{num} {what}"
        for num, what in (
            (doubts.disagree, "rows whose own score their rubrics contradict; the rubrics count"),
            (doubts.odd_labels, "labels that are neither yes nor no; they count as no"),
            (doubts.misfits, "rows with more or fewer labels than rubrics; they count as failed"),
            (doubts.without_rubrics, "tasks without rubrics; they cannot be solved"),
        )
        if num
    ]
    return Section("answers by state", ("state", "answers", "%"), rows, tuple(notes))


def _rubrics(found: Summary) -> Section:
    macro = found.macro
    rows = (
        ("of all rubrics (micro)", percent(found.micro.value), span(found.micro.low, found.micro.high)),
        ("mean over tasks (macro)", percent(macro.value), span(macro.low, macro.high)),
    )
    return Section("rubrics met", ("rate", "%", "95 %"), rows, words=True)


def _curve(found: Summary) -> Section:
    rows = tuple((f"{threshold}", percent(share)) for threshold, share in found.curve.items())
    return Section("answers that meet at least so many percent of their rubrics", ("threshold, %", "answers, %"), rows)


def _misses(found: Summary) -> Section:
    total = sum(found.misses.values())
    names = {MOST_MISSES: f"{MOST_MISSES} or more"}
    rows = tuple(
        (names.get(num, str(num)), str(count), percent(count / total) if total else "–")
        for num, count in found.misses.items()
    )
    return Section("judged answers by rubrics missed", ("missed", "answers", "%"), rows)


def _part(found: Summary, title: str) -> Section:
    rows = tuple(
        (
            part.name,
            str(part.rate.tasks),
            str(part.rate.contexts),
            percent(part.rate.value),
            span(part.rate.low, part.rate.high),
            percent(part.rubrics.value),
        )
        for part in found.parts[title]
    )
    head = (title, "tasks", "contexts", "solved, %", "95 %", "rubrics, %")
    return Section(tr("by {what}", what=tr(title)), head, rows)


def _trials(found: Summary) -> Section:
    rows = tuple(
        (
            str(each.k),
            percent(each.any_passes.value),
            span(each.any_passes.low, each.any_passes.high),
            percent(each.all_pass.value),
            span(each.all_pass.low, each.all_pass.high),
        )
        for each in found.of_trials
    )
    return Section("of k trials", ("k", "pass@k, %", "95 %", "pass^k, %", "95 %"), rows)
