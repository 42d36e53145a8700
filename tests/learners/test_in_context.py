"""In-context learners: what is kept and shown, that whole questions are read, and that asking changes nothing."""

import json
import math
from collections import Counter

import numpy as np
import pytest
import torch

from clbench.core import plugins
from clbench.core.errors import DataError, ModelError
from clbench.core.keys import canonical, digest, folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Budget, Decode, Example, Lesson, Message, Request
from clbench.learners import in_context, notebook, retrieval, right_document
from clbench.learners._shared import prompts_shown as shown

pytestmark = pytest.mark.xdist_group("methods")
NAMES = ("in_context", "retrieval", "notebook")
LABEL = Decode(kind="label")


def example(id_, text, target="red", choices=("red", "blue"), system=None):
    lead = (Message(role="system", content=system),) if system else ()
    return Example(id=id_, prompt=(*lead, Message(role="user", content=text)), targets=(target,), choices=choices)


def lesson(step, examples, **changes):
    return Lesson(number=step, examples=tuple(examples), digest=digest(list(examples)), **changes)


def plain(step, num=6, **changes):
    return lesson(
        step, [example(f"{step}-{i}", f"zan {step} {i}", ("red", "blue")[i % 2]) for i in range(num)], **changes
    )


class Words:
    """A tokenizer of which every word is a token."""

    def encode(self, text, add_special_tokens=False):
        return text.split()


class Fake:
    """A net that says what it is told to say and remembers what it was asked."""

    can = frozenset({"text", "label"})
    tokenizer = Words()

    def __init__(self, max_tokens=100, says=lambda e: "said " + e.id):
        self.spec = ModelSpec(max_tokens=max_tokens)
        self.says = says
        self.asked = []

    def render(self, prompt):
        return " ".join(f"<{m.role}> {m.content}" for m in prompt)

    def answer_ids(self, text):
        return [*text.split(), "end"]

    def respond(self, examples, decode):
        self.asked += [(e, decode) for e in examples]
        return [
            Answer(example_id=e.id, text=self.says(e), tokens_in=len(self.render(e.prompt).split())) for e in examples
        ]


def made(name, net, seed=0, **settings):
    module = {"in_context": in_context, "retrieval": retrieval, "notebook": notebook}[name]
    learner = {
        "in_context": in_context.InContextLearner,
        "retrieval": retrieval.RetrievalLearner,
        "notebook": notebook.NotebookLearner,
    }[name]
    return learner(module.Config(**settings), net, seed)


def prompt_of(net, index=-1):
    return net.asked[index][0].prompt


# --- which examples, and how many ---------------------------------------------------------------------------


def taught(counts):
    """(step, class) -> how many."""
    return [
        shown.Taught(lesson=step, example=example(f"{step}-{label}-{i}", "x", label))
        for (step, label), num in counts.items()
        for i in range(num)
    ]


