"""The texts of the report's item browser, in English and Chinese."""

from __future__ import annotations

BROWSER_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "note": "Items that changed or were never right; of each method its first run. Forgotten: right after its own "
        "lesson (of an ability: by the untouched model), wrong after the last one. Learnt: wrong by the untouched "
        "model, right after the last lesson. Never: wrong in every row from its lesson on. Changed: right in one row, "
        "wrong in another. A part score counts as right from one half on. Keys: / search, ↑ ↓ or j k next item, "
        "Home End, Esc clears the search.",
        "left": "{left} more items are left out, so that the page stays small: clbench show RESULT --forgotten "
        "(--learnt, --never) lists all.",
        "unknown": "The texts of {unknown} more items are not at hand: they lie in the store that the runs were made "
        "in, or in results that were recorded with it.",
        "fate": "What became of it",
        "all": "all",
        "f": "forgotten",
        "l": "learnt",
        "n": "never right",
        "c": "changed",
        "method": "Method",
        "exam": "Task or exam",
        "task": "tasks",
        "ability": "abilities",
        "search": "Search",
        "count": "{shown} of {total} items",
        "list": "Items",
        "question": "Question",
        "expected": "Expected:",
        "untouched": "untouched",
        "own": "its own lesson",
        "none": "No item fits.",
        "not_at_hand": "(not at hand)",
        "right": "right",
        "wrong": "wrong",
        "ungraded": "no grade",
    },
    "zh": {
        "note": "发生变化或始终未答对的题目；每个方法取第一次运行。遗忘：在所属任务的轮后答对（能力题：原始模型答对），"
        "最后一轮后答错。学会：原始模型答错，最后一轮后答对。始终未会：从所属任务的轮起每次都答错。有变化：有时答对、"
        "有时答错。部分得分达到一半即算答对。按键：/ 搜索，↑ ↓ 或 j k 换题，Home End 首末，Esc 清除搜索。",
        "left": "为控制页面大小，另有 {left} 道题未收入："
        "clbench show 结果 --forgotten（--learnt、--never）可列出全部。",
        "unknown": "另有 {unknown} 道题的文本不在手边：它们保存在运行所用的存储目录，或从该目录记录的结果中。",
        "fate": "变化情况",
        "all": "全部",
        "f": "遗忘",
        "l": "学会",
        "n": "始终未会",
        "c": "有变化",
        "method": "方法",
        "exam": "任务或评测",
        "task": "任务",
        "ability": "能力",
        "search": "搜索",
        "count": "{shown} / {total} 道题",
        "list": "题目",
        "question": "题目",
        "expected": "标准答案：",
        "untouched": "原始模型",
        "own": "所属任务的轮",
        "none": "没有符合条件的题目。",
        "not_at_hand": "（不在手边）",
        "right": "对",
        "wrong": "错",
        "ungraded": "未评分",
    },
}
