"""Adapters on models whose experts stand in one block, against the weights that their equation gives."""

import copy

import pytest
import torch
from peft.tuners.lora import LoraLayer

from clbench.core import plugins
from clbench.core.errors import SpecError, StoreError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.learners._shared import adapters
from clbench.learners._shared.adapters import LoraTraining, act, adapter_of, add_lora, expert_blocks, targets_in
from clbench.learners.olora import overlap
from clbench.models.export import write_adapter, write_checkpoint
from clbench.models.load import load_net
from tests.builders import zoo

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
IDS = torch.tensor([[5, 600, 31, 7, 900, 44, 1200, 9]])
BLOCKS = [f"model.layers.{i}.mlp.experts.{name}" for i in (0, 1) for name in ("gate_up_proj", "down_proj")]
EXAMPLES = tuple(
    Example(
        id=str(i), prompt=(Message(role="user", content=f"thing {i} " * (1 + i)),), targets=(("red", "blue")[i % 2],)
    )
    for i in range(6)
)
LESSON = Lesson(number=1, examples=EXAMPLES, digest="one", task_name="one")


@pytest.fixture(autouse=True)
def _told_anew():
    adapters._once.cache_clear()


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory):
    return zoo.checkpoint(tmp_path_factory.mktemp("zoo") / "mixtral", "mixtral")


def net_of(folder):
    return load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


def built(name, folder, **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{"lr": 1e-2, "epochs": 2, "batch_size": 3, "warmup": 0.0, **settings})
    return plugin.build(config, ModelSpec(name=str(folder)), 0, Machine(device="cpu"))


