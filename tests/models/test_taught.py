"""The loss of a large vocabulary is made piece by piece, and is the same."""

import copy

import pytest
import torch
from transformers import CohereConfig, Gemma2Config, GraniteConfig

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Message
from clbench.models import taught
from clbench.models.load import load_net
from clbench.training.passes import Passes
from tests.builders.child import run_python

pytestmark = pytest.mark.xdist_group("models")
EXAMPLES = [
    Example(
        id=str(i),
        prompt=(Message(role="user", content="what is " + "zan " * (i * 7 % 30)),),
        targets=("red " * (i + 1),),
    )
    for i in range(8)
]


@pytest.fixture(scope="module")
def net():
    return load_net(ModelSpec(), Machine(device="cpu"))


def gradients(net):
    net.module.zero_grad()
    out = net.forward(net.module, net.batch(EXAMPLES))
    out.loss.backward()
    return out, [p.grad.clone() for p in net.module.parameters() if p.grad is not None]


def test_pieces_give_the_loss_its_gradients_and_the_logits_of_the_whole(net, monkeypatch):
    whole, wanted = gradients(net)
    assert net.splits
    monkeypatch.setattr(taught, "MOST_LOGITS", 5 * net.rows)
    out, found = gradients(net)
    torch.testing.assert_close(out.loss, whole.loss)
    torch.testing.assert_close(out.logits_NV, whole.logits_NV)
    assert torch.equal(out.labels_N, whole.labels_N)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("base", [torch.float32, torch.bfloat16])
def test_pieces_compute_in_the_type_of_the_lesson(net, base, monkeypatch):
    """Also where the output layer learns in float32 on a base of 16 bits."""
    module = copy.deepcopy(net.module).to(base)
    module.get_output_embeddings().float()
    monkeypatch.setattr(net, "module", module)
    with Passes(net.device, torch.bfloat16).of(module):
        monkeypatch.setattr(net, "splits", taught.splits_as(net))
        assert net.splits
        whole, wanted = gradients(net)
        monkeypatch.setattr(taught, "MOST_LOGITS", 5 * net.rows)
        out, found = gradients(net)
    assert torch.equal(out.logits_NV, whole.logits_NV)
    torch.testing.assert_close(out.loss, whole.loss)
    for a, b in zip(wanted, found, strict=True):
        assert float((a - b).norm()) <= 0.02 * float(a.norm())


SMALL = {
    "vocab_size": 2560,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.mark.parametrize(
    "config",
    [
        Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.05, query_pre_attn_scalar=8),
        CohereConfig(**SMALL, logit_scale=0.3),
        GraniteConfig(**SMALL, logits_scaling=7.0),
    ],
    ids=lambda config: config.model_type,
)
def test_what_follows_the_output_layer_is_known(config, net, monkeypatch):
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_config(config).eval()
    monkeypatch.setattr(net, "module", module)
    assert taught.splits_as(net)
    head = module.get_output_embeddings()
    monkeypatch.setattr(taught, "words_of", lambda module: lambda states: head(states).float())
    assert not taught.splits_as(net), "what follows the layer makes other logits, and that is seen"


PEAK = """
import sys, torch
from torch.nn import functional
from clbench.models import taught
from clbench.store.measure import _peak_bytes  # of this process alone: ru_maxrss begins at the peak of its parent
torch.manual_seed(0)
head = torch.nn.Linear(64, 100_000, bias=False)
states, labels = torch.randn(1024, 64, requires_grad=True), torch.randint(100_000, (1024,))
before = _peak_bytes()
if sys.argv[1] == "whole":
    loss = functional.cross_entropy(head(states).float(), labels, reduction="sum")
else:
    loss = taught.summed(lambda s: head(s).float(), states, labels)
loss.backward()
print((_peak_bytes() - before) / 1024)
"""


@pytest.mark.slow
def test_the_loss_of_a_large_vocabulary_takes_a_fraction_of_the_memory():
    """1,024 positions of 100,000 words, in processes of their own; each has the gradient of the weights, 26 MB."""
    whole, pieces = (float(run_python(PEAK, how).stdout) for how in ("whole", "pieces"))
    assert pieces < 0.4 * whole
