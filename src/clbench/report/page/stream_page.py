"""A stream as a table of its lessons and a similarity map of its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from rich import box
from rich.table import Table

from clbench.core.stream_summary import LessonSummary, StreamSummary
from clbench.report.drawings.figures import ramp
from clbench.report.tables.words import word

CELL, LEFT, TOP = 26, 150, 110
MOST_SHOWN = 30  # tasks in a map; more could not be read


def lesson_cells(each: LessonSummary, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return a lesson as texts: number, tasks, what changed, examples, labels, kinds, languages, domains."""
    ahead = f" ({each.ahead} ahead)" if each.ahead else ""
    labels = f"+{each.new_labels} = {each.labels}" if each.labels else "–"
    return (
        str(each.lesson),
        ", ".join(each.teaches),
        ", ".join(word(one, texts) for one in each.moved) or "–",
        f"{each.examples:,}{ahead}",
        labels,
        ", ".join(word(one, texts) for one in each.kinds),
        ", ".join(each.languages),
        ", ".join(word(one, texts) for one in each.domains),
    )


def lessons_table(summary: StreamSummary, texts: Mapping[str, str]) -> Table:
    """Return the table of lessons for a terminal; `texts` are the report's, in one language."""
    table = Table(box=box.SIMPLE_HEAD, title=None, caption=stream_note(summary, texts), caption_justify="left")
    for name in columns(texts):
        table.add_column(name, justify="right" if name == texts["lesson"] else "left", overflow="fold")
    for each in summary.lessons:
        table.add_row(*lesson_cells(each, texts))
    return table


def columns(texts: Mapping[str, str]) -> list[str]:
    """Return the heads of the table of lessons, in the order of `lesson_cells`."""
    names = ("lesson", "tasks_taught", "moved", "examples", "labels", "kind", "language", "domain")
    return [texts[name] for name in names]


def stream_note(summary: StreamSummary, texts: Mapping[str, str]) -> str:
    """Return sentences on what is not in the lessons: tasks that were skipped, examples that were left out."""
    sentences: list[str] = []
    if summary.missing:
        sentences.append(texts["missing"].format(tasks=", ".join(summary.missing)))
    if summary.dropped:
        counts = ", ".join(f"{name} {num}" for name, num in summary.dropped.items())
        sentences.append(texts["dropped"].format(counts=counts))
    return texts["space"].join(sentences)


def similarity_table(summary: StreamSummary, texts: Mapping[str, str]) -> Table | None:
    """Return the table of similarities in percent for a terminal; None for one task, or for too many to read."""
    if not 1 < len(summary.tasks) <= MOST_SHOWN:
        return None
    table = Table(box=box.SIMPLE_HEAD, caption=texts["similar_note"], caption_justify="left")
    table.add_column(texts["similar"], overflow="fold")
    for number in range(1, len(summary.tasks) + 1):
        table.add_column(str(number), justify="right")
    for number, (name, row) in enumerate(zip(summary.tasks, summary.similarity, strict=True), start=1):
        table.add_row(f"{number} {name}", *(f"{100 * value:.0f}" for value in row))
    return table


def similarity_map(summary: StreamSummary, label: str) -> str:
    """Draw the cosine between tasks' lesson prompts as SVG; empty where there are too many tasks to read."""
    num = len(summary.tasks)
    if not 1 < num <= MOST_SHOWN:
        return ""
    width, height = LEFT + num * CELL + 60, TOP + num * CELL + 6
    box_ = f'viewBox="0 0 {width} {height}" style="max-width:{width}px"'
    parts = [f'<svg class="heat" role="img" aria-label="{escape(label)}" {box_}>']
    for i, name in enumerate(summary.tasks):
        x, y = LEFT + i * CELL + CELL / 2, TOP + i * CELL + 17
        short = escape(name if len(name) <= 20 else name[:19] + "…")
        parts.append(
            f'<text class="tick" x="{x}" y="{TOP - 6}" transform="rotate(-40 {x} {TOP - 6})">{short}</text>'
            f'<text class="tick" x="{LEFT - 6}" y="{y}" text-anchor="end">{short}</text>'
        )
    for r, row in enumerate(summary.similarity):
        for c, value in enumerate(row):
            fill, ink = ramp(value)
            x, y = LEFT + c * CELL, TOP + r * CELL
            title = escape(f"{summary.tasks[r]} and {summary.tasks[c]}: {value:.2f}")
            parts.append(
                f'<g><title>{title}</title><rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" '
                f'rx="3" fill="{fill}"/><text class="value" x="{x + CELL / 2}" y="{y + 17}" text-anchor="middle" '
                f'fill="{ink}">{100 * value:.0f}</text></g>'
            )
    return "".join(parts) + "</svg>"
