"""`clbench data`: check a user's data files, make a task of them, and get those of cards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clbench.cli.data_get import Getting, get_data
from clbench.cli.options import Json, Lang, MaxTokens, complain, model_spec, progress_bars, say, say_json
from clbench.cli.terminal import console
from clbench.core.errors import SpecError
from clbench.core.wording import tr, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clbench.data.intake.audit import Audit
    from clbench.data.intake.files import Source
    from clbench.data.intake.task import Wish
    from clbench.data.intake.text import Measure

ADD, GET = "Options of `add`", "Options of `get`"


Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE...", help="Data files, or folders; get: names of tasks, streams, exams, suites."),
]
Split = Annotated[
    list[str] | None,
    typer.Option(help="train=FILE where the name does not say it; add: 90/10 or 80/10/10 divides one file."),
]
Accept = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="Column of further accepted answers, a text or a list.")
]
Labels = Annotated[Literal["auto", "from-data", "none"], typer.Option(help="Are the answers a closed set of labels?")]
Scorer = Annotated[
    str | None, typer.Option("--scorer", "--metric", help="How answers are graded.", rich_help_panel=ADD)
]
To = Annotated[
    Path | None, typer.Option(help="Data folder (default: $CLBENCH_DATA or clbench-data).", rich_help_panel=GET)
]
From = Annotated[
    str | None,
    typer.Option("--from", help="Address of a copy of it (default: $CLBENCH_DATA_URL).", rich_help_panel=GET),
]


def data(
    action: Annotated[Literal["check", "add", "get"], typer.Argument(help="What to do.")],
    files: Files = None,
    split: Split = None,
    prompt: Annotated[str | None, typer.Option(help='Template of the question: "{column} ...".')] = None,
    target: Annotated[str | None, typer.Option(help='Template of the answer: "{column}".')] = None,
    accept: Accept = None,
    labels: Labels = "auto",
    model: Annotated[str | None, typer.Option(help="Count tokens as this model does.")] = None,
    max_tokens: MaxTokens = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 on warnings too.")] = False,
    as_json: Json = False,
    task: Annotated[str | None, typer.Option(help="Name of the new task.", rich_help_panel=ADD)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the division.", rich_help_panel=ADD)] = 0,
    scorer: Scorer = None,
    language: Annotated[str | None, typer.Option(help="en, zh, ...", rich_help_panel=ADD)] = None,
    license_: Annotated[str, typer.Option("--license", help="Licence of the data.", rich_help_panel=ADD)] = "own",
    out: Annotated[Path, typer.Option(help="Folder for the card.", rich_help_panel=ADD)] = Path(),
    to: To = None,
    from_: From = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show sizes and licences alone.", rich_help_panel=GET)] = False,
    lang: Lang = None,
) -> None:
    """Check data files row by row, add them as a task, or get those of cards; exit 2 if rows cannot be used."""
    if action == "get":
        get_data([str(name) for name in files or []], Getting(to, from_, plan, as_json))
        return
    _refuse_get(action, to, from_, plan)
    from clbench.data.intake.audit import audit
    from clbench.data.intake.files import sources

    found = sources(files or [], [s for s in split or [] if "=" in s])
    shares = [s for s in split or [] if "=" not in s]
    wish = _wish(action, task, shares, (seed, scorer, language, license_))
    if wish is not None:
        _refuse(wish, out, found, given=len(shares) < len(split or []))
    measure = _measure(model, max_tokens)
    with progress_bars():
        result = audit(found, measure, prompt=prompt, target=target, labels=labels, accept=accept or ())
    errors, warnings = result.findings.number("error"), result.findings.number("warning")
    refused = bool(errors or (strict and warnings))
    if wish is None or refused or not as_json:
        _show(result, as_json)
    if refused:
        if wish is not None:
            complain("nothing was written")
        raise typer.Exit(2)
    if wish is not None:
        _add(result, wish, out, as_json)


def _refuse_get(action: str, to: Path | None, from_: str | None, plan: bool) -> None:
    for option, given in (("--to", to is not None), ("--from", from_ is not None), ("--plan", plan)):
        if given:
            raise SpecError(f"{action} does not get data", where=option, mend="clbench data get NAME")


def _wish(
    action: str, task: str | None, shares: list[str], rest: tuple[int, str | None, str | None, str]
) -> Wish | None:
    from clbench.data.intake.task import Wish, shares_of

    if action == "check" and task is not None:
        raise SpecError("check does not make a task", where="--task", mend="clbench data add FILE --task NAME")
    if len(shares) > 1 or (shares and action == "check"):
        raise SpecError(f"{shares[-1]!r} does not name a file", where="--split", mend="--split train=FILE")
    if action == "check":
        return None
    if task is None:
        raise SpecError("the task has no name", where="--task", mend="clbench data add FILE --task NAME")
    return Wish(task, shares_of(shares[0]) if shares else None, *rest)


def _refuse(wish: Wish, out: Path, found: Sequence[Source], *, given: bool) -> None:
    """Refuse what cannot be written before a long file is read, and give a notice where a file's name decides."""
    from clbench.core.events import notice
    from clbench.data.intake.files import TEST, WHOLE
    from clbench.data.intake.task import SHARES, divides, refuse_language, refuse_name, refuse_splits

    splits = {s.split for s in found}
    refuse_name(wish.name, out)
    refuse_language(wish.language)
    refuse_splits(splits, wish, given=given)
    names = ", ".join(s.path.name for s in found)
    if splits == {TEST} and not divides(splits, wish):
        more = "" if given else f"; --split {'/'.join(map(str, SHARES))} divides it into train and test"
        notice(f"{names} is the test split: the task is an exam without a lesson{more}")
    elif divides(splits, wish) and splits != {WHOLE}:
        shares = "/".join(map(str, wish.shares or SHARES))
        notice(f"{names} is the only file: it is divided into train and test by {shares}")
    if wish.scorer is not None:
        from clbench.engine.grade import open_scorer

        open_scorer(wish.scorer)


