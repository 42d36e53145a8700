"""The report's item browser: which items are embedded, and what of them."""

import json
import re
from dataclasses import replace

import pytest

from clbench.core.item_scores import ExampleItem, ExampleItems, ShownAnswer
from clbench.report.page import item_browser as module
from clbench.report.page.html import html_report
from clbench.report.page.item_browser import item_browser
from clbench.report.page.item_browser_texts import BROWSER_TEXTS
from clbench.report.runs.groups import group_runs
from tests.builders.compared import cells, run


def in_full(name, places, rows, question="Where is {}?"):
    """Example items of an exam, as a record holds them: what was said is the score and the place."""
    return tuple(
        ExampleItem(
            exam=name,
            id=f"{name}-{i}",
            question=question.format(i),
            expected=("yes", "ja"),
            answers={k: ShownAnswer(text=f"said {i} {int(row[i])}", score=row[i]) for k, row in enumerate(rows)},
        )
        for i in places
    )


def told(num=60, kept=10, **changes):
    """A run of which `num` items of facts are in full: 5 were right at first, 50 after the lesson, `kept` at last."""
    rows = cells(kept)
    return run("sft", rows, example_items=ExampleItems(items=in_full("facts", range(num), rows["facts"], **changes)))


def decoded(data):
    """Items by id, with the names that their numbers stand for."""
    found = {}
    for exam, name, question, expected, rows in data["items"]:
        lessons = data["exams"][exam][2]
        found[name] = (
            data["exams"][exam][0],
            question,
            expected,
            {
                data["methods"][m]: (
                    letters,
                    dict(zip(lessons, scores, strict=True)),
                    [data["answers"][k] for k in said],
                )
                for m, letters, scores, said in rows
            },
        )
    return found


def test_items_are_those_that_a_count_of_its_own_finds():
    rows = cells(10)["facts"]
    data = item_browser(group_runs([told()]), "en")
    found = decoded(data)
    for i, scores in enumerate(zip(*rows, strict=True)):
        first, own, last = scores
        due = set()
        if own == 1 and last == 0:
            due.add("f")
        if first == 0 and last == 1:
            due.add("l")
        if own == last == 0:
            due.add("n")
        if len(set(scores)) == 2:
            due.add("c")
        name = f"facts-{i}"
        assert (name in found) == bool(due), name
        if due:
            exam, question, expected, methods = found[name]
            assert (exam, question, expected) == ("facts", f"Where is {i}?", "yes | ja")
            letters, marks, said = methods["sft"]
            assert set(letters) == due
            assert marks == dict(enumerate(scores))
            assert said == [f"said {i} {int(score)}" for score in scores]
    assert data["left"] == 0
    assert [exam[:2] for exam in data["exams"]] == [("facts", 1), ("rules", 2), ("sums", 0)]


def test_items_without_texts_are_counted_and_a_report_without_any_has_no_browser():
    data = item_browser(group_runs([told(num=12)]), "en")
    assert len(data["items"]) + data["unknown"] == sum(
        len({*column}) > 1 or column[1] == column[2] == 0
        for rows in cells(10).values()
        for column in zip(*rows, strict=True)
    )
    assert item_browser(group_runs([run("sft", cells(10))]), "en") is None
    assert "item-browser" not in html_report([run("sft", cells(10))], "t").partition("</style>")[2]


def test_what_is_embedded_has_a_bound_and_what_is_left_out_is_told(monkeypatch):
    whole = item_browser(group_runs([told()]), "en")
    monkeypatch.setattr(module, "MOST_CHARACTERS", 4000)
    data = item_browser(group_runs([told()]), "en")
    assert len(json.dumps([data["items"], data["answers"]])) < 4000 + 3 * 300, "an item that begins may end beyond"
    assert len(data["items"]) + data["left"] + data["unknown"] == len(whole["items"]) + whole["unknown"]
    assert data["left"] > 0
    letters = {letter for item in data["items"] for letter in item[4][0][1]}
    assert letters >= {"f", "l", "n"}, "fates take turns"
    page = html_report([told()], "t")
    assert f"{data['left']} more items are left out" in page


def test_long_texts_are_cut_with_a_mark_and_hostile_ones_stay_texts():
    evil = "</script><script>alert(1)</script>\u202e{}" + "x" * 5000
    page = html_report([told(num=12, question=evil)], "t")
    (source,) = re.findall(r'id="item-data">(.*?)</script>', page, flags=re.S)
    question = json.loads(source)["items"][0][2]
    assert question.startswith("</script><script>alert(1)")
    assert "\\u202e" in question
    assert "\u202e" not in page
    assert "[… " in question
    assert len(question) < 1300
    assert page.count("<script") == 2, "its data and its own code"


def test_a_method_that_was_asked_other_questions_has_no_row_of_them():
    other = told()
    exam, *rest = other.item_scores.exams
    renamed = exam.model_copy(update={"ids": tuple(f"other-{i}" for i in range(len(exam.ids)))})
    scores = other.item_scores.model_copy(update={"exams": (renamed, *rest)})
    spec = other.spec.model_copy(update={"learner": {"name": "ewc"}, "name": "e"})
    data = item_browser(group_runs([told(), replace(other, spec=spec, item_scores=scores)]), "en")
    assert {len(item[4]) for item in data["items"] if item[1].startswith("facts")} == {1}


@pytest.mark.parametrize("lang", BROWSER_TEXTS)
def test_both_languages_say_the_same(lang):
    assert BROWSER_TEXTS[lang].keys() == BROWSER_TEXTS["en"].keys()
    for name, text in BROWSER_TEXTS[lang].items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", BROWSER_TEXTS["en"][name]))
    assert BROWSER_TEXTS[lang]["note"] in html_report([told()], "t", lang)
