"""A sample of a submission is judged again: do its verdicts hold?

The sample is drawn after the submission was handed in, and kept in a file, so that a run that was stopped goes on with
the same one. Messages and rubrics are those of the data set, whatever the submission says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from clbench.context.graded import Raw, TaskSet, facts_of, graded_of, lines, read_tasks, row_of, rows, trial_of
from clbench.context.rows import dumped, write_lines
from clbench.core.errors import DataError, SpecError
from clbench.stats.overstated import Overstatement, overstatement

ALARM = 0.01  # level of an alarm
TRIALS = 10_000  # of one file at most: those of its files are told apart
Key = tuple[str, int]  # task, trial
Place = tuple[int, int]  # number of the file, line
Holds = Literal["overstated", "not contradicted", "cannot tell"]


@dataclass(frozen=True)
class Rejudged:
    """What came of a sample.

    Attributes:
        found: What it says; None where nothing of it has a verdict.
        unjudged: Answers of it without a verdict of ours, which say nothing.
        recorded: Whether the claim records its judge.
        other: Whether it records another one than ours.
        verdict: What follows.
    """

    found: Overstatement | None
    unjudged: int
    recorded: bool
    other: bool

    @property
    def verdict(self) -> Holds:
        """What follows: another judge's verdicts say nothing of a claim's honesty."""
        if self.found is None or self.other:
            return "cannot tell"
        return "overstated" if self.found.p < ALARM else "not contradicted"


def draw_sample(paths: Sequence[Path], dataset: Path, num: int, out: Path, seed: int | None = None) -> int:
    """Write a sample of a submission's answers, each with its claim; one that is there already is kept.

    Args:
        paths: The submission's files.
        dataset: The data set.
        num: Answers in it; all of them where there are fewer.
        out: The sample's file.
        seed: Chooses them; None draws one that nobody could foresee.

    Returns:
        The number of answers in the sample.

    Raises:
        SpecError: The file is there and is not a sample of this submission, of this size.
        DataError: Submission or data set cannot be read, or nothing in it can be judged.
    """
    known = read_tasks(dataset)
    places = _places(paths, known)
    if not places:
        raise DataError("no row of it can be judged", where=str(paths[0]), mend="look at its other findings")
    if out.exists():
        return _kept(out, places, min(num, len(places)))
    draw = random.Random(seed) if seed is not None else random.SystemRandom()
    chosen = draw.sample(sorted(places), min(num, len(places)))
    texts = {task: row for _, task, row in known.rows()}
    write_lines(out, _asked(paths, {places[key]: key for key in chosen}, texts))
    return len(chosen)


def _places(paths: Sequence[Path], known: TaskSet) -> dict[Key, Place]:
    """Return where each answer stands that can be judged: (task, number of its file and trial) -> place."""
    found: dict[Key, Place] = {}
    for number, path in enumerate(paths):
        for line, text in lines(path):
            where = f"{path}:{line}"
            try:
                raw = row_of(text, where)
                facts, trial = facts_of(raw, where), trial_of(raw, where)
                graded_of(raw, where, line, known)
            except DataError:  # a finding of its own
                continue
            task = known.tasks.get(facts.id) or known.by_prompt.get(facts.prompt)
            if task is not None:
                found.setdefault((task.id, number * TRIALS + trial), (number, line))
    return found


def _asked(paths: Sequence[Path], chosen: Mapping[Place, Key], texts: Mapping[str, Raw]) -> Iterator[bytes]:
    for number, path in enumerate(paths):
        for line, text in lines(path):
            if (key := chosen.get((number, line))) is not None:
                yield dumped(_sampled(row_of(text, f"{path}:{line}"), key, texts[key[0]]))


def _sampled(raw: Raw, key: Key, row: Raw) -> Raw:
    return {
        "idx": key[0],
        **{name: row[name] for name in ("messages", "rubrics", "metadata", "ref_answer") if name in row},
        "model_output": raw.get("model_output"),
        "trial": key[1],
        **({"state": raw["state"]} if raw.get("state") in ("truncated", "refused", "overflow") else {}),
        "claimed": _claims(raw),
        "claimed_by": raw.get("judge") or raw.get("judge_model"),
    }


def _claims(raw: Raw) -> bool:
    score = raw.get("score")
    return not isinstance(score, bool) and score == 1


def _kept(out: Path, places: Mapping[Key, Place], num: int) -> int:
    tasks = {task for task, _ in places}
    kept = [row for _, row in rows(out)]
    if len(kept) != num or not all("claimed" in row and row.get("idx") in tasks for row in kept):
        what = f"it holds {len(kept)} rows that are not the {num} of a sample of this submission"
        raise SpecError(what, where=str(out), mend="name another file with --rejudged, or delete it")
    return num


def compared(graded: Path, judge: Mapping[str, Any], *, noisy: bool = True) -> Rejudged:
    """Compare the claims of a sample with the verdicts that it got.

    Args:
        graded: The sample, graded.
        judge: Who judged it, as graded rows say it.
        noisy: Whether that judge may change a verdict.
    """
    found = [row for _, row in rows(graded)]
    judged = [row for row in found if row["state"] not in ("judge_error", "infra_error", "missing")]
    named = [row["claimed_by"] for row in found if row.get("claimed_by")]
    contexts = [str(cast(Raw, row.get("metadata") or {}).get("context_id") or row["idx"]) for row in judged]
    claimed, again = [bool(row["claimed"]) for row in judged], [row["score"] == 1 for row in judged]
    outcome = overstatement(claimed, again, groups=contexts, noisy=noisy, alarm=ALARM) if judged else None
    other = any(name != judge for name in named)
    return Rejudged(outcome, len(found) - len(judged), len(named) == len(found), other)
