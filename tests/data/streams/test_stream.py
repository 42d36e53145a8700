"""Streams built from cards: increments, orders, rounds, drift, budgets, growing label sets."""

import re
from collections import Counter

import numpy as np
import pytest

from clbench.core.budget import anchors_of, due_columns
from clbench.core.errors import AbsentError, DataError
from clbench.core.keys import digest, key
from clbench.core.matrix import Column, Matrix
from clbench.core.spec import ExamBudget, Machine, ModelSpec, RunSpec
from clbench.core.types import Budget, Decode, Example, Message, ScorerSpec, Task
from clbench.data.exams.exam import exam_at, open_exams
from clbench.data.streams.card import StreamCard
from clbench.data.streams.order import named_order
from clbench.data.streams.similarity import ease, similarity, words
from clbench.data.streams.stream import build, lessons, merge_lessons, open_stream
from clbench.data.streams.summary import stream_summary
from clbench.engine.ask import due_cells
from clbench.report.runs.budget import budget_error, cells_due, mask_matrix

# Lessons of the plain streams as they were before streams had rounds.
GOLDEN = {
    "worlds": ["86d08c3ce4f6492a", "b0cfecb0613af774", "0a0924cc441b5c7f", "9196ab033cc83902", "32dcd26cfdc75602"],
    "worlds-labels": [
        "1969c5424d0ff6d3",
        "b0cfecb0613af774",
        "623853ecdc769e81",
        "9196ab033cc83902",
        "d4f09bf9835ec496",
    ],
    "worlds-tiny": ["2ba6babab06c5f9b", "5684d9b8c7ac8f03", "d22d4a7d3b407001"],
}


def examples(name, split, num, labels, text="{name} {split} {i}"):
    def one(i):
        said = text.format(name=name, split=split, i=i, label=labels[i % len(labels)])
        prompt = (Message(role="user", content=said),)
        choices = tuple(labels) if len(labels) > 1 else ()
        return Example(id=f"{name}-{split}-{i}", prompt=prompt, targets=(labels[i % len(labels)],), choices=choices)

    return tuple(one(i) for i in range(num))


def task(name, labels="ab", num=8, asks=4, **fields):
    """Make a task whose examples take the labels in turn; one label is free text."""
    labels = tuple(labels)
    text = fields.pop("text", "{name} {split} {i}")
    about = {"kind": "classification", "domain": name, "language": "en", **fields.pop("about", {})}
    return Task(
        name=name,
        lesson=examples(name, "lesson", num, labels, text),
        exam=examples(name, "exam", asks, labels),
        labels=labels if len(labels) > 1 else (),
        decode=Decode(kind="label"),
        scorer=ScorerSpec(name="label"),
        about=about,
        digest=digest(name),
        **fields,
    )


def card(tasks, **fields):
    return StreamCard(name="made", tasks=[t.name for t in tasks], **fields)


def made(tasks, **fields):
    return build(card(tasks, **fields), tasks)


def names(stream):
    return [r.teaches for r in stream.plans]


def ids(examples):
    return {e.id for e in examples}


# --- plain streams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOLDEN)
def test_plain_streams_teach_what_they_always_taught(name):
    stream = open_stream(name, None)
    assert [lesson.digest[:16] for lesson in lessons(stream)] == GOLDEN[name]
    assert [r.examples for r in stream.plans] == [t.lesson for t in stream.tasks]


def trajectory(stream, learner="sft"):
    from clbench.engine.resolve import resolve
    from clbench.engine.trajectory import Trajectory
    from clbench.store.store import Store

    spec = resolve(RunSpec(name="x", model=ModelSpec(name="tiny-llama"), learner={"name": learner}, stream="x"))
    return Trajectory(spec, stream, Store("nowhere"), Machine())


def test_plain_streams_keep_their_keys():
    """The chain is worked out apart, from the fields that keys were made of before streams had rounds."""
    stream = open_stream("worlds-tiny", None)
    found = trajectory(stream)
    learner = {"name": "sft", "config": found.config, "version": found.plugin.version}
    keys = [found.keys[0]]
    for lesson in lessons(stream):
        parts = {"lesson": lesson.digest, "told": None, "budget": Budget()}
        keys.append(key("state", parent=keys[-1], learner=learner, seed=0, **parts))
    assert list(found.keys) == keys


# --- class increments and the label set that grows ---------------------------------------------------------------


def test_classes_come_in_increments_each_once():
    stream = made([task("set", "abcdef", 12, 6)], classes={"set": 2})
    assert names(stream) == [("set-1",), ("set-2",), ("set-3",)]
    taught = [{e.targets[0] for e in r.examples} for r in stream.plans]
    assert [len(t) for t in taught] == [2, 2, 2]
    assert set.union(*taught) == set("abcdef")
    assert all(t.part_of == "set" and set(t.labels) == s for t, s in zip(stream.tasks, taught, strict=True))
    assert [r.moved for r in stream.plans] == [(), ("class",), ("class",)]
    other = made([task("set", "abcdef", 12, 6)], classes={"set": 2}, seed=1)
    assert [{e.targets[0] for e in r.examples} for r in other.plans] != taught


