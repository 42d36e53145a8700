"""A stream drawn: a table of its rounds, and a map of how alike its tasks are."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from rich import box
from rich.table import Table

from clbench.core.outline import Outline, RoundOutline
from clbench.report.figures import ramp

CELL, LEFT, TOP = 26, 150, 110
MOST_SHOWN = 30  # tasks in a drawn map; more would not be readable


def round_cells(each: RoundOutline) -> tuple[str, ...]:
    """Give a round as texts: step, tasks, what moved, examples, labels, kinds, languages, domains."""
    ahead = f" ({each.ahead} ahead)" if each.ahead else ""
    labels = f"+{each.new_labels} = {each.labels}" if each.labels else "–"
    return (
        str(each.step),
        ", ".join(each.teaches),
        ", ".join(each.moved) or "–",
        f"{each.examples:,}{ahead}",
        labels,
        ", ".join(each.kinds),
        ", ".join(each.languages),
        ", ".join(each.domains),
    )


def outline_table(outline: Outline, heads: Mapping[str, str]) -> Table:
    """Make the table of rounds for a terminal; `heads` are the report's words."""
    table = Table(box=box.SIMPLE_HEAD, title=None, caption=outline_note(outline, heads), caption_justify="left")
    for name in columns(heads):
        table.add_column(name, justify="right" if name == heads["round"] else "left", overflow="fold")
    for each in outline.rounds:
        table.add_row(*round_cells(each))
    return table


def columns(heads: Mapping[str, str]) -> list[str]:
    """Give the heads of the table of rounds, in the order of `round_cells`."""
    names = ("round", "tasks_taught", "moved", "examples", "labels", "kind", "language", "domain")
    return [heads[name] for name in names]


def outline_note(outline: Outline, heads: Mapping[str, str]) -> str:
    """Say what is not in the rounds: tasks that were skipped, examples that were left out."""
    said: list[str] = []
    if outline.missing:
        said.append(heads["missing"].format(tasks=", ".join(outline.missing)))
    if outline.dropped:
        counts = ", ".join(f"{name} {num}" for name, num in outline.dropped.items())
        said.append(heads["dropped"].format(counts=counts))
    return " ".join(said)


def similarity_table(outline: Outline, heads: Mapping[str, str]) -> Table | None:
    """Make the table of similarities in percent for a terminal; None for one task, or for too many to read."""
    if not 1 < len(outline.tasks) <= MOST_SHOWN:
        return None
    table = Table(box=box.SIMPLE_HEAD, caption=heads["similar_note"], caption_justify="left")
    table.add_column(heads["similar"], overflow="fold")
    for number in range(1, len(outline.tasks) + 1):
        table.add_column(str(number), justify="right")
    for number, (name, row) in enumerate(zip(outline.tasks, outline.similarity, strict=True), start=1):
        table.add_row(f"{number} {name}", *(f"{100 * value:.0f}" for value in row))
    return table


def similarity_map(outline: Outline, label: str) -> str:
    """Draw the cosine between tasks' lesson prompts as SVG; empty where there are too many tasks to read."""
    num = len(outline.tasks)
    if not 1 < num <= MOST_SHOWN:
        return ""
    width, height = LEFT + num * CELL + 60, TOP + num * CELL + 6
    box_ = f'viewBox="0 0 {width} {height}" style="max-width:{width}px"'
    parts = [f'<svg class="heat" role="img" aria-label="{escape(label)}" {box_}>']
    for i, name in enumerate(outline.tasks):
        x, y = LEFT + i * CELL + CELL / 2, TOP + i * CELL + 17
        shown = escape(name if len(name) <= 20 else name[:19] + "…")
        parts.append(
            f'<text class="tick" x="{x}" y="{TOP - 6}" transform="rotate(-40 {x} {TOP - 6})">{shown}</text>'
            f'<text class="tick" x="{LEFT - 6}" y="{y}" text-anchor="end">{shown}</text>'
        )
    for r, row in enumerate(outline.similarity):
        for c, value in enumerate(row):
            fill, ink = ramp(value)
            x, y = LEFT + c * CELL, TOP + r * CELL
            title = escape(f"{outline.tasks[r]} and {outline.tasks[c]}: {value:.2f}")
            parts.append(
                f'<g><title>{title}</title><rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" '
                f'rx="3" fill="{fill}"/><text class="value" x="{x + CELL / 2}" y="{y + 17}" text-anchor="middle" '
                f'fill="{ink}">{100 * value:.0f}</text></g>'
            )
    return "".join(parts) + "</svg>"
