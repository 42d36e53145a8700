"""The catalogue of Chinese texts fits the code, and messages are recognised by their English form."""

import ast
import re
import time
from pathlib import Path
from string import Formatter

import pytest
import yaml

from clbench.core import errors
from clbench.core.errors import UserError
from clbench.core.wording import catalogue, cells, in_english, padded, speak, spoken, tr, translated

SOURCE = Path(__file__).parents[2] / "src" / "clbench"
TEXTS, MESSAGES = catalogue()["texts"], catalogue()["messages"]
IN_TEMPLATES = re.compile(r'tr\("((?:[^"\\]|\\.)*)"(?:[^()]*? else tr\("|[^()"]*? else "((?:[^"\\]|\\.)*)")?')
HAN = r"[\u3400-\u9fff]"


@pytest.fixture(autouse=True)
def english_again():
    yield
    speak("en")


def literals(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def marked_and_all():
    """Give the texts that stand within a call of `tr`, and every text of the code and of the templates."""
    marked, every = set(), set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        every |= literals(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tr" and node.args:
                if isinstance(node.args[0], ast.Constant):
                    marked.add(node.args[0].value)
                elif isinstance(node.args[0], ast.IfExp):  # the condition compares, and is no text
                    marked |= literals(node.args[0].body) | literals(node.args[0].orelse)
    for path in (SOURCE / "report" / "templates").iterdir():
        marked |= {text for found in IN_TEMPLATES.findall(path.read_text(encoding="utf-8")) for text in found if text}
    return marked, every | marked


def fields(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.slow
def test_no_text_of_the_code_is_without_chinese():
    marked, _ = marked_and_all()
    assert len(marked) > 100, "the search found the calls"
    assert not sorted(marked - TEXTS.keys())


@pytest.mark.slow
def test_no_chinese_is_left_over():
    _, every = marked_and_all()
    templates = (SOURCE / "report" / "templates").iterdir()
    streams = (yaml.safe_load(p.read_text(encoding="utf-8")) for p in (SOURCE / "cards" / "streams").glob("*.yaml"))
    abouts = [card.get("about", {}).get("text", "") for card in streams]
    long = " ".join([*every, *abouts, *(path.read_text(encoding="utf-8") for path in templates)])
    assert not [text for text in TEXTS if text not in every and text not in long]


@pytest.mark.slow
def test_no_message_is_left_over():
    _, every = marked_and_all()
    here = "\n".join(every)
    composed = {  # by the parser of the command line, or of several parts of the code
        *("No such option: {}", "No such option: {} Did you mean {}?", "{} is not one of {}."),
        "nothing is answered, and rubrics are met",
        *("there is no learner {}", "there is no scorer {}", "there is no metric {}"),
        *("{} needs {}, which is not installed", "{} needs {}, which are not installed"),
    }
    wrong = [
        message
        for message in MESSAGES.keys() - composed
        if not all(part.strip() in here for part in message.split("{}"))
    ]
    assert not wrong


@pytest.mark.parametrize("section", [TEXTS, MESSAGES], ids=["texts", "messages"])
def test_both_languages_have_the_same_fields(section):
    for english, chinese in section.items():
        if section is TEXTS:
            assert set(fields(chinese)) <= set(fields(english)), english
        elif "{}" in english:
            assert chinese.format(*["x"] * english.count("{}")).count("x") >= english.count("{}"), english


def test_chinese_has_full_width_punctuation():
    wrong = [zh for section in (TEXTS, MESSAGES) for zh in section.values() if re.search(rf"{HAN} ?[,;:?!()]", zh)]
    assert not wrong


def test_a_text_is_in_the_language_that_is_spoken():
    assert tr("{num} runs", num=2) == "2 runs"
    speak("zh")
    assert tr("{num} runs", num=2) == "2 次运行"
    with in_english():
        assert tr("{num} runs", num=2) == "2 runs"
    assert spoken() == "zh"
    assert tr("nobody wrote this") == "nobody wrote this"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("there is no result here", "这里没有结果"),
        ("x.yaml: there is no such card file", "x.yaml：没有这个卡片文件"),
        ("a: b: there is no such folder", "a: b：没有这个文件夹"),
        (
            "model.name: there is no model 'x'\n  to mend: a folder, a Hub id or a shipped one; known: tiny-llama",
            "model.name：没有模型 'x'\n  解决办法：应为文件夹、Hub 编号或自带模型；可用的有：tiny-llama",
        ),
        ("exam 'e' is left out: e.yaml: there is no such card file", "略去评测 'e'：e.yaml：没有这个卡片文件"),
        ("2 of 5 runs could not be made: the disk is full", "5 次运行中有 2 次未能完成：磁盘已满"),
        ("name one; nobody knows this", "请指定一个；nobody knows this"),
        ("nobody knows this: at all", "nobody knows this: at all"),
        ("", ""),
    ],
)
def test_a_message_is_worded_with_all_that_stands_in_it(english, chinese):
    assert translated(english) == english
    speak("zh")
    assert translated(english) == chinese


def test_a_hostile_message_is_worded_in_no_time():
    speak("zh")
    started = time.process_time()
    for text in ("x: " * 600 + "; " * 600, "x: " * 100_000, "is left out: " * 300):
        assert translated(text)
    assert time.process_time() - started < 5


def test_chinese_takes_two_columns():
    assert cells("评测 x") == 6
    assert padded("评测", 6) == "评测  "
    assert padded("评测", 6, right=True) == "  评测"


RETRY = "`clbench grid run` makes all that is missing"
ENDED = "lesson 1, python t.py: it was ended by signal 9, as when memory runs out: no"
GO_ON = "what is finished is kept, and the same command goes on with this lesson"
LEFT = "let it save the model there: the folder is {out}, and $CLBENCH_OUT in its environment"


@pytest.mark.parametrize(
    ("message", "chinese"),
    [
        (RETRY, "`clbench grid run` 会补齐所有缺少的部分"),
        (ENDED, "lesson 1, python t.py：它被信号 9（内存不足时会这样） 结束：no"),
        (f"give it a longer --limit; {GO_ON}", "请给更长的 --limit；已完成的部分会保留，同一条命令从这一轮继续"),
        (LEFT, "请让它把模型保存在那里：该文件夹即 {out}，在环境变量中为 $CLBENCH_OUT"),
        ("lesson 2", "第 2 轮"),
        (
            "a: spent on replies so far, in this store: 12 prompt tokens (0 cached), 3 completion tokens, 0.5000 USD",
            "a：本存储至此用于回复的花费：12 个提示词元（缓存 0 个）、3 个回答词元, 0.5000 USD",
        ),
    ],
)
def test_messages_of_several_parts_are_not_taken_for_one_of_a_word(message, chinese):
    speak("zh")
    assert translated(message) == chinese


# --- every message that is written where it is raised --------------------------------------------------------

AS_TYPED = ("pip install", "clbench ", "--", "iconv ", "exclude: ", "{} is {}")  # commands, and values alone


def forms_of(node):
    """Give the texts that an expression may be, with {} for each value in it."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)]
    if isinstance(node, ast.IfExp):
        return forms_of(node.body) + forms_of(node.orelse)
    return []


def raised_and_noticed():
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, UserError)}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {*kinds, "notice"} and node.args:
                mends = [word.value for word in node.keywords if word.arg == "mend"]
                yield from (form for part in (node.args[0], *mends) for form in forms_of(part))


@pytest.mark.slow
def test_no_message_is_without_chinese():
    forms = {form for form in raised_and_noticed() if re.search("[a-z]{2}", form.replace("{}", ""))}
    assert len(forms) > 1000, "the search found them"
    speak("zh")
    english = [f for f in forms if not f.startswith(AS_TYPED) and not re.search(HAN, translated(f.replace("{}", "☃")))]
    assert sorted(english) == []