def test_a_base_set_of_classes_and_a_last_increment_that_is_smaller():
    stream = made([task("set", "abcdefg", 14, 7)], classes={"set": {"first": 4, "each": 2}})
    assert [len(t.labels) for t in stream.tasks] == [4, 2, 1]


def test_lessons_offer_the_labels_taught_so_far():
    stream = made([task("set", "abcdef", 12, 6)], classes={"set": 2})
    so_far = set()
    for r in stream.plans:
        so_far |= {e.targets[0] for e in r.examples}
        assert {e.choices for e in r.examples} == {tuple(sorted(so_far))}


def test_lessons_of_several_tasks_say_which_examples_belong_together():
    tasks = [task(name, num=num) for name, num in (("a", 4), ("b", 8), ("c", 2))]
    one, two = lessons(made(tasks, per_lesson=2))
    assert one.kinds == (0,) * 4 + (1,) * 8
    assert two.kinds == ()
    plain = lessons(made(tasks))
    assert all(lesson.kinds == () for lesson in plain)
    assert merge_lessons(plain).kinds == merge_lessons((one, two)).kinds == (0,) * 4 + (1,) * 8 + (2,) * 2
    assert merge_lessons(plain[:1]).kinds == ()
    assert key("k", lesson=two) == key("k", lesson=two.model_copy(update={"kinds": ()}))
    assert key("k", lesson=one) != key("k", lesson=one.model_copy(update={"kinds": ()}))


def test_examples_ahead_of_their_turn_are_of_a_kind_of_their_own():
    stream = made([task(name, num=40) for name in "ab"], blur={"share": 0.25})
    first, _ = lessons(stream)
    ahead = [e.id.startswith("b-") for e in first.examples]
    assert any(ahead)
    assert [bool(kind) for kind in first.kinds] == ahead


def test_exams_offer_the_labels_taught_by_the_row_or_by_their_own_lesson():
    stream = made([task("set", "abcdef", 12, 6)], classes={"set": 2})
    first, second, third = open_exams((), stream, None)
    one, two, three = (set(t.labels) for t in stream.tasks)
    grid = {(e.name, k): set(exam_at(e, k).examples[0].choices) for e in (first, second, third) for k in range(4)}
    assert [grid["set-1", k] for k in range(4)] == [one, one, one | two, one | two | three]
    assert [grid["set-2", k] for k in range(4)] == [one | two] * 3 + [one | two | three]
    assert [grid["set-3", k] for k in range(4)] == [one | two | three] * 4
    assert [e.guess_rate for e in (first, second, third)] == [1 / 2, 1 / 4, 1 / 6]
    # What is asked alike has one digest, so it is asked once; other choices are other questions.
    assert exam_at(first, 0).digest == exam_at(first, 1).digest != exam_at(first, 2).digest
    assert len({exam_at(third, k).digest for k in range(4)}) == 1
    assert all(e.eval_only for e in exam_at(first, 3).examples)
    assert ids(exam_at(first, 3).examples) == ids(first.examples)
    # In the last row it is the exam of the whole set, asked in parts.
    assert exam_at(first, 3).examples[0].choices == tuple("abcdef")


def test_the_digest_of_a_grown_exam_is_that_of_a_plain_exam_of_the_same_questions():
    whole = task("set", "abcdef", 12, 6)
    stream = made([whole], classes={"set": 3})
    grown = exam_at(open_exams((), stream, None)[0], 2)
    part = stream.tasks[0].model_copy(update={"part_of": ""})
    plain = open_exams((), made([part]), None)[0]
    assert grown.digest == plain.digest


def test_other_exams_are_the_same_in_every_row():
    exam = open_exams((), made([task("a"), task("b")]), None)[0]
    assert all(exam_at(exam, k) is exam for k in range(3))


@pytest.mark.parametrize(
    ("whole", "classes", "message"),
    [
        (task("set", "a"), 1, "no closed label set"),
        (task("set", "ab"), 2, "only 2 classes"),
        (task("set", "abc").model_copy(update={"lesson": examples("set", "lesson", 6, ("a", "b"))}), 1, "class 'c'"),
        (task("set", "abcd", asks=2), 1, "asks none of the classes"),
    ],
)
def test_what_cannot_be_split_is_refused(whole, classes, message):
    with pytest.raises(DataError, match=message):
        made([whole], classes={"set": classes})


# --- order ---------------------------------------------------------------------------------------------------------


