"""Labels that people give to rubrics of answers: which to ask for, without showing what the judge said, and reading.

A file is CSV with the columns task_id, rubric_index (1 is the first rubric), label (yes or no), and, where there are
several, trial and annotator; other columns are not read.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from clbench.context.graded import Graded, rows, rubric_texts
from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import rng
from clbench.report.escape import csv_cell
from clbench.scoring.rubric.verdicts import verdict_of

COLUMNS = ("task_id", "trial", "rubric_index", "rubric", "answer", "label", "annotator")
NEEDED = ("task_id", "rubric_index", "label")
MORE = ("trial", "annotator", "rubric")
NEAR = 2  # an answer that misses so few rubrics is a near miss: an error of the judge there decides its task


class Item(NamedTuple):
    """One rubric of one answer; the rubric's number begins at 1."""

    task: str
    trial: int
    rubric: int


@dataclass(frozen=True)
class Label:
    """What one person said of one rubric of one answer, and where."""

    item: Item
    met: bool
    annotator: str
    where: str


class Stratum(NamedTuple):
    """Verdicts of one kind: what the judge said, and whether the answer passes or nearly does."""

    verdict: bool
    near: bool


def judged_rows(grades: Sequence[Graded]) -> dict[tuple[str, int], Graded]:
    """Return the rows whose labels fit their rubrics, by task and trial."""
    return {(g.task.id, g.trial): g for g in grades if g.state == "ok" and g.fits and g.met}


def strata_of(grades: Sequence[Graded]) -> dict[Stratum, list[Item]]:
    """Return all verdicts of a judge by stratum."""
    found: dict[Stratum, list[Item]] = defaultdict(list)
    for (task, trial), row in judged_rows(grades).items():
        near = len(row.met) - sum(row.met) <= NEAR
        for number, met in enumerate(row.met, start=1):
            found[Stratum(met, near)].append(Item(task, trial, number))
    return dict(found)


def plan(grades: Sequence[Graded], num: int, seed: int = 0) -> list[Item]:
    """Return items to be labelled, in random order: as many of each stratum as there are, as evenly as that goes.

    Yes and no verdicts get the same share, and so do near misses and the rest, since errors among few are else not
    seen; `clbench.stats.calibration` weighs strata by their size.

    Raises:
        DataError: No answer was judged.
    """
    pools = strata_of(grades)
    if not pools:
        raise DataError("no answer is judged", where="--plan", mend="grade the answers first: `clbench context eval`")
    generator = rng(seed, num, "labels")
    left = {name: [items[i] for i in generator.permutation(len(items))] for name, items in sorted(pools.items())}
    chosen: list[Item] = []
    while len(chosen) < num and any(left.values()):
        for items in left.values():
            if items and len(chosen) < num:
                chosen.append(items.pop())
    return [chosen[i] for i in generator.permutation(len(chosen))]


def plan_text(path: Path, grades: Sequence[Graded], items: Sequence[Item]) -> str:
    """Return the CSV of a plan: rubric and answer of each item, not the judge's verdict, and room for a label."""
    wanted: dict[int, list[int]] = defaultdict(list)
    lines = {place: row.line for place, row in judged_rows(grades).items()}
    for place, item in enumerate(items):
        wanted[lines[item.task, item.trial]].append(place)
    cells: dict[int, tuple[str, str]] = {}
    for line, row in rows(path):
        for place in wanted.get(line, ()):
            text = rubric_texts(row, f"{path}:{line}")[items[place].rubric - 1]
            answer = row.get("model_output")
            cells[place] = (text, answer if isinstance(answer, str) else "")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for place, item in enumerate(items):
        texts = map(csv_cell, cells[place])
        writer.writerow([csv_cell(item.task), item.trial, item.rubric, *texts, "", ""])
    return out.getvalue()


def read_labels(path: Path, grades: Sequence[Graded]) -> list[Label]:
    """Read the labels of a file; rows without a label are left out.

    Args:
        path: The file.
        grades: The graded answers that they are of.

    Raises:
        DataError: A column is missing, a value is wrong, or a row names an answer or rubric that was not judged.
    """
    known = judged_rows(grades)
    tasks = {task for task, _ in known}
    found: list[Label] = []
    seen: dict[tuple[Item, str], str] = {}
    for where, row in sheet_rows(path):
        if not row["label"]:
            continue
        label = Label(_item(row, where, tasks, known), _met(row["label"], where), row.get("annotator") or "", where)
        first = seen.setdefault((label.item, label.annotator), where)
        if first != where:
            what = "the rubric has a label of the same annotator already"
            raise DataError(what, where=where, mend=f"see {first}; delete one, or name annotators")
        found.append(label)
    if not found:
        raise DataError("holds no labels", where=str(path), mend="write yes or no into the column `label`")
    return found


def sheet_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (where, cells) of a CSV file of labels, as spreadsheets save it: commas, semicolons or tabs between cells.

    Raises:
        DataError: There is no such file, it is not CSV in UTF-8, or lacks a column.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), mend="make one with --plan N, and fill in `label`")
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # answers are long
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            head = f.readline()
            f.seek(0)
            reader = csv.DictReader(f, delimiter=max(",;\t", key=head.count))
            names = [name.strip().lower() for name in reader.fieldnames or []]
            if lacking := [name for name in NEEDED if name not in names]:
                mend = f"the first line must name {', '.join(NEEDED)}; {did_you_mean(lacking[0], names)}"
                raise DataError(f"there is no column {lacking[0]}", where=f"{path}:1", mend=mend)
            reader.fieldnames = names
            for row in reader:
                cells = {name: (row[name] or "").strip() for name in (*NEEDED, *MORE) if name in row}
                yield f"{path}:{reader.line_num}", cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"is not CSV in UTF-8: {error}", where=str(path), mend="save it as CSV (UTF-8)") from error


def _item(row: dict[str, str], where: str, tasks: set[str], known: dict[tuple[str, int], Graded]) -> Item:
    trial, number = (
        _number(row.get(name) or default, name, where) for name, default in (("trial", "0"), ("rubric_index", ""))
    )
    task = row["task_id"] if row["task_id"] in tasks else row["task_id"].removeprefix("'")  # as spreadsheets need it
    graded = known.get((task, trial))
    if graded is None:
        hint = did_you_mean(task, tasks) if len(tasks) <= 5000 else "check task_id and trial"
        raise DataError(f"task {task}, trial {trial}, is not among the judged answers", where=where, mend=hint)
    if not 1 <= number <= len(graded.met):
        mend = f"task {task} has rubrics 1 to {len(graded.met)}: the first is 1"
        raise DataError(f"rubric_index is {number}", where=where, mend=mend)
    return Item(task, trial, number)


def _number(text: str, name: str, where: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise DataError(f"{name} is {text!r:.40}", where=where, mend="give a whole number")
    return int(text[:9])


def _met(text: str, where: str) -> bool:
    said = verdict_of(text)
    if said is None or said == "n/a":
        raise DataError(f"label is {text!r:.40}", where=where, mend="write yes or no, or leave it empty")
    return said == "yes"