def test_every_beginning_of_the_order_is_even_over_lessons_and_classes():
    ordered = shown.in_turn(taught({(1, "red"): 30, (1, "blue"): 4, (2, "red"): 10, (3, "red"): 9, (3, "blue"): 9}), 0)
    assert len(ordered) == 62
    for end in range(1, 25):
        lessons = Counter(t.lesson for t in ordered[:end])
        assert max(lessons.values()) - min(lessons[s] for s in (1, 2, 3)) <= 1
    for step in (1, 3):
        of_lesson = [t.example.targets[0] for t in ordered if t.lesson == step]
        for end in range(2, 9, 2):
            assert Counter(of_lesson[:end]) == {"red": end // 2, "blue": end // 2}


def test_the_order_is_that_of_a_hash_and_what_is_left_of_it_keeps_it():
    all_ = taught({(1, "red"): 9, (1, "blue"): 9, (2, "red"): 9})
    ordered = shown.in_turn(all_, 0)
    assert shown.in_turn(list(reversed(all_)), 0) == ordered
    assert shown.in_turn(all_, 1) != ordered
    assert shown.in_turn(list(reversed(ordered[:11])), 0) == ordered[:11]


def test_equal_examples_have_equal_chances():
    firsts = Counter(shown.in_turn(taught({(1, "red"): 5}), seed)[0].example.id for seed in range(1000))
    assert sum((firsts[f"1-red-{i}"] - 200) ** 2 / 200 for i in range(5)) < 18.5  # 0.999 quantile, 4 degrees


def test_what_is_kept_fits_every_limit():
    ordered = taught({(1, "red"): 9})
    long = shown.Taught(lesson=1, example=example("long", "many words"))
    size = {"long": 50}
    assert shown.fitting([long, *ordered], Budget(), None, lambda e: size.get(e.id, 3), 10) == ordered[:3]
    assert shown.fitting(ordered, Budget(examples=4), 7, len, None) == ordered[:4]
    assert shown.fitting(ordered, Budget(examples=4), 2, len, None) == ordered[:2]
    two = len(canonical([t.example for t in ordered[:2]]).encode())
    assert shown.fitting(ordered, Budget(bytes=two), None, len, None) == ordered[:2]
    assert shown.fitting(ordered, Budget(bytes=two - 1), None, len, None) == ordered[:1]


def test_examples_stand_as_turns_and_the_question_keeps_its_instruction_in_front():
    first = example("1", "one", "red", system="Say a colour.")
    question = example("q", "two", system="Be brief.")
    turns = [(m.role, m.content) for m in shown.conversation([first], question.prompt)]
    assert turns == [
        ("system", "Be brief."),
        ("user", "Say a colour.\n\none"),
        ("assistant", "red"),
        ("user", "two"),
    ]
    assert shown.conversation([], question.prompt) == question.prompt


def test_room_is_what_the_answer_leaves():
    net, question = Fake(max_tokens=50), example("q", "two", choices=("red", "light blue sky"))
    assert shown.room_for(net, question, Decode(max_tokens=8)) == 42
    assert shown.room_for(net, question, LABEL) == 46


# --- all three ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_untaught_they_pass_a_question_on_and_taught_they_put_something_before_it(name, tmp_path):
    net = Fake()
    learner = made(name, net)
    question = example("q", "zan 1 9")
    learner.respond([question], LABEL)
    assert net.asked == [(question, LABEL)]
    learner.save(tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())
    learner.learn(plain(1))
    (answer,) = learner.respond([question], LABEL)
    asked = net.asked[-1][0]
    assert asked.prompt != question.prompt
    assert asked.prompt[-1].content.endswith("zan 1 9")
    assert asked.model_copy(update={"prompt": question.prompt}) == question
    assert answer.tokens_in == shown.num_tokens(net, asked.prompt) > shown.num_tokens(net, question.prompt)


@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_never_cut_and_fewer_things_are_shown_before_a_long_one(name):
    count = iter(range(100))
    net = Fake(max_tokens=60, says=lambda e: f"note {next(count)}")
    learner = made(name, net, **({"note_tokens": 4} if name == "notebook" else {}))
    for step in (1, 2, 3):
        learner.learn(plain(step))
    sizes = []
    for num in (1, 10, 25, 40, 55):
        question = example("q", " ".join(["zan"] * num), "red")
        learner.respond([question], Decode(max_tokens=6))
        prompt = prompt_of(net)
        assert prompt[-1].content.endswith(question.prompt[-1].content)
        assert shown.num_tokens(net, prompt) <= 54 or prompt == question.prompt
        sizes.append(shown.num_tokens(net, prompt) - shown.num_tokens(net, question.prompt))
    assert sizes[0] > sizes[-2]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0


@pytest.mark.parametrize("name", NAMES)
def test_asking_changes_nothing_and_sleep_neither(name, tmp_path):
    net = Fake()
    learner = made(name, net)
    for step in (1, 2):
        learner.learn(plain(step))
    learner.save(tmp_path / "before")
    questions = [example("q", "zan 2 1"), example("r", "zan 1")]
    learner.respond(questions, LABEL)
    prompts = [e.prompt for e, _ in net.asked[-2:]]
    learner.save(tmp_path / "after")
    assert folder_digest(tmp_path / "before") == folder_digest(tmp_path / "after")
    woken = made(name, net)
    woken.load(tmp_path / "after")
    woken.respond(questions, LABEL)
    assert [e.prompt for e, _ in net.asked[-2:]] == prompts
    for each in (learner, woken):
        each.learn(plain(3))
        each.save(tmp_path / str(id(each)))
    assert folder_digest(tmp_path / str(id(learner))) == folder_digest(tmp_path / str(id(woken)))
    assert json.loads((tmp_path / "after" / "counts.json").read_text())["kept_bytes"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_exam_items_and_encoders_are_refused(name):
    marked = example("1", "x").model_copy(update={"eval_only": True})
    with pytest.raises(DataError, match="for exams only"):
        made(name, Fake()).learn(lesson(1, [marked]))
    plugin = plugins.load("learner", name, "PLUGIN")
    assert plugin.model_families == ("causal",)
    with pytest.raises(ModelError, match=f"'{name}' shows examples in the prompt"):
        plugin.build(plugin.config(), ModelSpec(name="tiny-bert"), 0, Machine(device="cpu"))


@pytest.mark.parametrize("show", ["documents", "turns"])
def test_what_is_shown_moves_where_the_examples_of_a_plain_question_begin(show):
    context = "Q: a\nA: b\n\nQ: c\nA:"
    request = Request(kind="text", context=context, max_tokens=4, starts=(0, context.index("Q: c")))
    question = example("q", "zan").model_copy(update={"requests": (request,)})
    net = Fake(max_tokens=500)
    learner = made("in_context", net, show=show)
    learner.learn(plain(1))
    learner.respond([question], Decode(kind="raw"))
    (asked,) = net.asked[-1][0].requests
    assert len(asked.context) > len(context)
    assert [asked.context[start:] for start in asked.starts] == [context, "Q: c\nA:"]


# --- documents and turns ------------------------------------------------------------------------------------


def stated(step):
    """A lesson of three facts in two wordings; each fact has one document."""
    facts = {"Ann": "red", "Bob": "blue", "Cid": "red"}
    return lesson(
        step,
        [
            example(f"{step}-{name}-{w}", wording.format(name), colour).model_copy(
                update={"document": f"The colour of {name} is {colour}."}
            )
            for name, colour in facts.items()
            for w, wording in enumerate(("What colour has {}?", "Tell me the colour of {}."))
        ],
    )


SENTENCES = {"The colour of Ann is red.", "The colour of Bob is blue.", "The colour of Cid is red."}


@pytest.mark.parametrize("name", ["in_context", "retrieval"])
def test_what_was_taught_is_shown_as_sentences_each_once(name):
    net = Fake(max_tokens=300)
    learner = made(name, net)
    learner.learn(stated(1))
    learner.learn(stated(2))  # taught again, and still said once
    learner.respond([example("q", "Which colour is it?", system="Be brief.")], LABEL)
    system, asked = prompt_of(net)
    assert system.content == "Be brief."
    page, _, question = asked.content.rpartition("\n\n")
    assert question == "Which colour is it?"
    assert sorted(page.splitlines()) == sorted(SENTENCES)


def test_a_note_is_asked_for_with_sentences():
    net = noting()
    learner = made("notebook", net, notes=1)
    learner.learn(stated(1))
    (asked,) = [e.prompt[0].content for e, _ in net.asked]
    assert set(asked.splitlines()) >= SENTENCES
    assert "->" not in asked


@pytest.mark.parametrize("name", NAMES)
def test_without_documents_prompt_and_answer_are_lines_of_text(name):
    net = noting() if name == "notebook" else Fake(max_tokens=300)
    learner = made(name, net)
    learner.learn(plain(1, 2))
    learner.respond([example("q", "zan")], LABEL)
    seen = net.asked[0][0].prompt[0].content
    assert "zan 1 0\nred\n\n" in seen
    assert "zan 1 1\nblue\n\n" in seen


def test_turns_are_exchanges_even_where_there_are_documents():
    net = Fake(max_tokens=300)
    learner = made("in_context", net, show="turns")
    learner.learn(stated(1))
    learner.respond([example("q", "zan")], LABEL)
    assert [m.role for m in prompt_of(net)] == ["user", "assistant"] * 6 + ["user"]
    assert not any(m.content in SENTENCES for m in prompt_of(net))


def test_documents_are_found_by_their_words_and_not_by_the_prompts_of_their_examples():
    learner = made("retrieval", Fake(), num=1)
    odd = example("odd", "What of Ann?").model_copy(update={"document": "Bob is tall."})
    even = example("even", "What of Bob?").model_copy(update={"document": "Ann is short."})
    learner.learn(lesson(1, [odd, even]))
    assert learner.nearest(example("q", "Is Ann tall or short?"))[0].id == "even"
    turns = made("retrieval", Fake(), num=1, show="turns")
    turns.learn(lesson(1, [odd, even]))
    assert turns.nearest(example("q", "Is Ann tall or short?"))[0].id == "odd"


def test_answers_do_not_draw_questions_that_name_them():
    learner = made("retrieval", Fake(), num=1)
    learner.learn(lesson(1, [example("a", "sky at noon", "red"), example("b", "paris in may", "blue")]))
    assert learner.nearest(example("q", "sky or red or blue or blue blue"))[0].id == "a"


# --- the right document -------------------------------------------------------------------------------------


def test_the_right_document_stands_at_the_head_of_its_question_and_only_there(tmp_path):
    net = Fake(max_tokens=30)
    learner = right_document.RightDocumentLearner(net)
    told = example("q", "What colour has Ann?").model_copy(update={"document": "The colour of Ann is red."})
    long = told.model_copy(update={"document": "red " * 40})
    for _ in range(2):
        learner.respond([told, example("plain", "zan"), long], LABEL)
        assert [e.prompt[0].content for e, _ in net.asked[-3:]] == [
            "The colour of Ann is red.\n\nWhat colour has Ann?",
            "zan",
            "What colour has Ann?",
        ]
        learner.learn(plain(1))
    learner.save(tmp_path / "state")
    assert not any((tmp_path / "state").iterdir())


# --- in context ---------------------------------------------------------------------------------------------


def test_the_history_is_within_its_tokens_even_over_lessons_and_told_from_old_to_new():
    net = Fake(max_tokens=500)
    learner = made("in_context", net, tokens=42, show="turns")  # an example: <user> zan s i <assistant> red, 6 tokens
    for step in (1, 2, 3):
        learner.learn(plain(step, 20))
        assert len(learner.taught) == 7
        per_lesson = Counter(t.lesson for t in learner.taught)
        assert max(per_lesson.values()) - min(per_lesson.values()) <= 1
        assert len(per_lesson) == step
    learner.respond([example("q", "zan ?")], LABEL)
    steps = [m.content.split()[1] for m in prompt_of(net) if m.role == "user"][:-1]
    assert steps == sorted(steps)
    assert len(steps) == 7
    answers = [m.content for m in prompt_of(net) if m.role == "assistant"]
    assert abs(answers.count("red") - answers.count("blue")) <= 3


def test_the_budget_wins_over_the_tokens():
    learner = made("in_context", Fake(max_tokens=500))
    for step in (1, 2):
        learner.learn(plain(step, budget=Budget(examples=3)))
    assert len(learner.taught) == 3
    learner.learn(plain(3, budget=Budget(examples=0)))
    assert learner.taught == []


def test_no_tokens_is_the_base():
    net = Fake()
    learner = made("in_context", net, tokens=0)
    learner.learn(plain(1))
    learner.respond([example("q", "zan")], LABEL)
    assert prompt_of(net) == example("q", "zan").prompt


def real(name, **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    return plugin.build(plugin.config(**settings), ModelSpec(), 0, Machine(device="cpu"))


def test_a_real_model_reads_every_token_of_the_longer_prompt():
    learner = real("in_context", tokens=120)
    learner.learn(plain(1))
    questions = [example(f"q{i}", "zan river " * i + "1 7") for i in (40, 1, 9)]
    for decode in (LABEL, Decode(max_tokens=4)):
        answers = learner.respond(questions, decode)
        assert [a.example_id for a in answers] == ["q40", "q1", "q9"]
        for question, answer in zip(questions, answers, strict=True):
            prompt = learner.prompt(question, shown.room_for(learner.net, question, decode))
            assert answer.tokens_in == shown.num_tokens(learner.net, prompt)
            assert learner.net.render(prompt).count("zan 1") == 6
    by_hand = [q.model_copy(update={"prompt": learner.prompt(q, 10_000)}) for q in questions]
    assert learner.respond(questions, LABEL) == learner.net.respond(by_hand, LABEL)


# --- retrieval ----------------------------------------------------------------------------------------------


def test_bm25_is_the_score_worked_out_by_hand():
    texts = [["cat", "sat", "cat"], ["dog", "sat"], ["cat", "dog", "ran", "far"]]
    scores = retrieval.Bm25(texts, 1.2, 0.75).scores(["cat", "ran", "cat", "moon"])
    # N = 3, mean length 3. cat is in 2 texts: idf = ln(1 + 1.5 / 2.5); ran in 1: idf = ln(1 + 2.5 / 1.5).
    cat, ran = math.log(1.6), math.log(8 / 3)
    # Saturation: k1 (1 - b + b * 3/3) = 1.2 for text 0; 1.2 (0.25 + 0.75 * 4/3) = 1.5 for text 2.
    assert scores == pytest.approx([cat * 2 / (2 + 1.2), 0.0, (cat + ran) * 1 / (1 + 1.5)], abs=1e-12)


def test_bm25_at_its_limits():
    texts = [["cat"] * 5 + ["sat"], ["cat", "sat", "on", "it"], ["dog"]]
    presence = retrieval.Bm25(texts, 0.0, 0.75).scores(["cat", "sat"])
    assert presence[0] == pytest.approx(presence[1]) == pytest.approx(2 * math.log(1.6))
    no_length = retrieval.Bm25(texts, 1.2, 0.0).scores(["cat"])
    assert no_length == pytest.approx([math.log(1.6) * 5 / 6.2, math.log(1.6) / 2.2, 0.0])
    assert retrieval.Bm25([], 1.2, 0.75).scores(["cat"]).shape == (0,)
    assert (retrieval.Bm25([[], []], 1.2, 0.75).scores(["cat"]) == 0).all()


def test_the_most_similar_examples_are_shown_the_best_one_last():
    net = Fake(max_tokens=300)
    learner = made("retrieval", net, num=2, show="turns")
    texts = {
        "a": "what is the weather in rome",
        "b": "book a table for two",
        "c": "weather in paris in may",
        "d": "sing",
    }
    learner.learn(lesson(1, [example(i, t) for i, t in texts.items()]))
    learner.respond([example("q", "the weather in paris")], LABEL)
    assert [m.content for m in prompt_of(net) if m.role == "user"] == [texts["a"], texts["c"], "the weather in paris"]


def test_chinese_is_compared_by_characters():
    learner = made("retrieval", Fake(), num=1)
    texts = {"a": "今天的天气怎么样", "b": "播放一首歌", "c": "预订两人的座位"}
    learner.learn(lesson(1, [example(i, t) for i, t in texts.items()]))
    assert [learner.nearest(example("q", t))[0].id for t in ("明天天气", "放歌", "订座位")] == ["a", "b", "c"]


def test_retrieval_keeps_within_memory_and_budget_and_finds_old_lessons_again():
    learner = made("retrieval", Fake(), num=1, memory=9)
    for step in (1, 2, 3):
        learner.learn(plain(step, 20))
    assert Counter(t.lesson for t in learner.taught) == {1: 3, 2: 3, 3: 3}
    assert learner.nearest(example("q", "zan 1"))[0].prompt[0].content.startswith("zan 1")
    learner.learn(plain(4, budget=Budget(examples=2)))
    assert len(learner.taught) == 2


def test_embeddings_are_mean_hidden_states_and_the_same_prompt_is_nearest():
    learner = real("retrieval", by="embedding", num=3)
    learner.learn(plain(1))
    question = plain(1).examples[4]
    assert learner.nearest(question)[0] == question
    net = learner.net
    with torch.no_grad():
        ids = torch.tensor([net.prompt_ids(question.prompt)])
        states = net.module(input_ids=ids, output_hidden_states=True).hidden_states[-1][0].double().mean(0).numpy()
    assert retrieval.mean_state(net, question.prompt) == pytest.approx(states / np.linalg.norm(states), abs=1e-6)
    everyone = {e.id: retrieval.mean_state(net, e.prompt) for e in plain(1).examples}
    cosines = {i: float(v @ everyone[question.id]) for i, v in everyone.items()}
    assert [e.id for e in learner.nearest(question)] == sorted(cosines, key=lambda i: -cosines[i])[:3]


# --- notebook -----------------------------------------------------------------------------------------------


def noting(text="remember  {}\n now"):
    """A net that writes another note each time it is asked for one."""
    count = iter(range(1000))
    return Fake(max_tokens=300, says=lambda e: text.format(next(count)) if e.id == "note" else "red")


def test_notes_are_written_in_lessons_from_examples_and_read_in_exams():
    net = noting()
    learner = made("notebook", net, notes=2, examples=3, show="turns")
    learner.learn(plain(1, 10))
    assert len(net.asked) == 2
    for asked, decode in net.asked:
        assert decode == Decode(max_tokens=48)
        assert asked.prompt[0].content.count("zan 1") == 3
        assert asked.prompt[0].content.count("->") == 3
    seen = "".join(e.prompt[0].content for e, _ in net.asked)
    assert sum(f"zan 1 {i}\n-> {('red', 'blue')[i % 2]}\n" in seen for i in range(10)) == 6
    assert [n.text for n in learner.notes] == ["remember 0 now", "remember 1 now"]
    learner.learn(plain(2, 10))
    learner.respond([example("q", "zan 1 3", system="Be brief.")], LABEL)
    assert len(net.asked) == 5, "an exam writes no notes"
    assert [(m.role, m.content) for m in prompt_of(net)] == [
        ("system", "Be brief."),
        (
            "user",
            "Notes:\n- remember 0 now\n- remember 1 now\n- remember 2 now\n- remember 3 now\n\nzan 1 3",
        ),
    ]


def test_notes_stay_within_their_tokens_evenly_over_lessons():
    net = noting()
    learner = made(
        "notebook", net, tokens=21, notes=4, examples=1
    )  # "Notes:" and 5 notes of 4 words: "- remember n now"
    for step in (1, 2, 3, 4):
        learner.learn(plain(step))
        assert len(learner._page(learner.notes).split()) <= 21
    assert Counter(Counter(n.lesson for n in learner.notes).values()) == {1: 3, 2: 1}
    assert len({n.lesson for n in learner.notes}) == 4


def test_empty_and_repeated_notes_are_not_kept_and_without_notes_it_is_the_base():
    net = noting("  \n")
    learner = made("notebook", net)
    learner.learn(plain(1))
    learner.respond([example("q", "zan")], LABEL)
    assert learner.notes == []
    assert prompt_of(net) == example("q", "zan").prompt
    same = made("notebook", noting("always this"))
    for step in (1, 2):
        same.learn(plain(step, 12))
    assert [n.text for n in same.notes] == ["always this"]
    silent = made("notebook", net := noting(), tokens=0)
    silent.learn(plain(1))
    assert net.asked == []


def test_a_note_is_asked_for_with_as_many_examples_as_fit_and_none_where_not_one_does():
    net = noting()
    net.spec = ModelSpec(max_tokens=100)
    learner = made("notebook", net, examples=6, notes=1, note_tokens=40, show="turns")
    learner.learn(lesson(1, [example(str(i), "word " * 12) for i in range(6)]))
    assert net.asked[0][0].prompt[0].content.count("->") == 2  # 26 words of request, 16 of an example
    assert shown.num_tokens(net, prompt_of(net)) <= 60
    learner.learn(lesson(2, [example(str(i), "word " * 90) for i in range(6)]))
    assert len(net.asked) == 1


def test_what_is_asked_for_must_name_the_examples():
    with pytest.raises(ValueError, match="examples"):
        notebook.Config(ask="Write a note.")
