"""A comparison of systems as tables."""

from __future__ import annotations

from clbench.context.compare import MCNEMAR, SIGNIFICANT, Pair, Table
from clbench.context.tables import Section, p_text, percent, points, span
from clbench.core.wording import tr


def comparison_sections(found: Table, *, power: bool = False) -> list[Section]:
    """Return the tables of a comparison, with what other numbers of tasks would show if asked."""
    sections = [_systems(found), _pairs(found)]
    if power:
        sections += [_powers(pair) for pair in found.pairs]
    return sections


def _systems(found: Table) -> Section:
    rows = tuple(
        (
            each.name,
            str(each.trials),
            percent(each.rate.value),
            span(each.rate.low, each.rate.high),
            str(each.ranks[0]) if each.ranks[0] == each.ranks[1] else f"{each.ranks[0]} to {each.ranks[1]}",
        )
        for each in sorted(found.systems, key=lambda s: -s.rate.value)
    )
    notes = [f"{found.tasks} tasks in {found.contexts} contexts; intervals and ranks: 95 %, over contexts"]
    if found.contexts == 1:
        notes.append("all tasks share one context: nothing is known about others")
    if "" in found.judges:
        notes.append("rows do not say who judged them: whether all were judged alike is not known")
    notes += [f"forced although {line}" for line in found.forced]
    return Section("systems", ("name", "trials", "solved, %", "95 %", "rank"), rows, tuple(notes))


def _pairs(found: Table) -> Section:
    exact = any(each.test == MCNEMAR for each in found.pairs)
    rows = tuple(
        (
            tr("{two} against {one}", two=each.two, one=each.one),
            points(each.change.value),
            f"{points(each.change.low)} to {points(each.change.high)}",
            str(each.gained),
            str(each.lost),
            p_text(each.p),
            p_text(each.adjusted) + (" *" if each.adjusted <= SIGNIFICANT else ""),
            *([p_text(each.p_contexts)] if exact else []),
        )
        for each in found.pairs
    )
    tests = tr(" and ").join(sorted({tr(each.test) for each in found.pairs}))
    notes = [f"p: {tests}; Holm over {len(rows)} pair{'s' if len(rows) > 1 else ''}"]
    if exact:
        notes.append("p, contexts: signs of whole contexts flipped, which holds where tasks of a context depend")
    head = ("pair", "change, points", "95 %", "gained", "lost", "p", "p, Holm", *(["p, contexts"] if exact else []))
    return Section("differences", head, rows, tuple(notes))


def _powers(pair: Pair) -> Section:
    trials = sorted({each.trials for each in pair.powers})
    sizes = sorted({each.tasks for each in pair.powers})
    by_place = {(each.tasks, each.trials): each.difference for each in pair.powers}
    rows = tuple((str(size), *(percent(by_place[size, num]) for num in trials)) for size in sizes)
    notes = ["found in about 80 of 100 comparisons at the 5 % level, if the differences vary as they do here"]
    if not pair.powers:
        notes = ["not known: the sides have one trial and several; give both as many, or two or more each"]
    elif len(trials) == 1 and trials[0] == 1:
        notes.append("what more trials would show is known from two trials on")
    head = ("tasks", *(tr("{num} trials", num=num) if num > 1 else tr("1 trial") for num in trials))
    title = f"smallest difference that can be found, points: {pair.two} against {pair.one}"
    return Section(title, head if rows else (), rows, tuple(notes))
