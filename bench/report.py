"""What pages of many runs cost: `python bench/report.py [--runs 1002] [--rows 1000]`.

The committed runs of `methods` are copied with other seeds until there are as many as asked, items included. Then a
report of all, and a board built twice into one folder, each by a process of its own: CPU seconds with all imports.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scale import seconds

MADE = Path(__file__).parent.parent / "results" / "methods"


def copies(folder: Path, num: int) -> Path:
    """Write this many runs with items into the folder; return it."""
    folder.mkdir()
    items = pq.read_table(MADE / "items.parquet")
    runs = sorted(MADE.glob("*.json"))
    tables: list[pa.Table] = []
    for k in range(num):
        path, round_ = runs[k % len(runs)], k // len(runs)
        run = json.loads(path.read_text(encoding="utf-8"))
        run["spec"]["seed"] += 100 * round_
        stem = f"{path.stem}-{round_}" if round_ else path.stem
        (folder / f"{stem}.json").write_text(json.dumps(run), encoding="utf-8")
        own = items.filter(pc.equal(items["run"], path.stem))  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
        tables.append(own.set_column(0, "run", pa.array([stem] * own.num_rows)))
    pq.write_table(pa.concat_tables(tables), folder / "items.parquet")
    return folder


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1002)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args()
    clbench = str(Path(sys.executable).parent / "clbench")
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        print("| what | CPU s | bar |\n|---|---:|---:|")
        runs = copies(root / "runs", given.runs)
        took = seconds([clbench, "report", str(runs), "--out", str(root / "page")], root)
        size = sum(p.stat().st_size for p in (root / "page").rglob("*") if p.is_file()) / 1e6
        print(f"| report of {given.runs:,} runs ({size:.1f} MB) | {took:.1f} | 8 |", flush=True)
        rows = copies(root / "rows", given.rows)
        for said, bar in (("board of", "–"), ("the same board again, of", "10")):
            took = seconds([clbench, "leaderboard", "build", str(rows), "--out", str(root / "site")], root)
            print(f"| {said} {given.rows:,} rows | {took:.1f} | {bar} |", flush=True)


if __name__ == "__main__":
    main()
