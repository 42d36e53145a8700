"""`clbench baseline` and `clbench gate`: does an update make a model worse?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.cli.options import (
    Anyway,
    Data,
    Device,
    Dtype,
    Json,
    Lang,
    Language,
    MaxTokens,
    Memory,
    Model,
    ModelField,
    Place,
    byte_size,
    language,
    machine,
    model_fields,
    model_spec,
    progress_bars,
    say,
    say_json,
)
from clbench.cli.paying import Judging
from clbench.cli.shared import with_shared
from clbench.core.errors import DataError, SpecError
from clbench.core.events import notice
from clbench.core.scratch import scratch

if TYPE_CHECKING:
    from clbench.core.baseline import Baseline
    from clbench.core.spec import JudgeSpec, Machine, ModelSpec
    from clbench.core.types import Exam
    from clbench.report.decide.gate import GateReport

REGRESSED = 2
Exams = Annotated[
    list[str] | None,
    typer.Option("--exams", "--suite", "--exam", help="Exam, suite, card file or harness:TASK (default: abilities)."),
]


@with_shared("judging", Judging)
def baseline(
    model: Model,
    exams: Exams = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the baseline.")] = Path("baseline.json"),
    items: Annotated[int | None, typer.Option(min=1, help="Most questions per exam.")] = None,
    max_tokens: MaxTokens = None,
    dtype: Dtype = "float32",
    set_: ModelField = None,
    max_drop: Annotated[
        str, typer.Option(help="Drop that the gate must detect; warns of exams that are too short for it.")
    ] = "2pp",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing baseline.")] = False,
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
    lang: Lang = None,
    memory: Memory = None,
    anyway: Anyway = False,
    *,
    judging: Judging,
) -> None:
    """Examine a checkpoint and keep its grades, item by item, for `clbench gate`."""
    from clbench.core.baseline import write_baseline
    from clbench.data.exams.exam import open_named
    from clbench.report.decide.gate import blindness, scores_of
    from clbench.report.decide.texts import TEXTS
    from clbench.store.history import remember

    margin = points(max_drop, "--max-drop")
    if output.exists() and not force:
        mend = "name another file, or replace it with --force, which changes what later gates compare with"
        raise SpecError("the file already exists", where=str(output), mend=mend)
    spec = model_spec(model, **{"max_tokens": max_tokens, "dtype": dtype, **model_fields(set_)})
    how = machine(store, data, 1, device).model_copy(update={"memory": byte_size(memory), "anyway": anyway})
    how, names = judging.on(how, "exam"), exams or ["abilities"]
    questions = open_named(names, items, how.data)
    result = _taken(spec, questions, (names, items), how, judging.named())
    write_baseline(output, result)
    scores = scores_of(result)
    remember(how.store, result, (), scores)
    texts = TEXTS[language(lang)]
    for line in (*_scores(result, scores, texts), *blindness(result, margin, texts=texts)):
        say(line)
    say(texts["baseline_file"].format(path=output.resolve()))
    say(texts["seal"].format(seal=result.seal))


def _both(
    old: Baseline,
    spec: ModelSpec,
    exams: Sequence[Exam],
    how: Machine,
    judge: JudgeSpec | None,
    repeat: tuple[int, str | None],
) -> tuple[Baseline, Baseline]:
    """Return a baseline, with its unchanged model asked again so often as wanted, and the checkpoint under test."""
    from clbench.engine import baseline as baselines

    times, unchanged = repeat
    with scratch("gate") as folder:
        if times:
            same = old.model if unchanged is None else model_spec(unchanged, **old.model.model_dump())
            with progress_bars():
                old = baselines.repeat(old, same, exams, how, times, judge)
        # New answers are compared with new answers: those in the store may be from another day or machine.
        return old, _taken(spec, exams, (old.names, old.items), how, judge, folder if times else None)


def _taken(
    spec: ModelSpec,
    exams: Sequence[Exam],
    named: tuple[Sequence[str], int | None],
    how: Machine,
    judge: JudgeSpec | None,
    store: Path | None = None,
) -> Baseline:
    """Let a checkpoint sit exams, and return what came of it; what the store holds is not asked again."""
    from clbench.engine.baseline import baseline_of
    from clbench.engine.checkpoint_exam import examine
    from clbench.engine.spending import told_spending
    from clbench.store.store import Store

    kept = Store(how.store if store is None else store)
    try:
        with progress_bars():
            results = list(examine(spec, exams, kept, how, judge=judge))
    finally:
        told_spending([], how)
    return baseline_of(spec, results, *named, kept, how)


def _scores(result: Baseline, scores: Mapping[str, float], texts: dict[str, str]) -> list[str]:
    """Return a line on each exam of a baseline."""
    lines: list[str] = []
    for each in result.exams:
        name, cut = each.scores.exam, each.scores.rows[0].cuts
        note = texts["baseline_cut"].format(num=cut[0]) if cut else ""
        values = {"exam": name, "score": f"{100 * scores[name]:.1f}", "num": len(each.scores.ids), "cut": note}
        lines.append(texts["baseline_exam"].format(**values))
    return lines


@with_shared("judging", Judging)
def gate(
    model: Model,
    baseline: Annotated[Path, typer.Option(help="File of `clbench baseline`, or a result (import).")],
    max_drop: Annotated[str, typer.Option(help="Largest drop of an exam that passes: 2pp, or 0.02.")] = "2pp",
    margins: Annotated[Path | None, typer.Option(help="YAML: exam or ability -> its own largest drop.")] = None,
    # The default is `clbench.stats.gate.LEVEL`, which `--help` need not import.
    level: Annotated[float, typer.Option(min=1e-6, max=0.5, help="False-alarm rate over all exams.")] = 0.05,
    strict: Annotated[bool, typer.Option("--strict", help="Also fail where items are too few to decide.")] = False,
    repeat: Annotated[int, typer.Option(min=0, help="Ask the baseline's model again so often, to measure noise.")] = 0,
    unchanged: Annotated[str | None, typer.Option(help="Where that model is now (default: where it was).")] = None,
    seal: Annotated[str | None, typer.Option(help="Seal that the baseline must have.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown here.")] = None,
    set_: ModelField = None,
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
    lang: Lang = None,
    memory: Memory = None,
    anyway: Anyway = False,
    as_json: Json = False,
    *,
    judging: Judging,
) -> None:
    """Test a checkpoint against a baseline: exit 0 pass, 2 regression, 3 usage or configuration, 1 error."""
    from clbench.core.baseline import read_baseline
    from clbench.data.exams.exam import open_named
    from clbench.engine import baseline as baselines
    from clbench.engine.judge import with_judge
    from clbench.report.decide.gate import check_margins, gate_report

    margin, by_exam = points(max_drop, "--max-drop"), _margins(margins)
    if _is_result(baseline):
        _refuse_asking({"--seal": seal, "--repeat": repeat, "--unchanged": unchanged})
        report = replace(_of_results(model, baseline, margin, by_exam, level), strict=strict)
        return _end(report, machine(store, data, 1, device).store, language(lang), as_json, junit, markdown)
    old = read_baseline(baseline, seal)
    if unchanged is not None and not repeat:
        raise SpecError("has no effect without --repeat", where="--unchanged", mend="add --repeat 2, or leave it out")
    spec = model_spec(model, **_alike(old.model, model_fields(set_)))
    how = machine(store, data, 1, device).model_copy(update={"memory": byte_size(memory), "anyway": anyway})
    how, judge = judging.on(how, "exam"), judging.named() or baselines.judge_of(old)
    exams = [e for e in open_named(old.names, old.items, how.data) if e.name in {t.scores.exam for t in old.exams}]
    baselines.check_exams(old, with_judge(exams, judge))
    check_margins(old, by_exam)
    old, new = _both(old, spec, exams, how, judge, (repeat, unchanged))
    report = replace(gate_report(old, new, exams, margin, by_exam, level), strict=strict)
    return _end(report, how.store, language(lang), as_json, junit, markdown)


def _end(
    report: GateReport, store: Path, lang: Language, as_json: bool, junit: Path | None, markdown: Path | None
) -> None:
    """Say what the gate found, add it to the history of a store, and end with its exit code."""
    from clbench.report.decide.gate import scores_of
    from clbench.store.history import remember

    _tell(report, lang, as_json, junit, markdown)
    remember(store, report.new, [v.exam for v in report.all if v.regressed], scores_of(report.new))
    if report.failed:
        raise typer.Exit(REGRESSED)


def _alike(old: ModelSpec, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the model under test: it is asked as the baseline's was, but for what is changed.

    Raises:
        SpecError: An adapter elsewhere was part of the baseline's model, and it is not said what the checkpoint has.
    """
    before = old.model_dump()
    if old.adapter not in (None, "use", "ignore") and "adapter" not in changes:
        what = f"the adapter {old.adapter} was merged into the baseline's model"
        mend = "--set adapter=PATH names that of the checkpoint, use the one in its folder; ignore where it has none"
        raise SpecError(what, where="--set", mend=mend)
    for name, value in changes.items():
        if name not in ("adapter", "trust_code", "family") and before.get(name) != value:
            notice(f"{name} is {value}, and the baseline's model was asked with {before.get(name)}")
    return before | changes


