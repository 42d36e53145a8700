"""Verdicts, trends, comparisons and recommendations in both languages."""

import re
from dataclasses import replace

import pytest

from clbench.cli.init import TEXTS as RECIPES
from clbench.cli.options import language
from clbench.report.decide import advise, gate, gate_text, watch, watch_text
from clbench.report.decide.compare import compare
from clbench.report.decide.compare_text import comparison_text
from clbench.report.decide.texts import TEXTS, heads
from clbench.report.runs.groups import group_runs
from clbench.report.tables.summary import summary_text
from clbench.report.tables.translations import TRANSLATIONS
from tests.builders.compared import cells, groups, run
from tests.builders.gate import EXAMS, OLD, WORSE

WORDS = re.compile(r"(?:[A-Za-z]{2,} ){2,}[a-z]{2,}")  # three English words on end: a sentence that is not translated


def english(text):
    """Return what of a Chinese text is English and is not a command."""
    told = [line for line in text.splitlines() if "clbench run" not in line]
    return WORDS.findall("\n".join(told))


def test_texts_of_both_languages_have_the_same_keys_fields_and_columns():
    for texts in (TEXTS, TRANSLATIONS):
        assert texts["en"].keys() == texts["zh"].keys()
        for key, text in texts["en"].items():
            fields = [set(re.findall(r"{(\w+)}", each[key])) for each in (texts["en"], texts["zh"])]
            assert fields[0] == fields[1], key
            assert text.count(" | ") == texts["zh"][key].count(" | ") or "heads" not in key, key


def test_chinese_texts_use_the_punctuation_of_chinese():
    for texts in (TEXTS["zh"], TRANSLATIONS["zh"]):
        for key, text in texts.items():
            assert not re.search(r"[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", text), (key, text)


def test_the_gate_speaks_chinese():
    differs = ("chat template", "abc", "none")
    report = replace(gate.gate_report(OLD, WORSE, EXAMS, 0.02, {}), differs=(differs,), machine=(("cpu", "a", "b"),))
    for told in (gate_text.as_table, gate_text.as_markdown, gate_text.as_junit):
        text = told(report, TEXTS["zh"])
        assert "对话模板：原为 abc，现为 none" in text
        assert "退化" in text
        assert "机器不同：cpu" in text
    assert not english(gate_text.as_table(report, TEXTS["zh"]).split("下降最多的题目")[0])
    assert gate_text.as_table(report, TEXTS["zh"]).count("全部评测") >= 1
    assert gate_text.as_json(report)["repair"] == gate.repair(report), "what machines read has one language"


def test_trends_speak_chinese():
    series = watch.Series(
        "gate", "sums", (0.9, 0.9), 50, ("1 a", "2 b"), dates=("2026-11-02T08:00", "2026-11-09T08:00")
    )
    found = watch.watch_series([series], 5, 0.05)
    assert not english(watch_text.as_table(found, 0.05, TEXTS["zh"]))
    page = watch_text.watch_page(found, 0.05, lang="zh", first=5)
    assert '<html lang="zh">' in page
    assert "与最初 5 个检查点比较，误报率 5 %" in page
    assert '<li>2 b <span class="idle">2026-11-09</span></li>' in page
    assert "5 first checkpoints" in watch_text.watch_page(found, 0.05, first=5)


def test_comparisons_and_tables_speak_chinese(tmp_path):
    pair = [run("sft", cells(10), folder=tmp_path / "a"), run("replay", cells(45), folder=tmp_path / "b")]
    text = comparison_text(compare(*groups(pair)), 1, TEXTS["zh"])
    assert "replay 与 sft 相比（各一次运行" in text
    assert not english(re.sub(r"(?s)\n  \d.*", "", text))
    assert not english(summary_text(pair, lang="zh"))
    assert "方法" in summary_text(pair, lang="zh").splitlines()[1]


def test_recommendations_speak_chinese():
    found = advise.advise(group_runs([run("sft", cells(10)), run("replay", cells(45))]), advise.Limits(hours=1e-9))
    assert not english(advise.as_table(found, "zh"))
    assert "时间：" in advise.as_table(found, "zh")
    free = advise.advise(group_runs([run("sft", cells(10)), run("replay", cells(45))]), advise.Limits())
    assert "推荐：replay" in advise.as_table(free, "zh")


def test_heads_keep_a_bar_within_a_name():
    assert heads(TEXTS["en"], "figure_heads", one="a | b", two="c")[1:3] == ["a | b", "c"]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "CLBENCH_LANG": "zh"}, "zh"),
        ({"LC_MESSAGES": "zh-Hans"}, "zh"),
        ({"LANG": "zhuang"}, "en"),
        ({}, "en"),
    ],
)
def test_the_locale_chooses_the_language_unless_it_is_said(environment, told, monkeypatch):
    for name in ("CLBENCH_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language(None) == told
    assert language("en") == "en"


def test_recipes_of_both_languages_are_the_same_recipe():
    import yaml

    both = [yaml.safe_load(text.format(name="mine")) for text in RECIPES.values()]
    assert both[0] == both[1]
