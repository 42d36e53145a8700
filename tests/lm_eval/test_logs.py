"""Real logs of the harness, of two models: compared as our own answers to the same questions are."""

import json
import random

import pytest
import torch

from clbench.cli.main import main
from clbench.core.graded import graded_items
from clbench.core.spec import Machine, ModelSpec
from clbench.data.exams.exam import open_exam
from clbench.data.tasks.card import load_exam_card
from clbench.engine.grade import open_scorer
from clbench.models.load import load_net
from clbench.report.decide.compare import comparisons, sides_of
from clbench.stats.paired import paired_permutation

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra `abilities`)")
pytestmark = [pytest.mark.xdist_group("harness"), pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
WORDS = "river stone cloud garden window paper silver winter bridge market".split()
CARD = """\
name: my_arc
source: {harness: arc_challenge, version: 1.0, fewshot: FEWSHOT, rows: {path: rows}, splits: {test: test, train: train},
  metric: acc_norm, changes: {fewshot_config: {sampler: first_n}},
  columns: {question: '{question}', choices: {text: '{choices}', label: {letters_of: choices}}, answerKey: '{answer}'}}
"""


def rows(num, seed):
    rng = random.Random(seed)
    for i in range(num):
        options = rng.sample(WORDS, 4)
        gold = rng.randrange(4)
        yield {
            "id": f"{seed}-{i}",
            "question": f"Which? {options[gold]} {i}",
            "choices": options,
            "answer": "ABCD"[gold],
        }


def card_in(folder, fewshot):
    (folder / "rows").mkdir(exist_ok=True)
    for split, num, seed in (("test", 24, 0), ("train", 4, 1)):
        (folder / "rows" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(num, seed)))
    path = folder / f"my_arc_{fewshot}.yaml"
    path.write_text(CARD.replace("FEWSHOT", str(fewshot)).replace("my_arc", path.stem))
    return load_exam_card(str(path))


def logged(net, card, folder):
    """Let the harness examine a model, and write its logs as `--output_path` and `--log_samples` do."""
    from lm_eval.evaluator import evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM

    from clbench.data.exams.lm_eval_exam import _shared_out
    from clbench.lm_eval.task import open_task

    ((name, splits),) = _shared_out(card, card.source, None, None).items()
    lm = HFLM(pretrained=net.module, tokenizer=net.tokenizer, max_length=net.spec.max_tokens, batch_size=8)
    with open_task(name, splits, {"num_fewshot": card.source.fewshot, **card.source.changes}) as task:
        task.set_fewshot_seed(card.source.seed)
        found = evaluate(lm=lm, task_dict={name: task}, bootstrap_iters=0, log_samples=True)
    tracker = EvaluationTracker(output_path=str(folder))
    tracker.general_config_tracker.log_experiment_args("hf", folder.name, "", "", False)
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    tracker.save_results_samples(task_name=name, samples=samples[name])
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Two models: their logs, and our own grades of the same questions."""
    folder = tmp_path_factory.mktemp("logs")
    card = card_in(folder, 1)
    exam = open_exam(card)
    plugin = open_scorer(exam.scorer.name)
    own = []
    for place in ("one", "two"):
        net = load_net(ModelSpec(), Machine(device="cpu"))
        if place == "two":
            torch.manual_seed(0)
            with torch.no_grad():
                for weight in net.module.parameters():
                    weight += 0.3 * weight.std() * torch.randn_like(weight)
            logged(net, card_in(folder, 2), folder / "more")
        scorer = plugin.build(exam.scorer.settings)
        answers = net.respond(exam.examples, exam.decode)
        own.append([scorer(e, a).score for e, a in zip(exam.examples, answers, strict=True)])
        logged(net, card, folder / place)
    return folder, own


def brought(folder, *names, metric="acc_norm", to=None):
    target = folder / f"in-{to or names[0]}"
    logs = [str(folder / name) for name in names]
    assert main(["import", "lm-eval", *logs, "--to", str(target), "--metric", f"arc_challenge={metric}"]) == 0
    return target


def test_two_real_logs_have_the_p_value_of_our_own_answers(evaluated, capsys):
    folder, own = evaluated
    sides = sides_of([brought(folder, "one"), brought(folder, "two")])
    (found,) = comparisons(sides, None)
    (exam,) = found.exams
    assert [s.runs[0].item_scores.exams[0].rows[0].values().tolist() for s in sides] == own
    assert own[0] != own[1]
    graded = [graded_items(torch.tensor(scores).numpy().astype("float64")) for scores in own]
    assert exam.p == paired_permutation(*graded)
    assert (exam.one, exam.two) == pytest.approx(tuple(sum(s) / len(s) for s in own))
    assert sides[0].runs[0].matrix.columns[0].guess_rate == 0.25
    assert all(flip.question and flip.expected for flip in found.flips)
    assert main(["compare", str(folder / "in-one"), str(folder / "in-two")]) == 0
    assert "arc_challenge" in capsys.readouterr().out


def test_logs_asked_otherwise_are_refused_and_say_why(evaluated, capsys):
    folder, _ = evaluated
    one, fewer = brought(folder, "one"), brought(folder, "more")
    other = brought(folder, "one", metric="acc", to="acc")
    capsys.readouterr()
    assert main(["compare", str(one), str(other)]) == 2
    assert "metric acc_norm and acc of scorer lm-eval" in capsys.readouterr().err
    assert main(["compare", str(one), str(fewer)]) == 2
    assert "examples 1 and 2 of scorer lm-eval" in capsys.readouterr().err
    logs = [str(folder / name) for name in ("one", "more")]
    assert main(["import", "lm-eval", *logs, "--to", str(folder / "both")]) == 2
    said = capsys.readouterr().err
    assert "exam arc_challenge: examples 1 and 2" in said
    assert "24 of 24 items were put in other words" in said


def test_gate_watch_and_report_work_on_logs(evaluated, tmp_path, capsys):
    folder, own = evaluated
    one, two = brought(folder, "one"), brought(folder, "two")
    store = ["--store", str(tmp_path / "store")]
    better, worse = (one, two) if sum(own[0]) > sum(own[1]) else (two, one)
    assert main(["gate", str(better), "--baseline", str(better), "--max-drop", "99pp", *store]) == 0
    capsys.readouterr()
    code = main(
        ["gate", str(worse), "--baseline", str(better), "--max-drop", "0pp", "--level", "0.5", "--json", *store]
    )
    told = json.loads(capsys.readouterr().out)
    assert told["exams"][0]["exam"] == "arc_challenge"
    assert code in (0, 2)
    assert main(["gate", str(worse), "--baseline", str(better), "--repeat", "1", *store]) == 3
    rows = brought(folder, *["one", "two"] * 5, to="rows")
    (record,) = sides_of([rows, one])[0].runs
    assert record.matrix.num_lessons == 9
    capsys.readouterr()
    assert main(["watch", str(rows), "--json"]) in (0, 2)
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert (series["name"], series["checkpoints"]) == ("arc_challenge", [str(k) for k in range(1, 10)])
    assert main(["report", str(rows), "--out", str(tmp_path / "page.html")]) == 0
    assert "arc_challenge" in (tmp_path / "page.html").read_text()