def _refuse_asking(given: Mapping[str, Any]) -> None:
    for option, value in given.items():
        if value:
            what = "two results are compared as they are on record: nothing is asked again, and they have no seal"
            raise SpecError(what, where=option, mend="leave it out")


def _is_result(path: Path) -> bool:
    """Return whether a baseline is not one that `clbench baseline` wrote, but a result (`clbench import`)."""
    from clbench.report.runs.result_file import begins_as_record

    return path.is_dir() or (path.is_file() and begins_as_record(path))


def _of_results(model: str, baseline: Path, margin: float, margins: Mapping[str, float], level: float) -> GateReport:
    """Judge a result against another one.

    Raises:
        SpecError: One of them is not a single result, or they were not asked and graded alike.
    """
    from clbench.report.decide.compare import sides_of, unlikeness
    from clbench.report.decide.gate import check_margins, gate_report
    from clbench.report.logs.as_baseline import as_baseline, exams_of

    one, *others = sides_of([baseline, Path(model)])
    if len(others) != 1 or {len(one.runs), len(others[0].runs)} != {1}:
        raise SpecError("several results lie there", where="gate", mend="name one result for each side")
    if unlike := list(unlikeness(one, others[0])):
        mend = "evaluate both alike, and import them again"
        raise SpecError("they cannot be compared:\n  - " + "\n  - ".join(unlike), where="gate", mend=mend)
    before, after = one.runs[0], others[0].runs[0]
    old = as_baseline(before)
    check_margins(old, margins)
    found = gate_report(old, as_baseline(after), exams_of(before), margin, margins, level)
    return replace(found, of_results=True)


def _tell(report: GateReport, lang: Language, as_json: bool, junit: Path | None, markdown: Path | None) -> None:
    from clbench.report.decide import gate_text
    from clbench.report.decide.texts import TEXTS

    texts = TEXTS[lang]
    say_json(gate_text.as_json(report)) if as_json else say(gate_text.as_table(report, texts))
    _write(junit, gate_text.as_junit(report, texts))
    _write(markdown, gate_text.as_markdown(report, texts))


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def points(text: str, where: str) -> float:
    """Read a margin: "2pp" and "2%" are two points, "0.02" is the same.

    Raises:
        SpecError: It is not a number in [0, 1].
    """
    number = text.strip().removesuffix("pp").removesuffix("%").strip()
    try:
        value = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SpecError(f"{text!r} is not a valid margin", where=where, mend="for example 2pp, which is 0.02")
    return value


def _margins(path: Path | None) -> dict[str, float]:
    if path is None:
        return {}
    from clbench.data.tasks.card_file import read_text

    try:
        found = read_text(path).values
    except DataError as error:
        raise SpecError(error.what, where=error.where, mend="a mapping, for example mmlu: 1pp") from None
    return {str(name): points(str(value), f"{path} {name}") for name, value in found.items()}