def test_orders_by_hand():
    four = [task(n) for n in "pqrs"]
    assert names(made(four)) == [("p",), ("q",), ("r",), ("s",)]
    assert names(made(four, order="reverse")) == [("s",), ("r",), ("q",), ("p",)]
    drawn = [names(made(four, order={"seed": n})) for n in range(8)]
    assert all(sorted(d) == names(made(four)) for d in drawn)
    assert len({tuple(d) for d in drawn}) > 3
    assert drawn[3] == names(made(four, order={"seed": 3}))


def test_interleaving_takes_turns_among_families():
    classes = task("set", "abcdef", 12, 6)
    facts = [task(n, "a", about={"kind": "qa"}) for n in ("f1", "f2")]
    topics = [task(n) for n in ("t1", "t2", "t3")]
    pool = [classes, *facts, *topics]
    one = made(pool, classes={"set": 2}, order={"interleave": 1})
    assert [n for (n,) in names(one)] == ["set-1", "f1", "t1", "set-2", "f2", "t2", "set-3", "t3"]
    two = made(pool, classes={"set": 2}, order={"interleave": 2})
    assert [n for (n,) in names(two)] == ["set-1", "set-2", "f1", "f2", "t1", "t2", "set-3", "t3"]
    assert [r.moved for r in two.plans] == [
        (),
        ("class",),
        ("task", "domain"),
        ("domain",),
        ("task", "domain"),
        ("domain",),
        ("domain", "class"),
        ("domain",),
    ]


def test_similar_first_follows_the_words():
    texts = {"cats": "cat purr", "cars": "motor road", "dogs": "cat bark", "vans": "motor cargo bark"}
    four = [task(n, text=t) for n, t in texts.items()]
    assert [n for (n,) in names(made(four, order="similar-first"))] == ["cats", "dogs", "vans", "cars"]
    assert [n for (n,) in names(made(four, order="dissimilar-first"))][:2] == ["cats", "cars"]


def test_easy_first_is_by_the_answer_of_the_nearest_example():
    easy = task("easy", text="the word is {label} number {i}")
    hard = task("hard", text="same words every time {i}")
    assert ease(easy) == 1.0
    assert ease(hard) < 1.0
    assert names(made([hard, easy], order="easy-first")) == [("easy",), ("hard",)]


def test_ease_by_hand():
    rows = [("red apple", "x"), ("red apple pie", "x"), ("blue sea", "y"), ("blue sea salt", "x")]
    lesson = tuple(
        Example(id=str(i), prompt=(Message(role="user", content=c),), targets=(t,)) for i, (c, t) in enumerate(rows)
    )
    closed = task("t").model_copy(update={"lesson": lesson, "labels": ("x", "y")})
    assert ease(closed) == 0.5  # the two red ones agree, the two blue ones do not
    said = tuple(e.model_copy(update={"targets": (t,)}) for e, t in zip(lesson, ("a b", "a c", "d", "d"), strict=True))
    free = closed.model_copy(update={"lesson": said, "labels": ()})
    assert ease(free) == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)


def test_similarity_by_hand():
    one = task("one", num=1, text="a b")
    two = task("two", num=1, text="a c")
    idf = 1 + np.log(2)  # of b and c; a stands in both documents and weighs 1
    assert similarity([one, two])[0, 1] == pytest.approx(1 / (1 + idf**2))
    assert similarity([one, one])[0, 1] == 1.0
    assert words("Ａb的C天9") == ["ab", "的", "c", "天", "9"]


def test_named_orders():
    assert named_order("order-1") == ("dbpedia", "amazon", "yahoo", "agnews")
    assert [len(named_order(f"order-{i}")) for i in range(1, 7)] == [4, 4, 4, 15, 15, 15]
    assert len({frozenset(named_order(f"order-{i}")) for i in (4, 5, 6)}) == 1
    assert set(named_order("trace")) == set(named_order("trace-alt"))
    with pytest.raises(DataError, match="did you mean"):
        named_order("order-11")


def write_card(folder, text, name="mine"):
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{text}\n", encoding="utf-8")
    return str(path)


def test_missing_tasks_are_refused_or_skipped_and_seen(tmp_path):
    text = "tasks: [world_tiny_facts, nowhere, world_tiny_laws]\n"
    with pytest.raises(AbsentError, match="no task card 'nowhere'"):
        open_stream(write_card(tmp_path, text), None)
    stream = open_stream(write_card(tmp_path, text + "missing: skip"), None)
    assert [t.name for t in stream.tasks] == ["world_tiny_facts", "world_tiny_laws"]
    assert stream.missing == stream_summary(stream).missing == ("nowhere",)
    with pytest.raises(DataError, match="none of its tasks"):
        open_stream(write_card(tmp_path, "tasks: [nowhere]\nmissing: skip"), None)


