"""What a lesson costs and what is kept of it: every token that goes forward, every byte beside the base model."""

import json

import pytest
import torch

from clbench.core import plugins
from clbench.core.keys import canonical
from clbench.core.results import Costs
from clbench.core.spec import Machine, ModelSpec
from clbench.data.streams.stream import lessons, open_stream
from clbench.metrics.cost import train_flops
from clbench.training.passes import Passes

pytestmark = pytest.mark.xdist_group("models")
STREAM = open_stream("worlds-tiny", None)
LESSONS = [e.model_copy(update={"examples": e.examples[:16]}) for e in lessons(STREAM)[:2]]


def taught(name, folder, **settings):
    """Learn two lessons; give what the second cost, by our meters and by the batches that were made, and the state."""
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{"lr": 1e-3, "epochs": 2, "batch_size": 4, "warmup": 0.0, **settings})
    learner = plugin.build(config, ModelSpec(), 0, Machine(device="cpu"))
    learner.learn(LESSONS[0])
    learner.save(folder / "one")
    made, inner = [], learner.net.batch
    learner.net.batch = lambda examples: made.append(inner(examples)) or made[-1]
    learner.learn(LESSONS[1])
    learner.save(folder / "two")
    one, two = (json.loads((folder / f / "counts.json").read_text()) for f in ("one", "two"))
    cost = {k: two[k] - one[k] for k in ("train_tokens", "forward_tokens")}
    return cost, sum(b.num_tokens for b in made), two, learner


def plain(tmp_path):
    cost, batches, _, _ = taught("sft", tmp_path / "sft")
    assert cost == {"train_tokens": batches, "forward_tokens": 0}
    return batches


ONCE = {
    "replay": {"share": 1.0},
    "derpp": {"share": 1.0},
    "agem": {"share": 1.0},
    "ewc": {"fisher_examples": 8},
    "mas": {"examples": 8},
    "selective_replay": {"by": "loss"},
    "lora_per_task": {},
}


@pytest.mark.parametrize("name", ONCE)
def test_each_batch_that_a_method_makes_goes_forward_once_and_counts(name, tmp_path):
    cost, batches, _, _ = taught(name, tmp_path, **ONCE[name])
    assert cost["train_tokens"] == batches > plain(tmp_path)


def test_of_old_scores_no_gradient_is_asked(tmp_path):
    cost, _, _, learner = taught("derpp", tmp_path, share=1.0)
    new = [e for e in learner.method.memory if e in LESSONS[1].examples]
    assert cost["forward_tokens"] == sum(learner.net.length(e) for e in new)


def test_a_teacher_reads_every_batch_as_well(tmp_path):
    cost, batches, _, _ = taught("lwf", tmp_path)
    assert cost == {"train_tokens": 2 * batches, "forward_tokens": batches}


def test_what_the_model_writes_for_itself_counts(tmp_path):
    cost, batches, _, _ = taught("generative_replay", tmp_path, lm_weight=0.25)
    assert cost["train_tokens"] - cost["forward_tokens"] == 2 * batches  # answers, then questions
    assert cost["forward_tokens"] > 0


def test_padding_and_what_a_cache_holds_are_no_tokens():
    passes, module = Passes(torch.device("cpu"), None), torch.nn.Identity()
    module.forward = lambda input_ids=None, attention_mask=None: input_ids
    ids, mask = torch.zeros(2, 3, dtype=torch.long), torch.tensor([[1, 1, 1], [1, 0, 0]])
    with passes.of(module):
        module(input_ids=ids, attention_mask=mask)
        with torch.no_grad():
            module(input_ids=ids[:, :1], attention_mask=torch.ones(2, 8))  # seven read before, one new
    module(input_ids=ids, attention_mask=mask)  # outside of a lesson nothing counts
    assert (passes.tokens, passes.forward_tokens) == (6, 2)


def test_operations_follow_both_kinds_of_pass():
    costs = Costs(train_tokens=1000, forward_tokens=400, parameters_by_lesson=(10, 10))
    assert train_flops(costs) == 10 * (6 * 600 + 2 * 400)


# --- what is kept -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adapters", "olora", "lora", "progressive_prompts"])
def test_added_parameters_are_kept_bytes(name, tmp_path):
    _, _, costs, learner = taught(name, tmp_path)
    base = {id(p) for n, p in learner.net.module.named_parameters() if not any(m in n for m in MARKS)}
    added = [p for p in learner.net.module.parameters() if id(p) not in base]
    assert costs["added_bytes"] == 4 * sum(p.numel() for p in added) == 4 * costs["added_parameters"] > 10_000
    assert costs["kept_bytes"] == costs["added_bytes"] + costs["state_bytes"]
    assert costs["buffer_bytes"] == costs["buffer_examples"] == 0


MARKS = ("lora_", "part_", "prompt_")


def test_stored_examples_are_counted_apart_from_other_state(tmp_path):
    _, _, costs, learner = taught("derpp", tmp_path, memory=5)
    assert costs["buffer_examples"] == 5
    assert costs["buffer_bytes"] == len(canonical(learner.method.memory).encode())
    scores = sum(2 * s.numel() for s in learner.method.scores)
    assert scores < costs["state_bytes"] < scores + 10_000
    assert costs["kept_bytes"] == costs["buffer_bytes"] + costs["state_bytes"]


def test_plain_fine_tuning_keeps_nothing_and_notes_are_no_examples(tmp_path):
    _, _, costs, _ = taught("sft", tmp_path)
    assert costs["kept_bytes"] == 0
    plugin = plugins.load("learner", "in_context", "PLUGIN")
    learner = plugin.build(plugin.config(), ModelSpec(), 0, Machine(device="cpu"))
    learner.learn(LESSONS[0])
    learner.save(tmp_path / "shown")
    shown = json.loads((tmp_path / "shown" / "counts.json").read_text())
    assert shown["buffer_examples"] == len(learner.taught)
    assert shown["kept_bytes"] == shown["buffer_bytes"] + shown["state_bytes"]
    assert shown["state_bytes"] < 30 * len(learner.taught)  # which lesson taught each
