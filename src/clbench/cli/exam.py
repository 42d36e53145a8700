"""`clbench exam`: examine one checkpoint or several, with no stream."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clbench.cli.options import (
    Anyway,
    Data,
    Device,
    Dtype,
    ExamBatch,
    Json,
    Lang,
    MaxTokens,
    Memory,
    ModelField,
    Place,
    byte_size,
    complain,
    machine,
    model_fields,
    model_spec,
    progress_bars,
    say,
    say_json,
)
from clbench.cli.paying import Judging
from clbench.cli.shared import with_shared
from clbench.cli.side_by_side import ExamChoice, Outcome, ask_all, say_side_by_side, write_side_by_side
from clbench.core.errors import SpecError, UserError, did_you_mean
from clbench.core.events import notice
from clbench.core.wording import spoken, tr

if TYPE_CHECKING:
    from clbench.core.results import ExamResult
    from clbench.core.types import Answer

LIST = "clbench list exams"
THOUGHT = "{exam}: {num} tokens of reasoning, not graded"
THOUGHT_LOST = (
    "{exam}: {num} tokens of reasoning, not graded; {lost} questions have no answer, because reasoning did not end"
)
Names = Annotated[
    list[str] | None,
    typer.Option("--suite", "--exam", help="Exam, suite, card file or harness:TASK (repeatable) (default: abilities)."),
]
AnswerAfter = Annotated[
    str | None,
    typer.Option(help="Text that ends reasoning, such as </think>; '' takes all (default: the chat template's)."),
]


@with_shared("judging", Judging)
def exam(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Shipped models, checkpoint folders, or Hub ids (ID@COMMIT); several are put side by side."
        ),
    ],
    suite: Names = None,
    items: Annotated[int | None, typer.Option(min=1, help="Most questions per exam.")] = None,
    max_tokens: MaxTokens = None,
    dtype: Dtype = "float32",
    answer_after: AnswerAfter = None,
    set_: ModelField = None,
    against: Annotated[str | None, typer.Option(help="Of several: the one that others are compared with.")] = None,
    format_: Annotated[
        Literal["table", "csv", "markdown", "json"], typer.Option("--format", help="What is printed.")
    ] = "table",
    out: Annotated[Path | None, typer.Option(help="Also write a page: a folder, or a file that ends in .html.")] = None,
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
    exam_batch: ExamBatch = 64,
    memory: Memory = None,
    anyway: Anyway = False,
    lang: Lang = None,
    as_json: Json = False,
    *,
    judging: Judging,
) -> None:
    """Examine checkpoints: scores with intervals, and paired differences; exit 2 if one is broken, after the others."""
    names = list(dict.fromkeys(models))
    page = _check(names, against, out)
    rule = {} if answer_after is None else {"answer": {"after": answer_after}}
    fields = {"max_tokens": max_tokens, "dtype": dtype, **rule, **model_fields(set_)}
    more = {"exam_batch": exam_batch, "memory": byte_size(memory), "anyway": anyway}
    how = judging.on(machine(store, data, 1, device).model_copy(update=more), "exam")
    asked = ExamChoice(tuple(suite or ["abilities"]), items, how, judging.named())
    found, broken = _ask(names, fields, asked)
    kind = "json" if as_json else format_
    if len(names) == 1 and kind in ("table", "json"):
        _say_one(found.results, broken | found.broken, kind, asked)
    elif found.checkpoints:
        say_side_by_side(found.checkpoints, found.known(against), kind)
    if page is not None and found.checkpoints:
        write_side_by_side(found.checkpoints, found.known(against), page, "clbench exam")
        where = tr("page: {path}", path=page.resolve())
        say(where) if kind == "table" else notice(where)
    _end_with([*(f"exam {name!r} is left out: {error}" for name, error in broken.items()), *found.left_out])


def _end_with(left_out: Sequence[str]) -> None:
    for text in left_out:
        complain(text)
    if left_out:
        raise typer.Exit(2)


def _ask(names: Sequence[str], fields: Mapping[str, Any], asked: ExamChoice) -> tuple[Outcome, dict[str, UserError]]:
    """Return what came of asking, and the exams that cannot be opened, name -> why."""
    from clbench.data.exams.exam import open_named
    from clbench.engine.spending import told_spending

    broken: dict[str, UserError] = {}
    if len(names) == 1:
        model_spec(names[0], **fields)  # what is wrong with it is said before exams are opened
    exams = open_named(asked.names, asked.items, asked.machine.data, broken)
    if not exams and len(broken) < 2:
        raise next(iter(broken.values()), SpecError("there is no exam to ask", where="--suite", mend=LIST))
    with progress_bars():
        found = ask_all(names, fields, exams, asked)
    told_spending([], asked.machine)
    return found, broken


def _check(names: Sequence[str], against: str | None, out: Path | None) -> Path | None:
    """Refuse what could not be shown after a long exam; return the page that is to be written."""
    from clbench.report.page.html import page_at

    if against is not None and len(names) < 2:
        raise SpecError("there is only one checkpoint", where="--against", mend="name two: clbench exam A B")
    known = {name for model in names for name in (model, model.rstrip("/").rpartition("/")[2])}
    if against is not None and against not in known:
        raise SpecError(f"there is no checkpoint {against!r}", where="--against", mend=did_you_mean(against, names))
    return None if out is None else page_at(out, "checkpoints.html")


def _say_one(results: Sequence[ExamResult], broken: Mapping[str, UserError], kind: str, asked: ExamChoice) -> None:
    """Print the results of one checkpoint; where its only exam is broken, that is the error."""
    if not results and len(broken) < 2:
        raise next(iter(broken.values()), SpecError("there is no exam to ask", where="--suite", mend=LIST))
    if kind == "json":
        say_json([{**_row(r), **({"judge": judged} if (judged := _judged(r, asked)) else {})} for r in results])
    elif results:
        by_judge = [_judge_line(r, asked) for r in results]
        say("\n".join(filter(None, (_table(results), *_notes(results), *by_judge, _by_length(results)))))


def _judged(result: ExamResult, asked: ExamChoice) -> dict[str, Any]:
    """Return who judged an exam and what that took, as it was first done; {} where no model judged it."""
    from clbench.engine.costs import judged_of
    from clbench.store.store import Store

    return judged_of(asked.judge, [result], Store(asked.machine.store))


def _judge_line(result: ExamResult, asked: ExamChoice) -> str:
    from clbench.core.account import said_of_usage
    from clbench.core.chat import usage_of_record
    from clbench.report.runs.judged import judge_label

    if not (found := _judged(result, asked)):
        who = judge_label(result.exam.scorer.settings)
        return f"{result.exam.name}: graded by {who}" if who else ""
    usage, model = usage_of_record(found["tokens"]), asked.judge.model if asked.judge is not None else None
    spending = asked.machine.spending
    price = spending.prices.get(model.name) if spending is not None and model is not None else None
    cost = said_of_usage(usage, None if price is None else price.usd(usage))
    return f"{result.exam.name}: graded by {judge_label({'judge': found})}, {found['requests']} requests, {cost}"


def _row(result: ExamResult) -> dict[str, Any]:
    from clbench.core.item_scores import count_cuts, count_reasoning, groups_of
    from clbench.report.runs.exam_items import marked_rows
    from clbench.stats.single import score_interval

    graded = [g.score for g in result.grades if g.score is not None]
    groups = groups_of(result.exam)
    side = marked_rows([result], result.exam.scorer.name)
    low, high = (None if math.isnan(v) else v for v in score_interval(side, groups=groups or None)[1:])
    return {
        "exam": result.exam.name,
        "ability": result.exam.ability or result.exam.kind,
        "score": result.score,
        "low": low,
        "high": high,
        "guess_rate": result.exam.guess_rate,
        "items": len(graded),
        "ungraded": sum(g.score is None or g.declined for g in result.grades),
        "not_answered": sum(g.declined for g in result.grades),
        "groups": len(set(groups)) or None,
        "ungraded_why": _why_ungraded(result),
        "reasoning": dict(zip(("tokens", "unended"), count_reasoning(result.answers), strict=False)),
        "cut": dict(zip(("questions", "tokens", "examples"), count_cuts(result.answers), strict=False)),
        "seconds": round(result.seconds, 3),
        "scorer": result.exam.scorer.model_dump(mode="json"),
    }


def _why_ungraded(result: ExamResult) -> dict[str, int]:
    """Return why answers have no grade: note -> number of answers."""
    from collections import Counter

    return dict(Counter(g.note[:80] for g in result.grades if g.score is None or g.declined).most_common())


def _notes(results: Sequence[ExamResult]) -> list[str]:
    """Return lines on what the table does not say: what was cut, reasoning, and why answers have no grade."""
    from clbench.core.item_scores import count_reasoning

    lines = _cut_lines([(r.exam.name, len(r.exam.examples), r.answers) for r in results])
    for each in results:
        if thought := count_reasoning(each.answers):
            text = THOUGHT_LOST if thought[1] else THOUGHT
            lines.append(tr(text, exam=each.exam.name, num=thought[0], lost=thought[1]))
        if why := _why_ungraded(each):
            of = len(each.exam.examples)
            reasons = tr("; ").join(
                tr("{num} of {of}: {why}", num=num, of=of, why=tr(note)) for note, num in why.items()
            )
            lines.append(
                tr("{exam}: not graded are {reasons} (not answered counts 0)", exam=each.exam.name, reasons=reasons)
            )
    return lines


def _cut_lines(asked: Sequence[tuple[str, int, Sequence[Answer]]]) -> list[str]:
    """Return a sentence on what did not fit into the model's input, from (exam, questions, answers) of each exam."""
    from clbench.core.item_scores import count_cuts
    from clbench.report.tables.translations import TRANSLATIONS

    texts = TRANSLATIONS[spoken()]
    found = [(name, num, count_cuts(answers)) for name, num, answers in asked]
    parts = [
        texts["cut_exam"].format(exam=name, of=num, questions=cut[0], tokens=cut[1], examples=cut[2])
        for name, num, cut in found
        if cut
    ]
    return [texts["cut_exams"].format(exams=tr("; ").join(parts))] if parts else []