# --- rounds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "p q r s t"),
        ({"per_lesson": 2}, "pq rs t"),
        ({"per_lesson": 5}, "pqrst"),
        ({"base": 2}, "pq r s t"),
        ({"base": 3, "per_lesson": 2}, "pqr st"),
        ({"base": ["s", "q"]}, "qs p r t"),
        ({"base": 9}, "pqrst"),
        ({"order": "reverse", "base": 2}, "ts r q p"),
        ({"recur": {"every": 2}}, "p q p r s q t"),
        ({"recur": {"every": 3}, "base": 2}, "pq r s pq t"),
    ],
)
def test_rounds_by_hand(fields, expected):
    assert ["".join(r) for r in names(made([task(n) for n in "pqrst"], **fields))] == expected.split()


def test_the_base_may_name_a_set_of_increments():
    stream = made([task("t"), task("set", "abcd", 8, 4)], classes={"set": 2}, base=["set"])
    assert names(stream) == [("set-1", "set-2"), ("t",)]
    assert {e.choices for e in stream.plans[0].examples} == {tuple("abcd")}


def test_a_round_of_several_tasks_holds_all_their_examples():
    two = [task("p"), task("q")]
    stream = made(two, per_lesson=2, task_ids="given")
    assert stream.plans[0].examples == two[0].lesson + two[1].lesson
    assert lessons(stream)[0].task_name == "p+q"
    assert [e.taught for e in open_exams((), stream, None)] == [1, 1]
    clash = [
        t.model_copy(update={"lesson": tuple(e.model_copy(update={"id": e.id[2:]}) for e in t.lesson)}) for t in two
    ]
    renamed = made(clash, per_lesson=2).plans[0].examples
    assert [e.id for e in renamed][:1] == ["p:lesson-0"]
    assert len(ids(renamed)) == 16
    assert [e.id for e in made(clash).plans[0].examples][:1] == ["lesson-0"]


def test_a_task_that_comes_again_shows_the_same_or_a_fresh_share():
    pool = [task("p", num=12), task("q"), task("p", num=12)]
    same = made(pool)
    assert same.plans[0].examples == same.plans[2].examples
    assert [r.moved for r in same.plans] == [(), ("domain",), ("domain", "recurring")]
    assert [t.name for t in same.tasks] == ["p", "q"]
    fresh = made(pool, recur={"fresh": True})
    first, second = (fresh.plans[k].examples for k in (0, 2))
    assert not ids(first) & ids(second)
    assert ids(first) | ids(second) == ids(pool[0].lesson)
    assert Counter(e.targets[0] for e in first) == Counter(e.targets[0] for e in second) == {"a": 3, "b": 3}
    assert fresh.plans[1].examples == pool[1].lesson
    with pytest.raises(DataError, match="too small"):
        made([task("p", num=1), task("p", num=1)], recur={"fresh": True})


def test_blur_moves_a_share_of_each_class_into_the_round_before():
    pool = [task(n, num=20) for n in "pqr"]
    stream = made(pool, blur=0.3)
    assert [len(r.examples) for r in stream.plans] == [26, 20, 14]  # 3 of 10 of each class move
    assert [r.ahead for r in stream.plans] == [6, 6, 0]
    assert names(stream) == [("p",), ("q",), ("r",)]
    shown = [e.id for r in stream.plans for e in r.examples]
    assert sorted(shown) == sorted(e.id for t in pool for e in t.lesson)
    moved = [e for e in stream.plans[0].examples if e.id.startswith("q")]
    assert Counter(e.targets[0] for e in moved) == {"a": 3, "b": 3}
    # They are denser towards the end of the round, where the next one begins.
    place = [i for i, e in enumerate(stream.plans[0].examples) if e.id.startswith("q")]
    # A density that rises from 0 has its mean at 2/3, where 20 * 2/3 of the own and 6 * 1/2 of the others have passed.
    assert (np.mean(place) + 0.5) / 26 == pytest.approx((20 * 2 / 3 + 6 / 2) / 26, abs=0.01)
    assert [e.id for e in stream.plans[0].examples if e.id.startswith("p")] == [e.id for e in pool[0].lesson]


def test_blur_may_rise_and_stops_at_one_half():
    stream = made([task(n, "a", num=10) for n in "pqrst"], blur={"share": 0.2, "rise": 0.2})
    assert [r.ahead for r in stream.plans] == [2, 4, 5, 5, 0]


def test_blur_does_not_show_an_example_twice_in_a_round():
    stream = made([task("p"), task("p"), task("q")], blur=0.5)
    assert [r.ahead for r in stream.plans] == [0, 4, 0]


def test_labels_that_come_ahead_are_offered_ahead():
    stream = made([task("set", "abcd", 16, 4)], classes={"set": 2}, blur=0.5)
    assert {len(e.choices) for e in stream.plans[0].examples} == {4}
    first, second = open_exams((), stream, None)
    assert (first.taught, second.taught) == (1, 2)
    assert len(exam_at(first, 1).examples[0].choices) == 4
    assert first.guess_rate == 1 / 4


# --- budgets of labels ---------------------------------------------------------------------------------------------


