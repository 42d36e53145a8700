"""What opening data costs for the first time and again: `python bench/scale.py [--rows N] [--plan STREAM]`.

A card that takes 2,000 of N rows is opened twice, each time by a process of its own, with a cache folder of its own in
between; then `clbench run --plan` of two runs on a stream is asked twice. CPU seconds of the processes with all their
imports. A stream of real data needs CLBENCH_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CARD = """\
name: many
source: {path: rows}
prompt: [{role: user, content: "Which topic? {text}"}]
target: "{label}"
labels: from-data
splits: {lesson: train, dev: null, exam: test}
take: {lesson: 2000, exam: 500}
about: {license: CC0-1.0, text: words drawn at random}
"""
OPEN = "import sys; from clbench.data.tasks.task import open_task; open_task(sys.argv[1], None)"


def write(folder: Path, num: int) -> Path:
    """Write a card beside rows of random words; return the card."""
    drawn = random.Random(0)
    words = [f"w{i}" for i in range(3000)]
    (folder / "rows").mkdir()
    for split, rows in (("train", num), ("test", 5000)):
        with (folder / "rows" / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for i in range(rows):
                row = {"id": f"{split}-{i}", "text": " ".join(drawn.choices(words, k=20))}
                file.write(json.dumps({**row, "label": drawn.choice("abcd")}) + "\n")
    (folder / "many.yaml").write_text(CARD, encoding="utf-8")
    return folder / "many.yaml"


def seconds(command: list[str], cache: Path) -> float:
    """Return the CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, "CLBENCH_CACHE": str(cache)}, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--plan", default="order-4", metavar="STREAM")
    given = parser.parse_args()
    print("| CPU seconds | first time | again |\n|---|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = [sys.executable, "-m", "clbench", "run", "demo", "--plan", "--store", str(folder / "store")]
        plan += ["--set", f"stream={given.plan}", "--set", "axes.learner=[sft, joint]"]
        commands = {
            f"a task of {given.rows:,} rows": [sys.executable, "-c", OPEN, str(write(folder, given.rows))],
            f"plan of two runs, {given.plan}": plan,
        }
        for what, command in commands.items():
            first, again = (seconds(command, folder / "cache") for _ in range(2))
            print(f"| {what} | {first:.2f} | {again:.2f} |", flush=True)


if __name__ == "__main__":
    main()
