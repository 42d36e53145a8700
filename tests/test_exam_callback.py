"""Exams while transformers trains: they change nothing of it, and say what the saved checkpoint would."""

import json
import os
import random
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments

import clbench as cl
from clbench import exam_callback
from clbench.cli.main import main
from clbench.models import tiny
from clbench.models.untouched import untouched
from tests.builders.ranks import run_ranks

pytestmark = [pytest.mark.models, pytest.mark.xdist_group("export")]
BASE = tiny.folder("tiny-llama")
EXAMS = ["mini_knowledge", "mini_copy_reverse"]
TEXTS = [f"zan river {i % 7} tea" for i in range(24)]


class Noted(TrainerCallback):
    """What a tracker hears."""

    def __init__(self):
        self.logs, self.draws = [], []

    def on_log(self, args, state, control, logs=None, **_):
        self.logs.append((state.global_step, dict(logs)))

    def on_step_begin(self, args, state, control, model=None, **_):
        self.draws.append((random.random(), float(np.random.rand()), model.training))


def trained(folder, callback=None, base=BASE, adapter=None, resume=None, **settings):
    """Fine-tune with dropout and accumulation; return (trainer, what a tracker heard)."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(base, attention_dropout=0.2),
        AutoTokenizer.from_pretrained(base),
    )
    if adapter is not None:
        from peft import get_peft_model

        model = get_peft_model(model, adapter)
    rows = [
        {"input_ids": i, "labels": i}
        for i in (tokenizer(t, padding="max_length", max_length=16)["input_ids"] for t in TEXTS)
    ]
    noted = Noted()
    given = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 2,
        "logging_steps": 1,
    }
    given |= {"learning_rate": 5e-3, "use_cpu": True, "report_to": [], "save_strategy": "no", "disable_tqdm": True}
    trainer = Trainer(
        model,
        TrainingArguments(str(folder), **(given | settings)),
        train_dataset=[{k: torch.tensor(v) for k, v in row.items()} for row in rows],
        processing_class=tokenizer,
        callbacks=[noted, *([] if callback is None else [callback])],
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer, noted


def weights(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)


def exams_in(noted):
    return {step: logs for step, logs in noted.logs if any(name.startswith("exam/") for name in logs)}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The training without a callback."""
    return trained(tmp_path_factory.mktemp("bare"))


@pytest.mark.slow
@pytest.mark.parametrize("every", ["epoch", 2])
def test_the_training_is_the_same_to_the_bit_and_exams_are_those_of_the_checkpoint(bare, tmp_path, every):
    plain, heard = bare
    trainer, noted = trained(tmp_path, cl.ExamCallback(EXAMS, every=every, items=3))
    assert same(weights(trainer), weights(plain))
    assert noted.draws == heard.draws
    losses = [[logs["loss"] for _, logs in who.logs if "loss" in logs] for who in (noted, heard)]
    assert losses[0] == losses[1]
    assert trainer.model.generation_config.to_dict() == plain.model.generation_config.to_dict()
    found = exams_in(noted)
    assert sorted(found) == ([0, 3, 6] if every == "epoch" else [0, 2, 4, 6])
    trainer.save_model(str(tmp_path / "saved"))
    told = {
        r.exam.name: r.score
        for r in cl.exam(tmp_path / "saved", EXAMS, items=3, store=tmp_path / "store", device="cpu")
    }
    first = {
        r.exam.name: r.score for r in cl.exam("tiny-llama", EXAMS, items=3, store=tmp_path / "store", device="cpu")
    }
    assert {name: found[6][f"exam/{name}"] for name in EXAMS} == told
    assert {name: found[6][f"forgetting/{name}"] for name in EXAMS} == {n: first[n] - told[n] for n in EXAMS}
    assert told != first, "or nothing is shown"
    kept = [entry for entry in trainer.state.log_history if "exam/mini_knowledge" in entry]
    assert [entry["step"] for entry in kept] == sorted(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks by an older name whether activations are kept
def test_it_stops_by_a_baseline_and_examines_adapters(tmp_path, capsys):
    from peft import LoraConfig

    file = tmp_path / "base.json"
    chosen = ["--exam", "mini_knowledge", "--items", "8"]
    assert main(["baseline", "tiny-llama", *chosen, "-o", str(file), "--store", str(tmp_path / "store")]) == 0
    adapter = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    callback = cl.ExamCallback(baseline=file, every=1, max_drop=0.05)
    before = dict(callback.reference)
    trainer, noted = trained(tmp_path / "out", callback, adapter=adapter, learning_rate=0.5, num_train_epochs=9)
    found = exams_in(noted)
    last = max(found)
    assert 0 not in found, "a baseline is not asked again"
    assert (
        before["mini_knowledge"] - found[last]["exam/mini_knowledge"] == found[last]["forgetting/mini_knowledge"] > 0.05
    )
    assert last == trainer.state.global_step < trainer.state.max_steps
    assert "the training stops after step" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_goes_on_compares_with_its_beginning(tmp_path, monkeypatch, capsys):
    steps = {"save_strategy": "steps", "save_steps": 3}
    trained(tmp_path, cl.ExamCallback(EXAMS[:1], every=3, items=4), max_steps=3, **steps)
    again = cl.ExamCallback(EXAMS[:1], every=3, items=4)
    monkeypatch.setattr("clbench.exam_callback.answers_of", lambda net, exam: 1 / 0)
    trainer, noted = trained(tmp_path, again, resume=str(tmp_path / "checkpoint-3"), **steps)
    assert again.reference.keys() == {"mini_knowledge"}
    assert trainer.state.global_step == 6, "an exam that breaks does not end the training"
    assert not exams_in(noted)
    assert "could not be asked, and the training goes on" in capsys.readouterr().err


def on_a_rank(folder):
    """Train among ranks, and write down who was asked what, where it ended, and with which weights."""
    asked, real = [], exam_callback.answers_of
    exam_callback.answers_of = lambda net, exam: asked.append(exam.name) or real(net, exam)
    settings = {"per_device_train_batch_size": 2, "learning_rate": 0.5, "max_steps": 4, "logging_steps": 9}
    trainer, _ = trained(folder, cl.ExamCallback(EXAMS[:1], every=1, items=2, max_drop=0.1), **settings)
    ended = {name: float(p.double().sum()) for name, p in weights(trainer).items()}
    told = {"asked": len(asked), "step": trainer.state.global_step, "weights": ended}
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(told))


