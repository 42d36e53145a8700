"""The plan and the state of a grid as text, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.wording import translated

OPTIONS = {"hours": "--max-hours", "disk": "--max-disk", "money": "--budget-usd"}  # that limit what a grid takes
TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "runs": "{runs} runs",
        "lessons": "lessons learnt: {together:,} instead of {apart:,}; examples walked in them: {walked:,} instead of "
        "{walked_apart:,}, {less:.0%} fewer",
        "exams": "exams asked: {together:,} instead of {apart:,}",
        "shared": "shared, counted once:",
        "untouched": "exams of the untouched model: {together:,} instead of {apart:,}",
        "prefix": "lessons that runs begin with alike: {together:,} instead of {apart:,} ({examples:,} examples)",
        "first_lesson": "first lessons taken over from another method: {apart:,}, for which {together:,} more are "
        "learnt ({examples:,} examples fewer)",
        "answers": "exams of equal states after a lesson: {together:,} instead of {apart:,}",
        "loads": "states loaded for their exams: {together:,} instead of {apart:,}",
        "streams": "streams with exams that are read: {together:,} instead of {apart:,}",
        "store": "in the store: {have:,} of {units:,} units (a unit is a state with its exams); {need:,} to make",
        "asked": "of the exams, {have:,} are answered and {need:,} are to be asked",
        "time": "time: about {hours} with {workers} workers, {work} of work; {source}",
        "time_unknown": "time: unknown; --probe learns a few steps with each method to tell it",
        "partly": "{unknown:,} units of unknown time are not counted",
        "records": "from records of this store",
        "probe": "from a probe",
        "critical": "longest chain: {hours}, {chain}",
        "disk": "disk: {disk} to write, {free} free",
        "memory": "memory: {together} of {room} side by side on {device}",
        "unknown_room": "unknown size",
        "no_fit": "memory and disk: no model can be looked at here",
        "money": "money: at most about {money:.2f} USD",
        "money_unknown": "money: not known; a model behind an API is asked, and --prices names no price of it",
        "nothing": "all of it is in the store: nothing to make",
        "over_hours": "it takes about {planned}, and {allowed} hours are allowed",
        "over_disk": "it writes about {planned}, and {allowed} are allowed",
        "over_money": "it costs up to about {planned} USD, and {allowed} USD are allowed",
        "over_unknown": "how much it takes is not known, so it cannot be held against the limit",
        "over_mend": "leave runs out (axes, exclude), raise the limit, or let `clbench grid run --max-hours` stop and "
        "go on later",
        "hours": "{number:.1f} h",
        "minutes": "{number:.0f} min",
        "seconds": "{number:.0f} s",
        "head": "grid {name}: {state}",
        "state_runs": "{num} at work",
        "state_idle": "nobody is at work; `clbench grid run` goes on",
        "state_done": "complete",
        "state_stopped": "stopped: {why}",
        "done": "done",
        "running": "running",
        "queued": "queued",
        "failed": "failed",
        "shared_units": "shared",
        "left": "left",
        "unknown": "unknown",
        "now": "at work on",
        "failures": "could not be made (`clbench grid retry` tries again)",
        "cancelled": "told {num} to stop; what is being made is finished, and `clbench grid run` goes on later",
    },
    "zh": {
        "runs": "{runs} 次运行",
        "lessons": "要学习的轮次：{together:,}（各自进行需 {apart:,}）；其中遍历样例 {walked:,} 个（各自进行需 "
        "{walked_apart:,}），少 {less:.0%}",
        "exams": "要作答的评测：{together:,}（各自进行需 {apart:,}）",
        "shared": "共享、只做一次的部分：",
        "untouched": "原始模型的评测：{together:,}（各自进行需 {apart:,}）",
        "prefix": "多次运行共同的开头轮次：{together:,}（各自进行需 {apart:,}，省去 {examples:,} 个样例）",
        "first_lesson": "第一轮取自其他方法：{apart:,} 个，为此另学 {together:,} 个（省去 {examples:,} 个样本）",
        "answers": "轮次之后相同状态的评测：{together:,}（各自进行需 {apart:,}）",
        "loads": "为评测加载的状态：{together:,}（逐项评测需 {apart:,}）",
        "streams": "读取的任务流及评测：{together:,}（各自进行需 {apart:,}）",
        "store": "存储中已有 {units:,} 个单元中的 {have:,} 个（单元 = 一个状态及其评测）；还需完成 {need:,} 个",
        "asked": "评测中已作答 {have:,}，待作答 {need:,}",
        "time": "时间：{workers} 个工作进程约需 {hours}，总工作量 {work}；{source}",
        "time_unknown": "时间：未知；--probe 会让每种方法学习几步来估计",
        "partly": "{unknown:,} 个单元时间未知，未计入",
        "records": "依据本存储的记录",
        "probe": "依据试运行",
        "critical": "最长的链：{hours}，{chain}",
        "disk": "磁盘：将写入 {disk}，可用 {free}",
        "memory": "内存：{device} 上同时占用 {together}，共 {room}",
        "unknown_room": "未知大小",
        "no_fit": "内存与磁盘：此处无法查看任何模型",
        "money": "费用：最多约 {money:.2f} USD",
        "money_unknown": "费用：未知；要向 API 后的模型提问，而 --prices 没有给出它的价格",
        "nothing": "存储中已全部具备：无需再做",
        "over_hours": "约需 {planned}，只允许 {allowed} 小时",
        "over_disk": "约写入 {planned}，只允许 {allowed}",
        "over_money": "费用最多约 {planned} USD，只允许 {allowed} USD",
        "over_unknown": "所需的量未知，无法与上限比较",
        "over_mend": "去掉一些运行（axes、exclude）、提高上限，或用 `clbench grid run --max-hours` 先停下、以后继续",
        "hours": "{number:.1f} 小时",
        "minutes": "{number:.0f} 分钟",
        "seconds": "{number:.0f} 秒",
        "head": "网格 {name}：{state}",
        "state_runs": "{num} 个进程在工作",
        "state_idle": "没有进程在工作；`clbench grid run` 可继续",
        "state_done": "已完成",
        "state_stopped": "已停止：{why}",
        "done": "完成",
        "running": "进行中",
        "queued": "排队",
        "failed": "失败",
        "shared_units": "共享",
        "left": "剩余时间",
        "unknown": "未知",
        "now": "正在进行",
        "failures": "未能完成（`clbench grid retry` 可重试）",
        "cancelled": "已通知 {num} 个进程停止；正在进行的会做完，以后可用 `clbench grid run` 继续",
    },
}


def duration(hours: float | None, lang: str) -> str:
    """Return a time for people.

    Example:
        >>> duration(2.5, "en"), duration(0.1, "en"), duration(0.001, "en"), duration(None, "en")
        ('2.5 h', '6 min', '4 s', 'unknown')
    """
    words = TEXTS[lang]
    if hours is None:
        return words["unknown"]
    if hours >= 1:
        return words["hours"].format(number=hours)
    return (
        words["minutes"].format(number=hours * 60) if hours >= 1 / 30 else words["seconds"].format(number=hours * 3600)
    )


def size(num_bytes: float) -> str:
    """Return bytes for people.

    Example:
        >>> size(2.5e9), size(3e6)
        ('2.5 GB', '3.0 MB')
    """
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def plan_text(plan: Mapping[str, Any], lang: str) -> str:
    """Return a plan as text.

    Args:
        plan: `GridPlan.as_dict()`.
        lang: "en" or "zh".
    """
    words = TEXTS[lang]
    less = 1 - plan["walked"] / plan["walked_apart"] if plan["walked_apart"] else 0.0
    lines = [
        words["runs"].format(runs=plan["runs"]),
        words["lessons"].format(together=plan["lessons"], apart=plan["lessons_apart"], less=less, **plan),
        words["exams"].format(together=plan["exams"], apart=plan["exams_apart"]),
    ]
    if plan["savings"]:
        lines += [words["shared"], *("  " + words[each["what"]].format(**each) for each in plan["savings"])]
    need = plan["units"] - plan["in_store"]
    lines.append(words["store"].format(have=plan["in_store"], units=plan["units"], need=need))
    asked = plan["exams_in_store"]
    lines.append(words["asked"].format(have=asked, need=plan["exams"] - asked))
    lines += _times(plan, words, lang) if need else [words["nothing"]]
    return "\n".join([*lines, *_needs(plan, words)])


def _times(plan: Mapping[str, Any], words: Mapping[str, str], lang: str) -> list[str]:
    if plan["hours"] is None:
        return [words["time_unknown"]]
    source = words.get(plan["source"], "")
    work = duration(plan["seconds"] / 3600, lang)
    told = words["time"].format(hours=duration(plan["hours"], lang), workers=plan["workers"], work=work, source=source)
    chain = " → ".join(plan["critical"])
    lines = [told, words["critical"].format(hours=duration(plan["critical_hours"], lang), chain=chain)]
    return [*lines, words["partly"].format(unknown=plan["unknown"])] if plan["unknown"] else lines


def _needs(plan: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    fit, lines = plan["memory"], list[str]()
    if fit is None:
        lines.append(words["no_fit"])
    else:
        room = words["unknown_room"] if fit["room"] is None else size(fit["room"])
        lines.append(words["disk"].format(disk=size(fit["disk"]), free=size(fit["free"])))
        lines.append(words["memory"].format(together=size(fit["together"]), room=room, device=fit["device"]))
    if plan["asks_api"]:
        known = plan["money"] is not None
        lines.append(words["money"].format(money=plan["money"]) if known else words["money_unknown"])
    return lines


def over_text(over: Sequence[tuple[str, float | None, float]], lang: str) -> str:
    """Return what a plan takes more than it may, in one line."""
    words = TEXTS[lang]
    parts: list[str] = []
    for name, planned, allowed in over:
        if planned is None:
            parts.append(f"{OPTIONS[name]}: {words['over_unknown']}")
            continue
        shown = duration(planned, lang) if name == "hours" else size(planned) if name == "disk" else f"{planned:g}"
        limit = size(allowed) if name == "disk" else f"{allowed:g}"
        parts.append(words[f"over_{name}"].format(planned=shown, allowed=limit))
    return "; ".join(parts)


def state_text(state: Mapping[str, Any], lang: str) -> str:
    """Return the state of a grid as text.

    Args:
        state: What `clbench grid status --json` writes.
        lang: "en" or "zh".
    """
    words = TEXTS[lang]
    if state["at_work"]:
        now = words["state_runs"].format(num=state["at_work"])
    elif not state["queued"] and not state["failed"] and not state["stopped"]:
        now = words["state_done"]
    else:
        why = translated(state["stopped"])
        now = words["state_stopped"].format(why=why) if why else words["state_idle"]
    cells = [(words[name], f"{state[name]:,}") for name in ("done", "running", "queued", "failed")]
    cells.append((words["shared_units"], f"{state['shared']:,}"))
    if state["at_work"]:
        left = state["seconds_left"]
        cells.append((words["left"], duration(None if left is None else left / 3600, lang)))
    lines = [words["head"].format(name=state["name"], state=now), "  ".join(f"{name} {value}" for name, value in cells)]
    if state["now"]:
        lines.append(f"{words['now']}: {', '.join(state['now'])}")
    if state["failures"]:
        lines.append(f"{words['failures']}:")
        lines += [f"  {label}: {why}" for label, why in state["failures"]]
    return "\n".join(lines)
