"""Models that think aloud: what is graded is what follows, and what they thought is kept and counted."""

import json

import pytest

from clbench.core.events import notice_listener
from clbench.core.item_scores import count_reasoning, unended_reasoning
from clbench.core.keys import canonical
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Answer, AnswerRule, Decode, Example, Message, Request
from clbench.models import source, tiny
from clbench.models.load import load_net
from clbench.models.reader import Reader
from clbench.models.reasoning import decoded, mark_in, mark_of, opening, parted

OPENS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<think>\n"
HIDES = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"


@pytest.fixture(scope="module")
def net():
    return load_net(ModelSpec(), Machine(device="cpu"))


@pytest.fixture
def says(net, monkeypatch):
    """A net that writes what it is told, up to the first stop, as `write` promises."""

    def told(script, *, template=HIDES, mark="</think>", ended=True):
        def write(prompts, max_tokens, stop=(), temperature=0.0, *_, **__):
            text = script[: min((script.index(s) + len(s) for s in stop if s in script), default=len(script))]
            ids = net.tokenizer.encode(text, add_special_tokens=False)
            whole = [*ids, net.tokenizer.eos_token_id] if ended and text == script else ids
            return [whole for _ in prompts]

        monkeypatch.setattr(net, "write", write)
        monkeypatch.setattr(net.tokenizer, "chat_template", template)
        monkeypatch.setattr(net, "reader", Reader(net.tokenizer, net.spec))
        monkeypatch.setattr(net, "answer_after", mark)
        return net

    return told


def example(**more):
    return Example(id="e", prompt=(Message(role="user", content="2+2?"),), **more)


def said(net, decode=None, **more):
    (answer,) = net.respond([example(**more)], decode or Decode(max_tokens=64))
    return answer


@pytest.mark.parametrize(
    ("script", "template", "text", "reasoning"),
    [
        ("<think>two and two</think>\n\n4", HIDES, "4", "two and two"),
        ("two and two\n</think>\n\n4", OPENS, "4", "two and two"),  # the template has opened it
        ("<think>a</think>3 <think>b</think> 4", HIDES, "4", "a</think>3 <think>b"),
        ("<think></think>4", HIDES, "4", ""),
        ("4", HIDES, "4", ""),
        ("4", OPENS, "4", ""),  # it has learnt to answer at once
    ],
)
def test_the_answer_is_what_follows_the_reasoning(says, script, template, text, reasoning):
    answer = said(says(script, template=template))
    assert (answer.text, answer.reasoning, answer.finish) == (text, reasoning, "stop")
    assert (0 < answer.tokens_reasoning < answer.tokens_out) == ("think>" in script)
    assert not unended_reasoning(answer)


@pytest.mark.parametrize(("script", "template"), [("<think>two and two", HIDES), ("two and two", OPENS)])
def test_reasoning_that_does_not_end_leaves_no_answer(says, script, template):
    answer = said(says(script, template=template, ended=False))
    assert (answer.text, answer.reasoning, answer.finish) == ("", "two and two", "length")
    assert unended_reasoning(answer)
    assert count_reasoning([answer, Answer(example_id="x", text="4")]) == (answer.tokens_reasoning, 1)


def test_what_ends_an_answer_does_not_end_reasoning(says):
    net = says("<think>one\ntwo</think>\n\n4\nbecause")
    answer = said(net, Decode(max_tokens=64, stop=("\n",)))
    assert (answer.text, answer.reasoning) == ("4", "one\ntwo")
    opened = said(says("one\ntwo</think>\n\n4\nbecause", template=OPENS), Decode(max_tokens=64, stop=("\n",)))
    assert (opened.text, opened.reasoning) == ("4", "one\ntwo")
    assert said(says("4\nbecause"), Decode(max_tokens=64, stop=("\n",))).text == "4"


def test_plain_requests_are_read_alike(says):
    request = Request(kind="text", context="Q: 2+2?\nA:", stop=("\n\n", "Q:"), max_tokens=32)
    answer = said(says("<think>one\n\ntwo</think>\n\n4\n\nQ: 3?"), Decode(kind="raw"), requests=(request, request))
    assert [r.text for r in answer.replies] == ["4", "4"]
    assert [r.reasoning for r in answer.replies] == ["<think>one\n\ntwo"] * 2
    assert answer.text == "4"
    assert answer.tokens_reasoning > 0
    plain = said(says(" 4\n\nQ: 3?"), Decode(kind="raw"), requests=(request,))
    assert plain.replies[0].text == " 4"  # nothing is stripped that was asked for
    cut = said(says("<think>one", ended=False), Decode(kind="raw"), requests=(request,))
    assert unended_reasoning(cut)