def counts(stream, k=0):
    return Counter(e.targets[0] for e in stream.plans[k].examples)


def test_labels_per_class_and_balance():
    lopsided = task("t", "aaab", num=16).model_copy(update={"labels": ("a", "b")})
    assert counts(made([lopsided])) == {"a": 12, "b": 4}
    assert counts(made([lopsided], labels_per_class=6)) == {"a": 6, "b": 4}
    assert counts(made([lopsided], balance=True)) == {"a": 4, "b": 4}
    assert counts(made([lopsided], balance=True, labels_per_class=2)) == {"a": 2, "b": 2}
    assert counts(made([lopsided], labels_per_task=6)) == {"a": 3, "b": 3}
    assert counts(made([lopsided], labels_per_task=10)) == {"a": 6, "b": 4}
    free = task("t", "a", num=16)
    assert counts(made([free], balance=True, labels_per_class=2)) == {"a": 16}
    assert counts(made([free], labels_per_task=5)) == {"a": 5}


def test_fewer_labels_are_some_of_the_same_by_hash():
    whole = task("t", num=40)
    few, more = (made([whole], labels_per_task=n).plans[0].examples for n in (10, 20))
    assert ids(few) < ids(more) < ids(whole.lesson)
    turned = whole.model_copy(update={"lesson": whole.lesson[::-1]})
    assert ids(made([turned], labels_per_task=10).plans[0].examples) == ids(few)
    assert ids(made([whole], labels_per_task=10, seed=1).plans[0].examples) != ids(few)
    with pytest.raises(DataError, match="cannot show the 2 classes"):
        made([whole], labels_per_task=1)


def test_limits_hold_for_each_class_and_each_increment():
    stream = made([task("set", "abcd", 40, 4)], classes={"set": 2}, labels_per_class=6, labels_per_task=8)
    assert [sorted(counts(stream, k).values()) for k in (0, 1)] == [[4, 4], [4, 4]]


# --- leaks -----------------------------------------------------------------------------------------------------------


def leaking(into, split):
    """Two tasks, of which q holds what the exam or the dev split of p asks, in other case and blanks."""
    p = task("p", dev=examples("p", "dev", 4, ("a", "b")))
    q = task("q", dev=examples("q", "dev", 4, ("a", "b")))
    source = (p.exam if into == "exam" else p.dev)[1]
    copy = source.model_copy(update={"id": "leak", "prompt": (Message(role="user", content=f" P  {into.upper()} 1"),)})
    return [p, q.model_copy(update={split: (*(q.lesson if split == "lesson" else q.dev), copy)})]


@pytest.mark.parametrize(("into", "split"), [("exam", "lesson"), ("dev", "lesson"), ("exam", "dev")])
def test_splits_are_disjoint_across_tasks(into, split):
    pool = leaking(into, split)
    with pytest.raises(DataError, match=f"{split} example in the exam: 'leak' of task 'q' asks what 'p-{into}-1'"):
        made(pool)
    stream = made(pool, leaks="drop")
    assert stream.dropped == stream_summary(stream).dropped == {"q": 1}
    assert [len(t.lesson) for t in stream.tasks] == [8, 8]
    assert [len(t.dev) for t in stream.tasks] == [4, 4]
    assert "leak" not in ids(stream.plans[1].examples)


def test_a_lesson_that_is_all_exam_is_refused():
    p = task("p", num=4)
    with pytest.raises(DataError, match="ask all"):
        made([p, task("q").model_copy(update={"exam": p.lesson})], leaks="drop")


# --- online, worlds, outline --------------------------------------------------------------------------------------


def test_an_online_stream_shows_every_example_once():
    from clbench.core.keys import rng
    from clbench.training.schedule import schedule
    from clbench.training.settings import Training

    pool = [task("p"), task("q")]
    plain, online = made(pool), made(pool, online=True)
    assert {lesson.passes for lesson in lessons(online)} == {1} == {merge_lessons(lessons(online)).passes}
    assert {lesson.passes for lesson in lessons(plain)} == {None}
    assert [a.digest for a in lessons(online)] == [b.digest for b in lessons(plain)]
    assert set(trajectory(online).keys[1:]).isdisjoint(trajectory(plain).keys)
    training = Training(epochs=3, batch_size=4)
    batches = schedule([1] * 10, training, rng(0, 1, "order"), 1)
    assert sorted(i for b in batches for i in b) == list(range(10))
    assert batches == schedule([1] * 10, training, rng(0, 1, "order"))[:3]
    fewer = training.model_copy(update={"epochs": 1})
    assert schedule([1] * 10, fewer, rng(0, 1, "order"), 2) == schedule([1] * 10, fewer, rng(0, 1, "order"))


