"""Stock exams: the same answers and scores as the harness gives by itself, from rows of ours, with nothing fetched."""

import json
import random

import numpy as np
import pytest

from clbench.core.errors import AbsentError, DataError, SpecError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Reply
from clbench.data.card import ExamCard, load_exam_card
from clbench.data.exam import named, open_exam, open_named, whole
from clbench.data.stockcard import HarnessSource, made
from clbench.engine.mark import combined, open_scorer
from clbench.models.net import load_net

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra `abilities`)")
pytestmark = [
    pytest.mark.xdist_group("harness"),
    pytest.mark.filterwarnings("ignore"),  # the harness warns of its own affairs
]

WORDS = "river stone cloud garden window paper silver winter bridge market".split()


def rows(num, seed=0):
    rng = random.Random(seed)
    for i in range(num):
        options = rng.sample(WORDS, 4)
        gold = rng.randrange(4)
        yield {
            "id": f"{seed}-{i}",
            "question": f"Which word was said? {options[gold]} {i}",
            "choices": options,
            "answer": "ABCD"[gold],
            "story": " ".join(rng.choices(WORDS, k=700 if i == 0 else 30)),
            "sum": f"{i} + 3 = <<{i}+3={i + 3}>>\n#### {i + 3}",
        }


CARDS = {
    "arc_challenge": (
        "{harness: arc_challenge, version: 1.0, fewshot: 5, rows: {path: rows}, splits: {test: test, train: train}, "
        "metric: acc_norm, changes: {fewshot_config: {sampler: first_n}}, columns: {question: '{question}', "
        "choices: {text: '{choices}', label: {letters_of: choices}}, answerKey: '{answer}'}}"
    ),
    "gsm8k": (
        "{harness: gsm8k, version: 3.0, fewshot: 2, rows: {path: rows}, splits: {test: test, train: train}, "
        "metric: exact_match, filter: flexible-extract, columns: {question: '{question}', answer: '{sum}'}}"
    ),
    "wikitext": (
        "{harness: wikitext, version: 2.0, rows: {path: rows}, splits: {test: test, validation: train, train: train}, "
        "metric: bits_per_byte, columns: {page: '{story}'}}"
    ),
}


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    (folder / "rows").mkdir()
    for split, num, seed in (("test", 12, 0), ("train", 9, 1)):
        lines = [json.dumps(row) for row in rows(num, seed)]
        (folder / "rows" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    for name, source in CARDS.items():
        (folder / f"my_{name}.yaml").write_text(f"name: my_{name}\nsource: {source}\n")
    return folder


@pytest.fixture(scope="module")
def net():
    return load_net(ModelSpec(), Machine(device="cpu"))


def card_of(cards, name):
    return load_exam_card(str(cards / f"my_{name}.yaml"))


def sat(net, exam):
    plugin = open_scorer(exam.scorer.name)
    scorer = plugin.build(exam.scorer.settings)
    answers = net.respond(exam.examples, exam.decode)
    return answers, combined([scorer(e, a) for e, a in zip(exam.examples, answers, strict=True)], plugin)


def by_harness(net, exam, card):
    """The same task through the harness's own `hf` model and evaluator: per-document responses, and results."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from clbench.data.harness import _shared_out
    from clbench.stock.task import opened

    source = card.source
    ((task_name, splits),) = _shared_out(card, source, None, None).items()
    changes = {**source.changes, **({} if source.fewshot is None else {"num_fewshot": source.fewshot})}
    lm = HFLM(pretrained=net.module, tokenizer=net.tokenizer, max_length=net.spec.max_tokens, batch_size=4)
    with opened(task_name, splits, changes) as task:
        task.set_fewshot_seed(source.seed)
        found = evaluate(lm=lm, task_dict={task_name: task}, bootstrap_iters=0, log_samples=True)
    return found["samples"][task_name], found["results"][task_name]


@pytest.mark.parametrize(
    ("name", "metric"),
    [("arc_challenge", "acc_norm,none"), ("gsm8k", "exact_match,flexible-extract"), ("wikitext", "bits_per_byte,none")],
)
def test_answers_and_scores_are_those_of_the_harness(net, cards, name, metric):
    card = card_of(cards, name)
    exam = open_exam(card)
    answers, marks = sat(net, exam)
    samples, results = by_harness(net, exam, card)
    samples = sorted((s for s in samples if s["filter"] in ("none", "flexible-extract")), key=lambda s: s["doc_id"])
    assert len(samples) == len(answers) == 12
    for answer, sample in zip(answers, samples, strict=True):
        for reply, (theirs,) in zip(answer.replies, sample["resps"], strict=True):
            if name == "arc_challenge":
                assert reply.loglik == pytest.approx(float(theirs[0]), abs=1e-3)
                assert reply.greedy == (str(theirs[1]) == "True")
            elif name == "gsm8k":
                assert reply.text == theirs
            else:
                assert reply.loglik == pytest.approx(float(theirs), rel=1e-5)
    expected = 2 ** -results[metric] if name == "wikitext" else results[metric]
    assert marks.score == pytest.approx(expected, rel=1e-5)


def test_where_examples_begin_is_known_of_what_is_written_alone(cards):
    written = open_exam(card_of(cards, "gsm8k")).examples
    for request in (r for e in written for r in e.requests):
        assert len(request.starts) == 3  # two examples and the question
        assert all(request.context[start:].startswith("Question:") for start in request.starts)
        assert request.context[request.starts[-1] :].count("Question:") == 1
    assert not any(r.starts for e in open_exam(card_of(cards, "arc_challenge")).examples for r in e.requests)


def test_a_learner_sits_the_harness_through_its_own_evaluator(net, cards):
    from lm_eval.evaluator import evaluate

    from clbench.data.harness import _shared_out
    from clbench.stock.lm import HarnessLM
    from clbench.stock.task import opened

    card = card_of(cards, "arc_challenge")
    ((name, splits),) = _shared_out(card, card.source, None, None).items()
    with opened(name, splits, {"num_fewshot": 5, **card.source.changes}) as task:
        task.set_fewshot_seed(1234)
        found = evaluate(lm=HarnessLM(net), task_dict={name: task}, bootstrap_iters=0)
    assert found["results"][name]["acc_norm,none"] == pytest.approx(sat(net, open_exam(card))[1].score)


def test_opening_and_marking_leave_random_state_alone_and_build_no_index(cards, net, monkeypatch):
    from lm_eval.tasks import TaskManager

    seen = []
    init = TaskManager.__init__

    def spy(self, *args, **kwargs):
        seen.append(kwargs.get("include_defaults", True))
        init(self, *args, **kwargs)

    monkeypatch.setattr(TaskManager, "__init__", spy)
    before = (random.getstate(), np.random.get_state()[1].tolist())
    sat(net, open_exam(card_of(cards, "arc_challenge")))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    assert set(seen) == {False}


def test_fewer_items_are_the_same_items_and_examples_are_never_asked(cards, tmp_path):
    card = card_of(cards, "arc_challenge")
    few, all_ = open_exam(card, 5), open_exam(card)
    assert {e.id for e in few.examples} < {e.id for e in all_.examples}
    assert len(few.examples) == 5
    shared = card.model_copy(
        update={"source": card.source.model_copy(update={"splits": {"test": "test", "train": "test"}})}
    )
    exam = open_exam(shared)
    assert len(exam.examples) == 12 - 5
    context = exam.examples[0].requests[0].context
    asked = [e.requests[0].context.rsplit("Question: ", 1)[1] for e in exam.examples]
    assert not any(question in context.rsplit("Question: ", 1)[0] for question in asked)
    assert exam.digest == open_exam(shared).digest


def test_scores_are_kept_as_records_and_say_what_they_cannot_mark(cards):
    exam = open_exam(card_of(cards, "arc_challenge"))
    scorer = open_scorer("harness").build({"metric": "acc"})
    example = exam.examples[0]
    gold = example.targets[0]
    place = [r.continuation.strip() for r in example.requests].index(gold)
    right = tuple(Reply(loglik=-1.0 - (i != place)) for i in range(4))
    assert scorer(example, Answer(example_id=example.id, text="", replies=right)).score == 1.0
    wrong = tuple(Reply(loglik=-1.0 - (i == place)) for i in range(4))
    assert scorer(example, Answer(example_id=example.id, text="", replies=wrong)).score == 0.0
    assert scorer(example, Answer(example_id=example.id, text="A")).score is None
    failed = Answer(example_id=example.id, text="out of memory", finish="error")
    assert scorer(example, failed).score is None
    with pytest.raises(SpecError, match="no metric"):
        open_scorer("harness").build({"metric": "bleu"})(example, Answer(example_id="x", text="", replies=right))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"harness": "no_such_task"}, AbsentError, "no stock task"),
        ({"version": 9.0}, DataError, "has version"),
        ({"columns": {"question": "{quest}"}}, DataError, "no column"),
        ({"columns": {"question": "{question}"}}, DataError, "cannot read these rows"),
        ({"columns": {"answerKey": {"index_of": "question"}}}, DataError, "no letter"),
    ],
)
def test_what_does_not_fit_is_said(cards, change, error, said):
    card = card_of(cards, "arc_challenge")
    changed = card.model_copy(update={"source": card.source.model_copy(update=change)})
    with pytest.raises(error, match=said):
        open_exam(changed)


def test_names_of_stock_tasks_and_whole_suites():
    (card,) = named("harness:arc_easy@fewshot=3,metric=acc_norm,items=50")
    assert isinstance(card, ExamCard)
    assert card.source == HarnessSource(harness="arc_easy", fewshot=3, metric="acc_norm", items=50)
    with pytest.raises(DataError, match="fewshot"):
        named("harness:arc_easy@fewshot=some")
    assert {c.name for c in named("general-full")} >= {"mmlu-full", "gsm8k-full", "arc_challenge-full"}
    assert whole(load_exam_card("mmlu")).source.items is None
    assert all(c.source.items == 200 for c in named("general") if isinstance(c.source, HarnessSource))
    with pytest.raises(DataError, match="did you mean"):
        named("genral")


def test_shapes_are_filled_from_rows():
    row = {"a": ["x", "y"], "b": "B", "n": 3}
    assert made({"item_of": ["a", 1]}, row) == "y"
    assert made({"concat": ["{b}", "{a}"]}, row) == ["B", "x", "y"]
    assert made([1, "{n}", "n={n}"], row) == [1, 3, "n=3"]


@pytest.mark.data
@pytest.mark.slow
def test_every_set_at_hand_is_sat_on_real_rows(net, data_root):
    exams = open_named(["general"], 2, data_root)
    assert {e.name for e in exams} >= {"mmlu", "gsm8k", "bbh", "arc_challenge", "hellaswag", "truthfulqa_mc2", "cmmlu"}
    for exam in exams:
        if exam.scorer.name != "harness":
            continue
        answers, marks = sat(net, exam)
        assert len(answers) == 2, exam.name
        assert marks.score is not None, exam.name
        assert all(e.eval_only for e in exam.examples)
