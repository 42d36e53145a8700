"""`clbench leaderboard`: build a site of results, or verify submitted ones."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.choosing import Learners, Models, RunNames, Streams, choice_of
from clbench.cli.options import Data, Lang, Place, machine, say
from clbench.cli.side_by_side import on_record
from clbench.cli.submissions import contained, results, unpacked
from clbench.core.errors import DataError, UserError
from clbench.core.events import notice
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from clbench.core.spec import Machine
    from clbench.engine.verify.cards import Cards
    from clbench.report.runs.choose import Choice
    from clbench.report.runs.load import RunRecord

FAILED = 2
NOT_VERIFIED = (
    "Not verified for any result: that this model, with these settings and this seed, gave these answers (--rerun N "
    "asks some again, for shipped models, learners and streams); and times, sizes, tokens, machine and versions, "
    "beyond their consistency; and texts.parquet, from which nothing is computed."
)


def leaderboard(
    what: Annotated[Literal["build", "verify"], typer.Argument(help="Build a site, or verify results.")],
    paths: Annotated[list[Path], typer.Argument(help="Folders of results; verify also takes a .zip of results.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the site.")] = Path("site"),
    title: Annotated[str | None, typer.Option(help="Title of the site (default: clbench leaderboard).")] = None,
    rerun: Annotated[int, typer.Option(min=0, help="verify: ask this many cells of each result again.")] = 0,
    dataset: Annotated[
        Path | None, typer.Option(help="build: the data set that context-learning results are held against.")
    ] = None,
    data: Data = None,
    store: Place = None,
    run: RunNames = None,
    stream: Streams = None,
    model: Models = None,
    learner: Learners = None,
    lang: Lang = None,
) -> None:
    """Build a static leaderboard, or verify submitted results by computing every figure again; exit 2 on a mismatch."""
    from clbench.engine.verify.cards import Cards

    where = machine(store, data, workers=None)
    if what == "build":
        _build(paths, out, title or tr("clbench leaderboard"), where, dataset, choice_of(run, stream, model, learner))
        return
    mismatches, cards = 0, Cards(where.data)
    for path in paths:
        try:
            with unpacked(path) as folder:
                mismatches += _verify(folder, rerun, where, cards)
        except (UserError, OSError) as error:
            mismatches += 1
            say(_unread(path.name or str(path), error.what if isinstance(error, UserError) else str(error)))
    say(tr(NOT_VERIFIED))
    if mismatches:
        raise typer.Exit(FAILED)


def _build(paths: Sequence[Path], out: Path, title: str, where: Machine, dataset: Path | None, choice: Choice) -> None:
    from clbench.context.board import context_board, context_files
    from clbench.engine.verify.cards import Cards
    from clbench.report.page.checkpoint_board import checkpoint_board
    from clbench.report.page.leaderboard import build_site, entries
    from clbench.report.runs.checkpoints import checkpoint_files
    from clbench.report.runs.choose import choose_runs
    from clbench.report.runs.load import distinct

    context = context_board(paths, dataset)
    records: list[RunRecord] = []
    for path in paths:
        if path.is_file() and (context_files(path) or checkpoint_files(path)):
            continue
        for folder, found in results(path):
            if not isinstance(found, str):
                records.append(found)
            elif not context_files(folder) and not checkpoint_files(folder):  # they hold no run of a learner
                notice(f"{folder} is left out: {found}")
    runs_only = bool(choice.run or choice.stream or choice.learner)
    examined = checkpoint_board(on_record(paths, choice.model, runs_only).checkpoints)
    boards = [board for board in (context, examined) if board is not None]
    if not records and not boards:
        raise DataError("there is no result to show", where=" ".join(map(str, paths)), mend="see the notices above")
    records = choose_runs(records, choice) if records else []
    cards, copies = Cards(where.data), _copies(records)
    problems = ((run.folder, [*_problems(run, cards)[0], *copies.get(run.folder, ())]) for run in records)
    wrong = {folder: found for folder, found in problems if found}
    runs = distinct(records, wrong)
    rows = entries(runs, wrong)
    ranked = sum(row.rank is not None for row in rows)
    page = build_site(rows, out, title, boards)
    bounds = sum(row.is_bound for row in rows)
    say(tr("{rows} rows of {runs} runs, {ranked} ranked", rows=len(rows), runs=len(runs), ranked=ranked))
    if bounds:
        say(tr("{num} of them are bounds, which stand apart and are never ranked", num=bounds))
    for board in boards:
        of_systems = "{rows} context-learning systems, {ranked} ranked"
        text = of_systems if board is context else "{rows} examined checkpoints, {ranked} ranked"
        say(tr(text, rows=len(board.rows), ranked=sum(not row.why_not for row in board.rows)))
    say(tr("site: {path}", path=page.resolve()))


def _unread(name: str, why: str) -> str:
    return tr("{name}: CANNOT BE READ", name=name) + f"\n  {translated(why)}"


def _verify(folder: Path, rerun: int, where: Machine, cards: Cards) -> int:
    """Verify all results of a submission and return how many of them are inconsistent or cannot be read."""
    from clbench.report.runs.result_file import name_of

    bad = 0
    found = list(results(folder))
    runs = [run for _, run in found if not isinstance(run, str)]
    copies = _copies(runs)
    for place, run in found:
        if isinstance(run, str):
            bad += 1
            say(_unread(name_of(place), run))
            continue
        problems, unverified = _problems(run, cards)
        problems += [*_same_run(run, runs), *copies.get(run.folder, ())]
        again = _again(run, rerun, where) if rerun and not problems else []
        problems += [text for same, text in again if not same]
        bad += bool(problems)
        text = "{name}: EDITED" if problems else "{name}: every figure follows from its records"
        say(tr(text, name=name_of(place)))
        for text in [
            *problems,
            *(text for same, text in again if same),
            *(tr("not verified: {what}", what=text) for text in unverified),
        ]:
            say(f"  {text}")
    return bad


def _problems(run: RunRecord, cards: Cards) -> tuple[list[str], list[str]]:
    """Return what is inconsistent, and what could not be verified."""
    found = contained(lambda: _compare(run, cards))
    return ([f"cannot be verified: {found}"], []) if isinstance(found, str) else found


def _compare(run: RunRecord, cards: Cards) -> tuple[list[str], list[str]]:
    from clbench.engine.verify.cards import compared_with_cards
    from clbench.engine.verify.claim import Claim
    from clbench.engine.verify.keys import compare_keys
    from clbench.engine.verify.records import problems, strays
    from clbench.engine.verify.statements import untold

    scores = {name: run.scores[name] for name in run.recorded}
    claim = Claim(run.spec, run.matrix, run.item_scores, run.stream, run.example_items, run.costs, run.provenance)
    found = problems(run.spec, run.matrix, run.item_scores, scores, run.costs)
    found += [*strays(run.matrix, run.item_scores, run.stream, run.example_items), *untold(claim)]
    near, far = compare_keys(claim), compared_with_cards(claim, cards)
    # The name holds the key of the spec, so an edited spec does not fit its name.
    if not run.name.endswith(run.spec.key[:8]):
        found.insert(0, f"spec: the result's name does not hold its key {run.spec.key[:8]}: one of them was edited")
    return [*found, *near.problems, *far.problems], [*near.unseen, *far.unseen]


def _same_run(run: RunRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return where the same run appears under another name in one folder: one seed would count as two.

    Recipes that are recorded apart may have runs in common; a board counts those once.
    """
    mine = run.spec.model_copy(update={"name": "x"})
    beside = [r for r in runs if r is not run and r.folder.parent == run.folder.parent]
    others = [r.spec.name for r in beside if r.spec.model_copy(update={"name": "x"}) == mine]
    return [f"the same run as {', '.join(sorted(others))}: one seed under several names"] if others else []


