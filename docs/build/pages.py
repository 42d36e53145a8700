"""Pages of the documentation that are made from the code: `python -m docs.build.pages` rewrites them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from clbench.core import plugins
from clbench.core.wording import Language, speak, spoken, tr
from clbench.data.streams.card import load_stream_card
from clbench.data.tasks.card import Card, list_cards, load_task_card
from clbench.metrics import all_metrics
from clbench.report.drawings.figures import standing_alone
from clbench.report.page.lengths import length_series
from clbench.report.page.ranking import ranks_figure as drawn_ranks
from clbench.report.runs.abilities import ability_curves
from clbench.report.runs.groups import Group, group_runs
from clbench.report.runs.load import load_runs
from clbench.stats import transitions
from docs.build.findings import fill_findings
from docs.build.ladder import fill_ladders
from docs.build.measured import RESULTS
from docs.build.methods import method_page, methods_page
from docs.build.reference import REFERENCE_PAGES
from docs.build.sound import learners_in
from docs.build.tables import fill_pages

ITEM_FIGURES = (transitions.forgotten, transitions.gained, transitions.forgotten_raw, transitions.gained_raw)
FAMILY = {"performance": "Performance", "stability": "Stability", "efficiency": "Efficiency", "cost": "Cost"}


def metrics_page() -> str:
    """Return docs/metrics.md."""
    lines = [
        "# Figures",
        "",
        "R[k, i] is the score on exam i after k lessons, k = 0..T; row 0 is the untouched model; t_i is the lesson",
        "that teaches task i. Scores lie in [0, 1] inside clbench and are printed in percent. What cannot be computed",
        "is NaN and shown as –; cells that are not due are never counted as 0.",
        "Made by `make docs` from the code.",
    ]
    for group, title in FAMILY.items():
        lines += ["", f"## {title}"]
        for name, plugin in all_metrics().items():
            if plugin.group == group:
                lines += ["", f"### `{name}` ({plugin.symbol})", "", _docstring(plugin.compute)]
    lines += [
        "",
        "## Item by item",
        "",
        "What the mean of an exam hides: items that are lost while others are gained. They need the items of a run;",
        "so they stand in the HTML report, in `clbench report --format items` (or `json`) and in",
        "`Runs.item_changes()`: of a task between its own lesson and the last, of an ability between row 0 and the",
        "last. Of n items n10 were right and became wrong, n01 wrong and became right, n00 were wrong both times.",
        "Intervals: bootstrap over items, over whole groups where items belong together, and over seeds. Older",
        "results do not hold the guess rates of single items: the exam's stands for them, which is less exact where",
        "items differ in their number of choices.",
    ]
    for figure in ITEM_FIGURES:
        lines += ["", f"### `{figure.__name__}`", "", _docstring(figure)]
    return "\n".join(lines) + "\n"


def _docstring(function: Callable[..., object]) -> str:
    return "\n".join(line.strip() for line in (function.__doc__ or "").strip().splitlines())


def _task_row(card: Card) -> str:
    about, lock = card.about, card.lock
    closed = card.labels is not None or card.choices is not None
    scorer = card.scorer.name if card.scorer else "label" if closed else "exact"
    guess_rate = lock.guess_rate if lock else 1 / len(card.labels) if isinstance(card.labels, tuple) else None
    cells = [
        card.name,
        tr(str(about.get("kind"))),
        about.get("language"),
        "<br>".join(f"`{source}`" for source in card.sources) or tr("generated"),
        lock.lesson if lock else "–",
        lock.exam if lock else "–",
        scorer,
        "–" if guess_rate is None else f"{guess_rate:.4f}".rstrip("0").rstrip("."),
        about.get("license"),
        DATASETS[spoken()]["unverified" if card.unverified else "locked"],
    ]
    return f"| {' | '.join(map(str, cells))} |"


DATASETS: dict[Language, dict[str, str]] = {
    "en": {
        "head": """# Data sets and streams

Made by `make docs` from the cards. `clbench show NAME` prints examples as a model sees them.

The guess rate is the score of guessing. An *unverified* card was written from the documentation of a set
that could not be fetched; opening it says so, and `clbench check card NAME --lock` verifies it.
""",
        "tasks": "task | kind | language | source | lesson | exam | scorer | guess rate | licence | status",
        "streams": "stream | tasks in order",
        "unverified": "unverified",
        "locked": "locked",
    },
    "zh": {
        "head": """# 数据集与任务流

由 `make docs` 根据卡片生成。`clbench show 名称` 按模型看到的样子打印样本。

猜测水平是随机猜测的得分。*未核验*的卡片是根据数据集的文档写成的，当时无法获取该数据集；打开它时会有提示，
`clbench check card 名称 --lock` 可核验它。
""",
        "tasks": "任务 | 类型 | 语言 | 来源 | 训练行数 | 评测行数 | 评分规则 | 猜测水平 | 许可证 | 状态",
        "streams": "任务流 | 按顺序的任务",
        "unverified": "未核验",
        "locked": "已上锁",
    },
}


def datasets_page(lang: Language = "en") -> str:
    """Return docs/datasets.md, in English or Chinese."""
    said = DATASETS[lang]
    before = spoken()
    speak(lang)
    try:
        tasks = [_task_row(load_task_card(name)) for name in list_cards("tasks")]
        streams = [f"| {name} | {load_stream_card(name).listed} |" for name in list_cards("streams")]
    finally:
        speak(before)
    lines = [said["head"], f"| {said['tasks']} |", "|---|---|---|---|---:|---:|---|---:|---|---|", *tasks]
    lines += ["", f"| {said['streams']} |", "|---|---|", *streams]
    return "\n".join(lines) + "\n"


def abilities_figure() -> str:
    """Return docs/abilities.svg: every ability of plain fine-tuning over lessons, from the committed results."""
    (plain,) = group_runs(learners_in(load_runs([Path("results/abilities")]))["sft"])
    return standing_alone({c.ability: c.scores for c in ability_curves(plain.mean)}, "abilities under sft")


def lengths_figure() -> str:
    """Return docs/long-context.svg: recall by length after the last lesson, from the committed results."""
    ticks, series = length_series(_abilities(), "untouched")
    return standing_alone(series, "recall by length", ticks)


def ranks_figure() -> str:
    """Return docs/ranking.svg: the critical-difference diagram of all learners, from the committed results."""
    return drawn_ranks(load_runs([RESULTS]))


def _abilities() -> list[Group]:
    return group_runs(load_runs([Path("results/abilities")]))


PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "datasets.md": datasets_page,
    "datasets.zh-CN.md": partial(datasets_page, "zh"),
    "methods.md": methods_page,
    "abilities.svg": abilities_figure,
    "long-context.svg": lengths_figure,
    "ranking.svg": ranks_figure,
}
# Not tracked: each says what its method's file says, and what was measured.
METHOD_PAGES = {f"methods/{name}.md": partial(method_page, name) for name in plugins.shipped("learner")}


def write_pages(folder: Path) -> list[Path]:
    """Write every page into a folder, and drop those of methods that are no more."""
    for room in ("methods", "reference"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    for path in (folder / "methods").glob("*.md"):
        if f"methods/{path.name}" not in METHOD_PAGES:
            path.unlink()
    pages = {**PAGES, **METHOD_PAGES, **REFERENCE_PAGES}
    for name, page in pages.items():
        (folder / name).write_text(page(), encoding="utf-8")
    return [folder / name for name in pages]


if __name__ == "__main__":
    for written in [*write_pages(Path("docs")), *fill_pages(Path()), *fill_findings(Path()), *fill_ladders(Path())]:
        sys.stdout.write(f"{written}\n")
