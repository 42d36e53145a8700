"""The tables of methods: one for each scenario, so that no table mixes streams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clbench.core.errors import SpecError, did_you_mean
from clbench.metrics import all_metrics
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.leaders import leaders
from clbench.report.runs.load import RunRecord
from clbench.report.runs.orders import Method, by_scenario
from clbench.report.runs.traits import ways_of
from clbench.report.tables.table import PLAIN, PREFIXED, SIZES, TABLE, cell, defined, heading, seeds_note
from clbench.report.tables.translations import TRANSLATIONS
from clbench.stats.bootstrap import UNKNOWN


@dataclass(frozen=True)
class FigureTable:
    """The methods of one scenario: the same tasks in any order, and the same model.

    Attributes:
        title: Streams and model; empty where it is the only table.
        groups: The methods, best AP first.
        names: The figures that are its columns.
        header, rows: Its texts.
        note: On seeds and signs.
        first: Head of the column of labels.
        way: Head of the column that says where each learner puts what it is taught.
        ways: Label -> what it says; empty where there is no such column, since all do alike.
    """

    title: str
    groups: Sequence[Group]
    names: Sequence[str]
    note: str
    first: str = "learner"
    way: str = "learns in"
    ways: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def header(self) -> list[str]:
        """Its heads as text."""
        way = [self.way] if self.ways else []
        return [self.first, *way, *(heading(all_metrics()[n]) for n in self.names)]

    @property
    def rows(self) -> list[list[str]]:
        """Its rows as text, the label first."""
        return [
            [g.label, *([self.ways[g.label]] if self.ways else []), *(cell(g, n) for n in self.names)]
            for g in self.groups
        ]

    @property
    def leaders(self) -> Mapping[str, frozenset[str]]:
        """Figure -> labels of the methods that lead in it."""
        return {name: leaders(self.groups, name) for name in self.names}


def figure_tables(runs: Sequence[RunRecord], columns: Sequence[str] = (), lang: str = "en") -> list[FigureTable]:
    """Return a table for each scenario.

    Args:
        runs: At least one.
        columns: Names or symbols of figures; empty takes the usual ones. What no run has is left out.
        lang: Language of heads and notes: "en" or "zh".

    Raises:
        SpecError: There is no such figure.
    """
    all_groups, texts = group_runs(runs), TRANSLATIONS[lang]
    scenarios, ways = by_scenario(all_groups), ways_by_label(all_groups, texts)
    tables: list[FigureTable] = []
    for groups in scenarios:
        streams = ", ".join(dict.fromkeys(run.spec.stream for group in groups for run in group.runs))
        title = f"{streams} · {groups[0].runs[0].spec.model.name}" if len(scenarios) > 1 else ""
        note, first, way = seeds_note(groups, texts), texts["learner"], texts["way"]
        tables.append(FigureTable(title, groups, defined(groups, _names(columns)), note, first, way, ways))
    return tables


def ways_by_label(groups: Sequence[Group | Method], texts: Mapping[str, str]) -> dict[str, str]:
    """Return label -> where its learner puts what it is taught; empty where not both ways are among the groups."""
    ways = ways_of([(g.runs[0].spec.learner, g.runs[0].provenance) for g in groups])
    return {g.label: texts[f"way_{way}"] if way else "–" for g, way in zip(groups, ways, strict=False)}


def with_ways(
    table: tuple[list[str], list[list[str]]], ways: Mapping[str, str], way: str = "learns in"
) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows with a second column of where each learner puts what it is taught; as they are without.

    Args:
        table: Heads, and rows that begin with labels.
        ways: Label -> what the column says, as `ways_by_label` returns them; rows of other labels get a dash.
        way: Head of the column.
    """
    heads, rows = table
    if not ways:
        return table
    return [heads[0], way, *heads[1:]], [[row[0], ways.get(row[0], "–"), *row[1:]] for row in rows]


def _names(columns: Sequence[str]) -> list[str]:
    """Return the names of figures given by name or symbol."""
    known = {plugin.symbol.lower(): name for name, plugin in all_metrics().items()} | {n: n for n in all_metrics()}
    for column in columns:
        if column not in known and column.lower() not in known:
            raise SpecError(f"there is no figure {column!r}", where="--column", mend=did_you_mean(column, known))
    return [known.get(column, known.get(column.lower(), "")) for column in columns] or list(TABLE)


class Unit(NamedTuple):
    """The unit of a whole column: its name, what values are divided by, and their digits."""

    name: str
    size: float
    digits: int


def column_unit(groups: Sequence[Group], name: str) -> Unit:
    """Return the unit in which the largest value of a figure is read best."""
    unit = all_metrics()[name].unit
    if unit in PREFIXED:
        largest = max((abs(v) for g in groups if not math.isnan(v := g.score(name))), default=0.0)
        size, prefix = next(((size, prefix) for size, prefix in SIZES if largest >= size), (1.0, ""))
        return Unit(f"{prefix}{PREFIXED[unit][0]}", size, 1 if prefix else PREFIXED[unit][1])
    if unit == "seconds":
        return Unit("s", 1.0, 2)
    factor, digits = PLAIN.get(unit, (1, 2))
    return Unit({"score": "%", "percent": "%", "tokens/s": "tokens/s"}.get(unit, ""), 1 / factor, digits)


def cell_without_unit(group: Group, name: str, unit: Unit) -> str:
    """Return a figure in the unit of its column, with half of its 95 % interval where that is known."""
    value, half = group.score(name), group.intervals.get(name, UNKNOWN).half
    if math.isnan(value):
        return "–"
    text = f"{value / unit.size:,.{unit.digits}f}"
    text = text.removeprefix("-") if not text.strip("-0.,") else text
    return text if math.isnan(half) else f"{text} ± {half / unit.size:,.{unit.digits}f}"
