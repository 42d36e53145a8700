"""A SQLite index of the stages, for listings. It is made anew from the folders and nothing depends on it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from clbench.store.store import STAGE, Store

COLUMNS = "kind, key, why, bytes, wall_s, made"


@dataclass(frozen=True)
class Row:
    """One stage: its kind and key, what it is (JSON), its size in bytes, the seconds it took, when it was made."""

    kind: str
    key: str
    why: str
    bytes: int
    wall_s: float
    made: str


class Index:
    """The index of a store, in `index.sqlite` beside its stages."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.path = store.folder / "index.sqlite"

    def rebuild(self) -> int:
        """Make the index from the folders and give the number of stages; a broken stage.json is left out."""
        rows: list[tuple[object, ...]] = []
        for kind, key, folder in self.store.stages():
            try:
                stage = json.loads((folder / STAGE).read_text(encoding="utf-8"))
                size = sum(f["bytes"] for f in stage["files"].values())
                why = json.dumps(stage["why"], ensure_ascii=False)
                rows.append((kind, key, why, size, stage["meter"]["wall_s"], stage["made"]))
            except (ValueError, KeyError, TypeError):
                self.store.notice(f"{folder}: {STAGE} cannot be read; the stage is made again when it is needed")
        self.store.folder.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as db, db:
            db.execute("CREATE TABLE stages (kind TEXT, key TEXT, why TEXT, bytes INT, wall_s REAL, made TEXT)")
            db.executemany("INSERT INTO stages VALUES (?, ?, ?, ?, ?, ?)", rows)
        draft.replace(self.path)
        return len(rows)

    def rows(self, kind: str | None = None) -> list[Row]:
        """Give the stages, of one kind or all; the index is made anew first if stages came or went, or it is broken."""
        found = self._read(kind)
        if found is None or len(self._read(None) or []) != sum(1 for _ in self.store.stages()):
            self.rebuild()
            found = self._read(kind)
        return found or []

    def _read(self, kind: str | None) -> list[Row] | None:
        if not self.path.is_file():
            return None
        where, values = (" WHERE kind = ?", (kind,)) if kind else ("", ())
        try:
            with closing(sqlite3.connect(self.path)) as db:
                found = db.execute(f"SELECT {COLUMNS} FROM stages{where} ORDER BY kind, made, key", values).fetchall()
        except sqlite3.DatabaseError:
            return None
        return [Row(*row) for row in found]
