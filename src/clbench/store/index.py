"""A SQLite index of the stages, for listings. It can be made anew from the folders, and nothing depends on it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import final

from clbench.store.stage import STAGE, read_stage
from clbench.store.store import Store

COLUMNS = "kind, key, why, bytes, wall_s, made"
TABLE = (
    "CREATE TABLE IF NOT EXISTS stages "
    "(kind TEXT, key TEXT, why TEXT, bytes INT, wall_s REAL, made TEXT, PRIMARY KEY (kind, key))"
)
WAIT_S = 30.0


@dataclass(frozen=True)
class Row:
    """One stage.

    Attributes:
        kind, key: The kind and key of the stage.
        why: What it is, as JSON.
        bytes: Size of its files.
        wall_s: Seconds it took to make.
        made_at: When it was made, in UTC.
    """

    kind: str
    key: str
    why: str
    bytes: int
    wall_s: float
    made_at: str


@dataclass(frozen=True)
class Total:
    """The sums over all stages of a kind: their number, bytes, and seconds to make."""

    num: int
    bytes: int
    wall_s: float


@final
class Index:
    """The index of a store, in `index.sqlite` beside its stages.

    Processes that make stages do not write to it. A reader first compares it with the folders and adds what is new. So
    it is right whichever process was killed, and workers never wait for it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = store.folder / "index.sqlite"

    def rebuild(self) -> int:
        """Make the index from the folders and return the number of stages; a damaged stage.json is left out."""
        self._forget()
        return len(self._current())

    def rows(self, kind: str | None = None, where: Mapping[str, object] | None = None) -> list[Row]:
        """Return the stages as they are in the folders now, by kind and time.

        Args:
            kind: Only of this kind.
            where: Only those whose `why` holds these values.
        """
        wanted = dict(where or {})
        rows = [row for row in self._current() if kind is None or row.kind == kind]
        if wanted:
            rows = [row for row in rows if wanted.items() <= _flat(row.why).items()]
        return sorted(rows, key=lambda row: (row.kind, row.made_at, row.key))

    def totals(self) -> dict[str, Total]:
        """Return the sums over each kind."""
        totals: dict[str, Total] = {}
        for row in self.rows():
            before = totals.get(row.kind, Total(0, 0, 0.0))
            totals[row.kind] = Total(before.num + 1, before.bytes + row.bytes, before.wall_s + row.wall_s)
        return totals

    def _current(self) -> list[Row]:
        """Return the rows of all stages, after bringing the index in line with the folders."""
        there = {(kind, key) for kind, key, _ in self.store.stages()}
        if not there and not self.path.exists():
            return []
        try:
            return self._healed(there)
        except sqlite3.OperationalError:
            return self._read_stages(there)  # a folder that cannot be written, or a lock that is never released
        except sqlite3.DatabaseError:
            self.store.notice(f"{self.path} is damaged; it is made anew from the folders")
            self._forget()
            return self._healed(there)

    def _healed(self, there: set[tuple[str, str]]) -> list[Row]:
        with closing(sqlite3.connect(self.path, timeout=WAIT_S)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            with db:
                db.execute(TABLE)
                known = {(r[0], r[1]): Row(*r) for r in db.execute(f"SELECT {COLUMNS} FROM stages")}
                new = self._read_stages(there - known.keys())
                gone = known.keys() - there
                if new:
                    values = [(r.kind, r.key, r.why, r.bytes, r.wall_s, r.made_at) for r in new]
                    db.executemany("INSERT OR REPLACE INTO stages VALUES (?, ?, ?, ?, ?, ?)", values)
                if gone:
                    db.executemany("DELETE FROM stages WHERE kind = ? AND key = ?", sorted(gone))
        return [row for place, row in known.items() if place in there] + new

    def _read_stages(self, stages: Iterable[tuple[str, str]]) -> list[Row]:
        rows: list[Row] = []
        for kind, key in sorted(stages):
            folder = self.store.place(kind, key)
            stage = read_stage(folder)
            if stage is None:
                self.store.notice(f"{folder}: {STAGE} is damaged; the stage is made again when it is needed")
                continue
            size = sum(f["bytes"] for f in stage["files"].values())
            why = json.dumps(stage["why"], ensure_ascii=False)
            rows.append(Row(kind, key, why, size, stage["meter"]["wall_s"], stage["made"]))
        return rows

    def _forget(self) -> None:
        # The log goes first: left beside a new file, it would be replayed into it.
        for suffix in ("-wal", "-shm", ""):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


def _flat(why: str) -> dict[str, object]:
    """Return the scalar values of a why; one cannot ask for lists and mappings."""
    return {k: v for k, v in json.loads(why).items() if v is None or isinstance(v, str | int | float)}
