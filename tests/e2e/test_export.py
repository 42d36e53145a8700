"""What a run learnt comes out as files that plain transformers and peft load, or the refusal says why not."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from clbench.cli.main import main
from clbench.core import plugins
from clbench.models import tiny
from tests.builders.places import SRC

CARDS = SRC / "cards" / "streams"
pytestmark = pytest.mark.xdist_group("export")
RECIPE = """\
name: out
model: {{name: {model}}}
stream: {stream}
learner: {learner}
training: {{epochs: 1}}
budget: {{policy: seen, items: 4}}
"""


def made(folder, learner, model="tiny-llama", stream="worlds-tiny"):
    """Run a learner, and return the folder of its result."""
    path = folder / "out.yaml"
    if learner == "separate":  # it must be told the task
        told = (CARDS / f"{stream}.yaml").read_text().replace(stream, "told").replace("boundaries", "given")
        stream = folder / "told.yaml"
        stream.write_text(told)
    path.write_text(RECIPE.format(learner=learner, model=model, stream=stream))
    assert (
        main(["run", str(path), "--store", str(folder / "store"), "--out", str(folder / "report"), "--workers", "1"])
        == 0
    )
    return next((folder / "store" / "runs").iterdir())


def written(folder, run, *options):
    return main(["export", str(run), "--to", str(folder / "to"), "--store", str(folder / "store"), *options])


def own_logits(folder, run, ids):
    """Return the logits of the run's own net, read from its store."""
    from clbench.core.spec import Machine
    from clbench.engine.inputs import Inputs
    from clbench.engine.units import open_run
    from clbench.report.runs.load import read_runs
    from clbench.store.store import Store

    (record,) = read_runs([run])
    machine = Machine(store=folder / "store", device="cpu")
    learner = open_run(record.spec, Inputs(None), Store(machine.store), machine).trajectory.learner_after(
        record.matrix.num_lessons
    )
    with torch.inference_mode():
        return learner.net.module(input_ids=ids).logits


def test_whole_weights_load_with_plain_transformers(tmp_path, capsys):
    run = made(tmp_path, "sft")
    assert written(tmp_path, run) == 0
    assert "the same logits to the bit" in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "to")
    ids = torch.tensor([tokenizer.apply_chat_template([{"role": "user", "content": "zan"}], return_dict=False)])
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "to")(input_ids=ids).logits
    assert torch.equal(found, own_logits(tmp_path, run, ids))
    read = ModelCard((tmp_path / "to" / "README.md").read_text()).data.eval_results  # as the Hub reads a card
    assert read
    assert all(isinstance(one.metric_value, float) for one in read)
    head = yaml.safe_load((tmp_path / "to" / "README.md").read_text().split("---")[1])
    (index,) = head["model-index"]
    scores = {one["dataset"]["name"]: one["metrics"][0]["value"] for one in index["results"]}
    matrix = json.loads((run / "matrix.json").read_text())
    assert scores[matrix["columns"][0]["name"]] == pytest.approx(matrix["values"][-1][0], abs=1e-6)
    for name in ("generation_config.json", "tokenizer.json"):
        assert (tmp_path / "to" / name).exists() == (tiny.folder("tiny-llama") / name).exists()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft calls transformers by names that it will drop
def test_an_adapter_is_a_folder_of_peft_and_merges_into_the_same_answers(tmp_path):
    from peft import PeftModel

    run = made(tmp_path, "lora")
    ids = torch.tensor([[5, 6, 7, 8]])
    assert written(tmp_path, run) == 0
    settings = json.loads((tmp_path / "to" / "adapter_config.json").read_text())
    base = AutoModelForCausalLM.from_pretrained(settings["base_model_name_or_path"])
    wanted = own_logits(tmp_path, run, ids)
    assert not torch.allclose(base(input_ids=ids).logits, wanted, atol=1e-3), "it has learnt something"
    torch.testing.assert_close(PeftModel.from_pretrained(base, tmp_path / "to")(input_ids=ids).logits, wanted)
    assert main(["export", str(run), "--to", str(tmp_path / "m"), "--merge", "--store", str(tmp_path / "store")]) == 0
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    torch.testing.assert_close(merged(input_ids=ids).logits, wanted, atol=1e-4, rtol=1e-4)


def test_an_encoder_takes_its_labels_along(tmp_path):
    run = made(tmp_path, "sft", "tiny-bert", "worlds-labels")
    assert written(tmp_path, run) == 0
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "to")
    assert len(loaded.config.id2label) == loaded.config.num_labels == loaded.classifier.out_features
    assert sorted(loaded.config.label2id) == sorted(set(loaded.config.id2label.values()))


def test_an_earlier_lesson_and_the_untouched_model(tmp_path):
    run = made(tmp_path, "replay")
    for lesson in (0, 1):
        to = tmp_path / f"to-{lesson}"
        assert (
            main(["export", str(run), "--to", str(to), "--lesson", str(lesson), "--store", str(tmp_path / "store")])
            == 0
        )
    first, base = (AutoModelForCausalLM.from_pretrained(tmp_path / f"to-{n}").state_dict() for n in (1, 0))
    assert any(not torch.equal(first[name], base[name]) for name in base)


LEARNERS = [
    name for name in plugins.names("learner") if name not in ("sft", "lora", "replay", "checkpoints", "command")
]
REFUSED = {
    "separate": "must be told the task",
    "adapters": "must be told the task",
    "lora_per_task": "must be told the task",
    "progressive": "must be told the task",
    "progressive_prompts": "must be told the task",
    "in_context": "into the prompt",
    "retrieval": "into the prompt",
    "notebook": "into the prompt",
    "right_document": "into the prompt",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_is_written_or_refused_with_its_reason(name, tmp_path, capsys):
    run = made(tmp_path, name)
    code = written(tmp_path, run, "--merge")
    told = capsys.readouterr()
    if name in REFUSED:
        assert code == 2
        assert REFUSED[name] in told.err
        assert not (tmp_path / "to").exists()
        return
    assert code == 0, told.err
    assert "reloaded" in told.out


def test_what_cannot_be_is_said(tmp_path, capsys):
    run = made(tmp_path, "frozen")
    assert written(tmp_path, run, "--lesson", "9") == 2
    assert "no lesson 9" in capsys.readouterr().err
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine").touch()
    assert written(tmp_path, run) == 2
    assert "there is something in" in capsys.readouterr().err
    assert [p.name for p in Path(tmp_path / "to").iterdir()] == ["mine"]