def _copies(runs: Sequence[RunRecord]) -> dict[Path, list[str]]:
    """Return by folder where trained weights gave the same answers under two seeds: one run submitted as several."""
    from clbench.core.keys import canonical

    alike: dict[str, list[tuple[RunRecord, set[str]]]] = {}
    for run in runs:
        but_seed = canonical(run.spec.model_copy(update={"name": "x", "seed": 0}))
        alike.setdefault(but_seed, []).append((run, _trained_answers(run)))
    found: dict[Path, list[str]] = {}
    for members in alike.values():
        for run, mine in members:
            copies = [r for r, theirs in members if r.spec.seed != run.spec.seed and mine & theirs]
            told = [f"seed {run.spec.seed} has answers of seed {r.spec.seed} ({r.name})" for r in copies[:3]]
            if told:
                found[run.folder] = told
    return found


def _trained_answers(run: RunRecord) -> set[str]:
    """Return the keys of the answers that trained weights gave; empty for a learner that trains nothing."""
    if not run.costs.train_tokens:
        return set()
    rows = [(lesson, row) for exam in run.item_scores.exams for lesson, row in exam.rows.items()]
    return {row.answers_key for lesson, row in rows if lesson}


def _again(run: RunRecord, num: int, where: Machine) -> list[tuple[bool, str]]:
    """Ask some cells again and return (whether all of its items agree, a line that says so) for each."""
    from clbench.engine.verify.rerun import asked_again

    seed = secrets.randbelow(2**31)  # nobody may foresee which cells are asked
    found = contained(lambda: list(asked_again(run.spec, run.item_scores, where, num, seed)))
    if isinstance(found, str):
        return [(True, f"not asked again: {found}")]
    return [
        (a.equal == a.items, f"lesson {a.lesson}, {a.exam}: asked again, {a.equal} of {a.items} items agree")
        for a in found
    ]
