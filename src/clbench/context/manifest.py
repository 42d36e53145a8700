"""The manifest of a run: what was asked of whom, on which data; a run is not resumed under another one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from clbench.context.log import records
from clbench.context.rows import Index
from clbench.core.errors import StoreError
from clbench.store.origin import package_version

Manifest = dict[str, Any]
IDENTITY = ("verb", "dataset", "params")


def new_manifest(
    verb: str, index: Index, params: Mapping[str, object], prices: Mapping[str, object] | None
) -> Manifest:
    """Return the manifest of a run that begins now.

    Args:
        verb: "infer" or "eval".
        index: The file that is worked on.
        params: Whatever changes results: model, judge, temperature, prompts; not how fast the run is asked.
        prices: The prices that costs are computed with, if any.
    """
    return {
        "event": "manifest",
        "verb": verb,
        "dataset": {"sha256": index.sha256, "rows": len(index.entries), "schema": index.schema},
        "params": dict(params),
        "prices": None if prices is None else dict(prices),
        "tool": f"clbench {package_version('clbench') or ''}",
        "started": now(),
    }


def now() -> str:
    """Return the time as it is written: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def recorded_manifest(log: Path) -> Manifest | None:
    """Return the manifest with which a log began; None if there is no log."""
    return next((record for _, record in records(log) if record.get("event") == "manifest"), None)


def check_same(recorded: Manifest, current: Manifest, log: Path) -> None:
    """Refuse to go on with a log that another run began.

    Raises:
        StoreError: They differ in what changes results; names the differences.
    """
    differences = [
        f"{name} was {before!r} and is now {after!r}"
        for part in IDENTITY
        for name, before, after in _differing(part, recorded.get(part), current.get(part))
    ]
    if differences:
        mend = "name another file with --output, or run with the old settings; rows of two runs are not mixed"
        raise StoreError("; ".join(differences), where=str(log), mend=mend)


def _differing(part: str, before: Any, after: Any) -> list[tuple[str, object, object]]:
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if before == after else [(part, before, after)]
    old, new = cast(dict[str, Any], before), cast(dict[str, Any], after)
    names = [*old, *(n for n in new if n not in old)]
    return [(f"{part}.{n}", old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]