def test_worlds_are_made_by_seed_without_cards(tmp_path):
    text = "worlds: [{num: 3, kinds: [facts, rules], languages: [en, zh], seed: 5, items: 12, exam_items: 8}]"
    stream = open_stream(write_card(tmp_path, text), None)
    assert [t.name for t in stream.tasks] == ["facts-en-5", "rules-zh-6", "facts-en-7"]
    assert [t.about["language"] for t in stream.tasks] == ["en", "zh", "en"]
    assert all(len(t.exam) == 8 and t.decode.kind == "label" for t in stream.tasks)
    longer = open_stream(write_card(tmp_path, text.replace("num: 3", "num: 9")), None)
    assert [x.digest for x in lessons(longer)][:3] == [x.digest for x in lessons(stream)]


@pytest.mark.slow
def test_long_worlds_are_fifty_rounds():
    stream = open_stream("long-worlds", None)
    assert len(stream) == 50
    assert len({t.name for t in stream.tasks}) == 50


@pytest.mark.parametrize(("name", "rounds", "axes"), [
    ("til-worlds", 4, {"task", "domain"}),
    ("dil-worlds", 5, {"domain"}),
    ("cil-worlds", 5, {"class"}),
    ("mixed-worlds", 9, {"task", "domain", "class"}),
])  # fmt: skip
def test_scenarios_move_the_axes_that_they_are_named_for(name, rounds, axes):
    stream = open_stream(name, None)
    assert len(stream) == rounds
    assert {axis for r in stream.plans for axis in r.moved} == axes
    assert all(r.moved for r in stream.plans[1:])


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("name", "rounds", "axes"), [
    ("til", 5, {"task", "domain"}),
    ("dil", 7, {"domain"}),
    ("dil-dialogue", 6, {"domain"}),
    ("dil-zh", 5, {"domain"}),
    ("cil", 10, {"class"}),
    ("cil-base", 11, {"class"}),
    ("mixed", 9, {"task", "domain", "class"}),
])  # fmt: skip
def test_scenarios_of_real_data(name, rounds, axes, data_root):
    stream = open_stream(name, data_root)
    assert len(stream) == rounds
    assert {axis for r in stream.plans for axis in r.moved} == axes
    assert stream.missing == ()


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["order-1", "order-4", "trace"])
def test_published_orders_are_taught_as_far_as_they_are_here(name, data_root):
    stream = open_stream(name, data_root)
    assert len(stream) >= 3
    here = [t.name for t in stream.tasks]
    assert here == [n for n in named_order(name) if n in here]
    assert set(here) | set(stream.missing) == set(named_order(name))


def test_outline_by_hand():
    pool = [task("p", num=6), task("q", "c", num=3, about={"kind": "qa", "language": "zh"}), task("p", num=6)]
    outline = stream_summary(made(pool))
    assert outline.tasks == ("p", "q")
    assert outline.questions == (4, 4)
    first, second, third = outline.lessons
    assert (first.examples, first.new_labels, first.labels, first.moved) == (6, 2, 2, ())
    assert (second.examples, second.new_labels, second.labels) == (3, 0, 2)
    assert (second.kinds, second.languages, second.domains) == (("qa",), ("zh",), ("q",))
    assert second.moved == ("task", "domain")
    assert third.moved == ("task", "domain", "recurring")
    assert outline.similarity[0][0] == outline.similarity[1][1] == 1.0
    assert 0 < outline.similarity[0][1] == outline.similarity[1][0] < 1


# --- cards that are wrong ----------------------------------------------------------------------------------------


