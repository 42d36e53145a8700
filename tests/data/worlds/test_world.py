import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clbench.core.keys import canonical
from clbench.data.streams.stream import asked
from clbench.data.worlds import laws, procedures, rules
from clbench.data.worlds.spec import WorldSpec
from clbench.data.worlds.world import build

KINDS = ("facts", "rules", "procedures", "laws")
FORMS = ("classification", "generation", "qa")
SPECS = st.builds(
    WorldSpec,
    kind=st.sampled_from(KINDS),
    form=st.sampled_from(FORMS),
    language=st.sampled_from(("en", "zh")),
    seed=st.integers(0, 10_000),
    items=st.integers(4, 40),
    classes=st.integers(2, 6),
    wordings=st.integers(1, 3),
    similarity=st.floats(0, 1),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(SPECS)
def test_any_world_is_sound(spec):
    world = build(spec)
    assert world.lesson
    assert world.exam
    assert not {asked(e) for e in world.exam} & {asked(e) for e in world.lesson}
    for examples in (world.lesson, world.exam):
        assert len({e.id for e in examples}) == len(examples)
        assert all(len(e.targets) == 1 and e.targets[0] for e in examples)
        assert all(e.group for e in examples)
        if spec.form == "classification":
            assert all(e.choices == world.labels and e.targets[0] in e.choices for e in examples)
    assert len(world.exam) <= spec.exam_items
    assert {"verbatim", "paraphrase"} <= set(world.probes)
    assert max(len(e.prompt[0].content) for e in world.lesson) < 120


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("kind", "least", "most"), [("facts", 0.7, 0.8), ("rules", 0.6, 0.95), ("laws", 0.8, 0.97)])
def test_a_part_is_mostly_answered_by_the_part_before(kind, least, most, lang):
    parts = [
        build(WorldSpec(kind=kind, language=lang, seed=8, items=40, exam_items=100, part=part)) for part in (1, 2, 3, 4)
    ]
    assert parts[0] == build(WorldSpec(kind=kind, language=lang, seed=8, items=40, exam_items=100))
    for before, after in itertools.pairwise(parts):
        assert before.labels == after.labels
        same = [one.targets == two.targets for one, two in zip(before.exam, after.exam, strict=True)]
        assert least <= sum(same) / len(same) <= most
        assert not {asked(e) for e in after.exam} & {asked(e) for e in after.lesson}


def test_parts_of_facts_ask_about_other_things_of_the_same_people():
    people, houses = (build(WorldSpec(kind="facts", seed=8, part=part)) for part in (1, 2))
    assert all("the house of" in e.prompt[0].content for e in houses.exam)
    names = [{e.prompt[0].content.replace("the house of ", "") for e in world.exam} for world in (people, houses)]
    assert names[0] == names[1]


def test_procedures_have_one_part():
    with pytest.raises(ValidationError, match="procedures have one part"):
        WorldSpec(kind="procedures", part=2)
    assert "part" not in canonical(WorldSpec(kind="procedures")), "keys of older worlds stay"


def test_same_settings_same_bytes_and_other_seed_other_world():
    spec = WorldSpec(kind="facts", seed=5)
    assert build(spec) == build(WorldSpec(kind="facts", seed=5))
    assert build(spec).lesson != build(spec.model_copy(update={"seed": 6})).lesson


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_rules_decide_unseen_cases_as_their_document_says(lang):
    world = build(WorldSpec(kind="rules", language=lang, seed=3, classes=4))
    text = " ".join(world.documents)
    pattern = r"Code (\w+): (.+?) goods go to (\w+)\." if lang == "en" else r"规则(..):(.+?)的东西去(..)。"
    found = [(what, gate) for _, what, gate in re.findall(pattern, text)]
    *ordered, (rest, otherwise) = found
    assert rest in ("all other", "其他")
    for example in (*world.lesson, *world.exam):
        prompt = example.prompt[0].content
        gate = next((g for what, g in ordered if re.search(rf"(?<!很)(?<![a-z]){what}(?![a-z])", prompt)), otherwise)
        assert example.targets == (gate,)


@pytest.mark.parametrize("form", ["classification", "generation"])
def test_procedures_follow_the_moves_of_their_document(form):
    world = build(WorldSpec(kind="procedures", form=form, seed=4, classes=4))
    moves = {(s, b): e for s, b, e in re.findall(r"is (\w+), button (\w) makes it (\w+)\.", " ".join(world.documents))}
    assert len(moves) == 12
    for example in world.exam:
        prompt = example.prompt[0].content
        start = next(s for s, _ in moves if re.search(rf"\b{s}\b", prompt))
        passed = []
        for button in re.findall(r"\b([ABC])\b", prompt.replace("What", "").replace("After", "")):
            start = moves[start, button]
            passed.append(start)
        assert example.targets[0] == (" ".join(passed) if form == "generation" else passed[-1])


