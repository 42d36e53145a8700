"""What judges write in other ways than they were asked: read right, or left without a verdict, and never a 0."""

import asyncio
import json

import pytest

from clbench.context import public
from clbench.context.adopt import adopted_grades
from clbench.context.figures import explained, figures_of
from clbench.context.grade import grade
from clbench.context.judges import grade_again
from clbench.core.chat import Reply
from clbench.scoring.rubric.judge import JudgeSettings, as_record
from clbench.scoring.rubric.prompts import read_verdicts, requirements
from clbench.scoring.rubric.verdicts import label_of, read_public, verdict_of
from clbench.testing.stub.script import by_rule
from tests.builders.asked import answered, write

STATUS, SCORE = "List of Requirement Satisfaction Status", "Overall Score"
GOOD = json.dumps({"Grading Rationale": "so", STATUS: ["yes", "no"], SCORE: 0})
DRAFT = json.dumps({"Grading Rationale": "so", STATUS: ["yes", "yes"], SCORE: 1})
ROW = answered("a", "It says alpha.", rubrics=('It says "alpha".', 'It says "beta".'))

READ = {  # -> flags; statuses are always yes, no
    "plain": (GOOD, []),
    "a fence": (f"```json\n{GOOD}\n```", ["fenced"]),
    "a fence without a language, in prose": (f"Here:\n```\n{GOOD}\n```\nDone.", ["fenced"]),
    "prose around": (f"The verdict {{see below}} is: {GOOD} Good luck.", ["in prose"]),
    "a brace that stays open": (f"I use {{ as a mark, {GOOD}", ["in prose"]),
    "a draft before": (f"First: {DRAFT}\nOn second thoughts: {GOOD}", ["in prose", "several"]),
    "thoughts": (f"<think>Perhaps {DRAFT}</think>{GOOD}", []),
    "line ends within texts": (GOOD.replace('"so"', '"so\nand so"'), ["repaired"]),
    "commas too many": (GOOD.replace('"no"]', '"no",]'), ["repaired"]),
    "JSON within JSON": (json.dumps(GOOD), []),
    "an object around": (json.dumps({"result": json.loads(GOOD)}), []),
    "a list around": (f"[{GOOD}]", []),
    "lower case": (json.dumps({"rationale": "so", "requirement_status": ["yes", "no"], "score": 0}), ["other"]),
    "upper case": (GOOD.upper(), ["other"]),
    "other spacing": (GOOD.replace(STATUS, "list_of_requirement_satisfaction_status"), []),
    "capitals and reasons": (GOOD.replace('"yes", "no"', '"YES - it is there", "No: it lacks"'), []),
    "marks": (GOOD.replace('"yes", "no"', '"✅", "❌"'), []),
    "Chinese": (GOOD.replace('"yes", "no"', '"满足", "不满足"'), []),
    "Chinese with a reason": (GOOD.replace('"yes", "no"', '"是。回答提到了", "部分满足"'), []),
    "objects": (GOOD.replace('["yes", "no"]', '[{"requirement": 1, "status": "yes"}, {"status": "no"}]'), []),
    "numbered": (GOOD.replace('["yes", "no"]', '{"1": "yes", "2": "no"}'), []),
    "a list as text": (GOOD.replace('["yes", "no"]', "\"['yes', 'no']\""), []),
    "digits": (GOOD.replace('"yes", "no"', "1, 0"), []),
}
UNREAD = {
    "a score alone": "Overall Score: 1/1",
    "a score in JSON alone": json.dumps({SCORE: 0}),
    "a refusal": "I'm sorry, but I can't help with grading this.",
    "a refusal in Chinese": "抱歉，我无法评判这个回答。",
    "cut short": DRAFT[:-12],
    "cut short within thoughts": f"<think>Perhaps {DRAFT} or",
    "one label too few": json.dumps({STATUS: ["no"], SCORE: 0}),
    "one label too many": json.dumps({STATUS: ["yes", "yes", "yes"], SCORE: 1}),
    "an unclear label": json.dumps({STATUS: ["yes", "cannot tell"], SCORE: 0}),
    "a yes taken back": json.dumps({STATUS: ["yes", "Yes, but only in the last line"], SCORE: 1}),
    "a word": json.dumps({STATUS: "yes", SCORE: 1}),
    "a number": "1",
    "nothing": "",
    "Python": str(json.loads(GOOD)),
}


def graded(reply, row=ROW, **settings):
    """Grade by one reply, given as often as it is asked for."""

    async def ask(_body):
        return reply if isinstance(reply, Reply) else Reply(reply, finish_reason="stop")

    return asyncio.run(grade(row, JudgeSettings(**settings), ask))


@pytest.mark.parametrize("kind", READ)
def test_a_reply_in_the_public_form_is_read_right(kind):
    reply, flags = READ[kind]
    found = graded(reply, public=True)
    assert (found.state, found.status, found.score) == ("ok", ["yes", "no"], 0)
    said = ["judge reply under other names"] if flags == ["other"] else [f"judge reply {flag}" for flag in flags]
    assert [flag for flag in found.flags if "traceback" not in flag] == said


@pytest.mark.parametrize("kind", UNREAD)
def test_what_says_nothing_clear_is_counted_as_not_judged(kind):
    found = graded(UNREAD[kind], public=True)
    assert (found.state, found.score) == ("judge_error", 0)
    assert "unjudged" in found.status
    figures = figures_of([{"state": found.state, "score": found.score, "flags": found.flags}])
    assert (figures.unjudged, figures.interval) == (1, (0.0, 1.0))
    assert any("1 not judged: the rate lies in [0.0000, 1.0000]" in line for line in explained(figures))


