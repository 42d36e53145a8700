"""Stock exams: the same answers and scores as the harness gives by itself, from rows of ours, with nothing fetched."""

import json
import random

import numpy as np
import pytest

from clbench.core.errors import AbsentError, DataError, SpecError
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Reply
from clbench.data.exams.exam import in_full, named, open_exam, open_named
from clbench.data.tasks.card import ExamCard, load_exam_card
from clbench.data.tasks.lm_eval_card import HarnessSource, fill
from clbench.engine.grade import combine_grades, open_scorer
from clbench.models.load import load_net

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
    return answers, combine_grades([scorer(e, a) for e, a in zip(exam.examples, answers, strict=True)], plugin)


def by_harness(net, exam, card):
    """The same task through the harness's own `hf` model and evaluator: per-document responses, and results."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from clbench.data.exams.lm_eval_exam import _shared_out
    from clbench.lm_eval.task import open_task

    source = card.source
    ((task_name, splits),) = _shared_out(card, source, None, None).items()
    changes = {**source.changes, **({} if source.fewshot is None else {"num_fewshot": source.fewshot})}
    lm = HFLM(pretrained=net.module, tokenizer=net.tokenizer, max_length=net.spec.max_tokens, batch_size=4)
    with open_task(task_name, splits, changes) as task:
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
    answers, score = sat(net, exam)
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
    assert score == pytest.approx(expected, rel=1e-5)


def test_where_examples_begin_is_known_of_what_is_written_alone(cards):
    written = open_exam(card_of(cards, "gsm8k")).examples
    for request in (r for e in written for r in e.requests):
        assert len(request.starts) == 3  # two examples and the question
        assert all(request.context[start:].startswith("Question:") for start in request.starts)
        assert request.context[request.starts[-1] :].count("Question:") == 1
    assert not any(r.starts for e in open_exam(card_of(cards, "arc_challenge")).examples for r in e.requests)


def test_a_learner_sits_the_harness_through_its_own_evaluator(net, cards):
    from lm_eval.evaluator import evaluate

    from clbench.data.exams.lm_eval_exam import _shared_out
    from clbench.lm_eval.lm import HarnessLM
    from clbench.lm_eval.task import open_task

    card = card_of(cards, "arc_challenge")
    ((name, splits),) = _shared_out(card, card.source, None, None).items()
    with open_task(name, splits, {"num_fewshot": 5, **card.source.changes}) as task:
        task.set_fewshot_seed(1234)
        found = evaluate(lm=HarnessLM(net), task_dict={name: task}, bootstrap_iters=0)
    assert found["results"][name]["acc_norm,none"] == pytest.approx(sat(net, open_exam(card))[1])


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
        ({"harness": "no_such_task"}, AbsentError, "no lm_eval task"),
        ({"version": 9.0}, DataError, "has version"),
        ({"columns": {"question": "{quest}"}}, DataError, "no column"),
        ({"columns": {"question": "{question}"}}, DataError, "cannot read these rows"),
        ({"columns": {"answerKey": {"index_of": "question"}}}, DataError, "is not a letter"),
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
    assert in_full(load_exam_card("mmlu")).source.items is None
    assert all(c.source.items == 200 for c in named("general") if isinstance(c.source, HarnessSource))
    with pytest.raises(DataError, match="did you mean"):
        named("genral")


CHANCES = {
    "winogrande": (0.5, [{"sentence": "The _ fell.", "option1": "cup", "option2": "cat", "answer": "1"}]),
    "piqa": (0.5, [{"goal": "Open it.", "sol1": "Push", "sol2": "Pull", "label": 1}]),
    "arc_easy": (
        (1 / 3 + 1 / 5) / 2,
        [
            {"question": "A?", "choices": {"text": ["a", "b", "c"], "label": ["A", "B", "C"]}, "answerKey": "B"},
            {"question": "B?", "choices": {"text": [*"abcde"], "label": [*"ABCDE"]}, "answerKey": "E"},
        ],
    ),
    "truthfulqa_mc1": (
        1 / 3,
        [{"question": "Q?", "mc1_targets": {"choices": ["a", "b", "c"], "labels": [1, 0, 0]}, "mc2_targets": {}}],
    ),
    "truthfulqa_mc2": (
        (2 / 5 + 1 / 2) / 2,
        [
            {"question": "Q?", "mc2_targets": {"choices": [*"abcde"], "labels": [1, 1, 0, 0, 0]}, "mc1_targets": {}},
            {"question": "R?", "mc2_targets": {"choices": [*"ab"], "labels": [1, 0]}, "mc1_targets": {}},
        ],
    ),
    "gsm8k": (0.0, [{"question": "2 + 2?", "answer": "#### 4"}]),
    "lambada_openai": (0.0, [{"text": "He went to the river"}]),
    "bbh_cot_fewshot_web_of_lies": (0.5, [{"input": "Does Jerry tell the truth?", "target": "Yes"}]),
    "bbh_cot_fewshot_word_sorting": (0.0, [{"input": "Sort: b a", "target": "a b"}]),
    "bbh_cot_fewshot_date_understanding": (
        (1 / 2 + 1 / 3) / 2,
        [
            {"input": "Which date?\nOptions:\n(A) 1\n(B) 2", "target": "(B)"},
            {"input": "Which date?\nOptions:\n(A) 1\n(B) 2\n(C) 3", "target": "(A)"},
        ],
    ),
    "bbh_cot_fewshot_causal_judgement": (0.5, [{"input": "Did he?\nOptions:\n- Yes\n- No", "target": "No"}]),
}


@pytest.mark.parametrize("name", CHANCES)
def test_the_score_of_guessing_is_that_of_each_question(name, tmp_path):
    from clbench.lm_eval.task import open_task, questions

    chance, docs = CHANCES[name]
    asked = {"train": docs, "validation": docs, "test": docs}
    with open_task(name, asked, {"num_fewshot": 0, "fewshot_config": None}) as task:
        found = questions(task, 0)
    assert sum(q.guess_rate for q in found) / len(found) == pytest.approx(chance)


def test_rows_go_through_the_task_own_preparation(cards, tmp_path):
    from clbench.lm_eval.task import function_of

    prepare = function_of("hellaswag", "preprocess")
    assert prepare("[header] How to sit [title] Find a chair. [step] Sit.") == " How to sit. Find a chair. Sit."
    with pytest.raises(DataError, match="no function"):
        function_of("hellaswag", "preproces")
    with pytest.raises(DataError, match=r"no utils\.py"):
        function_of("arc_easy", "preprocess")
    assert load_exam_card("hellaswag").source.prepare == {"query": "preprocess", "choices": "preprocess"}


@pytest.mark.data
def test_shipped_stock_exams_ask_as_the_harness_does_and_know_their_guess_rate(data_root):
    exams = {e.name: e for e in open_named(["truthfulqa_mc2", "hellaswag", "bbh"], 60, data_root)}
    assert 0.40 < exams["truthfulqa_mc2"].guess_rate < 0.50
    assert exams["hellaswag"].guess_rate == 0.25
    assert 0.15 < exams["bbh"].guess_rate < 0.35
    shown = [r.context + r.continuation for e in exams["hellaswag"].examples for r in e.requests]
    assert not any(mark in text for text in shown for mark in ("[header]", "[title]", "[step]", "[substeps]"))


def test_shapes_are_filled_from_rows():
    row = {"a": ["x", "y"], "b": "B", "n": 3}
    assert fill({"item_of": ["a", 1]}, row) == "y"
    assert fill({"concat": ["{b}", "{a}"]}, row) == ["B", "x", "y"]
    assert fill([1, "{n}", "n={n}"], row) == [1, 3, "n=3"]


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """A checkpoint with 2,048 positions whose weights are random: its answers are as good as any to compare."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from clbench.models import tiny

    folder = tmp_path_factory.mktemp("window") / "llama-2048"
    tokenizer = AutoTokenizer.from_pretrained(tiny.folder("tiny-llama"))
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=2048, initializer_range=0.3, **sizes)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    return folder


