"""Pages of the documentation that are made from the code: `python -m clbench.testing.pages` rewrites them."""

from __future__ import annotations

import sys
from pathlib import Path

from clbench.data.card import WorldSource, list_cards, load_stream_card, load_task_card
from clbench.metrics import all_metrics

FAMILY = {"performance": "Performance", "stability": "Stability", "efficiency": "Efficiency", "cost": "Cost"}


def metrics_page() -> str:
    """Give docs/metrics.md."""
    lines = [
        "# Figures",
        "",
        "R[k, i] is the score on exam i after k lessons, k = 0..T; row 0 is the untouched model; t_i is the lesson",
        "that teaches task i. Scores lie in [0, 1] inside clbench and are printed in percent. What cannot be computed",
        "is NaN and shown as –; cells that were not due are never counted as 0 and never averaged away.",
        "Made by `make docs` from the code.",
    ]
    for group, title in FAMILY.items():
        lines += ["", f"## {title}"]
        for name, plugin in all_metrics().items():
            if plugin.group == group:
                text = "\n".join(line.strip() for line in (plugin.compute.__doc__ or "").strip().splitlines())
                lines += ["", f"### `{name}` ({plugin.symbol})", "", text]
    return "\n".join(lines) + "\n"


def datasets_page() -> str:
    """Give docs/datasets.md."""
    lines = [
        "# Data sets and streams",
        "",
        "Made by `make docs` from the cards. `clbench show NAME` prints examples as a model sees them.",
        "",
        "| task | kind | language | source | lesson | exam | licence |",
        "|---|---|---|---|---:|---:|---|",
    ]
    for name in list_cards("tasks"):
        card = load_task_card(name)
        about, lock = card.about, card.lock
        source = "generated" if isinstance(card.source, WorldSource) else f"`{card.source.model_dump().get('path')}`"
        counts = f"{lock.lesson} | {lock.exam}" if lock is not None else "unlocked | unlocked"
        lines.append(
            f"| {name} | {about.get('kind')} | {about.get('language')} | {source} | {counts} | {about.get('license')} |"
        )
    lines += ["", "| stream | tasks in order |", "|---|---|"]
    lines += [f"| {name} | {', '.join(load_stream_card(name).tasks)} |" for name in list_cards("streams")]
    return "\n".join(lines) + "\n"


PAGES = {"metrics.md": metrics_page, "datasets.md": datasets_page}


def write_pages(folder: Path) -> list[Path]:
    """Write every page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
    return [folder / name for name in PAGES]


if __name__ == "__main__":
    for written in write_pages(Path("docs")):
        sys.stdout.write(f"{written}\n")