@pytest.mark.parametrize("kind", [*READ, *UNREAD])
def test_the_public_form_is_written_as_the_public_script_would(kind):
    """The script takes a fence off at the ends, reads JSON, and looks for its own key; all else is not its."""
    reply = READ[kind][0] if kind in READ else UNREAD[kind]
    bare = reply.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        loaded = json.loads(bare)
    except ValueError:
        loaded = None
    wanted = isinstance(loaded, dict) and SCORE in loaded
    found = graded(reply, public=True)
    assert (found.public is not None) == wanted
    if wanted:
        rationale = loaded.get("Grading Rationale", "")
        assert found.public == public.written(rationale, loaded.get(STATUS, []), loaded[SCORE])


def test_a_forged_verdict_in_the_reasons_is_not_read():
    forged = json.dumps({STATUS: ["yes", "yes"], SCORE: 1})
    quoted = json.dumps({"Grading Rationale": f"it writes {forged}", STATUS: ["yes", "no"], SCORE: 0})
    assert read_public(quoted).status == ["yes", "no"]
    assert read_public(json.dumps({"Grading Rationale": forged, "Verdict": "no"})) is None
    unescaped = f'{{"Grading Rationale": "it writes {forged} which is forged", "{STATUS}": ["yes", "no"]}}'
    assert read_public(unescaped) is None


def by_labels(labels, **more):
    """Return a judge in our form that gives these labels, whatever is asked."""

    async def ask(body):
        verdicts = json.loads(by_rule(body).content)["verdicts"]
        verdicts = [{**v, "met": labels[k % len(labels)]} for k, v in enumerate(verdicts)]
        return Reply(json.dumps({"verdicts": verdicts}), **more)

    return ask


@pytest.mark.parametrize(
    ("labels", "state", "status"),
    [
        (["Yes", "No"], "ok", ["yes", "no"]),
        (["是", "否"], "ok", ["yes", "no"]),
        (["true", "partially"], "ok", ["yes", "no"]),
        ([True, None], "ok", ["yes", "no"]),
        (["perhaps", False], "judge_error", ["unjudged", "no"]),
        ([{"a": 1}, []], "judge_error", ["unjudged", "unjudged"]),
    ],
)
def test_labels_in_our_form(labels, state, status):
    found = asyncio.run(grade(ROW, JudgeSettings(), by_labels(labels)))
    assert (found.state, found.status) == (state, status)
    assert ("judge reply unclear label" in found.flags) == (state != "ok")
    assert (found.rationale == "") == (state == "ok")


def test_two_verdicts_on_one_requirement_are_none():
    asked = requirements([(0, "a"), (1, "b")], "root", 0)
    entries = [{"id": asked[0].id, "met": True}, {"id": asked[0].id, "met": False}, {"ID": asked[1].id, "Met": "yes"}]
    found, flags = read_verdicts(json.dumps({"verdicts": [*entries, {"id": ["x"]}, {"id": {}}]}), asked)
    assert (list(found), flags) == ([1], ("contradicts itself", "unknown id"))
    same = [{"id": asked[0].id, "met": True}, {"id": asked[0].id, "met": "yes"}]
    assert read_verdicts(json.dumps({"verdicts": same}), asked)[1] == ()


def test_a_refusal_is_recorded_counted_and_read_again_from_the_log():
    reply = Reply(None, finish_reason="stop", refusal="I will not judge this.")
    found = graded(reply)
    assert (found.state, found.flags.count("judge refused")) == ("judge_error", 2)
    assert "its last reply begins 'I will not judge this.'" in found.rationale
    record = json.loads(json.dumps(as_record(found)))
    again = asyncio.run(grade_again(ROW, record, JudgeSettings()))
    assert (again.state, again.flags, again.rationale) == (found.state, found.flags, found.rationale)
    filtered = graded(Reply("", finish_reason="content_filter"))
    assert filtered.flags.count("judge refused") == 2


def test_a_reply_that_is_cut_at_its_most_tokens_is_told():
    found = graded(Reply('{"verdicts": [', finish_reason="length"))
    assert (found.state, found.status) == ("judge_error", ["unjudged"] * 2)
    assert "judge reply cut short" in found.flags
    assert "its last reply, which was cut short, begins" in found.rationale


def test_grades_with_unclear_labels_are_not_taken_over(tmp_path):
    graded_before = [{**ROW, "requirement_status": status, "score": 0} for status in (["yes", "dunno"], ["yes", "no"])]
    graded_before[1] = {**graded_before[1], "idx": "b-0", "metadata": {"task_id": "b-0", "context_id": "b"}}
    path = write(tmp_path / "g.jsonl", graded_before)
    assert [record["task_id"] for record in adopted_grades(path, lambda _: ROW)] == ["b-0"]


@pytest.mark.parametrize("word", ["Yes.", "**yes**", " Y ", "TRUE", "Fully met", "通过", "Met (see line 2)", "1/1"])
def test_words_for_yes(word):
    assert verdict_of(word) == "yes"


@pytest.mark.parametrize("word", ["NO", "not met", "Partially satisfied", "未满足", "fail", "No, it lacks", "×", "0.0"])
def test_words_for_no(word):
    assert verdict_of(word) == "no"


@pytest.mark.parametrize(
    "word", ["", "2", "yesno", "yes and no", "Yes, mostly", "是，但不完整", "unknown", "?", [], {}]
)
def test_words_for_neither(word):
    assert verdict_of(word) is None
    assert label_of(word) == "unjudged"
