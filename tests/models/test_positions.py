"""Models whose positions end or change scale: rows of a batch never take more places, and never change each other."""

import pytest
import torch

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models import tiny
from clbench.models.load import load_net

pytestmark = pytest.mark.xdist_group("models")
SMALL = {"vocab_size": 2560, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
HEADS = {"num_attention_heads": 4}
MPT = {"vocab_size": 2560, "d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 64}
ROPE = {"rope_theta": 1e4, "original_max_position_embeddings": 48}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [9.0] * 4}
LLAMA = {**SMALL, **HEADS, **ENDS, "max_position_embeddings": 128}


def net_of(folder, architecture, settings):
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    module = kind(kind.config_class(**settings))
    with torch.no_grad():
        for weights in module.parameters():
            weights.mul_(4)  # answers that depend on what is read
    module.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny.folder("tiny-llama")).save_pretrained(folder)
    return load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


def asked(number, **request):
    prompt = (Message(role="user", content="x"),)
    return Example(id=str(number), prompt=prompt, targets=("x",), requests=(Request(**request),))


def test_windows_of_a_long_text_never_need_more_places_than_the_model_has(tmp_path):
    net = net_of(tmp_path / "mpt", "MptForCausalLM", MPT)
    assert net.way == "spread"
    text = "one two three four " * 40
    [whole] = net.respond([asked(0, kind="rolling", continuation=text)], Decode(kind="raw"))
    net.way = "whole"
    [right] = net.respond([asked(0, kind="rolling", continuation=text)], Decode(kind="raw"))
    assert whole.replies[0].loglik == pytest.approx(right.replies[0].loglik, abs=2e-3)


def test_a_short_question_with_a_long_choice_stands_beside_a_long_question(tmp_path):
    net = net_of(tmp_path / "mpt", "MptForCausalLM", MPT)
    rows = [("a", "word " * 40), ("word " * 40, " b")]
    examples = [asked(i, kind="loglik", context=c, continuation=k) for i, (c, k) in enumerate(rows)]
    both = [a.replies[0].loglik for a in net.respond(examples, Decode(kind="raw"))]
    alone = [net.respond([e], Decode(kind="raw"))[0].replies[0].loglik for e in examples]
    assert both == pytest.approx(alone, abs=2e-3)


@pytest.mark.parametrize("kind", [LONG, {"rope_type": "dynamic", "factor": 4.0}], ids=["longrope", "dynamic"])
def test_a_long_question_does_not_change_the_answer_to_a_short_one(tmp_path, kind):
    net = net_of(tmp_path / "long", "LlamaForCausalLM", {**LLAMA, "rope_parameters": {**ROPE, **kind}})
    assert net.way == "whole"
    examples = [asked(i, kind="loglik", context="word " * n, continuation=" end") for i, n in enumerate((10, 30, 70))]
    both = [a.replies[0].loglik for a in net.respond(examples, Decode(kind="raw"))]
    alone = [net.respond([e], Decode(kind="raw"))[0].replies[0].loglik for e in examples]
    assert both == pytest.approx(alone, abs=2e-3)


def test_a_scale_that_no_row_can_reach_costs_no_speed(tmp_path):
    settings = {**LLAMA, "max_position_embeddings": 48, "rope_parameters": {**ROPE, **LONG}}
    assert net_of(tmp_path / "short", "LlamaForCausalLM", settings).way == "packed"


def test_a_model_whose_parts_do_not_fit_is_one_line(tmp_path):
    parts = {"kv_lora_rank": 8, "q_lora_rank": None, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
    experts = {"n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16, "n_group": 1}
    settings = {**SMALL, **HEADS, **ENDS, **parts, **experts, "topk_group": 1, "num_key_value_heads": 2}
    with pytest.raises(ModelError, match="does not read seven tokens: The size of tensor") as told:
        net_of(tmp_path / "unfit", "DeepseekV2ForCausalLM", settings)
    assert "config.json" in told.value.mend
