import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from clbench.context.log import EventLog, move_torn_tail, records
from clbench.core.errors import StoreError

WRITER = """
import sys
from pathlib import Path
from clbench.context.log import EventLog
with EventLog(Path(sys.argv[1])) as log:
    for n in range(100000):
        log.append({"n": n, "text": "é" * (n % 50)})
        print(n, flush=True)
"""


def test_records_come_back_with_their_offsets(tmp_path):
    path = tmp_path / "sub" / "a.log.jsonl"
    with EventLog(path) as log:
        offsets = [log.append({"n": n, "text": "\ud83d"}) for n in range(3)]
        assert [offset for offset, _ in log.records()] == offsets
    with EventLog(path) as log:
        log.append({"n": 3})
    assert [record["n"] for _, record in records(path)] == [0, 1, 2, 3]


def test_one_process_writes_at_a_time(tmp_path):
    with EventLog(tmp_path / "a"), pytest.raises(StoreError, match="another process"):
        EventLog(tmp_path / "a")
    EventLog(tmp_path / "a").close()


def test_a_damaged_line_within_is_refused_with_its_number(tmp_path):
    path = tmp_path / "a"
    path.write_text('{"n": 1}\n{"n": \n{"n": 3}\n')
    with pytest.raises(StoreError, match=r"a:2: the line is damaged"):
        list(records(path))


def test_wherever_a_log_is_cut_only_the_last_record_is_lost(tmp_path, heard):
    whole = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(3))
    ends = [k + 1 for k, byte in enumerate(whole) if byte == 10]
    for size in range(len(whole) + 1):
        path = tmp_path / f"{size}"
        path.write_bytes(whole[:size])
        with EventLog(path) as log:
            log.append({"n": "new"})
        kept = sum(end <= size for end in ends)
        assert [record["n"] for _, record in records(path)] == [*range(kept), "new"]
        torn = list(tmp_path.glob(f"{size}.torn-*"))
        assert b"".join(p.read_bytes() for p in torn) == whole[max((e for e in ends if e <= size), default=0) : size]


def test_torn_tails_are_kept_beside_each_other(tmp_path, heard):
    path = tmp_path / "a"
    for tail in (b"one", b"two"):
        path.write_bytes(tail)
        assert move_torn_tail(path) == tail
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.torn-1", "a.torn-2"]
    assert path.read_bytes() == b""


@pytest.mark.slow
def test_kill_9_loses_no_record_that_was_written(tmp_path):
    rng = random.Random(5)
    for moment in range(4):
        path = tmp_path / f"{moment}"
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            writer.stdout.readline()
            time.sleep(rng.uniform(0.01, 0.1))
            os.kill(writer.pid, signal.SIGKILL)
            acknowledged = [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
        with EventLog(path) as log:
            found = [record["n"] for _, record in log.records()]
        assert found == list(range(len(found)))
        assert found[-1] >= (acknowledged[-1] if acknowledged else 0)


def test_records_of_many_tasks_are_forced_together_and_each_is_there_when_it_returns(tmp_path, monkeypatch):
    forced = []

    def slowly(number):
        forced.append((tmp_path / "o.log.jsonl").stat().st_size)
        time.sleep(0.02)

    monkeypatch.setattr("clbench.context.log.os.fsync", slowly)

    async def one(log, number):
        begun = len(forced)
        offset = await log.keep({"event": "answer", "number": number})
        assert len(forced) > begun, "a write to the disk that began after the record was there"
        assert forced[-1] > offset
        return offset

    async def all_of(log):
        return await asyncio.gather(*(one(log, number) for number in range(50)))

    with EventLog(tmp_path / "o.log.jsonl") as log:
        offsets = asyncio.run(all_of(log))
    assert len(forced) <= 3
    assert [found["number"] for _, found in records(tmp_path / "o.log.jsonl")] == list(range(50))
    assert sorted(offsets) == offsets
