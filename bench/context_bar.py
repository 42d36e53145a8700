"""The bar of the context track's engine, through the command line: speed, memory, processor time, and kills.

`python bench/context_bar.py` makes 1,899 rows in 500 contexts (42 thousand characters on average, at most 320
thousand), starts the stub server in a process of its own (200 ms, a limit of requests), and runs the command
`clbench context infer` against it: once to its end, then again with kill -9 at 30 random moments. It prints each figure
beside its bar, and ends with 1 if one is missed. Arguments: rows, requests a minute, kills;
`python bench/context_bar.py 40 600 2` takes a minute.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from context_engine import make_rows

SERVER = """
import json, sys, time
from clbench.testing.stub import Script, Stub, running
from clbench.testing.stub.script import by_rule
times = []
def paid(request):
    times.append(time.monotonic())
    return by_rule(request)
with running(Stub(Script(otherwise=paid), latency=0.2, rpm=float(sys.argv[1]), keep_requests=False)) as stub:
    print(stub.url, flush=True)
    sys.stdin.read()
print(json.dumps({"paid": len(times), "seconds": times[-1] - times[0], "came": stub.num_requests}))
"""
COMMAND = "from clbench.cli.main import entry; entry()"
WORKERS, LATENCY_S, ROWS, CONTEXTS = 20, 0.2, 1899, 500
SPEED, MEMORY_MIB, CORE = 0.9, 400, 0.2  # the bars


def main(num: int = ROWS, rpm: float = 3000, kills: int = 30) -> int:
    """Print each figure beside its bar; return 1 if one is missed, else 0."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = folder / "rows.jsonl"
        make_rows(rows, *((CONTEXTS, ROWS) if num == ROWS else (num,)))
        lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)[:num]
        rows.write_text("".join(lines), encoding="utf-8")
        sizes = [len(line) for line in lines]
        print(f"{len(lines)} rows, {sum(sizes) / len(sizes):.0f} characters on average, at most {max(sizes)}")
        held = [*whole_run(folder, rows, rpm, len(lines)), *killed_run(folder, rows, rpm, (len(lines), kills))]
    return 0 if all(held) else 1


def whole_run(folder: Path, rows: Path, rpm: float, num: int) -> Iterator[bool]:
    """Run once to the end; yield whether each bar is held."""
    with server(rpm) as (url, said):
        started = time.monotonic()
        run = subprocess.Popen(command(url, rows, folder / "whole.jsonl", rpm), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
    allowed = min(rpm / 60, WORKERS / LATENCY_S)
    rate = (said["paid"] - 1) / said["seconds"]  # from the first request to the last: starting Python is not asking
    yield told("answers", said["paid"], num, said["paid"] == num and run.returncode == 0)
    yield told("requests a second, of those allowed", rate / allowed, SPEED, rate >= SPEED * allowed)
    memory = used.ru_maxrss / 1024
    yield told("peak memory, MiB", memory, MEMORY_MIB, memory <= MEMORY_MIB)
    core = (used.ru_utime + used.ru_stime) / wall
    yield told("of one core", core, CORE, core <= CORE)


def killed_run(folder: Path, rows: Path, rpm: float, size: tuple[int, int]) -> Iterator[bool]:
    """Run with kills; yield whether each bar is held."""
    (num, kills), rng, done, code = size, random.Random(0), 0, -1
    out = folder / "killed.jsonl"
    with server(rpm) as (url, said):
        each = 60 * num / rpm / max(1, kills)
        while code != 0:
            with subprocess.Popen(command(url, rows, out, rpm), stdout=subprocess.DEVNULL) as run:
                log = out.with_name("killed.log.jsonl")
                size_before = log.stat().st_size if log.exists() else 0
                while run.poll() is None and done < kills and not grown(log, size_before):
                    time.sleep(0.01)
                until = time.monotonic() + rng.uniform(0, each)  # from the first answer on: not all while Python starts
                while run.poll() is None and (done >= kills or time.monotonic() < until):
                    time.sleep(0.01)
                if run.poll() is None:
                    run.send_signal(signal.SIGKILL)
                    done += 1
            code = run.returncode
            if code not in (0, -signal.SIGKILL):
                raise SystemExit(f"the command ended with {code}")
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    answers = Counter(e["task_id"] for e in events if e.get("event") == "answer")
    yield told("kills", done, kills, done == kills)
    yield told("answers in the log", sum(answers.values()), num, set(answers.values()) == {1} and len(answers) == num)
    most = num + done * WORKERS
    yield told("paid requests, with those in flight at kills", said["paid"], most, num <= said["paid"] <= most)


def grown(log: Path, before: int) -> bool:
    """Return whether a log has grown since."""
    return log.exists() and log.stat().st_size > before


def command(url: str, rows: Path, out: Path, rpm: float) -> list[str]:
    """Return the command line that is measured."""
    given = ("--base-url", url, "--api-key", "none", "--workers", WORKERS, "--rpm", rpm, "--slim")
    return [
        sys.executable,
        "-c",
        COMMAND,
        "context",
        "infer",
        "--input",
        str(rows),
        "--output",
        str(out),
        *map(str, given),
    ]


@contextmanager
def server(rpm: float) -> Iterator[tuple[str, dict[str, float]]]:
    """Serve in a process of its own; what it says at its end is put into the mapping."""
    said: dict[str, float] = {}
    with subprocess.Popen([sys.executable, "-c", SERVER, str(rpm)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        yield process.stdout.readline().strip(), said
        process.stdin.close()
        said |= json.loads(process.stdout.read())


def told(what: str, value: float, bar: float, held: bool) -> bool:
    """Print a figure beside its bar, and return whether it is held."""
    print(f"{'held  ' if held else 'MISSED'} {what}: {value:.4g} (bar {bar:g})", flush=True)
    return held


if __name__ == "__main__":
    sys.exit(main(*(int(a) for a in sys.argv[1:])))
