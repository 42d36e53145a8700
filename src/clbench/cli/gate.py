"""`clbench baseline` and `clbench gate`: does an update make a model worse?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import (
    Data,
    Device,
    Dtype,
    Json,
    MaxTokens,
    Model,
    Place,
    machine,
    model_spec,
    progress_bars,
    say,
)
from clbench.core.errors import SpecError

REGRESSED = 2
Exams = Annotated[
    list[str] | None,
    typer.Option("--exams", "--suite", "--exam", help="Exam, suite, card file or harness:TASK [default: abilities]."),
]


def baseline(
    model: Model,
    exams: Exams = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the baseline.")] = Path("baseline.json"),
    items: Annotated[int | None, typer.Option(min=1, help="Most questions per exam.")] = None,
    max_tokens: MaxTokens = None,
    dtype: Dtype = "float32",
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
) -> None:
    """Examine a checkpoint and keep what it can do, item by item, for `clbench gate`."""
    from clbench.core.baseline import write_baseline
    from clbench.data.exam import open_named
    from clbench.engine.baseline import take
    from clbench.store.history import remember
    from clbench.store.store import Store

    spec = model_spec(model, max_tokens=max_tokens, dtype=dtype)
    how = machine(store, data, 1, device)
    names = exams or ["abilities"]
    opened = open_named(names, items, how.data)
    with progress_bars():
        taken = take(spec, opened, names, items, Store(how.store), how)
    write_baseline(output, taken)
    remember(how.store, taken)
    for each in taken.exams:
        cut = each.sheet.rows[0].cut
        said = f"; {cut[0]} questions were cut, since they did not fit" if cut else ""
        say(f"{each.sheet.exam}: {100 * _mean(each.sheet.rows[0].values()):.1f} % of {len(each.sheet.ids)}{said}")
    say(f"baseline: {output.resolve()}\nseal: {taken.seal}")


def gate(
    model: Model,
    baseline: Annotated[Path, typer.Option(help="File that `clbench baseline` wrote.")],
    max_drop: Annotated[str, typer.Option(help="Drop of an exam that is let pass: 2pp, or 0.02.")] = "2pp",
    margins: Annotated[Path | None, typer.Option(help="YAML: exam or ability -> its own largest drop.")] = None,
    level: Annotated[float, typer.Option(min=1e-6, max=0.5, help="False-alarm rate over all exams.")] = 0.05,
    seal: Annotated[str | None, typer.Option(help="Seal that the baseline must bear.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write Markdown here.")] = None,
    data: Data = None,
    store: Place = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Test a checkpoint against a baseline: exit 0 pass, 2 regression, 3 usage or configuration, 1 error."""
    from clbench.core.baseline import read_baseline
    from clbench.data.exam import open_named
    from clbench.engine.baseline import check_exams, take
    from clbench.report import gate as made
    from clbench.store.history import remember
    from clbench.store.store import Store

    old = read_baseline(baseline, seal)
    margin, own = points(max_drop, "--max-drop"), _margins(margins)
    spec = model_spec(model, **old.model.model_dump())
    how = machine(store, data, 1, device)
    known = {t.sheet.exam for t in old.exams}
    exams = [e for e in open_named(old.names, old.items, how.data) if e.name in known]
    check_exams(old, exams)
    made.check_margins(old, own)
    with progress_bars():
        new = take(spec, exams, old.names, old.items, Store(how.store), how)
    report = made.gate_report(old, new, exams, margin, own, level)
    remember(how.store, new)
    for path, text in ((junit, made.as_junit), (markdown, made.as_markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(report), encoding="utf-8")
    say(json.dumps(made.as_json(report), indent=1, ensure_ascii=False) if as_json else made.as_table(report))
    if report.regressed:
        raise typer.Exit(REGRESSED)


def points(text: str, where: str) -> float:
    """Read a margin: "2pp" and "2%" are two points, "0.02" is the same.

    Raises:
        SpecError: It is no number in [0, 1].
    """
    number = text.strip().removesuffix("pp").removesuffix("%").strip()
    try:
        value = float(number) / (100 if number != text.strip() else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SpecError(f"{text!r} is no margin", where=where, mend="for example 2pp, which is 0.02")
    return value


def _margins(path: Path | None) -> dict[str, float]:
    if path is None:
        return {}
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise SpecError(f"cannot be read: {first}", where=str(path), mend="a mapping, for example mmlu: 1pp") from None
    if not isinstance(found, dict):
        raise SpecError("is no mapping", where=str(path), mend="for example mmlu: 1pp")
    return {str(name): points(str(value), f"{path} {name}") for name, value in found.items()}


def _mean(values: object) -> float:
    import numpy as np

    return float(np.nanmean(np.asarray(values)))
