"""Chinese prompts: each kind of instruction, followed and broken; and the prompts that ship."""

import json

import pytest

from clbench.core.types import Answer
from clbench.data.exam import open_named
from clbench.data.task import open_task
from clbench.engine.mark import combined, open_scorer
from clbench.scoring._instructions import CHECKS, followed

pytest.importorskip("langdetect", reason="langdetect is not installed (extra `abilities`)")
LONG = "春天的西湖边开满了花，" * 12
# prompt's key -> (an answer that follows every instruction, one that breaks at least one)
ANSWERS = {
    "zh-01": (f"{LONG}夏天满湖荷花。站在断桥上看雪。", f"{LONG}夏天满湖荷花。"),
    "zh-02": ("植物用光把水和二氧化碳变成养料，放出氧气。", LONG),
    "zh-03": ("《欢迎你》\n很高兴你来。期待与你共事！", "欢迎你\n很高兴你来。期待与你共事！"),
    "zh-04": ("* 关紧龙头\n* 一水多用\n* 缩短淋浴\n* 修好漏水", "* 关紧龙头\n* 一水多用\n* 缩短淋浴"),
    "zh-05": ("蓝光比红光更容易被空气偏折。", "因为瑞利散射作用。"),
    "zh-06": ("秋风起\n叶落地\n雁南飞", "秋风起，叶落地"),
    "zh-07": ("我的回答是：是。", "是的，北京是首都。"),
    "zh-08": ('{"姓名": "张三", "年龄": 30, "城市": "杭州"}', "姓名：张三"),
    "zh-09": (
        "埃菲尔铁塔很高，很多人来看。***卢浮宫里有名画，值得一天。***塞纳河边可以散步，很美。",
        "埃菲尔铁塔很高，很多人来看。***卢浮宫里有名画，值得一天。",
    ),
    "zh-10": ("“生日快乐，愿你天天开心！”", '"生日快乐！"'),
    "zh-11": ("本店面条 *手工现擀* ，汤头 *熬足八小时* 。", "本店面条 *手工现擀* 。"),
    "zh-12": ("部分 1\n出发。\n部分 2\n游玩。\n部分 3\n回家。", "部分 1\n出发。\n部分 2\n回家。"),
    "zh-13": ("[姓名]因病请假，自[日期]至[日期]。", "[姓名]因病请假，自[日期]起。"),
    "zh-14": ("它很静。它很亮。书很多。椅子软。人不多。", "它很静。它很亮。"),
    "zh-15": ("河流把岩石里的盐带进海里。", "河里有盐。盐入海。水蒸发。"),
    "zh-16": ("长城长，长城高，长城古，长城在北方。", "长城很长。"),
    "zh-17": ("早点关灯。******睡前不看手机。", "早点关灯。"),
    "zh-18": ("月亮为什么有圆有缺？因为它绕着地球转。", "因为它绕着地球转。"),
    "zh-19": ("水管漏水，请来看看。\n附言：周末我在家。", "水管漏水，请来看看。"),
    "zh-28": ("《猫和狗》猫爱独处。***狗爱陪伴。", "猫爱独处。***狗爱陪伴。"),
    "zh-31": ("少用塑料，多用布袋。", "塑料，塑料，还是塑料。"),
    "zh-37": ("天黑了。风起了。雨来了。街空了。", "天黑了，风起了。雨来了。街空了。"),
}


@pytest.fixture(scope="module")
def prompts():
    return {e.id: e for e in open_task("ifeval_zh", None).exam}


def score(example, text):
    plugin = open_scorer("ifeval")
    grade = plugin.build({"level": "prompt", "mode": "strict"})(example, Answer(example_id=example.id, text=text))
    return combined([grade], plugin).score


@pytest.mark.parametrize("key", ANSWERS)
def test_an_answer_that_follows_and_one_that_does_not(prompts, key):
    follows, breaks = ANSWERS[key]
    assert score(prompts[key], follows) == 1.0
    assert score(prompts[key], breaks) == 0.0


def test_every_prompt_asks_for_something_that_is_known(prompts):
    assert len(prompts) == 40
    kinds = set()
    for example in prompts.values():
        check = json.loads(example.check)
        assert len(check["instruction_id_list"]) == len(check["kwargs"]) >= 1
        for kind, arguments in zip(check["instruction_id_list"], check["kwargs"], strict=True):
            followed(kind, arguments, "好。", loose=False)  # a missing argument would raise
            kinds.add(kind)
    assert {k for k in CHECKS if k.endswith("_zh")} <= kinds
    asked = [json.loads(prompts[k].check)["instruction_id_list"] for k in ANSWERS]
    assert {kind for listed in asked for kind in listed} == kinds, "no kind without an answer above"


def test_the_suite_has_four_figures():
    exams = open_named(["ifeval-zh"], 5, None)
    settings = [(e.scorer.settings["level"], e.scorer.settings["mode"]) for e in exams]
    assert sorted(settings) == [(level, mode) for level in ("instruction", "prompt") for mode in ("loose", "strict")]
    assert {e.kind for e in exams} == {"instruction"}
    assert len({e.digest for e in exams}) == 1, "asked once, marked four times"
