"""`clbench demo`: the first contact. Shown from what ships with the package, or made here."""

from __future__ import annotations

import gzip
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from clbench.cli.options import Lang, Language, language, say
from clbench.core.errors import ExtraError
from clbench.core.extras import TO_LOAD, absent, install, need_models

SAID: dict[Language, dict[str, str]] = {
    "en": {
        "about": "What seven learners keep of five small tasks, after the last of them (recipe `demo`, three seeds):",
        "page": "report: {path}",
        "train": "to make it yourself: {install}, then clbench run demo",
        "make": "to make it yourself, in three to four minutes: clbench run demo",
    },
    "zh": {
        "about": "七个学习器依次学完五个小任务后各自保留了什么（配方 `demo`，三个随机种子）：",
        "page": "报告：{path}",
        "train": "自己运行：先 {install}，再 clbench run demo",
        "make": "自己运行（三到四分钟）：clbench run demo",
    },
}


def demo(
    context: typer.Context,
    replay: Annotated[bool, typer.Option("--replay", help="Show what it gave once; nothing is trained.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("clbench-report"),
    lang: Lang = None,
) -> Any:
    """See what clbench measures: run the demo, or show in a second what it gave (--replay), which needs no extra."""
    if replay:
        _show(out, language(lang))
        return None
    try:
        need_models("the demo")
    except ExtraError as error:
        raise ExtraError(error.what, mend=f"{error.mend}; or show what it gave: clbench demo --replay") from None
    chosen = [] if lang is None else ["--lang", lang]
    group: Any = context.find_root().command
    return group.main(["run", "demo", "--out", str(out), *chosen], standalone_mode=False, obj=["run", "demo"])


def _show(out: Path, lang: Language) -> None:
    """Write the page that ships with the package, and print its table."""
    told, place = SAID[lang], resources.files("clbench") / "cards" / "demo"
    say(told["about"])
    say((place / f"summary.{lang}.txt").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    page = out / "demo.html"
    page.write_bytes(gzip.decompress((place / f"report.{lang}.html.gz").read_bytes()))
    say(told["page"].format(path=page.resolve()))
    say(told["train"].format(install=install("train")) if absent(TO_LOAD) else told["make"])
