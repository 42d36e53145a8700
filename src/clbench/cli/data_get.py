"""`clbench data get`: bring the rows of tasks, streams and suites below a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from clbench.cli.options import complain, progress_bars, say, say_json
from clbench.core.errors import SpecError, UserError
from clbench.core.events import Progress, report_progress
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.data.getting import Wanted

ROOT, DEFAULT = "CLBENCH_DATA", "clbench-data"
PAGE = "docs/getting-data.md"
COUNTS = "{num} cards below {root}/: {fine} need nothing, {lacking} lack {size}"
COUNTS_UNKNOWN = (
    "{num} cards below {root}/: {fine} need nothing, {lacking} lack {size}, and {unknown} of a size that is not known"
)
UNVOUCHED = "{card}: there; nothing vouches for its rows: the card has no lock, and its files no digest"


@dataclass
class Got:
    """What came of one card: what vouches for its rows, or why they are not there."""

    wanted: Wanted
    verified_by: str = ""
    error: UserError | None = None


@dataclass
class Getting:
    """Options of `get`: the folder, the address of a copy of it, and whether only the plan is shown."""

    to: Path | None
    address: str | None
    only_plan: bool
    as_json: bool
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        """Find the folder: `--to`, else `$CLBENCH_DATA`, else `clbench-data`."""
        self.root = self.to or Path(os.environ.get(ROOT) or DEFAULT)
        if self.root.exists() and not self.root.is_dir():
            where = ROOT if self.to is None else "--to"
            raise SpecError(f"{self.root} is a file, not a folder", where=where, mend="name a folder")


def get_data(names: Sequence[str], how: Getting) -> None:
    """Show what is wanted, get it, verify it; exit 2 if something is not there, after the others."""
    from clbench.data.getting import address_of, cards_of, plan_of

    if not names:
        raise SpecError(
            "what data?", where="NAME", mend="clbench data get til; names: clbench list tasks|streams|exams"
        )
    address = address_of(how.address)
    plan = [plan_of(card, how.root, address) for card in cards_of(names)]
    if not how.as_json:
        say(_table(plan, how.root))
    if how.only_plan:
        if how.as_json:
            say_json([_values(Got(wanted)) for wanted in plan])
        return
    with progress_bars():
        found = [_one(wanted, how.root, n, len(plan)) for n, wanted in enumerate(plan)]
        report_progress(Progress("cards", len(plan), len(plan), slot=0))
    if how.as_json:
        say_json([_values(got) for got in found])
    _tell(found, how)
    if any(got.error is not None or got.wanted.why for got in found):
        raise typer.Exit(2)


def _one(wanted: Wanted, root: Path, number: int, total: int) -> Got:
    from clbench.data.getting import get, verify

    report_progress(Progress("cards", number, total, slot=0))
    got = Got(wanted)
    try:
        get(wanted, root)
        if wanted.state == "there" or (wanted.state == "to get" and not wanted.why):
            got.verified_by = verify(wanted, root)
            got.wanted = replace(wanted, state="there")
    except UserError as error:
        got.error = error
    return got


def _table(plan: Sequence[Wanted], root: Path) -> str:
    from rich import box
    from rich.table import Table

    from clbench.report.escape import plain
    from clbench.report.tables.table import as_text, printed

    table = Table(box=box.SIMPLE_HEAD)
    for head in ("card", "size", "state", "licence", "from"):
        table.add_column(
            tr(head), justify="right" if head == "size" else "left", no_wrap=head in ("card", "size", "state")
        )
    for each in plan:
        size = "–" if each.bytes is None else printed(each.bytes, "bytes")
        state = tr(each.state) + (tr(", unverified") if _unverified(each) else "")
        source = each.source or each.origin or "–"
        table.add_row(*map(plain, (each.card.name, size, state, each.licence, source)))
    lacking = [w for w in plan if w.state in ("to get", "not to be got here")]
    files = {(w.folder, name): file.bytes or 0 for w in lacking for name, file in w.files}
    size, unknown = printed(sum(files.values()), "bytes"), sum(w.bytes is None for w in lacking)
    text = COUNTS_UNKNOWN if unknown else COUNTS
    counts = {"num": len(plan), "fine": len(plan) - len(lacking), "lacking": len(lacking), "unknown": unknown}
    return f"{tr(text, root=plain(str(root)), size=size, **counts)}\n{as_text(table)}"


def _unverified(wanted: Wanted) -> bool:
    from clbench.data.tasks.card import Card

    return isinstance(wanted.card, Card) and wanted.card.unverified


def _tell(found: Sequence[Got], how: Getting) -> None:
    """Say what vouches for the rows, and which files are wanted still."""
    from clbench.data.getting import ADDRESS, layout

    there = [got for got in found if got.wanted.state == "there"]
    if not how.as_json:
        for got in there:
            text = "{card}: there; verified by {what}" if got.verified_by else UNVOUCHED
            say(tr(text, card=got.wanted.card.name, what=tr(got.verified_by)))
        if there and not _is_set(how.root):
            text = "next: export {name}={path}, or --data {root}"
            say(tr(text, name=ROOT, path=how.root.resolve(), root=how.root))
    for got in found:
        if got.error is not None:
            complain(f"{got.wanted.card.name}: {got.error}")
    wanting = [got for got in found if got.wanted.folder and (got.wanted.why or got.error is not None)]
    for got in wanting:
        why = f"{got.wanted.why}; " if got.wanted.why else ""
        complain(f"{got.wanted.card.name} ({got.wanted.licence}): {why}it reads {layout(got.wanted, how.root)}")
        if got.wanted.origin:
            complain(f"  rows from {got.wanted.origin}")
    if any(got.wanted.why == "no address is known" for got in wanting):
        mend = (
            f"copy these folders, or name an address that serves them: --from URL, {ADDRESS}; or lay your own ({PAGE})"
        )
        complain(f"to mend: {mend}")


def _is_set(root: Path) -> bool:
    known = os.environ.get(ROOT)
    return bool(known) and Path(str(known)).resolve() == root.resolve()


def _values(got: Got) -> dict[str, Any]:
    wanted, error = got.wanted, got.error
    return {
        "card": wanted.card.name,
        "license": wanted.licence,
        "state": wanted.state,
        "unverified": _unverified(wanted),
        "folder": wanted.folder,
        "files": {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in wanted.files},
        "source": wanted.source,
        "origin": wanted.origin,
        "why": wanted.why,
        "verified_by": got.verified_by,
        "error": None if error is None else {"what": error.what, "where": error.where, "mend": error.mend},
    }
