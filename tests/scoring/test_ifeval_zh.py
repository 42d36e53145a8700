"""Chinese prompts: each kind of instruction, followed and broken; and the prompts that ship."""

import json

import pytest

from clbench.core.types import Answer
from clbench.data.exams.exam import open_named
from clbench.data.tasks.task import open_task
from clbench.engine.grade import combine_grades, open_scorer
from clbench.scoring._instructions import CHECKS, obeys, sentences, words

pytest.importorskip("nltk", reason="nltk is not installed (extra `abilities`)")
# kind -> (its arguments, an answer that follows it, one that does not)
KINDS = {
    "keywords:existence": ({"keywords": ["荷花", "断桥"]}, "断桥边有荷花。", "断桥边有人。"),
    "keywords:frequency": ({"keyword": "长城", "relation": "at least", "frequency": 2}, "长城，长城！", "长城。"),
    "keywords:forbidden_words_zh": ({"forbidden_words": ["散射"]}, "蓝光更容易偏折。", "这叫瑞利散射现象。"),
    "language:response_language": ({"language": "zh"}, "人工智能", "Because leaves lose their 叶绿素."),
    "length_constraints:number_sentences": ({"relation": "at least", "num_sentences": 2}, "好。\n再见！", "真的吗？！"),
    "length_constraints:number_words": ({"relation": "less than", "num_words": 5}, "三，二，一。", "一二三四五"),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "猫。\n***\n狗。", "猫。\n\n狗。"),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, "[姓名]，[日期]", "[姓名]，日期"),
    "detectable_content:postscript": ({"postscript_marker": "附言"}, "再见。\n附言：带伞。", "再见。\n注意：带伞。"),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* 一\n- 二", "1. 一\n2. 二"),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 1}, "这是 *重点* 。", "这是“重点”。"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "环节", "num_sections": 2},
        "环节 1 环节2",
        "环节一 环节二",
    ),
    "detectable_format:json_format": ({}, '```json\n{"城市": "杭州"}\n```', "{城市：杭州}"),
    "detectable_format:title_zh": ({}, "# 《雪》\n雪落了。", "我爱读《雪国》。"),
    "detectable_format:constrained_response_zh": ({}, "我的回答是：否。", "我的回答是：不是。"),
    "combination:two_responses": ({}, "早睡。******早起。", "早睡。******早睡。"),
    "combination:repeat_prompt": ({"prompt_to_repeat": "月亮圆吗？"}, "月亮圆吗？有时圆。", "有时圆。"),
    "startend:end_checker": ({"end_phrase": "敬请谅解。"}, "“今天闭馆，敬请谅解。”", "敬请谅解。谢谢。"),
    "startend:quotation_zh": ({}, "「时间不等人。」", '"时间不等人。"'),
    "punctuation:no_comma_zh": ({}, "风起了。雨来了。", "风、雨来了。"),
}
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
    "zh-27": ("「时间和潮水不等人。」", "「Time and tide wait for no man.」"),
    "zh-34": ("请推荐一种适合雨天的运动。可以跳绳。", "请推荐一种适合雨天的运动。可以游泳。"),
    "zh-41": (f"《春节》\n{LONG}一家人吃年夜饭，给孩子红包。", f"我读《春节》。{LONG}一家人吃年夜饭，给孩子红包。"),
    "zh-42": ("[日期]闭馆，电话[电话]。给您带来不便，敬请谅解。", "[日期]闭馆。给您带来不便，敬请谅解。"),
    "zh-43": ("天气转凉。叶绿素少了，别的颜色就露出来。", "It gets cold. 叶绿素少了。"),
    "zh-46": ('{"时间": "昨天下午", "地点": "杭州", "事件": "机器人展览"}', '{"时间": "昨天下午", "地点": "杭州"}'),
    "zh-47": (f"为什么猫喜欢晒太阳？{LONG}", "为什么猫喜欢晒太阳？因为暖和。"),
    "zh-48": ("我们来了。我们很好。我们开始。谢谢大家。请坐。", "我们来了，我们很好。我们开始。谢谢大家。请坐。好。"),
    "zh-49": ("大熊猫黑白相间。\n***\n它爱吃竹子。\n***\n它住在山里。", "大熊猫黑白相间。\n***\n它爱吃竹子。"),
    "zh-54": ("《三种茶》\n*绿茶* 清，*红茶* 浓，*花茶* 香。", "《三种茶》\n*绿茶* 清，红茶浓，花茶香。"),
    "zh-56": ("电池耐用，电池充得快。屏幕亮。以上就是我的使用感受。", "电池耐用。屏幕亮。以上就是我的使用感受。"),
    "zh-58": ("《雪》\n雪落了。\n山白了。\n人静了。\n夜深了。", "《雪》\n雪落了。\n山白了。"),
    "zh-59": ("会学习的机器。******用数据拟合函数的程序。", "A machine that learns.******A program."),
    "zh-60": (f"[姓名]自[日期]起辞去[职位]。{LONG}\n附言：谢谢大家。", f"[姓名]自[日期]起辞去[职位]。{LONG}"),
    "zh-37": ("天黑了。风起了。雨来了。街空了。", "天黑了，风起了。雨来了。街空了。"),
}