def test_exam_and_model_say_where_the_answer_begins(says):
    net = says("<think>a</think>4")
    assert said(net, Decode(max_tokens=64, answer=AnswerRule(after=""))).text == "<think>a</think>4"
    other = says("so\nANSWER: 4")
    assert said(other, Decode(max_tokens=64, answer=AnswerRule(after="ANSWER:"))).text == "4"
    assert said(says("<think>a</think>4", mark="")).text == "<think>a</think>4"
    assert said(says("4"), Decode(max_tokens=64, answer=AnswerRule(after="ANSWER:"))).text == "4"


def test_the_mark_comes_from_the_chat_template(tmp_path):
    assert mark_in(HIDES) == mark_in(OPENS) == mark_in([{"name": "default", "template": HIDES}]) == "</think>"
    assert mark_in("{{ '<|channel|>final<|message|>' }}") == "<|channel|>final<|message|>"
    assert (opening("</think>"), opening("[/THINK]"), opening("ANSWER:")) == ("<think>", "[THINK]", "")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    assert mark_of(ModelSpec(), tmp_path) == ""
    (tmp_path / "chat_template.jinja").write_text(HIDES)
    assert mark_of(ModelSpec(), tmp_path) == "</think>"
    assert mark_of(ModelSpec(answer=AnswerRule(after="")), tmp_path) == ""
    assert mark_of(ModelSpec(answer=AnswerRule(after="##")), None) == "##"


def test_a_checkpoint_says_it_to_its_net_and_its_identity(tmp_path):
    import shutil

    folder = tmp_path / "thinks"
    shutil.copytree(tiny.folder("tiny-llama"), folder)
    file = folder / "tokenizer_config.json"
    stated = json.loads(file.read_text())
    file.write_text(json.dumps({**stated, "chat_template": HIDES}))
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    spec = ModelSpec(name=str(folder))
    assert load_net(spec, Machine(device="cpu")).answer_after == "</think>"
    off = ModelSpec(name=str(folder), answer=AnswerRule(after=""))
    assert load_net(off, Machine(device="cpu")).answer_after == ""
    assert source.identity(spec) != source.identity(off)


def test_marks_that_are_special_tokens_are_found(net, monkeypatch):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.folder("tiny-llama"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    ids = tokenizer.encode("[THINK]two and two[/THINK]4", add_special_tokens=False)
    assert "[/THINK]" not in tokenizer.decode(ids, skip_special_tokens=True)
    assert parted(decoded(tokenizer, ids, "[/THINK]"), "[/THINK]", inside=False, at_limit=False)[1].strip() == "4"
    unended = decoded(tokenizer, ids[:3], "[/THINK]")
    assert parted(unended, "[/THINK]", inside=False, at_limit=True)[1] == ""
    assert decoded(tokenizer, ids, "") == tokenizer.decode(ids, skip_special_tokens=True)


def test_values_without_reasoning_keep_their_digests():
    assert "answer" not in canonical(Decode())
    assert "answer" not in canonical(ModelSpec())
    assert "reasoning" not in canonical(Answer(example_id="e", text="4"))
    assert "answer" in canonical(Decode(answer=AnswerRule(after="")))


def test_answers_that_never_came_are_told(says, tmp_path, monkeypatch):
    from clbench.core.types import Exam, ScorerSpec
    from clbench.engine.ask import ask
    from clbench.store.store import Store

    net = says("<think>two and two", ended=False)
    exam = Exam(
        name="sums",
        examples=(example(targets=("4",)),),
        decode=Decode(max_tokens=64),
        scorer=ScorerSpec(name="exact"),
        needs=frozenset({"text"}),
        digest="sums",
    )

    class Trajectory:
        spec = RunSpec(name="a", learner={"name": "frozen"}, stream="s", model=source.settled(ModelSpec()))
        machine = Machine()
        plugin = type("Plugin", (), {"sees_documents": False})

        def answer_fingerprint(self, lesson):
            return "e"

        def learner_after(self, lesson):
            return net

    told = []
    token = notice_listener.set(told.append)
    try:
        asked = ask(Trajectory(), 0, exam, Store(tmp_path / "store"))
    finally:
        notice_listener.reset(token)
    assert asked.answers[0].text == ""
    assert "1 of 1 answers never came" in told[0]