BAD = [
    ("task_ids: boundaries", "1", "needs tasks, worlds or a named order"),
    ("tasks: []", "1", "needs tasks, worlds or a named order"),
    ("tasks: [world_tiny_facts]\norder: hard-first", "3 order", "easy-first"),
    ("tasks: [world_tiny_facts]\norder: {seeds: 1}", "3 order", "an order is given, reverse"),
    ("tasks: [world_tiny_facts]\norder: {seed: -1}", "3 order.seed", "greater than or equal to 0"),
    ("tasks: [world_tiny_facts]\norder: {interleave: 0}", "3 order.interleave", "greater than or equal to 1"),
    ("order: {named: order-9}", "2 order.named", "there is no order 'order-9'"),
    ("tasks: [world_tiny_facts]\norder: {named: order-1}", "1", "brings its own tasks"),
    ("tasks: [world_tiny_facts]\nper_lesson: 0", "3 per_lesson", "greater than or equal to 1"),
    ("tasks: [world_tiny_facts]\nbase: -1", "3 base", "number of increments, or a list"),
    ("tasks: [world_tiny_facts]\nbase: [world_tiny_fact]", "3 base", "did you mean 'world_tiny_facts'"),
    ("tasks: [world_tiny_facts]\nclasses: {world_tiny_fact: 1}", "3 classes.world_tiny_fact", "did you mean"),
    ("tasks: [world_tiny_facts]\nclasses: {world_tiny_facts: 0}", "3 classes.world_tiny_facts", "greater than"),
    ("tasks: [world_tiny_facts]\nclasses: {world_tiny_facts: 3}", "3 classes.world_tiny_facts", "only 3 classes"),
    ("tasks: [world_facts_en]\nclasses: {world_facts_en: 3}", "3 classes.world_facts_en", "no closed label set"),
    ("tasks: [world_tiny_facts]\nclasses: {world_tiny_facts: {every: 1}}", "3 classes.world_tiny_facts", "'each'"),
    ("tasks: [world_tiny_facts]\nrecur: {every: 1}", "3 recur.every", "greater than or equal to 2"),
    ("tasks: [world_tiny_facts]\nrecur: {evry: 3}", "3 recur.evry", "did you mean 'every'"),
    ("tasks: [world_tiny_facts]\nblur: 0.7", "3 blur", "less than or equal to 0.5"),
    ("tasks: [world_tiny_facts]\nblur: {share: 0.1, rises: 1}", "3 blur.rises", "did you mean 'rise'"),
    ("tasks: [world_tiny_facts]\nlabels_per_task: 2", "3 labels_per_task", "cannot show the 3 classes"),
    ("tasks: [world_tiny_facts]\nlabels_per_class: 0", "3 labels_per_class", "greater than or equal to 1"),
    ("tasks: [world_tiny_facts]\nleaks: keep", "3 leaks", "'refuse' or 'drop'"),
    ("tasks: [world_tiny_facts]\nmissing: ignore", "3 missing", "'refuse' or 'skip'"),
    ("tasks: [world_tiny_facts]\nonline: sometimes", "3 online", "boolean"),
    ("worlds: [{num: 0}]", "2 worlds.0.num", "greater than or equal to 1"),
    ("worlds: [{num: 2, kinds: [fact]}]", "2 worlds.0.kinds", "'facts'"),
    ("worlds: [{num: 2, item: 9}]", "2 worlds.0.item", "did you mean 'items'"),
    ("worlds: [{num: 2, kinds: [facts]}, {num: 1, kinds: [facts]}]", "2 worlds", "two worlds are named 'facts-en-0'"),
    ("tasks: [world_tiny_facts]\ntask: [x]", "3 task", "did you mean 'tasks'"),
]


@pytest.mark.parametrize(("text", "place", "message"), BAD)
def test_bad_cards_say_where_and_how_to_mend(tmp_path, text, place, message):
    path = write_card(tmp_path, text)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        open_stream(path, None)
    assert str(error.value).startswith(f"{path}:{place}")


# --- which cells are due -----------------------------------------------------------------------------------------


FOUR = [Column(name=n, taught=k) for k, n in enumerate("abcd", 1)] + [Column(name="general", kind="general")]


def grid(budget, columns=FOUR, last=4):
    rows = [due_columns(columns, k, last, budget) for k in range(last + 1)]
    return ["".join("x" if i in row else "." for i in range(len(columns))) for row in rows]


def test_due_cells_by_hand():
    assert grid(ExamBudget()) == ["xxxxx"] * 5
    assert grid(ExamBudget(policy="seen")) == ["xxxxx", "x...x", "xx..x", "xxx.x", "xxxxx"]
    assert grid(ExamBudget(policy="every", every=2)) == ["xxxxx", "x....", "xx..x", "..x..", "xxxxx"]
    assert grid(ExamBudget(policy="every", every=9)) == ["xxxxx", "x....", ".x...", "..x..", "xxxxx"]
    budget = ExamBudget(policy="anchors", anchors=1)
    (anchor,) = anchors_of(FOUR, budget)
    rows = [["x" if k in (0, c.taught) or (k > (c.taught or 9) and c.name == anchor) else "." for c in FOUR[:4]]
            for k in range(4)]  # fmt: skip
    assert grid(budget) == ["".join(r) + "x" for r in rows] + ["xxxxx"]
    assert [r[4] for r in grid(ExamBudget(policy="anchors", anchors=1, every=3))] == list("x..xx")
    assert grid(ExamBudget(policy="anchors", anchors=9)) == grid(ExamBudget(policy="seen"))


def test_anchors_are_the_same_tasks_whatever_is_added():
    budget = ExamBudget(policy="anchors", anchors=5)
    tasks = [Column(name=f"t{k}", taught=k) for k in range(1, 31)]
    for num in range(6, 31):
        before, after = anchors_of(tasks[: num - 1], budget), anchors_of(tasks[:num], budget)
        assert len(before) == len(after) == 5
        assert len(before - after) <= 1
        assert after - before <= {f"t{num}"}


