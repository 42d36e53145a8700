"""`clbench show RUN --forgotten`: list single items of a run with what the model said of them over the lessons."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.cli.options import say, say_json
from clbench.core.errors import DataError, did_you_mean
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.report.runs.item_histories import Fate, ItemHistory
    from clbench.report.runs.load import RunRecord

WHAT = {
    "forgotten": "right after its own lesson (of an ability: by the untouched model), wrong after the last one",
    "learnt": "wrong by the untouched model, right after the last lesson",
    "never": "wrong after its own lesson and in every later row",
}


def show_items(path: Path, fate: Fate, exams: list[str], num: int, *, as_json: bool) -> None:
    """Print the items of this fate of every run under a path: how many of each exam, and `num` of each in full.

    Raises:
        DataError: There is no run, it has no items on record, or it has no such exam.
    """
    from clbench.report.runs.item_histories import item_histories
    from clbench.report.runs.load import load_runs

    found = []
    for run in load_runs([path]):
        _check(run, exams)
        found.append((run, item_histories(run, fate, exams)))
    if as_json:
        say_json({run.spec.name: [asdict(item) for item in items] for run, items in found})
        return
    say(f"{tr(fate)}{tr(': ')}{tr(WHAT[fate])}")
    for run, items in found:
        _say_run(run, items, exams, num)


def _check(run: RunRecord, exams: list[str]) -> None:
    known = [exam.exam for exam in run.item_scores.exams]
    if not known:
        raise DataError("its items are not on record", where=str(run.folder), mend="run it again: clbench run RECIPE")
    for exam in exams:
        if exam not in known:
            raise DataError(f"the run has no exam {exam!r}", where="--exam", mend=did_you_mean(exam, known))


def _say_run(run: RunRecord, items: list[ItemHistory], exams: list[str], num: int) -> None:
    say(f"\n=== {run.spec.name}")
    for exam in run.item_scores.exams:
        if exams and exam.exam not in exams:
            continue
        own = [item for item in items if item.exam == exam.exam]
        say(tr("{exam}: {num} of {of}", exam=exam.exam, num=len(own), of=len(exam.ids)))
        for item in own[:num]:
            _say_item(item)
        if len(own) > num:
            say(tr("  ... {num} more: give a larger NUM, or --json for all", num=len(own) - num))


def _say_item(item: ItemHistory) -> None:
    say(f"--- {item.id}")
    say(item.question or tr("(the question is not at hand: the store is not here)"))
    say(f"[{tr('expected')}] {' | '.join(item.expected) or '–'}")
    for lesson, score in item.scores.items():
        said = item.said.get(lesson)
        mark = tr("right") if score == 1 else tr("wrong") if score == 0 else f"{100 * score:.0f} %"
        place = tr("lesson {number}", number=lesson) if lesson else tr("untouched")
        text = tr("(not at hand)") if said is None else said.replace("\n", " ⏎ ")
        own = tr(", its own") if lesson and lesson == item.since else ""
        say(f"[{place}{own}] {mark}{tr(': ')}{text}")
