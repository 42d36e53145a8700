"""Words of cards and results in the language of a report."""

from __future__ import annotations

from collections.abc import Mapping

from clbench.report.tables.translations import TRANSLATIONS

# Words of cards and results that tables show: kinds of tasks, what changes in a stream, abilities.
WORDS = {
    "classification": "分类",
    "qa": "问答",
    "generation": "生成",
    "task": "任务",
    "domain": "领域",
    "class": "类别",
    "recurring": "重现",
    "nonsense": "虚构世界",
    "general": "通用",
    "instruction": "指令遵循",
    "knowledge": "知识",
    "mathematics": "数学",
    "reasoning": "推理",
    "code": "代码",
    "Chinese": "中文",
    "long context": "长上下文",
    "long recall": "长回忆",
}


def word(value: str, texts: Mapping[str, str]) -> str:
    """Return a word of cards and results in the language of the texts; one that is not known stays.

    Example:
        >>> word("long context", TRANSLATIONS["zh"]), word("trec6", TRANSLATIONS["zh"])
        ('长上下文', 'trec6')
    """
    return WORDS.get(value, value) if texts is TRANSLATIONS["zh"] else value
