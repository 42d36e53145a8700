"""How long a report takes and how large it is: `python bench/report.py` (nine methods, three seeds, stream worlds)."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

NINE = ("sft", "replay", "ewc", "lwf", "derpp", "lora", "olora", "adapters", "joint")


def main() -> int:
    """Print medians of five."""
    from clbench.report.page.html import html_report
    from clbench.report.runs.load import load_runs

    folders = [p for name in NINE for p in sorted(Path("results/methods").glob(f"methods-s?-{name}-*"))]
    seconds: list[float] = []
    page = ""
    for _ in range(5):
        started = time.perf_counter()
        page = html_report(load_runs(folders), "nine methods, three seeds")
        seconds.append(time.perf_counter() - started)
    size = len(page.encode()) / 1e6
    print(f"| report | {len(folders)} runs | {statistics.median(seconds):.2f} s (bar 5) | {size:.2f} MB (bar 3) |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
