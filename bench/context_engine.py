"""How `clbench context infer` uses a provider: throughput, memory, processor time, and what the order of work saves.

`python bench/context_engine.py` makes rows of the public data set's shape (500 contexts, about 1,900 tasks, 42 thousand
characters on average), starts the stub server in a process of its own, and asks it under a limit of requests.
Arguments: contexts, requests a minute.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from clbench.context.infer import InferPlan, run_infer
from clbench.context.rows import read_index
from clbench.models.api.client import Address
from clbench.models.api.limits import limits_of

SERVER = """
import sys, threading
from clbench.testing.stub import Stub, running
with running(Stub(latency=0.2, keep_requests=False)) as stub:
    print(stub.url, flush=True)
    sys.stdin.read()
"""
WORKERS = 20


def main(num_contexts: int, rpm: float) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        num = make_rows(path, num_contexts)
        index = read_index(path)
        chars = [e.num_chars for e in index.entries]
        print(f"{num} rows, {sum(chars) / num:.0f} characters on average, at most {max(chars)}")
        costs = []
        for name in ("by context", "order of the file"):
            entries = list(index.entries)
            if name != "by context":
                entries = [replace(e, context_id=e.task_id) for e in entries]
            with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, text=True) as server:
                url = server.stdout.readline().strip()
                plan = InferPlan(index, entries, Path(folder) / f"{name}.jsonl", "m", slim=True)
                wall, cpu = time.monotonic(), time.process_time()
                outcome = run_infer(plan, Address(url, "none"), limits_of(WORKERS, rpm), lambda _: None)
                wall, cpu = time.monotonic() - wall, time.process_time() - cpu
                server.stdin.close()
            used = plan.budget.spent
            costs.append(used.prompt - 0.9 * used.cached)
            allowed = min(rpm / 60, WORKERS / 0.2)
            print(
                f"{name}: {dict(outcome.states)}, {num / wall:.1f} requests a second of {allowed:.1f} allowed "
                f"({num / wall / allowed:.0%}), {cpu / wall:.0%} of a core, cached {used.cached / used.prompt:.0%}"
            )
        print(f"input cost by context over order of the file: {costs[0] / costs[1]:.3f}")
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def num_tasks(num_contexts: int, num_rows: int | None) -> list[int]:
    """Return the tasks of each context; those of the first ones are more or fewer, until there are so many rows."""
    rng = random.Random(1)
    tasks = [rng.choice((1, 2, 3, 4, 4, 5, 7)) for _ in range(num_contexts)]
    for c in range(0 if num_rows is None else abs(num_rows - sum(tasks))):
        tasks[c % num_contexts] += 1 if num_rows > sum(tasks) else -1
    return tasks


def make_rows(path: Path, num_contexts: int, num_rows: int | None = None) -> int:
    """Write rows with the shape of the public data set; return their number."""
    words_of, size_of, num = random.Random(0), random.Random(341), 0
    with path.open("w", encoding="utf-8") as f:
        for c, tasks in enumerate(num_tasks(num_contexts, num_rows)):
            size = min(320_000, int(size_of.lognormvariate(10.3, 0.75)))
            words = " ".join(f"w{words_of.randrange(10**6)}" for _ in range(size // 8))
            messages = [{"role": "system", "content": f"Context {c}."}, {"role": "user", "content": words + " Task 0?"}]
            for n in range(tasks):
                if n:
                    messages = [*messages, {"role": "assistant", "content": f"Answer {n}. " * 40}]
                    messages += [{"role": "user", "content": f"Task {n} of {c}?"}]
                ids = {"task_id": f"{c}-{n}", "context_id": str(c), "context_category": "A", "sub_category": "s"}
                row = {"messages": messages, "rubrics": ["It should be right."] * 16, "metadata": ids}
                f.write(json.dumps(row) + "\n")
                num += 1
    return num


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:])) if len(sys.argv) > 2 else main(500, 3000)