def moved(net):
    """Set every adapter to random numbers, so that each acts."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, param in net.module.named_parameters():
            if ".lora_" in name:
                param.normal_(0, 0.1)


def merged(plain, net, names, scale):
    """Add scale * B A of each layer and each expert to a plain model, by hand, and return its logits."""
    parts = dict(net.module.named_modules())
    with torch.no_grad():
        for path, layer in parts.items():
            if not isinstance(layer, LoraLayer):
                continue
            own = path.replace(".base_layer", "")
            block = f"{own}.{layer.parameter_name}" if hasattr(layer, "parameter_name") else f"{own}.weight"
            weight = plain.get_parameter(block)
            for name in names:
                a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
                if weight.dim() == 2:
                    weight += scale * b @ a
                    continue
                experts = len(weight)
                rank = len(a) // experts
                for e in range(experts):
                    weight[e] += scale * b[:, e::experts] @ a[e * rank : (e + 1) * rank]
        return plain(input_ids=IDS).logits


def test_one_rule_finds_layers_and_blocks_and_says_what_learns(mixtral, heard):
    net = net_of(mixtral)
    assert expert_blocks(net) == BLOCKS
    found = targets_in(net, "all-linear")
    assert found.blocks == BLOCKS
    assert len(found.layers) == 8
    add_lora(net, LoraTraining(rank=2))
    params = dict(net.module.named_parameters())
    learning = sum(p.numel() for p in params.values() if p.requires_grad)
    share = learning / sum(p.numel() for p in params.values())
    assert heard[-1] == (
        "MixtralForCausalLM: low-rank adapters on 8 layers (k_proj, o_proj, q_proj, v_proj) and 4 blocks of experts "
        f"(down_proj, gate_up_proj); {share:.1%} of the weights learn"
    )
    experts = 2 * 4 * 2 * ((32 + 128) + (64 + 32))  # layers x experts x rank x (in + out) of both blocks
    attention = 2 * 2 * ((32 + 32) * 2 + (32 + 16) * 2)
    assert learning == experts + attention
    assert expert_blocks(net) == BLOCKS


def test_experts_answer_as_their_equation_says_also_with_several_adapters(mixtral):
    net = net_of(mixtral)
    plain = copy.deepcopy(net.module)
    for number in (1, 2):
        add_lora(net, LoraTraining(rank=2, alpha=6.0), adapter_of(number))
    moved(net)
    for numbers in ((), (1,), (2,), (1, 2)):
        names = [adapter_of(n) for n in numbers]
        act(net, names)
        with torch.no_grad():
            found = net.module(input_ids=IDS).logits
        assert torch.allclose(found, merged(copy.deepcopy(plain), net, names, 3.0), atol=2e-5), numbers


def test_the_overlap_of_adapters_is_summed_expert_by_expert(mixtral):
    net = net_of(mixtral)
    for number in (1, 2, 3):
        add_lora(net, LoraTraining(rank=2), adapter_of(number))
    moved(net)
    expected = 0.0
    for layer in (m for m in net.module.modules() if isinstance(m, LoraLayer)):
        experts = layer.num_experts if hasattr(layer, "parameter_name") else 1
        one, two, three = (layer.lora_A[adapter_of(n)].weight.detach() for n in (1, 2, 3))
        for e in range(experts):
            own = slice(2 * e, 2 * e + 2)
            expected += sum(float((earlier[own] @ three[own].T).abs().sum()) for earlier in (one, two))
    assert float(overlap(net, 3)) == pytest.approx(expected, rel=1e-5)


def test_names_of_blocks_are_targets_and_what_is_left_out_is_said(mixtral, heard):
    net = net_of(mixtral)
    assert targets_in(net, "gate_up_proj").blocks == BLOCKS[::2]
    assert targets_in(net, ("q_proj", BLOCKS[1])) == (
        ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"],
        [BLOCKS[1]],
    )
    with pytest.raises(SpecError, match="'gate_up_pro'") as error:
        targets_in(net, "gate_up_pro")
    assert "gate_up_proj" in error.value.mend
    with pytest.raises(SpecError, match="names no layer"):
        targets_in(net, ())
    add_lora(net, LoraTraining(targets="q_proj", lora_dropout=0.1))
    assert "stand in blocks of experts and stay frozen" in heard[-1]


def test_dropout_on_a_block_is_refused_with_the_layers_that_take_it(mixtral):
    with pytest.raises(SpecError, match="an adapter on a block has no dropout") as error:
        add_lora(net_of(mixtral), LoraTraining(lora_dropout=0.1))
    assert "'k_proj', 'o_proj', 'q_proj', 'v_proj'" in error.value.mend


def test_layers_whose_weights_are_read_past_them_get_none(tmp_path, heard):
    net = net_of(zoo.checkpoint(tmp_path / "mamba", "mamba"))
    found = targets_in(net, "all-linear")
    assert {name.rpartition(".")[2] for name in found.layers} == {"in_proj"}
    assert not found.blocks  # the filters of its convolutions are none
    assert "6 layers (dt_proj, out_proj, x_proj) stay frozen" in heard[-1]


def test_exports_of_adapted_experts_answer_the_same(mixtral, tmp_path):
    learner = built("lora", mixtral, rank=2)
    learner.learn(LESSON)
    assert "reloaded: logits within" in write_checkpoint(learner.net, tmp_path / "whole")
    assert "PEFT adapter of rank 2" in write_adapter(learner.net, tmp_path / "adapter")


def test_a_state_without_adapters_on_experts_is_refused(mixtral, tmp_path):
    names = ("k_proj", "o_proj", "q_proj", "v_proj")
    older, newer = built("lora", mixtral, targets=names), built("lora", mixtral)
    older.learn(LESSON)
    older.save(tmp_path / "older")
    with pytest.raises(StoreError, match="have other parts"):
        newer.load(tmp_path / "older")
    newer = built("lora", mixtral)
    newer.learn(LESSON)
    newer.save(tmp_path / "newer")
    with pytest.raises(StoreError, match="have other parts"):
        built("lora", mixtral, targets=names).load(tmp_path / "newer")


def test_all_experts_of_weights_of_16_bits_learn_by_master_copies(mixtral, tmp_path):
    plugin = plugins.load("learner", "lora", "PLUGIN")
    spec = ModelSpec(name=str(mixtral), dtype="bfloat16")
    learner = plugin.build(plugin.config(lr=1e-2, epochs=1, batch_size=3), spec, 0, Machine(device="cpu"))
    learner.learn(LESSON)
    kept = learner._masters.kept
    assert {v.dtype for v in kept.values()} == {torch.float32}
    assert any("experts" in name for name in kept)
    learner.save(tmp_path)
    woken = plugin.build(plugin.config(lr=1e-2, epochs=1, batch_size=3), spec, 0, Machine(device="cpu"))
    woken.load(tmp_path)
    asked = [e.model_copy(update={"choices": ("red", "blue")}) for e in EXAMPLES]
    assert woken.respond(asked, Decode(kind="label")) == learner.respond(asked, Decode(kind="label"))
