"""Tables of the pages that are made from the committed results: `make docs` rewrites them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clbench.core.errors import DataError
from clbench.report.page.lengths import lengths_table
from clbench.report.page.ranking import ranks_table
from clbench.report.runs.abilities import abilities_table
from clbench.report.runs.budget import budget_table
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.runs.orders import by_scenario, methods_of
from clbench.report.tables.exports import EXPORTS
from docs.build.headline import headline, of_demo
from docs.build.sound import faults_of

TABLED = (
    "README.md",
    "README.zh-CN.md",
    "docs/results.md",
    "docs/results.zh-CN.md",
    "docs/long-streams.md",
    "docs/long-streams.zh-CN.md",
    "docs/ranking.md",
    "docs/ranking.zh-CN.md",
    "docs/abilities.md",
    "docs/abilities.zh-CN.md",
    "docs/long-context.md",
    "docs/long-context.zh-CN.md",
)
FORMS = {
    **EXPORTS,
    "budgets": budget_table,
    "abilities": abilities_table,
    "lengths": lengths_table,
    "ranks": ranks_table,
    "headline": headline,
}
# <!-- table: RESULT FORMAT [FORMAT ...] --> ... <!-- end -->
PLACE = re.compile(r"(<!-- table: ([\w.-]+) ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, results: Path) -> str:
    """Fill every marked place of a text with the tables of the results that it names, where those are there.

    Args:
        text: Markdown with places `<!-- table: demo markdown rows --> ... <!-- end -->`.
        results: Folder of committed results, one folder per recipe.

    Raises:
        DataError: A result is broken, or does not pass the gate (`sound.faults`).
        KeyError: There is no such form of a table.
    """
    loaded: dict[str, list[RunRecord]] = {}

    def fill(place: re.Match[str]) -> str:
        if not (results / place[2]).is_dir():
            return place[0]
        if place[2] not in loaded:
            loaded[place[2]] = load_runs([results / place[2]])
        runs = loaded[place[2]]
        if found := faults_of(place[2], runs):
            raise DataError(
                f"{len(found)} things are not as in a sound comparison: {found[0]}", where=f"results/{place[2]}"
            )
        tables = [FORMS[form](runs).rstrip("\n") for form in place[3].split()]
        shown = of_demo(runs) if place[3].strip() == "headline" else runs
        return f"{place[1]}\n{_made(shown)}\n\n" + "\n\n".join(tables) + f"\n\n{place[4]}"

    return PLACE.sub(fill, text)


def _made(runs: Sequence[RunRecord]) -> str:
    """Say where the numbers come from, and on how many seeds, orders of the tasks, and questions a row rests."""
    provenance = runs[0].provenance
    packages = provenance["packages"]
    torch = packages.get("torch") if isinstance(packages, dict) else None
    hardware = f"{provenance['cpu']}, {provenance['cores']} cores, torch {torch}, {str(provenance['made'])[:10]}"
    methods = [method for groups in by_scenario(group_runs(runs)) for method in methods_of(groups)]
    asked = [exam for run in runs for exam in run.item_scores.exams if exam.exam in run.stream.tasks]
    counts = {
        "seeds a row": [len({seed for _, seed in method.blocks}) for method in methods],
        "orders a row": [len({order for order, _ in method.blocks}) for method in methods],
        "questions of a task": [len(exam.ids) for exam in asked],
        "groups of them": [len(set(exam.groups or exam.ids)) for exam in asked],
    }
    told = ", ".join(f"{what}: {_range(found)}" for what, found in counts.items() if found)
    return f"*{hardware}; {told}*"


def _range(values: Sequence[int]) -> str:
    return f"{min(values)} to {max(values)}" if min(values) < max(values) else str(values[0])


def fill_pages(root: Path) -> list[Path]:
    """Rewrite the tables of every page below `root` that has some."""
    for name in TABLED:
        page = root / name
        page.write_text(filled(page.read_text(encoding="utf-8"), root / "results"), encoding="utf-8")
    return [root / name for name in TABLED]