def test_laws_classes_are_about_even_and_monotone_in_the_weighted_sum():
    world = build(WorldSpec(kind="laws", seed=7, classes=3, items=120))
    answers = [e.targets[0] for e in world.lesson]
    assert min(answers.count(c) for c in world.labels) > len(answers) / 6
    assert [laws.law((1, 2), [9.5, 20.5], a, b) for a, b in ((1, 1), (5, 5), (12, 12))] == [0, 1, 2]


def test_decide_takes_the_first_rule_that_fits():
    code = [rules.Rule("colour", "red", "A"), rules.Rule("size", "tiny", "B")]
    assert rules.decide(code, "C", {"colour": "red", "size": "tiny"}) == "A"
    assert rules.decide(code, "C", {"colour": "blue", "size": "tiny"}) == "B"
    assert rules.decide(code, "C", {"colour": "blue", "size": "huge"}) == "C"


def test_follow_gives_every_state_passed():
    assert procedures.follow({("a", "A"): "b", ("b", "B"): "a"}, "a", ("A", "B")) == ["b", "a"]


def test_facts_have_all_five_probes_and_two_hops_need_two_facts():
    world = build(WorldSpec(kind="facts", form="qa", seed=1, items=12, classes=12))
    assert set(world.probes) == {"verbatim", "paraphrase", "reversal", "composition", "application"}
    facts = dict(
        re.findall(r"The (?:colour|job|pet|food|tool|material) of (\w+) is (\w+)\.", " ".join(world.documents))
    )
    friends = dict(re.findall(r"The friend of (\w+) is (\w+)\.", " ".join(world.documents)))
    for example in world.probes["composition"]:
        name = re.search(r"friend of (\w+)", example.prompt[0].content).group(1)
        assert example.targets == (facts[friends[name]],)
        assert friends[name] != name
    yes = [e.targets[0] for e in world.probes["application"]].count("yes")
    assert yes == len(world.probes["application"]) / 2


def test_similar_worlds_share_more_names():
    def shared(similarity):
        worlds = [build(WorldSpec(kind="facts", seed=s, items=20, similarity=similarity)) for s in (1, 2)]
        names = [set(re.findall(r"[A-Z][a-z]{5}", " ".join(w.documents))) for w in worlds]
        return len(names[0] & names[1])

    assert shared(0.0) == 0
    assert 0 < shared(0.5) < shared(1.0)


def test_documents_honour_their_length():
    world = build(WorldSpec(kind="facts", items=10, document_sentences=4))
    assert [d.count(".") for d in world.documents] == [4, 4, 4, 4, 4]


# --- documents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
def test_documents_are_asked_for_and_change_nothing_else(kind, lang, form):
    spec = WorldSpec(kind=kind, form=form, language=lang, seed=7)
    plain, told = build(spec), build(spec.model_copy(update={"documents": True}))
    for part in ("lesson", "exam"):
        assert not any(e.document for e in getattr(plain, part))
        assert all(e.document for e in getattr(told, part))
        assert tuple(e.model_copy(update={"document": ""}) for e in getattr(told, part)) == getattr(plain, part)
    assert not any(e.document for examples in told.probes.values() for e in examples)


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_states_the_answer_and_one_of_an_exam_is_known_to_the_world(kind):
    world = build(WorldSpec(kind=kind, form="qa", seed=7, documents=True))
    for example in (*world.lesson, *world.exam):
        assert example.targets[0] in example.document
    knowledge = " ".join(world.documents)
    if kind != "laws":  # unseen rows of a law stand in no document of the world, which says what is taught
        assert all(e.document.partition(". ")[0] in knowledge for e in world.exam)


def test_a_lesson_of_cases_states_cases_and_not_the_rules_behind_them():
    world = build(WorldSpec(kind="rules", seed=3, documents=True))
    known = " ".join(world.documents)
    assert not any(e.document in known for e in world.lesson)
    assert {e.document for e in world.exam} <= {f"{s}." for s in known.removesuffix(".").split(". ")}


def test_a_run_is_stated_by_its_moves():
    world = build(WorldSpec(kind="procedures", form="generation", seed=4, documents=True))
    moves = " ".join(world.documents)
    for example in world.lesson:
        said = [f"{s}." for s in example.document.removesuffix(".").split(". ")]
        assert [s.removesuffix(".").rpartition(" ")[2] for s in said] == example.targets[0].split()
        assert all(s in moves for s in said)