def _by_length(results: Sequence[ExamResult]) -> str:
    """Return a table of all long-context questions by length; empty for fewer than two lengths."""
    from rich import box
    from rich.table import Table

    from clbench.report.page.lengths import bucket_of, named_bucket
    from clbench.report.tables.table import as_text
    from clbench.stats.single import score_interval

    found: dict[int, list[tuple[float, tuple[str, str]]]] = {}
    for each in results:
        if each.exam.kind == "long_context":
            for example, answer, grade in zip(each.exam.examples, each.answers, each.grades, strict=True):
                if grade.score is not None:
                    bucket = found.setdefault(bucket_of(answer.tokens_in + answer.tokens_cut), [])
                    bucket.append((grade.score, (each.exam.name, example.group or example.id)))
    if len(found) < 2:
        return ""
    caption = tr("Long context by length, in the model's own tokens.")
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for head in ("up to tokens", "score", "95 %", "questions"):
        table.add_column(tr(head), justify="right")
    for most in sorted(found):
        score, low, high = score_interval([s for s, _ in found[most]], groups=[g for _, g in found[most]])
        ends = tr("{low} to {high}", low=f"{100 * low:.1f}", high=f"{100 * high:.1f}")
        table.add_row(named_bucket(most), f"{100 * score:.1f}", ends, str(len(found[most])))
    return as_text(table)


def _table(results: Sequence[ExamResult]) -> str:
    from rich import box
    from rich.table import Table

    from clbench.report.tables.table import as_text

    caption = tr("Percent; 95 % intervals over items (over groups of items, where an exam has them).")
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for head in ("exam", "ability", "score", "95 %", "guess rate", "items", "ungraded", "time"):
        table.add_column(tr(head), justify="left" if head in ("exam", "ability") else "right", no_wrap=True)
    for row in map(_row, results):
        score = "–" if row["score"] is None else f"{100 * row['score']:.1f}"
        low, high = row["low"], row["high"]
        ends = {} if low is None else {"low": f"{100 * low:.1f}", "high": f"{100 * high:.1f}"}
        interval = tr("{low} to {high}", **ends) if ends else "–"
        cells = [row["exam"], tr(row["ability"]), score, interval, f"{100 * row['guess_rate']:.1f}", str(row["items"])]
        table.add_row(*cells, str(row["ungraded"]), f"{row['seconds']:.1f} s")
    return as_text(table)
