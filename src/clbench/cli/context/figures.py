"""The figures of a graded file as lines: corrected, or the public script's and beside them the corrected ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clbench.cli.context.asking import tell, tell_all
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.context.evaluate import EvalPlan
    from clbench.context.figures import Figures
    from clbench.context.rows import Index, Raw


def show(plan: EvalPlan, summary: Callable[[int], None]) -> Figures:
    """Write the figures of what a plan graded.

    Args:
        plan: What was graded.
        summary: Called before, with the number of rows that the summary calls failed.

    Returns:
        The corrected figures.
    """
    from clbench.context import figures, public
    from clbench.context.rows import read_index

    found = figures.figures_of(rows_of(read_index(plan.corrected)))
    if not plan.settings.public:
        summary(found.unjudged)
        tell_all(figures.statistics(found))
        return found
    written = read_index(plan.output)
    dropped = len(plan.index.entries) + len(plan.index.duplicates) - _num_rows(written)
    summary(dropped)
    counts = {"solved": found.solved, "total": found.total}
    tell_all(public.statistics(rows_of(written)))
    tell(tr("Corrected rate: {rate} ({solved}/{total})", rate=f"{found.rate:.4f}", **counts))
    tell_all(figures.explained(found))
    tell_all(differences(plan, found, written, dropped))
    return found


def differences(plan: EvalPlan, found: Figures, written: Index, dropped: int) -> list[str]:
    """Return lines that say why the public figure and the corrected one differ."""
    scores = [(row.get("score"), row) for row in rows_of(written)]
    texts = sum(isinstance(score, str) for score, _ in scores)
    asked = len(plan.index.entries)
    lines = [
        (dropped, "{num} rows without a readable verdict are missing from its denominator"),
        (texts, "{num} scores are texts, which it counts neither as 0 nor as 1"),
        (found.disagreements, "{num} scores contradict the statuses beside them, and it does not look"),
        (len(plan.index.duplicates), "{num} repeated rows are counted again"),
        (found.total - asked, "{num} rows of the data set have no answer, and it does not know"),
    ]
    differing = [tr("   Why: {reason}", reason=tr(text, num=num)) for num, text in lines if num > 0]
    return differing or [tr("   Both figures count the same rows")]


def rows_of(index: Index) -> Iterator[Raw]:
    """Yield the rows of a file in their order, repeated ones included."""
    from clbench.context.rows import Reader

    with Reader(index.path) as reader:
        for entry in sorted((*index.entries, *index.duplicates), key=lambda e: e.line):
            yield reader.read(entry)


def _num_rows(index: Index) -> int:
    return len(index.entries) + len(index.duplicates)