def _measure(model: str | None, max_tokens: int | None) -> Measure:
    if model is None:
        from clbench.data.intake.text import Words

        return Words(max_tokens)
    from clbench.models.tokens import load_tokens

    return load_tokens(model_spec(model, max_tokens=max_tokens))


def _show(result: Audit, as_json: bool) -> None:
    from clbench.data.intake.report import as_values, plain

    if as_json:
        say_json(as_values(result))
    elif sys.stdout.isatty():
        _show_rich(result)
    else:
        say(plain(result))


def _show_rich(result: Audit) -> None:
    from rich.table import Table
    from rich.text import Text

    from clbench.data.intake.findings import KINDS
    from clbench.data.intake.report import reading_of, tables, told_finding, verdict

    out = console()
    out.print(Text(tr("read as {what}", what=reading_of(result))))
    if result.shape is not None:
        out.print(Text(tr("task: {kind}, {why}", kind=tr(result.shape.kind), why=translated(result.shape.why))))
    for table in tables(result):
        grid = Table(*table.headers)
        for row in table.rows:
            grid.add_row(*map(Text, row))
        out.print(grid)
    findings = Table(*map(tr, ("severity", "what", "rows", "where")))
    for kind, num in sorted(result.findings.counts.items(), key=lambda x: KINDS[x[0]].severity):
        lines = [told_finding(f) for f in result.findings.first[kind]]
        more = [tr("and {num} more", num=f"{num - len(lines):,}")] if num > len(lines) else []
        mend = [tr("to mend: ") + tr(KINDS[kind].mend)] if KINDS[kind].mend else []
        colour = {"error": "red", "warning": "yellow"}.get(KINDS[kind].severity, "cyan")
        findings.add_row(
            Text(tr(KINDS[kind].severity), style=colour),
            Text(tr(KINDS[kind].title)),
            f"{num:,}",
            Text("\n".join([*lines, *more, *mend]), overflow="fold"),
        )
    if result.findings.counts:
        out.print(findings)
    out.print(Text(verdict(result), style="bold"))


def _add(result: Audit, wish: Wish, out: Path, as_json: bool) -> None:
    from clbench import testing
    from clbench.core.errors import DataError
    from clbench.core.events import renamed
    from clbench.data.intake.report import as_values
    from clbench.data.intake.task import draft, publish, refuse_clash, write_task
    from clbench.data.tasks.lock import write_lock

    refuse_clash(result)
    with draft(out, wish.name) as folder:
        with progress_bars():
            counts = write_task(result, wish, folder)
        card = str(folder / f"{wish.name}.yaml")
        # The draft is gone when the message is read, so its path is replaced.
        with renamed(str(folder), str(out)):
            for outcome in testing.check_card(card, None, locked=False):
                if outcome.problem:
                    what = outcome.problem.replace(str(folder), str(out))
                    raise DataError(f"the new card fails '{outcome.check}': {what}", where=wish.name)
            write_lock(card, None)
        path = publish(folder, out, wish.name)
    if as_json:
        say_json({"card": str(path), "rows": counts, "check": as_values(result)})
        return
    written = ", ".join(f"{split} {num:,}" for split, num in counts.items())
    rest = {"path": path, "folder": path.with_suffix(""), "rows": written}
    say("\n" + tr("wrote {path} and {folder}/: {rows} rows; checked and locked", **rest))
    say(tr("next: clbench show {path} 3", path=path))
    if "train" not in counts:
        say(tr("it is an exam: clbench exam MODEL --exam {path}; or in a run, `exams: [{path}]`", path=path))
        return
    say(tr("a stream is a card too: write {path}:", path=out / "my-stream.yaml"))
    say(f"  name: my-stream\n  tasks: [{wish.name}, world_facts_en]")
    text = "and name it in a run: `stream: {path}` (clbench init my-run writes one)"
    say(tr(text, path=out / "my-stream.yaml"))
