"""Has an update made a model worse? Verdicts with their items, what else differs, and a repair."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clbench.core.baseline import UNKNOWN, Baseline, Taken, differing
from clbench.core.errors import SpecError, did_you_mean
from clbench.core.sheets import Sheet
from clbench.core.types import Exam
from clbench.report.marks import marked_rows
from clbench.report.originals import seen
from clbench.stats.gate import Noise, Pairs, Verdict, blind_below, judged, noise, plainest, pooled
from clbench.stats.marked import Marked
from clbench.stats.paired import clusters, paired_difference

# What is rehearsed where an ability has regressed: names of the generators of `rehearsal`.
REHEARSED = {
    "mathematics": "arithmetic",
    "reasoning": "reading",
    "code": "code",
    "instruction": "instruction",
    "long context": "recall",
    "long recall": "recall",
    "Chinese": "chinese",
}
# Part of a margin that another machine alone may eat up: a kernel that rounds otherwise turns close answers.
ELSEWHERE = {"float32": 0.01, "bfloat16": 0.02, "float16": 0.02}
# Parts of a checkpoint that are told and do not change how it is asked: clbench decodes by settings of its own, and
# loads weights in the precision of the baseline.
TOLD_ONLY = frozenset({"generation settings", "weights saved in"})
Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Worst:
    """An item that fell: question, what was expected, what was said before and after, and both scores."""

    id: str
    question: str
    expected: str
    before: str
    after: str
    old: float
    new: float


@dataclass(frozen=True)
class GateReport:
    """What the gate says.

    Attributes:
        old, new: What was compared.
        verdicts: One per exam.
        pooled: That over the items of all exams; None for one exam.
        worst: Exam that regressed -> its items that fell furthest.
        level: False-alarm rate over all exams.
        differs: (what, before, now) of how the two are asked: template, tokenizer, generation settings, ...
        elsewhere: (what, before, now) of the machines.
        widened: By how much margins are widened because the machine is another, and its noise was not measured.
        noise: Exam -> how far the instrument disagrees with itself; empty where it was not measured.
        strict: What is not shown fails as well.
    """

    old: Baseline
    new: Baseline
    verdicts: tuple[Verdict, ...]
    pooled: Verdict | None
    worst: Mapping[str, tuple[Worst, ...]]
    level: float
    differs: tuple[Triple, ...] = ()
    elsewhere: tuple[Triple, ...] = ()
    widened: float = 0.0
    noise: Mapping[str, Noise] = field(default_factory=dict[str, Noise])
    strict: bool = False

    @property
    def otherwise(self) -> list[str]:
        """Names of the parts that make the two be asked otherwise."""
        return [name for name, *both in self.differs if name not in TOLD_ONLY and UNKNOWN not in both]

    @property
    def same(self) -> bool:
        """Whether the model is the very one of the baseline, and is asked alike."""
        return self.old.identity == self.new.identity and not self.otherwise

    @property
    def all(self) -> tuple[Verdict, ...]:
        """The verdicts on exams, and that over all of them."""
        return self.verdicts if self.pooled is None else (*self.verdicts, self.pooled)

    @property
    def regressed(self) -> list[Verdict]:
        """The exams that have become worse, the largest drop first."""
        return sorted((v for v in self.verdicts if v.regressed), key=lambda v: v.change.value)

    @property
    def failed(self) -> list[Verdict]:
        """What stops the update."""
        return [v for v in self.all if v.regressed or (self.strict and v.state == "not shown")]


def gate_report(
    old: Baseline,
    new: Baseline,
    exams: Sequence[Exam],
    margin: float,
    margins: Mapping[str, float],
    level: float = 0.05,
) -> GateReport:
    """Judge a checkpoint against a baseline; both have sat the same exams.

    Where the baseline's model was asked again (rows 1, 2, ... of its sheets), the checkpoint is judged against these
    answers, which hold the noise of the instrument as its own do; else margins are widened by `ELSEWHERE` if the
    machine is another one than the baseline's.

    Args:
        old: The baseline.
        new: What the checkpoint does now.
        exams: The questions.
        margin: Drop that is let pass, in [0, 1].
        margins: Exam, or ability, -> its own margin; an exam's own goes before its ability's.
        level: False-alarm rate over all exams, in (0, 1).
    """
    before, after = ({t.sheet.exam: t for t in b.exams} for b in (old, new))
    elsewhere = tuple(differing(old.machine, new.machine))
    measured = any(len(t.sheet.rows) > 1 for t in before.values())
    widened = ELSEWHERE[old.model.dtype] if elsewhere and not measured else 0.0
    own = {name: margins.get(name, margins.get(t.ability, margin)) + widened for name, t in before.items()}
    verdicts, over_all = _judged([_pairs(t, after[name]) for name, t in before.items()], own, level)
    asked = {e.name: e for e in exams}
    found = GateReport(
        old=old,
        new=new,
        verdicts=tuple(verdicts),
        pooled=over_all,
        worst={v.exam: _worst(before[v.exam], after[v.exam], asked[v.exam]) for v in verdicts if v.regressed},
        level=level,
        differs=tuple(differing(old.parts, new.parts)),
        elsewhere=elsewhere,
        widened=widened,
        noise={name: noise(_first(t), _again(t)) for name, t in before.items()} if measured else {},
    )
    if not found.same:
        return found
    return replace(found, verdicts=tuple(map(_sure, verdicts)), pooled=over_all and _sure(over_all))


def _judged(pairs: Sequence[Pairs], margins: Mapping[str, float], level: float) -> tuple[list[Verdict], Verdict | None]:
    """Judge exams and all of them together as one family."""
    whole = pooled(pairs, [margins[p.exam] for p in pairs])
    if whole is None:
        return judged(pairs, 0.0, margins, level), None
    found = judged([*pairs, whole[0]], 0.0, {**margins, whole[0].exam: whole[1]}, level)
    return found[:-1], found[-1]


def _pairs(old: Taken, new: Taken) -> Pairs:
    name, rows = old.sheet.scorer.name, old.sheet.rows
    before = [row for k, row in sorted(rows.items()) if k > 0] or [rows[0]]
    every = plainest(marked_rows([*before, new.sheet.rows[0]], name))
    if every.is_mean:
        return Pairs(old.sheet.exam, every.scores[:-1], every.scores[-1], old.sheet.groups or None)
    return Pairs(old.sheet.exam, marked_rows(before, name), _first(new), old.sheet.groups or None)


def _first(taken: Taken) -> Marked:
    return marked_rows([taken.sheet.rows[0]], taken.sheet.scorer.name)


def _again(taken: Taken) -> Marked:
    """Give what the new asks came to."""
    return marked_rows([row for k, row in sorted(taken.sheet.rows.items()) if k > 0], taken.sheet.scorer.name)


def scores_of(baseline: Baseline) -> dict[str, float]:
    """Give the score of every exam by its own rule, in [0, 1]; NaN where nothing could be marked."""
    return {t.sheet.exam: _first(t).value for t in baseline.exams}


def _sure(verdict: Verdict) -> Verdict:
    """A model is not worse than itself, however few the items, where it also answers alike."""
    alike = verdict.state == "not shown" and not verdict.lost and not verdict.gained
    return replace(verdict, state="not worse", needed=float(verdict.change.items)) if alike else verdict


def check_margins(baseline: Baseline, margins: Mapping[str, float]) -> None:
    """Refuse margins of what the baseline has not examined.

    Raises:
        SpecError: Names the exam or ability, and the nearest there are.
    """
    known = {n for t in baseline.exams for n in (t.sheet.exam, t.ability, t.kind) if n}
    for name in margins:
        if name not in known:
            raise SpecError(f"the baseline has no {name!r}", where="--margins", mend=did_you_mean(name, known))


def blindness(baseline: Baseline, margin: float, level: float = 0.05) -> list[str]:
    """Say which exams of a baseline are too short for a margin: they cannot show that it is kept, come what may.

    Args:
        baseline: Made a moment ago.
        margin: In [0, 1].
        level: Of the gate.

    Returns:
        Lines for the user; none where every exam may show it.
    """
    family = len(baseline.exams) + (len(baseline.exams) > 1)
    least = {t.sheet.exam: _blind(t.sheet, level / max(family, 1)) for t in baseline.exams}
    blind = [f"{_size(t.sheet)}: {100 * low:.1f})" for t in baseline.exams if (low := least[t.sheet.exam]) >= margin]
    if not blind:
        return []
    square = blind_below(1, family, level) / (1 - blind_below(1, family, level))
    needed = f"{np.ceil(square * (1 - margin) / margin):,.0f} items" if margin > 0 else "no number of items"
    if margin > 0 and any(t.sheet.groups for t in baseline.exams):
        needed += ", in as many groups where items belong together,"
    cannot = (
        f"warning: these exams cannot show that less than {100 * margin:g} points are lost, even if no answer changes: "
        f"the points from which they can are {', '.join(blind)}."
    )
    return [
        cannot,
        f'  {needed} can: take more (--items, --exams), or a larger --max-drop; the gate says "not shown" until then.',
    ]


def _marked(sheet: Sheet) -> tuple[int, list[str] | None]:
    """Give how many items were marked, and their groups."""
    places = np.flatnonzero(np.isfinite(sheet.rows[0].values()))
    return len(places), [sheet.groups[i] for i in places] if sheet.groups else None


def _blind(sheet: Sheet, share: float) -> float:
    """Give how far a score may have fallen though no answer changed: what the gate says of that, at this level."""
    num, groups = _marked(sheet)
    same = np.zeros(num)
    return -paired_difference(same, same, groups=groups, level=1 - 2 * share).low if num else 1.0


def _size(sheet: Sheet) -> str:
    num, groups = _marked(sheet)
    parted = clusters(groups, num)
    return f"{sheet.exam} ({num} items" + ("" if parted is None else f" in {parted.max() + 1} groups")


def _worst(before: Taken, after: Taken, exam: Exam, most: int = 3) -> tuple[Worst, ...]:
    old, new = before.sheet.rows[0].values(), after.sheet.rows[0].values()
    order = [int(i) for i in np.argsort(new - old, kind="stable") if new[i] < old[i]][:most]
    return tuple(
        Worst(
            id=exam.examples[i].id,
            question=seen(exam.examples[i]),
            expected=" | ".join(exam.examples[i].targets[:3]),
            before=before.answers[i],
            after=after.answers[i],
            old=float(old[i]),
            new=float(new[i]),
        )
        for i in order
    )


# --- what to do -----------------------------------------------------------------------------------------------------

# Part of a checkpoint -> the file that holds it, where it can be copied as it is.
COPIED = {"chat template": "chat_template.jinja", "end tokens": "generation_config.json"}


def repair(report: GateReport) -> list[str]:
    """Propose what to do about a regression: sentences, and commands that need a recipe's name only.

    Where the checkpoint is asked otherwise than the baseline's, training is no repair: that is made alike first.
    """
    if not any(v.regressed for v in report.all):
        return []
    return _alike(report) if report.otherwise else _learn_again(report)


def _alike(report: GateReport) -> list[str]:
    names = report.otherwise
    what = f"The checkpoint is not asked as the baseline's was ({', '.join(names)}): that alone may be the drop. "
    said = [f"{what}Make it alike, and ask again before you train:"]
    old, new = Path(report.old.model.name), Path(report.new.model.name)
    for name in names:
        file = COPIED.get(name)
        if file and (old / file).is_file() and new.is_dir():
            said.append(f"  cp {shlex.quote(str(old / file))} {shlex.quote(str(new / file))}")
    return [*said, "If it is meant so, make a baseline that is asked in the new way, and test against that one."]


def _learn_again(report: GateReport) -> list[str]:
    fell = {v.exam for v in report.verdicts if v.regressed} or {v.exam for v in report.verdicts if v.change.value < 0}
    abilities = list(dict.fromkeys(t.ability or t.kind for t in report.old.exams if t.sheet.exam in fell))
    rehearsed = sorted({REHEARSED[a] for a in abilities if a in REHEARSED})
    recipe = "RECIPE.yaml: a recipe of the update; `clbench init RECIPE` begins one"
    said = [
        f"Lost: {', '.join(abilities)}. Learn the same data again with old examples in every batch ({recipe}):",
        "  clbench run RECIPE.yaml --set 'learner={name: replay, memory: 1000, share: 0.5}'",
    ]
    if rehearsed:
        parts = "{name: replay, memory: 1000, share: 0.5}"
        names = ", ".join(rehearsed)
        rehearsal = f"{{name: rehearsal, share: 0.5, abilities: [{names}]}}"
        said += [
            "What the update's own data do not hold is not kept by replaying them: rehearse the ability as well",
            f"  clbench run RECIPE.yaml --set 'learner={{name: combine, parts: [{parts}, {rehearsal}]}}'",
        ]
    said += [
        "Or change less of the model: adapters lose abilities later, and learn less (docs/abilities.md)",
        "  clbench run RECIPE.yaml --set 'learner={name: lora}'",
    ]
    return said
