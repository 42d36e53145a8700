"""Who is shown what: no learner sees what answers a question, but the bounds that declare that they do."""

import pytest

from clbench.core import plugins
from clbench.core.documents import text_of
from clbench.core.errors import SpecError
from clbench.core.protocols import LearnerPlugin
from clbench.core.spec import Machine, RunSpec
from clbench.core.traits import read_traits
from clbench.core.types import Answer
from clbench.core.value import Value
from clbench.data.exams.exam import open_exams
from clbench.data.streams.card import StreamCard
from clbench.data.streams.stream import build as build_stream
from clbench.data.streams.stream import lessons
from clbench.engine.ask import answers_key, answers_of, ask
from clbench.engine.trajectory import Trajectory
from clbench.learners.frozen import PLUGIN as FROZEN
from clbench.store.store import Store


def small(**changes):
    world = {"num": 1, "kinds": ["facts"], "items": 8, "classes": 3, "exam_items": 4, "documents": True, **changes}
    return build_stream(StreamCard.model_validate({"name": "s", "worlds": [world]}), [])


class Looking:
    """Remembers every question as it was asked."""

    def __init__(self):
        self.seen = []

    def respond(self, examples, decode):
        self.seen += examples
        return [Answer(example_id=e.id, text="") for e in examples]


def seen_by(plugin, exams, store):
    """The questions as a learner with this plug-in's declarations is asked them, by the engine's own path."""
    spec = RunSpec(name="a", learner={"name": "frozen"}, stream="worlds-tiny")
    trajectory, looking = Trajectory(spec, small(), Store(store), Machine(store=store, device="cpu")), Looking()
    trajectory.plugin = plugin
    trajectory.learner_after = lambda lesson: looking
    for exam in exams:
        ask(trajectory, 0, exam, Store(store))
    return looking.seen


@pytest.mark.models
def test_a_batch_that_memory_made_smaller_is_on_record(tmp_path):
    spec, stream = RunSpec(name="a", learner={"name": "frozen"}, stream="s"), small()
    trajectory = Trajectory(spec, stream, Store(tmp_path), Machine(store=tmp_path, device="cpu"))
    room = []

    def check(_, __, given):
        if room and len(given["input_ids"]) > room[0]:
            raise MemoryError

    trajectory.learner_after(0).net.module.register_forward_pre_hook(check, with_kwargs=True)
    stages = []
    for items, most in ((4, 64), (3, 1)):
        (exam,) = open_exams([], stream, items)
        room[:] = [most]
        result = ask(trajectory, 0, exam, Store(tmp_path))
        stages.append(Store(tmp_path).stage("ask", result.answers_key)["why"])
    assert [why.get("exam_batch") for why in stages] == [None, 1]


@pytest.mark.models
@pytest.mark.parametrize("name", plugins.names("learner"))
def test_no_learner_sees_the_document_of_an_exam_but_a_bound_that_says_so(name, tmp_path):
    plugin = plugins.load("learner", name, "PLUGIN")
    exams = open_exams(["mini_recall"], small(), 4)
    assert all(e.document for e in exams[0].examples)
    task, ability = (seen_by(plugin, [exam], tmp_path) for exam in exams)
    assert not any(e.targets or e.check or e.rubric for e in (*task, *ability))
    assert not any(e.document for e in ability)
    if plugin.sees_documents:
        assert plugin.family == "bounds"
        assert [e.document for e in task] == [e.document for e in exams[0].examples]
    else:
        assert not any(e.document for e in task)


def test_only_the_right_document_sees_documents():
    named = [n for n in plugins.shipped("learner") if plugins.load("learner", n, "PLUGIN").sees_documents]
    assert named == ["right_document"]


def test_lessons_carry_the_documents_of_what_they_teach_and_digests_without_them_stay():
    with_, without = small(), small(documents=False)
    assert all(e.document for e in lessons(with_)[0].examples)
    assert not any(e.document for e in (*lessons(without)[0].examples, *without.tasks[0].exam))
    assert lessons(with_)[0].digest != lessons(without)[0].digest
    stripped = [e.model_copy(update={"document": ""}) for e in with_.tasks[0].exam]
    assert tuple(stripped) == without.tasks[0].exam


def test_of_a_task_without_documents_question_and_answer_are_told():
    (exam,) = open_exams([], small(documents=False), 4)
    looking = Looking()
    answers_of(looking, exam, documents=True)
    assert [e.document for e in looking.seen] == [f"{e.prompt[0].content}\n{e.targets[0]}" for e in exam.examples]
    assert [e.document for e in looking.seen] == [text_of(e) for e in exam.examples]


def test_what_sees_documents_must_be_a_bound():
    given = {"config": Value, "build": FROZEN.build, "version": 1, "sees_documents": True}
    with pytest.raises(SpecError, match="not a bound"):
        LearnerPlugin(**given, family="in-context")
    plugin = LearnerPlugin(**given, family="bounds")
    assert plugin.traits(None).record()["sees_documents"] is True
    assert read_traits(plugin.traits(None).record()).sees_documents
    assert "sees_documents" not in FROZEN.traits(None).record()


@pytest.mark.models
def test_answers_of_one_who_sees_are_never_those_of_one_who_does_not(tmp_path):
    machine = Machine(store=tmp_path, device="cpu")
    keys = set()
    for name in ("frozen", "right_document"):
        spec = RunSpec(name="a", learner={"name": name}, stream="worlds-tiny")
        trajectory = Trajectory(spec, small(), Store(tmp_path), machine)
        (exam,) = open_exams([], trajectory.stream, 4)
        keys |= {answers_key(trajectory.answer_fingerprint(n), exam, trajectory.spec.model, machine) for n in (0, 1)}
    assert len(keys) == 2  # the untouched model's, and those of who is told: both the same in every row
