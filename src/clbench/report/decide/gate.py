"""The gate: has an update made a model worse? Verdicts with their items, what else differs, and a repair."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clbench.core.baseline import UNKNOWN, Baseline, BaselineExam, differing
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.types import Exam
from clbench.report.decide.texts import TEXTS, part_name
from clbench.report.runs.exam_items import marked_rows
from clbench.report.runs.store_texts import question_text
from clbench.report.tables.words import WORDS
from clbench.stats.effect import clusters
from clbench.stats.gate import LEVEL, Noise, Pairs, Verdict, blind_below, judge_exams, noise, plainest, pooled
from clbench.stats.paired import paired_difference

# Ability that has regressed -> the generator of `rehearsal` that practises it.
REHEARSED = {
    "mathematics": "arithmetic",
    "reasoning": "reading",
    "code": "code",
    "instruction": "instruction",
    "long context": "recall",
    "long recall": "recall",
    "Chinese": "chinese",
}
# Points that another machine alone may cost: its kernels round in another way, which changes close answers.
OTHER_MACHINE = {"float32": 0.01, "bfloat16": 0.02, "float16": 0.02}
# Parts of a checkpoint whose change is reported and does not change how it is asked: clbench decodes by settings of
# its own, and loads weights in the precision of the baseline.
NO_EFFECT = frozenset({"generation settings", "weights saved in"})
Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Worst:
    """An item that fell: question, expected answer, answers before and after, and both scores."""

    id: str
    question: str
    expected: str
    before: str
    after: str
    old: float
    new: float


@dataclass(frozen=True)
class GateReport:
    """The result of the gate.

    Attributes:
        old, new: The baseline and the checkpoint.
        verdicts: One per exam.
        pooled: The verdict over the items of all exams together; None for one exam.
        worst: Exam that regressed -> its items that fell furthest.
        level: False-alarm rate over all exams.
        differs: (what, before, now) of how the two are asked: template, tokenizer, generation settings, ...
        machine: (what, before, now) where the machines differ.
        widened: How much margins are widened because the machine differs and its noise was not measured.
        noise: Exam -> how far repeated answers of one model disagree; empty where that was not measured.
        strict: Whether verdicts that are not shown fail as well.
        of_results: Whether two results are judged, of which nothing is asked again.
    """

    old: Baseline
    new: Baseline
    verdicts: tuple[Verdict, ...]
    pooled: Verdict | None
    worst: Mapping[str, tuple[Worst, ...]]
    level: float
    differs: tuple[Triple, ...] = ()
    machine: tuple[Triple, ...] = ()
    widened: float = 0.0
    noise: Mapping[str, Noise] = field(default_factory=dict[str, Noise])
    strict: bool = False
    of_results: bool = False

    @property
    def asked_differently(self) -> list[str]:
        """Return the names of the parts for which the two are asked differently."""
        return [name for name, *both in self.differs if name not in NO_EFFECT and UNKNOWN not in both]

    @property
    def same(self) -> bool:
        """Return whether the model is the one of the baseline, and is asked the same way."""
        return self.old.identity == self.new.identity and not self.asked_differently

    @property
    def all(self) -> tuple[Verdict, ...]:
        """Return the verdicts on the exams, and the one over all of them."""
        return self.verdicts if self.pooled is None else (*self.verdicts, self.pooled)

    @property
    def regressed(self) -> list[Verdict]:
        """Return the verdicts on exams that have become worse, the largest drop first."""
        return sorted((v for v in self.verdicts if v.regressed), key=lambda v: v.change.value)

    @property
    def failed(self) -> list[Verdict]:
        """Return the verdicts that stop the update."""
        return [v for v in self.all if v.regressed or (self.strict and v.state == "not shown")]


def gate_report(
    old: Baseline,
    new: Baseline,
    exams: Sequence[Exam],
    margin: float,
    margins: Mapping[str, float],
    level: float = LEVEL,
) -> GateReport:
    """Judge a checkpoint against a baseline; both have taken the same exams.

    Where the baseline's model was asked again (rows 1, 2, ... of its scores), the checkpoint is judged against these
    answers, which have the same noise as its own. Else margins are widened by `OTHER_MACHINE` if the machine is not
    the baseline's.

    Args:
        old: The baseline.
        new: The results of the checkpoint.
        exams: The questions.
        margin: Largest drop that passes, in [0, 1].
        margins: Exam or ability -> its own margin; an exam's goes before its ability's.
        level: False-alarm rate over all exams, in (0, 1).
    """
    before, after = ({t.scores.exam: t for t in b.exams} for b in (old, new))
    machine = tuple(differing(old.machine, new.machine))
    measured = any(len(t.scores.rows) > 1 for t in before.values())
    widened = OTHER_MACHINE[old.model.dtype] if machine and not measured else 0.0
    by_exam = {name: margins.get(name, margins.get(t.ability, margin)) + widened for name, t in before.items()}
    verdicts, over_all = _judged([_pairs(t, after[name]) for name, t in before.items()], by_exam, level)
    questions = {e.name: e for e in exams}
    found = GateReport(
        old=old,
        new=new,
        verdicts=tuple(verdicts),
        pooled=over_all,
        worst={v.exam: _worst(before[v.exam], after[v.exam], questions[v.exam]) for v in verdicts if v.regressed},
        level=level,
        differs=tuple(differing(old.parts, new.parts)),
        machine=machine,
        widened=widened,
        noise={name: noise(_first(t), _again(t)) for name, t in before.items()} if measured else {},
    )
    if not found.same:
        return found
    return replace(found, verdicts=tuple(map(_not_worse, verdicts)), pooled=over_all and _not_worse(over_all))


def _judged(pairs: Sequence[Pairs], margins: Mapping[str, float], level: float) -> tuple[list[Verdict], Verdict | None]:
    """Return the verdicts on exams and on all of them together, corrected as one family."""
    together = pooled(pairs, [margins[p.exam] for p in pairs])
    if together is None:
        return judge_exams(pairs, 0.0, margins, level), None
    found = judge_exams([*pairs, together[0]], 0.0, {**margins, together[0].exam: together[1]}, level)
    return found[:-1], found[-1]


def _pairs(old: BaselineExam, new: BaselineExam) -> Pairs:
    name, rows = old.scores.scorer.name, old.scores.rows
    before = [row for k, row in sorted(rows.items()) if k > 0] or [rows[0]]
    every = plainest(marked_rows([*before, new.scores.rows[0]], name))
    if every.is_mean:
        return Pairs(old.scores.exam, every.scores[:-1], every.scores[-1], old.scores.groups or None)
    return Pairs(old.scores.exam, marked_rows(before, name), _first(new), old.scores.groups or None)


def _first(result: BaselineExam) -> GradedItems:
    return marked_rows([result.scores.rows[0]], result.scores.scorer.name)


def _again(result: BaselineExam) -> GradedItems:
    """Return the items of the repeated asks."""
    return marked_rows([row for k, row in sorted(result.scores.rows.items()) if k > 0], result.scores.scorer.name)


def scores_of(baseline: Baseline) -> dict[str, float]:
    """Return the score of every exam by its own rule, in [0, 1]; NaN where nothing was graded."""
    return {t.scores.exam: _first(t).value for t in baseline.exams}


def _not_worse(verdict: Verdict) -> Verdict:
    """Return "not worse" for a model against itself, however few the items, where its answers are the same."""
    same = verdict.state == "not shown" and not verdict.lost and not verdict.gained
    return replace(verdict, state="not worse", needed=float(verdict.change.items)) if same else verdict


def check_margins(baseline: Baseline, margins: Mapping[str, float]) -> None:
    """Refuse margins for exams or abilities that the baseline does not have.

    Raises:
        SpecError: There is no such exam or ability; it names the nearest.
    """
    known = {n for t in baseline.exams for n in (t.scores.exam, t.ability, t.kind) if n}
    for name in margins:
        if name not in known:
            raise SpecError(f"the baseline has no {name!r}", where="--margins", mend=did_you_mean(name, known))


def blindness(
    baseline: Baseline, margin: float, level: float = LEVEL, texts: dict[str, str] = TEXTS["en"]
) -> list[str]:
    """Return a warning on exams that are too short to show that the margin is kept, even if no answer changes.

    Args:
        baseline: The new baseline.
        margin: In [0, 1].
        level: Of the gate.
        texts: Of one language.

    Returns:
        Lines for the user; none where every exam is long enough.
    """
    family = len(baseline.exams) + (len(baseline.exams) > 1)
    least = {t.scores.exam: _blind(t.scores, level / max(family, 1)) for t in baseline.exams}
    blind = [_limit(t.scores, low, texts) for t in baseline.exams if (low := least[t.scores.exam]) >= margin]
    if not blind:
        return []
    square = blind_below(1, family, level) / (1 - blind_below(1, family, level))
    needed = texts["blind_never"]
    if margin > 0:
        needed = texts["blind_items"].format(num=f"{np.ceil(square * (1 - margin) / margin):,.0f}")
        needed += texts["blind_as_groups"] if any(t.scores.groups for t in baseline.exams) else ""
    cannot = texts["blind"].format(points=f"{100 * margin:g}", exams=texts["join"].join(blind))
    return [cannot, texts["blind_mend"].format(needed=needed)]


def _graded(exam_scores: ExamScores) -> tuple[int, list[str] | None]:
    """Return how many items were graded, and their groups."""
    places = np.flatnonzero(np.isfinite(exam_scores.rows[0].values()))
    return len(places), [exam_scores.groups[i] for i in places] if exam_scores.groups else None


def _blind(exam_scores: ExamScores, share: float) -> float:
    """Return the largest drop that the gate cannot exclude at this level although no answer changed."""
    num, groups = _graded(exam_scores)
    same = np.zeros(num)
    return -paired_difference(same, same, groups=groups, level=1 - 2 * share).low if num else 1.0


def _limit(exam_scores: ExamScores, low: float, texts: dict[str, str]) -> str:
    """Return an exam with its size and the smallest loss that it can exclude."""
    num, groups = _graded(exam_scores)
    group_of = clusters(groups, num)
    values = {"exam": exam_scores.exam, "num": num, "points": f"{100 * low:.1f}"}
    if group_of is None:
        return texts["blind_exam"].format(**values)
    return texts["blind_groups"].format(**values, groups=group_of.max() + 1)


def _worst(before: BaselineExam, after: BaselineExam, exam: Exam, most: int = 3) -> tuple[Worst, ...]:
    old, new = before.scores.rows[0].values(), after.scores.rows[0].values()
    order = [int(i) for i in np.argsort(new - old, kind="stable") if new[i] < old[i]][:most]
    return tuple(
        Worst(
            id=exam.examples[i].id,
            question=question_text(exam.examples[i]),
            expected=" | ".join(exam.examples[i].targets[:3]),
            before=before.answers[i],
            after=after.answers[i],
            old=float(old[i]),
            new=float(new[i]),
        )
        for i in order
    )


# --- what to do -----------------------------------------------------------------------------------------------------

# Part of a checkpoint -> the file that holds it, if that can be copied as it is.
COPIED = {"chat template": "chat_template.jinja", "end tokens": "generation_config.json"}


def repair(report: GateReport, texts: dict[str, str] = TEXTS["en"]) -> list[str]:
    """Return what to do about a regression: sentences, and commands in which only the recipe's name is missing.

    Where the checkpoint is asked differently from the baseline's, that is repaired first; training would not help.
    """
    if not any(v.regressed for v in report.all):
        return []
    return _ask_alike(report, texts) if report.asked_differently else _learn_again(report, texts)


def _ask_alike(report: GateReport, texts: dict[str, str]) -> list[str]:
    names = report.asked_differently
    lines = [texts["asked_otherwise"].format(names=texts["join"].join(part_name(name, texts) for name in names))]
    old, new = Path(report.old.model.name), Path(report.new.model.name)
    for name in names:
        file = COPIED.get(name)
        if file and (old / file).is_file() and new.is_dir():
            lines.append(f"  cp {shlex.quote(str(old / file))} {shlex.quote(str(new / file))}")
    return [*lines, texts["if_intended"]]


def _learn_again(report: GateReport, texts: dict[str, str]) -> list[str]:
    fell = {v.exam for v in report.verdicts if v.regressed} or {v.exam for v in report.verdicts if v.change.value < 0}
    abilities = list(dict.fromkeys(t.ability or t.kind for t in report.old.exams if t.scores.exam in fell))
    chinese = texts is TEXTS["zh"]
    rehearsed = sorted({REHEARSED[a] for a in abilities if a in REHEARSED})
    lines = [
        texts["learn_again"].format(abilities=texts["join"].join(WORDS.get(a, a) if chinese else a for a in abilities)),
        "  clbench run RECIPE.yaml --set 'learner={name: replay, memory: 1000, share: 0.5}'",
    ]
    if rehearsed:
        parts = "{name: replay, memory: 1000, share: 0.5}"
        names = ", ".join(rehearsed)
        rehearsal = f"{{name: rehearsal, share: 0.5, abilities: [{names}]}}"
        lines += [
            texts["rehearse"],
            f"  clbench run RECIPE.yaml --set 'learner={{name: combine, parts: [{parts}, {rehearsal}]}}'",
        ]
    return [*lines, texts["change_less"], "  clbench run RECIPE.yaml --set 'learner={name: lora}'"]