ITEMS = {"mmlu": 40, "arc_challenge": 40, "hellaswag": 40, "truthfulqa_mc2": 40, "gsm8k": 16, "bbh": 6}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ITEMS)
def test_real_rows_get_the_verdicts_of_lm_eval_with_defaults_on_both_sides(name, window, data_root):
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    from clbench.data.exams.lm_eval_exam import _shared_out
    from clbench.lm_eval.task import open_task

    length = {} if ModelSpec().max_tokens is None else {"max_tokens": 2048}
    net = load_net(ModelSpec(name=str(window), **length), Machine(device="cpu"))
    card = load_exam_card(name)
    exam, source = open_exam(card, ITEMS[name], data_root), card.source
    scorer = open_scorer("harness").build(exam.scorer.settings)
    answers = net.respond(exam.examples, exam.decode)
    mine = {e.id: (a, scorer(e, a)) for e, a in zip(exam.examples, answers, strict=True)}
    theirs = {}
    lm = HFLM(pretrained=str(window), device="cpu", batch_size=16)
    changes = {**source.changes, **({} if source.fewshot is None else {"num_fewshot": source.fewshot})}
    for task_name, splits in _shared_out(card, source, ITEMS[name], data_root).items():
        with open_task(task_name, splits, changes) as task:
            task.set_fewshot_seed(source.seed)
            found = evaluate(lm=lm, task_dict={task_name: task}, bootstrap_iters=0, log_samples=True)
        wanted = source.filter or found["samples"][task_name][0]["filter"]
        for sample in found["samples"][task_name]:
            if sample["filter"] == wanted:
                theirs[f"{task_name}-{digest(dict(sample['doc']))[:16]}"] = sample
    assert set(mine) == set(theirs)
    whole = {i for i in mine if not mine[i][0].tokens_cut and _fits(lm, theirs[i])}
    assert len(whole) >= 0.6 * len(mine) or name == "bbh"
    metric = source.metric or "acc"
    wrong = [i for i in whole if mine[i][1].score != pytest.approx(float(theirs[i][metric]), abs=1e-3)]
    assert wrong == []
    for i in whole:
        for reply, (said,) in zip(mine[i][0].replies, theirs[i]["resps"], strict=True):
            if reply.loglik is None:
                assert reply.text == said
            else:
                assert reply.loglik == pytest.approx(float(said[0]), abs=1e-2)


def _fits(lm, sample):
    """Whether nothing of a question is cut: clbench and the harness do not cut alike, and clbench says so."""
    for request in sample["arguments"].values() if isinstance(sample["arguments"], dict) else sample["arguments"]:
        context, more = (request["arg_0"], request["arg_1"]) if isinstance(request, dict) else request
        room = more.get("max_gen_toks", 256) if isinstance(more, dict) else len(lm.tok_encode(more))
        if len(lm.tok_encode(context)) + room > 2048:
            return False
    return True


@pytest.mark.data
@pytest.mark.slow
def test_every_set_at_hand_is_sat_on_real_rows(net, data_root):
    exams = open_named(["general"], 2, data_root)
    assert {e.name for e in exams} >= {"mmlu", "gsm8k", "bbh", "arc_challenge", "hellaswag", "truthfulqa_mc2", "cmmlu"}
    for exam in exams:
        if exam.scorer.name != "harness":
            continue
        answers, score = sat(net, exam)
        assert len(answers) == 2, exam.name
        assert score is not None, exam.name
        assert all(e.eval_only for e in exam.examples)
