"""`clbench leaderboard`: build a site of results, or verify submitted ones."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.options import Data, Place, machine, say
from clbench.cli.submissions import contained, results, unpacked
from clbench.core.errors import DataError, UserError
from clbench.core.notice import notice

if TYPE_CHECKING:
    from clbench.core.spec import Machine, RunSpec
    from clbench.report.gather import RunRecord

FAILED = 2
BLIND = (
    "Not seen of any result: that this model, with these settings and this seed, gave these answers (only asking again "
    "shows it: --rerun N, for results of shipped models, learners and streams), and its times, sizes, tokens, machine "
    "and versions beyond what fits together."
)


def leaderboard(
    what: Annotated[Literal["build", "verify"], typer.Argument(help="build a site, or verify results.")],
    paths: Annotated[list[Path], typer.Argument(help="Folders of results; verify also takes a .zip of some.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    title: Annotated[str, typer.Option(help="Title of the site.")] = "clbench leaderboard",
    rerun: Annotated[int, typer.Option(min=0, help="verify: ask so many cells of each result again.")] = 0,
    data: Data = None,
    store: Place = None,
) -> None:
    """Build a static leaderboard, or compute every figure of submitted results again: exit 2 where one does not fit."""
    where = machine(store, data, workers=None)
    if what == "build":
        _build(paths, out, title, where)
        return
    bad = 0
    for path in paths:
        try:
            with unpacked(path) as folder:
                bad += _verified(folder, rerun, where)
        except (UserError, OSError) as error:
            bad += 1
            say(f"{path.name or path}: CANNOT BE READ\n  {error.what if isinstance(error, UserError) else error}")
    say(BLIND)
    if bad:
        raise typer.Exit(FAILED)


def _build(paths: Sequence[Path], out: Path, title: str, where: Machine) -> None:
    from clbench.report.gather import distinct
    from clbench.report.leaderboard import build_site, entries

    read: list[RunRecord] = []
    for path in paths:
        for folder, found in results(path):
            if isinstance(found, str):
                notice(f"{folder} is left out: {found}")
            else:
                read.append(found)
    if not read:
        raise DataError("there is no result to show", where=" ".join(map(str, paths)), mend="see the notices above")
    wrong = {run.folder: found for run in read if (found := [*_problems(run, where)[0], *_copied(run, read)])}
    runs = distinct(read, wrong)
    rows = entries(runs, wrong)
    ranked = sum(row.rank is not None for row in rows)
    page = build_site(rows, out, title)
    say(f"{len(rows)} rows of {len(runs)} runs, {ranked} ranked\nsite: {page.resolve()}")


def _verified(folder: Path, rerun: int, where: Machine) -> int:
    """Verify all results of a submission; return how many of them do not fit or cannot be read."""
    bad = 0
    found = list(results(folder))
    runs = [run for _, run in found if not isinstance(run, str)]
    for place, run in found:
        if isinstance(run, str):
            bad += 1
            say(f"{place.name}: CANNOT BE READ\n  {run}")
            continue
        problems, unseen = _problems(run, where)
        problems += [*_twice(run, runs), *_copied(run, runs)]
        again = _again(run, rerun, where) if rerun and not problems else []
        problems += [text for same, text in again if not same]
        bad += bool(problems)
        say(f"{place.name}: {'EDITED' if problems else 'every figure follows from its records'}")
        for text in [*problems, *(text for same, text in again if same), *(f"not seen: {text}" for text in unseen)]:
            say(f"  {text}")
    return bad


def _problems(run: RunRecord, where: Machine) -> tuple[list[str], list[str]]:
    """Return what does not fit, and what could not be seen."""
    found = contained(lambda: _compared(run, where))
    return ([f"cannot be verified: {found}"], []) if isinstance(found, str) else found


def _compared(run: RunRecord, where: Machine) -> tuple[list[str], list[str]]:
    import json

    from clbench.engine.at_hand import compared
    from clbench.engine.by_card import compared_with_cards
    from clbench.engine.claim import Claim
    from clbench.engine.told import untold
    from clbench.engine.verify import problems, strays

    asked = json.loads((run.folder / "scores.json").read_text(encoding="utf-8"))
    scores = {name: run.scores[name] for name in asked if name in run.scores}
    claim = Claim(run.spec, run.matrix, run.sheets, run.outline, run.showcase, run.meters, run.provenance)
    found = problems(run.spec, run.matrix, run.sheets, scores, run.meters)
    found += [*strays(run.matrix, run.sheets, run.outline, run.showcase), *untold(claim)]
    near, cards = compared(claim), compared_with_cards(claim, where.data)
    # The folder's name holds the key of the spec, so an edited spec does not fit its name.
    if not run.folder.name.endswith(run.spec.key[:8]):
        found.insert(0, f"spec: its key is {run.spec.key[:8]}, the folder is of another spec, or was renamed")
    return [*found, *near.problems, *cards.problems], [*near.unseen, *cards.unseen]


def _twice(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Say where the same run stands under another name: one seed would count as two."""
    mine = run.spec.model_copy(update={"name": "x"})
    others = [r.spec.name for r in runs if r is not run and r.spec.model_copy(update={"name": "x"}) == mine]
    return [f"the same run as {', '.join(sorted(others))}: one seed under several names"] if others else []


def _copied(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Say where trained weights gave the same answers under two seeds: one run was handed in as several."""
    mine = _trained_answers(run)
    like = [r for r in runs if r.spec.seed != run.spec.seed and _but_seed(r) == _but_seed(run)]
    copies = [r for r in like if mine & _trained_answers(r)]
    return [f"seed {run.spec.seed} has answers of seed {r.spec.seed} ({r.folder.name})" for r in copies[:3]]


def _but_seed(run: RunRecord) -> RunSpec:
    return run.spec.model_copy(update={"name": "x", "seed": 0})


def _trained_answers(run: RunRecord) -> set[str]:
    """Return the keys of the answers that trained weights gave; none of a learner that is not trained."""
    if not run.meters.train_tokens:
        return set()
    return {row.ask for sheet in run.sheets.sheets for step, row in sheet.rows.items() if step}


def _again(run: RunRecord, num: int, where: Machine) -> list[tuple[bool, str]]:
    """Ask some cells again; return for each whether all of its items agree, and a line that says so."""
    from clbench.engine.rerun import asked_again

    seed = secrets.randbelow(2**31)  # nobody may foresee which cells are asked
    found = contained(lambda: list(asked_again(run.spec, run.matrix, run.sheets, where, num, seed)))
    if isinstance(found, str):
        return [(True, f"not asked again: {found}")]
    return [
        (a.equal == a.items, f"row {a.step}, {a.exam}: asked again, {a.equal} of {a.items} items agree") for a in found
    ]
