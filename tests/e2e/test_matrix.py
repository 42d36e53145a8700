"""Checkpoints that other programs made give the matrix that the same lessons give here."""

import json
import shutil

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from clbench.cli.main import main
from clbench.core.keys import rng
from clbench.data.streams.stream import lessons, open_stream
from clbench.models import tiny
from clbench.report.runs.load import load_runs
from clbench.training.schedule import rate, schedule
from clbench.training.settings import Training

pytestmark = [pytest.mark.xdist_group("export"), pytest.mark.slow]
TRAINING = {"epochs": 2, "lr": 3e-3, "batch_size": 16}
RECIPE = {
    "name": "own",
    "model": "tiny-llama",
    "stream": "worlds-tiny",
    "axes": {"learner": ["sft", "lora"]},
    "training": TRAINING,
    "exams": ["mini_knowledge"],
    "budget": {"items": 12},
}
ASKED = ["--stream", "worlds-tiny", "--exams", "mini_knowledge", "--set", "budget.items=12"]


def clbench(*arguments):
    assert main([*map(str, arguments)]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with two runs in `store`, and what `lora` had after each lesson as PEFT folders."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "own.yaml").write_text(yaml.safe_dump(RECIPE))
    store = ["--store", folder / "store"]
    clbench("run", folder / "own.yaml", *store, "--out", folder / "report", "--workers", "1")
    (run,) = (folder / "store" / "runs").glob("own-lora-*")
    for lesson in (1, 2, 3):
        clbench("export", run, "--to", folder / "lora" / f"c{lesson}", "--lesson", lesson, *store)
    return folder


def matrix_of(folder, checkpoints, name, *more, base="tiny-llama"):
    """Return the one run of `clbench matrix`, in a store of its own."""
    place = folder / f"store-{name}"
    clbench("matrix", base, *checkpoints, *ASKED, "--store", place, "--out", folder / f"report-{name}", *more)
    (run,) = load_runs([place])
    return run


def own(folder, learner):
    (run,) = load_runs([next((folder / "store" / "runs").glob(f"own-{learner}-*"))])
    return run


def plain_script(folder):
    """Learn the lessons with transformers and torch alone, in the order of the run, and save after each."""
    base = tiny.folder("tiny-llama")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    settings = Training(**TRAINING)
    for lesson in lessons(open_stream("worlds-tiny", None)):
        rows = []
        for example in lesson.examples:
            said = [{"role": turn.role, "content": turn.content} for turn in example.prompt]
            prompt = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_dict=False)
            answered = [*said, {"role": "assistant", "content": example.targets[0]}]
            whole = tokenizer.apply_chat_template(answered, return_dict=False)
            end = len(whole) - whole[::-1].index(tokenizer.eos_token_id)
            rows.append((whole[:end], [-100] * len(prompt) + whole[len(prompt) : end]))
        batches = schedule([len(ids) for ids, _ in rows], settings, rng(0, lesson.number, "order"), kinds=lesson.kinds)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=0.0)
        model.train()
        for step, batch in enumerate(batches):
            ids, labels = (
                torch.nn.utils.rnn.pad_sequence([torch.tensor(rows[i][k]) for i in batch], True, fill)
                for k, fill in ((0, 0), (1, -100))
            )
            model(input_ids=ids, attention_mask=(labels > -200) & (ids != 0), labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.param_groups[0]["lr"] = rate(step, len(batches), settings)
            optimizer.step()
            optimizer.zero_grad()
        for part in (model, tokenizer):
            part.save_pretrained(folder / f"checkpoint-{lesson.number}")


def test_checkpoints_of_a_plain_script_give_the_matrix_of_the_run(made, capsys):
    plain_script(made / "plain")
    capsys.readouterr()
    record = ["--record", made / "recorded"]
    run, here = (
        matrix_of(made, [made / "plain" / f"checkpoint-{k}" for k in (1, 2, 3)], "plain", *record),
        own(made, "sft"),
    )
    assert "against row 0" not in capsys.readouterr().err, "only weights differ"
    assert run.matrix.to_json() == here.matrix.to_json()
    assert len({json.dumps(row) for row in run.matrix.to_json()["values"]}) > 1, "something was learnt"
    taught = ("average_performance", "forgetting", "bwt", "fwt", "learning_accuracy")
    assert {k: run.scores[k] for k in taught} == pytest.approx({k: here.scores[k] for k in taught}, nan_ok=True)
    for name in (
        "train_seconds",
        "peak_memory_bytes",
        "kept_bytes",
        "examples_used",
        "train_tokens",
        "added_parameters",
    ):
        assert run.scores[name] != run.scores[name], f"{name} is not known"
    written = json.loads(next((made / "recorded").glob("*.json")).read_text())["costs"]
    assert not {"train_s", "peak_memory_bytes", "kept_bytes", "examples_used"} & written.keys()
    assert written["exam_answers"] == run.costs.exam_answers > 0
    clbench("compare", made / "store-plain", next((made / "store" / "runs").glob("own-sft-*")), "--json")
    compared = json.loads(capsys.readouterr().out)
    assert compared


def test_peft_folders_give_the_matrix_of_the_run_and_a_gone_base_is_that_of_row_0(made, tmp_path, capsys):
    folders = [shutil.copytree(made / "lora" / f"c{k}", tmp_path / f"c{k}") for k in (1, 2, 3)]
    stated = json.loads((folders[1] / "adapter_config.json").read_text())
    stated["base_model_name_or_path"] = "someone/a-model"
    (folders[1] / "adapter_config.json").write_text(json.dumps(stated))
    (tmp_path / "costs.yaml").write_text("train_s: [1, 2.5, 3]\npeak_memory_bytes: 90000000000\n")
    run = matrix_of(tmp_path, folders, "peft", "--costs", tmp_path / "costs.yaml")
    assert "row 2 against row 0: the base that its adapter names is not here" in capsys.readouterr().err
    assert run.matrix.to_json() == own(made, "lora").matrix.to_json()
    assert run.scores["train_seconds"] == 6.5
    assert run.costs.train_s_by_lesson == (1, 2.5, 3)
    assert run.scores["peak_memory_bytes"] == 9e10
    assert run.scores["kept_bytes"] != run.scores["kept_bytes"]
    # What changes under the same name is another run: nothing of the old one is taken for it.
    (folders[2] / "adapter_model.safetensors").write_bytes((folders[0] / "adapter_model.safetensors").read_bytes())
    clbench("matrix", "tiny-llama", *folders, *ASKED, "--store", tmp_path / "store-peft", "--out", tmp_path / "again")
    both = {r.name: r.matrix.to_json()["values"] for r in load_runs([tmp_path / "store-peft"])}
    assert len(both) == 2
    (changed,) = [rows for name, rows in both.items() if name != run.name]
    assert changed[:3] == run.matrix.to_json()["values"][:3]
    assert changed[3] == changed[1]
