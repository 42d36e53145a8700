"""A base in four bits against weights that plain torch code puts together again: forward, gradients and lessons."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from clbench.cli.main import main
from clbench.core import plugins
from clbench.core.keys import canonical, folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode
from clbench.data.streams.stream import lessons, open_stream
from clbench.engine.inputs import Inputs
from clbench.engine.resolve import check_model
from clbench.engine.units import open_run
from clbench.models import source, tiny
from clbench.models.four_bits import count, layers_for, left_whole, plainly
from clbench.report.runs.load import read_runs
from clbench.store.store import Store
from clbench.testing.learners import _StoppedError, _stopping
from clbench.training.loop import GradientLearner
from clbench.training.new_method import new_method
from tests.builders.checkpoints import loaded, said

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason='needs bitsandbytes: pip install "clbench[qlora]"'
)
# The sixteen values of nf4: Dettmers et al. 2023, arXiv:2305.14314, appendix E.
VALUES = [
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
]
IDS = torch.tensor([[1, 50, 60, 70, 80, 90, 100]])
LESSONS = lessons(open_stream("worlds-tiny", None))
TINY = str(tiny.folder("tiny-llama-2"))
SETTINGS = {"lr": 1e-3, "epochs": 1, "batch_size": 8, "warmup": 0.0, "rank": 8}
FOUR_BITS = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
TEXT = Decode(kind="text", max_tokens=4)


def spec_of(name=TINY, **fields):
    return source.settled(ModelSpec(name=str(name), adapter="qlora", **fields))


def put_together(weight):
    """Return the weights of a layer from its bytes: codes, scales, and the scales of scales."""
    state = weight.quant_state
    rows, columns = state.shape
    steps = state.state2.absmax.repeat_interleave(256)[: state.absmax.numel()]
    scales = state.state2.code[state.absmax.long()] * steps + state.offset
    packed = weight.detach().flatten()
    codes = torch.stack([packed >> 4, packed & 15], 1).flatten()[: rows * columns].long()
    found = torch.tensor(VALUES)[codes] * scales.repeat_interleave(64)[: rows * columns]
    return found.view(rows, columns)


def dequantised(net, folder):
    """Return the same model with whole weights of the same values."""
    plain = loaded(source.settled(ModelSpec(name=str(folder))))
    for name in layers_for(plain.module, plain.head_name):
        with torch.no_grad():
            plain.module.get_submodule(name).weight.copy_(put_together(net.module.get_submodule(name).weight))
    return plain


def learner_on(net, name="lora"):
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**SETTINGS)
    return GradientLearner(config, new_method(plugin.method, config), net, 0, Machine(device="cpu"))


def cut(lesson, num=32):
    return lesson.model_copy(update={"examples": lesson.examples[:num]})


def adapters(learner):
    return {n: p.detach().clone() for n, p in learner.net.module.named_parameters() if ".lora_" in n}


def flat(tensors):
    return torch.cat([tensors[name].float().flatten() for name in sorted(tensors)])


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A random LLaMA with one kind of layer whose rows are not whole blocks of weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("random") / "m"
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    shutil.copytree(tiny.folder("tiny-llama"), folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape, vocab_size=2560, num_key_value_heads=1)).save_pretrained(folder)
    return folder


@needs_package
@pytest.mark.parametrize("model", ["random", TINY])
def test_answers_and_gradients_are_those_of_the_weights_by_hand(model, odd):
    folder = odd if model == "random" else model
    net = loaded(spec_of(folder))
    plain, untouched = dequantised(net, folder), loaded(source.settled(ModelSpec(name=str(folder))))
    assert {name.rpartition(".")[2] for name in left_whole(net.module)} == {
        "lm_head",
        *(["down_proj"] * (folder == odd)),
    }
    assert torch.allclose(net.module(IDS).logits, plain.module(IDS).logits, atol=1e-5, rtol=1e-5)
    for name in layers_for(plain.module, plain.head_name):
        old, new = (each.module.get_submodule(name).weight.detach() for each in (untouched, plain))
        padded = torch.nn.functional.pad(old.flatten(), (0, -old.numel() % 64)).view(-1, 64)
        largest = padded.abs().amax(1).repeat_interleave(64)[: old.numel()].view_as(old)
        # half of the widest gap between two values, and what rounding the scale adds to a weight of that size
        assert ((old - new).abs() <= (0.152 + 0.05) * largest + 1e-4).all()
    found = []
    for each in (net, plain):
        learner = learner_on(each)
        learner._open(LESSONS[0])
        batch = each.batch(LESSONS[0].examples[:8])
        with torch.no_grad():
            for i, param in enumerate(p for n, p in each.module.named_parameters() if ".lora_B." in n):
                param.copy_(torch.randn(param.shape, generator=torch.Generator().manual_seed(i)) * 0.02)
        each.forward(each.module, batch).loss.backward()
        found.append({n: p.grad for n, p in each.module.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(".lora_" in name for name in found[0])
    one, other = map(flat, found)
    assert (one - other).norm() < 1e-4 * other.norm()
    assert sum(count(p) for p in net.module.parameters()) == sum(p.numel() for p in plain.module.parameters())


@needs_package
def test_transformers_loads_the_same_base():  # in float32 the export below says so
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = torch.bfloat16
    how = BitsAndBytesConfig(**FOUR_BITS, bnb_4bit_compute_dtype=dtype)
    other = plainly(AutoModelForCausalLM.from_pretrained(TINY, quantization_config=how, dtype=dtype, device_map="cpu"))
    net = loaded(spec_of(dtype="bfloat16"))
    with torch.inference_mode():
        assert torch.equal(net.module(IDS).logits, other(IDS).logits)
    assert {p.dtype for p in net.module.parameters()} == {torch.uint8, dtype}


@needs_package
def test_two_lessons_with_questions_between_end_where_those_on_whole_weights_do(tmp_path):
    net = loaded(spec_of())
    learners = [learner_on(net), learner_on(dequantised(net, TINY))]
    batches = [net.batch(LESSONS[0].examples[:32])] * 2
    losses = []
    for learner, batch in zip(learners, batches, strict=True):
        with torch.no_grad():
            losses.append([float(learner.net.forward(learner.net.module, batch).loss)])
        for lesson in LESSONS[:2]:
            learner.learn(cut(lesson))
            learner.respond(lesson.examples[:4], TEXT)  # a question must not change how the next lesson is learnt
            with torch.no_grad():
                losses[-1].append(float(learner.net.forward(learner.net.module, batch).loss))
    (before, after, later), (before_2, after_2, later_2) = losses
    assert before == pytest.approx(before_2, abs=1e-5)
    assert after < 0.9 * before
    assert after == pytest.approx(after_2, abs=0.01 * (before - after))
    assert later == pytest.approx(later_2, abs=0.02 * (before - after))
    one, other = (flat(adapters(learner)) for learner in learners)
    assert torch.cosine_similarity(one, other, dim=0) > 0.999


@needs_package
@pytest.mark.parametrize(("name", "dtype"), [("olora", "bfloat16"), ("lora_per_task", "float32")])
def test_states_hold_adapters_alone_and_a_stopped_lesson_ends_the_same(name, dtype, tmp_path, odd):
    def made():
        return learner_on(loaded(spec_of(odd, dtype=dtype)), name)

    whole = made()
    whole.learn(cut(LESSONS[0], 8))
    whole.save(tmp_path / "one")
    whole.learn(cut(LESSONS[1], 24))
    whole.save(tmp_path / "whole")
    with safe_open(tmp_path / "whole" / "answers" / "weights.safetensors", "pt") as file:
        assert all(".lora_" in key for key in file.keys())  # noqa: SIM118  # safetensors has no iterator
    for resumed in (False, True):
        learner = made()
        learner.machine = learner.machine.model_copy(update={"checkpoint_s": 0.0})
        learner.load(tmp_path / "one")
        if resumed:
            learner.learn(cut(LESSONS[1], 24), tmp_path / "progress")
            learner.save(tmp_path / "again")
            continue
        with pytest.raises(_StoppedError), _stopping(1):
            learner.learn(cut(LESSONS[1], 24), tmp_path / "progress")
    assert folder_digest(tmp_path / "again") == folder_digest(tmp_path / "whole")
    assert learner.respond(LESSONS[0].examples[:4], TEXT) == whole.respond(LESSONS[0].examples[:4], TEXT)


@needs_package
def test_what_cannot_stand_in_four_bits_is_refused(base, folder, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    for text, spec in {
        "is an encoder, whose label head learns too": ModelSpec(name="tiny-bert", adapter="qlora"),
        "and `dtype` is float16": ModelSpec(name=str(base), adapter="qlora", dtype="float16"),
    }.items():
        assert text in said(check_model, spec)
        assert text in said(loaded, spec)
    GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=2560)).save_pretrained(folder)
    spec = ModelSpec(name=str(folder), adapter="qlora")
    assert "has no linear layer that could stand in four bits" in said(check_model, spec)


def test_a_spec_without_it_is_what_it_was(base):
    plain, four = (ModelSpec(name=str(base), adapter=adapter) for adapter in (None, "qlora"))
    assert "adapter" not in canonical(plain)
    assert source.settled(four).adapter == "qlora"
    assert source.identity(four) != source.identity(plain)


RECIPE = """\
name: four
model: {{name: tiny-llama-2, adapter: qlora{more}}}
stream: worlds-tiny
learner: {learner}
budget: {{policy: seen, items: 8}}
"""


def ran(folder, capsys, *arguments, learner="{name: lora, epochs: 1}", more=""):
    (folder / "four.yaml").write_text(RECIPE.format(learner=learner, more=more))
    code = main([*arguments, "--store", str(folder / "store")])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out, err


def test_without_the_package_plan_run_and_exam_name_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    recipe = str(tmp_path / "four.yaml")
    exam = ("exam", "tiny-llama-2", "--exam", "mini_arithmetic", "--set", "adapter=qlora")
    for arguments in (("run", recipe, "--plan"), ("run", recipe), exam):
        code, _, err = ran(tmp_path, capsys, *arguments)
        assert code == 2
        assert "`adapter: qlora` needs bitsandbytes, which is not installed" in err
        assert 'pip install "clbench[qlora]"' in err


@needs_package
@pytest.mark.parametrize("learner", ["sft", "ewc", "adapters", "combine"])
def test_learners_of_other_weights_are_refused_by_a_plan_too(learner, tmp_path, capsys):
    code, _, err = ran(tmp_path, capsys, "run", str(tmp_path / "four.yaml"), "--plan", learner=f"{{name: {learner}}}")
    assert code == 2
    assert f"'{learner}' trains other weights than low-rank adapters" in err


@needs_package
def test_an_adapter_beside_and_shards_are_refused(tmp_path, folder, capsys):
    (folder / "adapter_config.json").write_text("{}")
    spec = ModelSpec(name=str(folder), adapter="qlora")
    assert "and `adapter: qlora` takes a base alone" in said(check_model, spec)
    code, _, err = ran(tmp_path, capsys, "run", str(tmp_path / "four.yaml"), "--plan", "--processes", "2", "--shard")
    assert code == 2
    assert "`adapter: qlora` keeps them in four bits" in err


@needs_package
@pytest.mark.slow
def test_a_run_learns_and_its_adapter_answers_the_same_beside_its_base_elsewhere(tmp_path, capsys):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    recipe = str(tmp_path / "four.yaml")
    learner = "{name: lora, epochs: 2, lr: 2.0e-3}"
    code, _, err = ran(tmp_path, capsys, "run", recipe, "--workers", "1", learner=learner)
    assert code == 0, err
    assert "35 linear layers stand in four bits (nf4)" in err
    run = next((tmp_path / "store" / "runs").iterdir())
    matrix = json.loads((run / "matrix.json").read_text())["values"]
    assert matrix[1][0] > matrix[0][0] + 0.1
    code, out, _ = ran(tmp_path, capsys, "export", str(run), "--to", str(tmp_path / "to"))
    assert code == 0
    assert "the same logits to the bit" in out
    text = (tmp_path / "to" / "README.md").read_text()
    assert (
        "BASE, dtype='float32', quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type='nf4'"
        in text
    )
    named = json.loads((tmp_path / "to" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert Path(named) == Path(TINY).resolve()
    base = plainly(
        AutoModelForCausalLM.from_pretrained(
            named, quantization_config=BitsAndBytesConfig(**FOUR_BITS), dtype="float32", device_map="cpu"
        )
    )
    before = base(IDS).logits
    after = PeftModel.from_pretrained(base, tmp_path / "to").eval()(IDS).logits
    assert (before - after).abs().max() > 0.1
    (record,) = read_runs([run])
    machine = Machine(store=tmp_path / "store", device="cpu")
    own = open_run(record.spec, Inputs(None), Store(machine.store), machine).trajectory.learner_after(3)
    torch.testing.assert_close(after, own.net.module(IDS).logits)
    for more in (("--merge",), ("--lesson", "0")):
        code, _, err = ran(tmp_path, capsys, "export", str(run), "--to", str(tmp_path / "no"), *more)
        assert code == 2
        assert "its base stands in four bits" in err
        assert not (tmp_path / "no").exists()
