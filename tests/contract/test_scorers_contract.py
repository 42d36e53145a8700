import math
import re
import sys
from dataclasses import replace
from itertools import cycle

import pytest

from clbench.cli.main import main
from clbench.core import plugins
from clbench.core.types import Answer, Example, Grade, Message
from clbench.engine.grade import combine_grades, open_scorer
from clbench.testing import check_scorer
from clbench.testing.scorers import CHECKS, PLAIN
from tests.builders.places import ROOT


@pytest.mark.parametrize("name", plugins.names("scorer"))
def test_every_scorer_holds_its_contract(name):
    assert [o for o in check_scorer(name) if o.problem] == []


OTHER_SETTINGS = [
    ("exact", {"case_sensitive": True, "strip_punctuation": False}),
    *(("bleu", {"tokenize": t}) for t in ("zh", "char", "intl", "none")),
    ("sari", {"tokenize": "zh"}),
    ("numeric", {"which": "first", "tolerance": 1e-6}),
    ("numeric", {"language": "de"}),
    *(("squad", {"language": language}) for language in ("zh", "de", "ja")),
]


@pytest.mark.parametrize(("name", "settings"), OTHER_SETTINGS)
def test_the_contract_holds_with_other_settings(name, settings):
    plugin = open_scorer(name)
    changed = replace(plugin, build=lambda given: plugin.build({**settings, **given}))
    assert [o for o in check_scorer(changed) if o.problem] == []


@pytest.mark.parametrize("name", [n for n in plugins.names("scorer") if open_scorer(n).combine])
def test_an_exam_of_one_answer_scores_as_the_answer(name):
    plugin = open_scorer(name)
    for specimen in plugin.specimens or PLAIN:
        example = Example(id="e", prompt=(Message(role="user", content=specimen.prompt),), targets=specimen.targets)
        half = specimen.targets[0][: len(specimen.targets[0]) // 2]
        for text in (specimen.targets[0], specimen.wrong, half, f"{half} {specimen.wrong}", ""):
            grade = plugin.build({})(example, Answer(example_id="e", text=text))
            assert combine_grades([grade], plugin) == pytest.approx(grade.score)


def _constant(value):
    return lambda settings: lambda example, answer: Grade(example_id=example.id, score=value)


def _fragile(settings):
    inner = open_scorer("exact").build(settings)

    def mark(example, answer):
        answer.text.encode("utf-8")
        return inner(example, answer)

    return mark


def _unkept(settings):
    inner = open_scorer("exact").build(settings)
    return lambda example, answer: inner(example, answer).model_copy(update={"parts": (math.nan,)})


def _moody(settings):
    scores = cycle((0.0, 1.0))
    return lambda example, answer: Grade(example_id=example.id, score=next(scores))


BUGS = {
    "oracle scores 1": [_constant(0.0)],
    "silence scores 0": [_constant(1.0)],
    "wrong scores 0": [_constant(1.0)],
    "what cannot be graded is None": [_constant(0.0)],
    "unknown setting refused": [lambda settings: open_scorer("exact").build({})],
    "hostile output is graded": [_fragile, _unkept, _constant(1.5), _constant(math.nan), _moody],
    "grades have their id": [lambda settings: lambda example, answer: Grade(example_id="x", score=1.0)],
}


@pytest.mark.parametrize(("check", "build"), [(check, build) for check, builds in BUGS.items() for build in builds])
def test_planted_bugs_are_caught(check, build):
    broken = replace(open_scorer("exact"), build=build)
    assert check in {o.check for o in check_scorer(broken) if o.problem}


def _mean(grades):
    return sum(g.score for g in grades) / len(grades)


def _remembers():
    seen = []

    def combine(grades):
        seen.append(1)
        return _mean(grades) / len(seen)

    return combine


RULES = {
    "an exam of right answers scores 1": [lambda grades: 0.99 * _mean(grades)],
    "an exam of silence scores 0": [lambda grades: 0.5 + _mean(grades) / 2],
    "an exam's score is one number in any order": [
        lambda grades: grades[0].score,
        lambda grades: 2 - _mean(grades),
        lambda grades: math.nan,
        _remembers(),
    ],
}


@pytest.mark.parametrize(("check", "combine"), [(check, rule) for check, rules in RULES.items() for rule in rules])
def test_planted_bugs_in_the_score_of_an_exam_are_caught(check, combine):
    broken = replace(open_scorer("exact"), combine=combine)
    assert check in {o.check for o in check_scorer(broken) if o.problem}


WEIGHED = "weighing items is repeating them"


@pytest.mark.parametrize("combine", [_mean, None])
def test_a_rule_that_weighs_otherwise_is_caught(combine):
    broken = replace(open_scorer("exact"), combine=combine, weigh=lambda scores, parts, weights: weights @ scores)
    assert WEIGHED in {o.check for o in check_scorer(broken) if o.problem}


def test_every_check_has_a_planted_bug():
    assert {*BUGS, *RULES, WEIGHED} == {*CHECKS, "unknown setting refused"}


# --- scorers of one's own -------------------------------------------------------------------------------------


def of_the_page(name):
    """Return the scorer that a page shows."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), flags=re.S)
    return code


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return what writes a module of a package on the path."""
    (tmp_path / "outpack").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files):
        for name, text in {"__init__": "", **files}.items():
            (tmp_path / "outpack" / f"{name}.py").write_text(text)
        for name in [n for n in sys.modules if n.partition(".")[0] == "outpack"]:
            del sys.modules[name]

    yield write
    write()


@pytest.mark.parametrize("page", ["cards.md", "cards.zh-CN.md"])
def test_the_scorer_of_the_page_holds_the_contract(written, page):
    written(starts=of_the_page(page))
    assert [o for o in check_scorer("outpack.starts") if o.problem] == []


def test_a_scorer_of_one_s_own_is_checked_by_its_module(written, capsys):
    written(
        starts=of_the_page("cards.md"), other="PLUGIN = 3", broken=of_the_page("cards.md").replace("float(", "2 * (")
    )
    assert main(["check", "scorer", "outpack.starts"]) == 0
    assert main(["check", "scorer", "outpack.broken"]) == 2
    assert "FAIL  oracle scores 1" in capsys.readouterr().out
    for name, said in [
        ("outpack.other", "declares no ScorerPlugin"),
        ("outpack.absent", "stands in $PYTHONPATH"),
        ("starts.py", "stands in $PYTHONPATH"),
        ("exakt", "did you mean 'exact'?"),
    ]:
        assert main(["check", "scorer", name]) == 2
        assert said in capsys.readouterr().err
