"""What the committed results say of published claims: `findings.yaml` names them, and the runs that decide.

A claim holds if every part of it holds, does not hold if the results contradict a part, and is not shown otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from clbench.core.matrix import Matrix
from clbench.engine.resolve import open_learner
from clbench.metrics import all_metrics, compute
from clbench.report.decide.compare_text import p_text
from clbench.report.escape import markdown
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.runs.orders import Method, difference, methods_of
from clbench.report.tables.table import printed
from clbench.stats.bootstrap import Interval
from clbench.stats.paired import holm
from docs.build.sound import NO_METHODS, learners_in, under_protocol

FILE = Path(__file__).with_suffix(".yaml")
PAGES = {"docs/findings.md": "en", "docs/findings.zh-CN.md": "zh"}
PLACE = re.compile(r"(<!-- findings -->\n).*?(<!-- end -->)", re.DOTALL)
SURE = 0.05
ROUNDING = 1e-18  # mean square of scores that are equal but for rounding
Verdict = Literal["held", "not held", "not shown"]
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "heads": "claim | published | found, points (95 %) | recipe | verdict",
        "held": "held",
        "not held": "**not held**",
        "not shown": "not shown here",
        "runs": "{recipe}, runs: {runs}",
        "between": "{figure} of {name} by order: {values}, p {p}",
        "best": "best ({name})",
        "lacks": "not run yet",
    },
    "zh": {
        "heads": "说法 | 出处 | 结果，百分点（95 %） | 配方 | 结论",
        "held": "成立",
        "not held": "**不成立**",
        "not shown": "这里看不出来",
        "runs": "{recipe}，运行数：{runs}",
        "between": "{name} 在各顺序下的 {figure}：{values}，p {p}",
        "best": "最好的（{name}）",
        "lacks": "尚未运行",
    },
}


@dataclass(frozen=True)
class Found:
    """What the results say of one part of a claim."""

    text: str
    verdict: Verdict
    runs: int


def findings_table(results: Path, lang: str) -> str:
    """Return the table of all claims as Markdown.

    Args:
        results: Folder of committed results, one folder per recipe. A claim that lacks some, or whose results were made
            before the protocol, is named as not run.
        lang: "en" or "zh".
    """
    words = WORDS[lang]
    heads = words["heads"]
    lines = [f"| {heads} |", "|" + "---|" * (heads.count("|") + 1)]
    for claim in yaml.safe_load(FILE.read_text(encoding="utf-8")):
        *told, verdict = _row(claim, results, lang)
        lines.append(f"| {' | '.join([*map(markdown, told), verdict])} |")
    return "\n".join(lines) + "\n"


def with_findings(text: str, results: Path, lang: str) -> str:
    """Return the text of a page with the table in its place."""
    table = findings_table(results, lang)
    return PLACE.sub(lambda place: f"{place[1]}\n{table}\n{place[2]}", text)


def fill_findings(root: Path) -> list[Path]:
    """Rewrite the table of both pages below `root`, and return their paths."""
    for name, lang in PAGES.items():
        page = root / name
        page.write_text(with_findings(page.read_text(encoding="utf-8"), root / "results", lang), encoding="utf-8")
    return [root / name for name in PAGES]


def _row(claim: Mapping[str, Any], results: Path, lang: str) -> list[str]:
    words = WORDS[lang]
    recipes = dict.fromkeys(part["recipe"] for part in claim["parts"])
    if not all(_decides(results / recipe) for recipe in recipes):
        return [claim[lang], claim["source"], "–", ", ".join(recipes), words["lacks"]]
    found = [found_in(part, results / part["recipe"], words) for part in claim["parts"]]
    counts = {part["recipe"]: str(one.runs) for part, one in zip(claim["parts"], found, strict=True)}
    told = "; ".join(words["runs"].format(recipe=recipe, runs=num) for recipe, num in counts.items())
    return [claim[lang], claim["source"], "; ".join(one.text for one in found), told, words[verdict_of(found)]]


def _decides(folder: Path) -> bool:
    """Return whether results are there that were made under the protocol; others decide nothing."""
    return folder.is_dir() and under_protocol(_runs(folder))


def verdict_of(found: Sequence[Found]) -> Verdict:
    """Return the verdict on a claim: it holds where every part does, and not where one is contradicted."""
    verdicts = {one.verdict for one in found}
    return "not held" if "not held" in verdicts else "held" if verdicts == {"held"} else "not shown"


def found_in(part: Mapping[str, Any], folder: Path, words: Mapping[str, str]) -> Found:
    """Return what the runs of a folder say of one part of a claim."""
    figure = str(part["figure"])
    runs = [_on_tasks(run, part["tasks"], figure) for run in _runs(folder)] if "tasks" in part else _runs(folder)
    if "over" in part:
        return _between_orders(_side(runs, part["over"]), figure, words)
    high, name = _side(runs, part["high"]), _name(part["high"])
    told = f" ({', '.join(part['tasks'])}): {_symbol(figure)}" if "tasks" in part else f": {_symbol(figure)}"
    if "low" not in part:
        ends = high.interval(figure)
        return Found(f"{name}{told} {_gap(high.score(figure), ends)}", _verdict(ends, part), len(high.runs))
    if part["low"]["of"] == "each":
        return _above_each(high, name, _methods(runs), figure, words)
    gap, ends, _ = difference(_side(runs, part["low"]), high, figure)
    text = f"{name} − {_name(part['low'])}{told} {_gap(gap, ends)}"
    return Found(text, _verdict(ends, part), len(high.runs))


def _verdict(ends: Interval, part: Mapping[str, Any]) -> Verdict:
    """Judge an interval: within `near` points of 0, below `below`, or above `least` (0 where nothing is said)."""
    if "near" in part:
        most = part["near"] / 100
        far = ends.low > most or ends.high < -most
        return "held" if -most <= ends.low and ends.high <= most else "not held" if far else "not shown"
    if "below" in part:
        return _above(Interval(-ends.high, -ends.low), -part["below"] / 100)
    return _above(ends, part.get("least", 0) / 100)


def _above(ends: Interval, least: float) -> Verdict:
    return "held" if ends.low > least else "not held" if ends.high < least else "not shown"


def _above_each(high: Method, name: str, methods: Sequence[Method], figure: str, words: Mapping[str, str]) -> Found:
    """Compare with every method: held above all of them, not held below one of them (p < 0.05 by Holm over all)."""
    found = [(method.label, *difference(method, high, figure)) for method in methods]
    below = [gap < 0 and p < SURE for (_, gap, _, _), p in zip(found, holm([p for *_, p in found]), strict=True)]
    label, gap, ends, _ = min(found, key=lambda one: one[1])
    above = all(ends.low > 0 for _, _, ends, _ in found)
    text = f"{name} − {words['best'].format(name=label)}: {_symbol(figure)} {_gap(gap, ends)}"
    return Found(text, "not held" if any(below) else "held" if above else "not shown", len(high.runs))


def _methods(runs: Sequence[RunRecord]) -> list[Method]:
    """Return what may be held against a bound: no bounds, and nothing that is told the task, which bounds are not."""
    found = [_side(runs, {"of": name}) for name in learners_in(runs) if name not in NO_METHODS]
    return [method for method in found if method.told != "task"]


def _on_tasks(run: RunRecord, tasks: Sequence[str], figure: str) -> RunRecord:
    """Return a run as if its stream were asked of these tasks alone."""
    whole = run.matrix
    places = [whole.exams.index(name) for name in tasks]
    columns = tuple(whole.columns[place] for place in places)
    matrix = Matrix(whole.values[:, places], whole.n[:, places], whole.ungraded[:, places], columns)
    return replace(run, matrix=matrix, scores=compute([figure], matrix, run.costs, {}))


def _between_orders(method: Method, figure: str, words: Mapping[str, str]) -> Found:
    """Say whether a figure differs between the orders of the tasks: F over orders, with the seeds as blocks."""
    values = dict(zip(method.blocks, method.by_run(figure)[0], strict=True))
    orders, seeds = sorted({order for order, _ in values}), sorted({seed for _, seed in values})
    streams = {run.stream.tasks: run.spec.stream for run in method.runs}
    table_OS = np.array([[values.get((order, seed), math.nan) for seed in seeds] for order in orders])
    p = order_effect(table_OS)
    means = ", ".join(f"{streams[order]} {100 * row.mean():.1f}" for order, row in zip(orders, table_OS, strict=True))
    text = words["between"].format(figure=_symbol(figure), name=method.label, values=means, p=p_text(p))
    return Found(text, "held" if p < SURE else "not shown", len(method.runs))


def order_effect(table_OS: NDArray[np.float64]) -> float:
    """Return p that orders make no difference, of a table orders x seeds; NaN if it has a hole or one row or column.

    Example:
        >>> round(order_effect(np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.7]])), 4)
        0.0099
    """
    from scipy import stats

    a, b = table_OS.shape
    if min(a, b) < 2 or np.isnan(table_OS).any():
        return math.nan
    rest = table_OS - table_OS.mean(1, keepdims=True) - table_OS.mean(0) + table_OS.mean()
    error = max(float((rest**2).sum()) / ((a - 1) * (b - 1)), ROUNDING)
    return float(stats.f.sf(b * float(table_OS.mean(1).var(ddof=1)) / error, a - 1, (a - 1) * (b - 1)))


@lru_cache
def _runs(folder: Path) -> tuple[RunRecord, ...]:
    return tuple(load_runs([folder]))


def _side(runs: Sequence[RunRecord], who: Mapping[str, Any]) -> Method:
    """Return the runs that a claim speaks of, as one method over orders and seeds.

    Raises:
        ValueError: There are none, or they are several methods.
    """
    found = named_by(who, runs)
    methods = methods_of(group_runs(found)) if found else []
    if len(methods) != 1:
        raise ValueError(f"{dict(who)} names {len(methods)} methods in these results, and a claim compares one")
    return methods[0]


def named_by(who: Mapping[str, Any], runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs of a learner (`of`) with these settings, on a stream if one is named.

    Without settings, the best ones of a learner; a setting that a run does not state is at its default.
    """
    rest = {key: value for key, value in who.items() if key not in ("of", "stream")}
    own = [run for run in runs if who.get("stream") in (None, run.spec.stream)]
    name = str(who["of"])
    found = [run for run in own if run.spec.learner_name == name] if rest else learners_in(own).get(name, [])
    return [run for run in found if all(_setting(run, key) == value for key, value in rest.items())]


def _setting(run: RunRecord, name: str) -> Any:
    if name in run.spec.learner:
        return run.spec.learner[name]
    plugin, _ = open_learner({"name": run.spec.learner_name})
    return getattr(plugin.config(), name)


def _name(who: Mapping[str, Any]) -> str:
    return " ".join(
        [
            str(who["of"]),
            *(str(value) if key == "stream" else f"{key}={value}" for key, value in who.items() if key != "of"),
        ]
    )


def _symbol(figure: str) -> str:
    return all_metrics()[figure].symbol


def _gap(value: float, ends: Interval) -> str:
    text = f"{'+' if value > 0 else ''}{printed(value, 'score')}"
    return text if math.isnan(ends.low) else f"{text} ({printed(ends.low, 'score')} … {printed(ends.high, 'score')})"