def test_cost_of_anchors_grows_with_the_length_and_not_with_its_square():
    def num(length, **budget):
        tasks = [Column(name=f"t{k}", taught=k) for k in range(1, length + 1)]
        return sum(r.count("x") for r in grid(ExamBudget(**budget), tasks, length))

    for length in (50, 100):
        assert num(length) == (length + 1) * length
        assert num(length, policy="anchors", anchors=4) <= (3 + 4) * length


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "every"}, "needs the distance"),
        ({"policy": "anchors"}, "needs the number of anchors"),
        ({"every": 3}, "no use for every"),
        ({"policy": "every", "every": 2, "anchors": 3}, "no use for anchors"),
    ],
)
def test_budgets_that_do_not_hang_together(fields, message):
    with pytest.raises(ValueError, match=message):
        ExamBudget(**fields)


def test_due_asks_each_row_as_it_is_asked_in_that_row():
    stream = made([task("set", "abcdef", 12, 6)], classes={"set": 2})
    exams = open_exams((), stream, None)
    sizes = {k: [] for k in range(4)}
    for k, _, exam in due_cells(exams, 3, ExamBudget()):
        sizes[k].append(len(exam.examples[0].choices))
    assert sizes == {0: [2, 4, 6], 1: [2, 4, 6], 2: [4, 4, 6], 3: [6, 6, 6]}
    few = open_exams((), stream, 1)
    cells = list(due_cells(few, 3, ExamBudget()))
    assert [len(exam.examples) for k, _, exam in cells if k == 3] == [1, 1, 1]
    assert {e.id for _, _, x in cells for e in x.examples if x.name == "set-1"} == ids(few[0].examples)


def test_budgeted_figures_beside_full_ones_by_hand():
    values = [[0.0, 0.0, 0.0], [0.8, 0.0, 0.0], [0.9, 0.6, 0.0], [0.5, 0.4, 0.7]]
    matrix = Matrix.of(values)
    budget = ExamBudget(policy="every", every=3)
    small = mask_matrix(matrix, budget)
    assert np.isnan(small.values[2, 0])
    assert small.values[2, 1] == 0.6
    assert small.n.sum() == 3 + 1 + 1 + 3 == cells_due(matrix, budget)[0]
    found = budget_error(matrix, budget)
    # The best of the first task, 0.9, lies in a row that is not due: its forgetting is 0.3 instead of 0.4.
    assert found["forgetting"].full == pytest.approx((0.4 + 0.2) / 2)
    assert found["forgetting"].budgeted == pytest.approx((0.3 + 0.2) / 2)
    assert found["forgetting"].difference == pytest.approx(-0.05)
    assert {n: f.difference for n, f in found.items() if n != "forgetting"} == {
        "average_performance": 0.0,
        "learning_accuracy": 0.0,
        "bwt": 0.0,
    }
    whole = budget_error(matrix, ExamBudget())
    assert all(f.difference == 0 for f in whole.values())


def test_cells_that_are_not_due_are_never_averaged_away():
    from clbench.core.results import Costs
    from clbench.metrics import compute

    values = [[0.1] * 4, [0.8] * 4, [0.9] * 4, [0.7] * 4, [0.6] * 4]
    small = mask_matrix(Matrix.of(values), ExamBudget(policy="every", every=4))
    found = compute(("average_incremental", "fluctuation", "fwt", "bwt_all_pairs"), small, Costs(), {})
    assert all(np.isnan(v) for v in found.values())


# --- through the engine -------------------------------------------------------------------------------------------


@pytest.mark.models
def test_a_class_incremental_run_asks_and_marks_every_row_with_its_own_choices(tmp_path):
    import json

    from clbench.engine.inputs import Inputs
    from clbench.engine.make_unit import is_made
    from clbench.engine.plan import plan
    from clbench.engine.resolve import resolve
    from clbench.engine.run import record
    from clbench.engine.units import open_run
    from clbench.store.store import Store

    store, machine = Store(tmp_path), Machine(store=tmp_path, device="cpu")
    budget = ExamBudget(policy="every", every=2, items=4)
    spec = resolve(
        RunSpec(
            name="x", model=ModelSpec(name="tiny-bert"), learner={"name": "frozen"}, stream="cil-worlds", budget=budget
        )
    )
    opened = open_run(spec, Inputs(None), store, machine)
    folder = record(opened, store, machine)
    values = json.loads((folder / "matrix.json").read_text())["values"]
    assert [[v is not None for v in row] for row in values] == [
        [True] * 5,
        [True] + [False] * 4,
        [True] * 2 + [False] * 3,
        [False, False, True, False, False],
        [True] * 4 + [False],
        [True] * 5,
    ]
    costs = json.loads((folder / "costs.json").read_text())
    assert costs["exam_answers"] == 4 * (5 + 1 + 2 + 1 + 4 + 5)
    assert all(is_made(unit, store, machine) for unit in plan([opened]))
    # frozen answers alike in every row, so each exam is asked once per set of choices
    choices = {(i, max(k, i + 1)) for k, row in enumerate(values) for i, v in enumerate(row) if v is not None}
    assert sum(kind == "ask" for kind, _, _ in store.stages()) == len(choices)