@pytest.mark.attack  # starting the ranks takes longer than all the other tests here
def test_of_two_ranks_the_first_asks_and_both_stop(tmp_path):
    assert run_ranks(2, on_a_rank, tmp_path, seconds=300) == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["asked"] == first["step"] + 1, "before the first step, and after each"
    assert second["asked"] == 0
    assert first["step"] == second["step"] < 4
    assert first["weights"] == second["weights"]


WRONG = {
    "no exam": ({}, "no exam is named"),
    "an exam that is not there": ({"exams": ["mini_knowlege"]}, "mini_knowledge"),
    "an interval of no steps": ({"exams": EXAMS, "every": 0}, "every"),
    "a word for an interval": ({"exams": EXAMS, "every": "step"}, '"epoch"'),
    "a drop in points": ({"exams": EXAMS, "max_drop": 5}, "two points of a hundred"),
    "no baseline there": ({"baseline": "nowhere.json"}, "no such baseline"),
}


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG.keys())
def test_arguments_that_are_wrong_are_told_at_once(given, said):
    with pytest.raises(cl.UserError) as told:
        cl.ExamCallback(**given)
    assert said in str(told.value)


def test_another_tokenizer_or_no_checkpoint_is_refused_before_the_first_step(tmp_path):
    other = shutil.copytree(BASE, tmp_path / "other")
    (other / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    with pytest.raises(cl.UserError, match="another chat template"):
        trained(tmp_path, cl.ExamCallback(EXAMS[:1], model=other, items=1))
    with pytest.raises(cl.UserError, match="fsdp"):
        cl.ExamCallback(EXAMS[:1]).on_train_begin(SimpleNamespace(fsdp="full_shard"), None, None)


def test_a_block_leaves_modes_buffers_and_generators():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    module.train()
    module[1].eval()
    before = dict(module.named_buffers())
    states = random.getstate(), torch.get_rng_state()
    with untouched(module), torch.inference_mode():
        assert not any(part.training for part in module.modules())
        random.random(), torch.rand(3), module(torch.rand(2, 2))
        module[1].running_mean = torch.ones(2)
    assert [part.training for part in module] == [True, False, True]
    assert all(value is before[name] for name, value in module.named_buffers())
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL calls transformers by names that it will drop
def test_a_trainer_of_trl_logs_exams_and_stops(tmp_path, capsys):
    trl = pytest.importorskip("trl", reason="TRL is not installed (extra `dev`)")
    from datasets import Dataset

    turns = [{"role": "user", "content": "What is red?"}, {"role": "assistant", "content": "a colour"}]
    rows = Dataset.from_list([{"messages": turns}] * 16)
    kept = {}
    stopping = cl.ExamCallback(EXAMS[:1], every=1, items=3, max_drop=0.05)
    callbacks = {"bare": None, "asked": cl.ExamCallback(EXAMS, every=2, items=3), "stopped": stopping}
    for name, callback in callbacks.items():
        torch.manual_seed(0)
        trainer = trl.SFTTrainer(
            str(tiny.folder("tiny-llama")),
            trl.SFTConfig(
                str(tmp_path / name),
                max_steps=4,
                per_device_train_batch_size=4,
                learning_rate=0.5 if name == "stopped" else 5e-3,
                use_cpu=True,
                bf16=False,
                max_length=64,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=rows,
            callbacks=[] if callback is None else [callback],
        )
        trainer.train()
        kept[name] = trainer
    assert same(weights(kept["bare"]), weights(kept["asked"]))
    found = {entry["step"]: entry for entry in kept["asked"].state.log_history if f"exam/{EXAMS[0]}" in entry}
    assert sorted(found) == [0, 2, 4]
    assert all(f"forgetting/{EXAMS[0]}" in entry for entry in found.values())
    last = kept["stopped"].state
    drops = {e["step"]: e[f"forgetting/{EXAMS[0]}"] for e in last.log_history if f"exam/{EXAMS[0]}" in e}
    assert max(drops) == last.global_step < last.max_steps == 4
    assert [step for step, drop in drops.items() if drop > 0.05] == [last.global_step]
    assert f"the training stops after step {last.global_step}" in capsys.readouterr().err