@pytest.fixture(scope="module")
def prompts():
    return {e.id: e for e in open_task("ifeval_zh", None).exam}


def score(example, text):
    plugin = open_scorer("ifeval")
    grade = plugin.build({"level": "prompt", "mode": "strict"})(example, Answer(example_id=example.id, text=text))
    return combine_grades([grade], plugin)


@pytest.mark.parametrize("key", ANSWERS)
def test_an_answer_that_follows_and_one_that_does_not(prompts, key):
    follows, breaks = ANSWERS[key]
    assert score(prompts[key], follows) == 1.0
    assert score(prompts[key], breaks) == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_followed_and_broken(kind):
    arguments, follows, breaks = KINDS[kind]
    assert obeys(kind, arguments, follows, loose=False)
    assert not obeys(kind, arguments, breaks, loose=False)


def test_every_prompt_asks_for_something_that_is_known(prompts):
    assert len(prompts) == 60
    kinds = set()
    for example in prompts.values():
        check = json.loads(example.check)
        assert 1 <= len(check["instruction_id_list"]) == len(check["kwargs"]) <= 3
        for kind, arguments in zip(check["instruction_id_list"], check["kwargs"], strict=True):
            obeys(kind, arguments, "好。", loose=False)  # a missing argument would raise
            kinds.add(kind)
    assert kinds == set(KINDS) >= {k for k in CHECKS if k.endswith("_zh")}
    asked = [json.loads(prompts[k].check)["instruction_id_list"] for k in ANSWERS]
    assert {kind for listed in asked for kind in listed} == kinds, "no kind without an answer above"


def test_every_prompt_names_what_is_looked_for(prompts):
    """A word that must or must not be there, or that an answer must end with, is told to the model."""
    for example in prompts.values():
        told = example.prompt[0].content
        for arguments in json.loads(example.check)["kwargs"]:
            words_of = [
                arguments.get(name) for name in ("keyword", "end_phrase", "prompt_to_repeat", "postscript_marker")
            ]
            words_of += arguments.get("forbidden_words", [])
            # "星期一|周一": the days of the week, which the prompt asks for without naming them
            words_of += [word for word in arguments.get("keywords", []) if "|" not in word]
            assert [word for word in words_of if word and word not in told] == [], example.id


@pytest.mark.parametrize(
    ("text", "num"),
    [
        ("你好。\n世界。\n好。", 3),
        ("真的吗？！好。", 2),
        ("他说：“走吧。”便走了。", 1),
        ("他说：“走吧。”\n我没走。", 2),
        ("你好!我是张三。", 2),
        ("他走了……天黑了。", 1),
        ("1. 起床。\n2. 刷牙。", 2),
        ("起床\n刷牙", 1),
        ("3.5元。不贵。", 2),
        ("No Chinese. 1. One more.", 3),  # as in the original
    ],
)
def test_sentences(text, num):
    assert len(sentences(text)) == num


def test_characters_are_words_and_marks_are_none():
    assert words("《雪》，二〇二五年3月15日，用 Python 写。") == [
        *"雪二〇二五年",
        "3",
        "月",
        "15",
        *"日用",
        "Python",
        "写",
    ]


@pytest.mark.parametrize(
    ("text", "chinese"),
    [
        ("時間不等人", True),
        ("我用 Python 写代码。", True),
        ("123", True),  # nothing can be told, and then the original says yes
        ("東京は日本の首都です。", False),
        ("한국어입니다", False),
        ("Hello 你好 there my friend", False),
    ],
)
def test_chinese_goes_by_the_script(text, chinese):
    assert obeys("language:response_language", {"language": "zh"}, text, loose=False) is chinese


def test_english_phrases_end_as_in_the_original():
    assert not obeys("startend:end_checker", {"end_phrase": "Any questions?"}, "“Any questions?”", loose=False)
    assert obeys("startend:end_checker", {"end_phrase": "Any questions?"}, '"Any questions?"', loose=False)


def test_the_suite_has_four_figures():
    exams = open_named(["ifeval-zh"], 5, None)
    settings = [(e.scorer.settings["level"], e.scorer.settings["mode"]) for e in exams]
    assert sorted(settings) == [(level, mode) for level in ("instruction", "prompt") for mode in ("loose", "strict")]
    assert {e.kind for e in exams} == {"instruction"}
    assert len({e.digest for e in exams}) == 1, "asked once, marked four times"
