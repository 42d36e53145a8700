"""Baselines and exams made by hand, for the tests of the gate."""

from clbench.core.baseline import Baseline, BaselineExam
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.spec import ModelSpec
from clbench.core.types import Decode, Exam, Example, Message, ScorerSpec
from clbench.engine.grade import open_scorer

NUM = 80


def taken(name, right, ability="mathematics", answers=None):
    sheet = ExamScores(
        exam=name,
        digest=f"digest of {name}",
        scorer=ScorerSpec(name="label"),
        version=open_scorer("label").version,
        ids=tuple(f"{name}-{i}" for i in range(NUM)),
        rows={0: GradedItems(questions="q", answers_key="a", grades_key="m", scores="1" * right + "0" * (NUM - right))},
    )
    said = answers or tuple(f"said {i}" for i in range(NUM))
    return BaselineExam(kind="general", ability=ability, guess_rate=0.0, scores=sheet, answers=said)


def baseline(name, **right):
    exams = tuple(taken(exam, num, "code" if exam == "programs" else "mathematics") for exam, num in right.items())
    spec = ModelSpec(name=name)
    return Baseline(model=spec, identity=f"id of {name}", names=("mine",), items=None, exams=exams).sealed()


def exam(name, text="How much is {}?"):
    asked = tuple(
        Example(id=f"{name}-{i}", prompt=(Message(role="user", content=text.format(i)),), targets=(str(i),))
        for i in range(NUM)
    )
    return Exam(
        name=name,
        kind="general",
        ability="mathematics",
        examples=asked,
        decode=Decode(),
        scorer=ScorerSpec(name="label"),
        needs=frozenset({"text"}),
        digest=f"digest of {name}",
    )


EXAMS = (exam("sums"), exam("programs"))
OLD = baseline("old", sums=70, programs=70)
WORSE = baseline("new", sums=70, programs=50)
