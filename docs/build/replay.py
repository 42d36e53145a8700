"""Make what `clbench demo --replay` shows of the committed results of the demo: a page and a table in each language."""

from __future__ import annotations

import gzip
from pathlib import Path

from clbench.report.page.html import html_report
from clbench.report.runs.load import load_runs
from clbench.report.tables.summary import summary_text

ROOT = Path(__file__).parents[2]
RESULTS, PLACE = ROOT / "results" / "demo", ROOT / "src" / "clbench" / "cards" / "demo"


def write(results: Path = RESULTS, place: Path = PLACE) -> None:
    """Write the pages, compressed so that equal pages give equal bytes, and the tables."""
    runs = load_runs([results])
    place.mkdir(parents=True, exist_ok=True)
    for lang in ("en", "zh"):
        page = html_report(runs, "demo", lang).encode()
        (place / f"report.{lang}.html.gz").write_bytes(gzip.compress(page, 9, mtime=0))
        (place / f"summary.{lang}.txt").write_text(summary_text(runs, lang=lang).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
