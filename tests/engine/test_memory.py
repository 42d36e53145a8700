"""Planned memory against what real lessons take, and against sums made by hand for models of billions of weights."""

import importlib.util
import json
import shutil
import struct
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from clbench.cli.main import main
from clbench.core import plugins
from clbench.core.footprint import PLAIN
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.core.types import Example, Lesson, Message
from clbench.engine import memory
from clbench.engine.memory import Needs
from clbench.models import source, tiny
from clbench.models.batching import by_length
from clbench.models.shape import empty_model, on_processor, shortened
from clbench.training.step_memory import Pass, StepMemory, walk, without_content
from tests.builders.places import ROOT

pytestmark = [pytest.mark.models, pytest.mark.slow, pytest.mark.xdist_group("memory")]
needs_four_bits = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason='needs bitsandbytes: pip install "clbench[qlora]"'
)
NINE = ("sft", "lora", "ewc", "lwf", "replay", "agem", "olora", "merge", "separate")
SETTINGS = {"batch_size": 4, "epochs": 1, "lr": 1e-4, "memory": 8, "fisher_examples": 1, "examples": 1}


def lesson(number, num=8):
    text = "red blue green " * 20
    examples = tuple(
        Example(
            id=f"{number}-{i}",
            prompt=(Message(role="user", content=f"{number} {i} {text}"),),
            targets=("a deep and rather unusual shade of blue",),
        )
        for i in range(num)
    )
    return Lesson(number=number, examples=examples, task_name=f"t{number}", digest=digest(examples))


def configured(folder, shape, tokenizer):
    """Lay a configuration and a tokenizer into a folder."""
    shutil.copytree(tiny.folder(tokenizer), folder)
    (folder / "model.safetensors").write_bytes(b"")
    own = {} if "model_type" in shape else json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(own | shape))
    return folder


@pytest.fixture(scope="module")
def middling(tmp_path_factory):
    """A LLaMA of five million weights, on which weights, moments and activations all count."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 5, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 4, "head_dim": 64}
    folder = configured(tmp_path_factory.mktemp("m") / "middling", shape, "tiny-llama")
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


class Counted(TorchDispatchMode):
    """Counts the bytes of all tensors that stand, from those that stood before on."""

    def __init__(self, before):
        super().__init__()
        self.known = {}
        self.now = self.most = 0
        for tensor in before:
            self.add(tensor.untyped_storage())

    def add(self, storage):
        place, size = storage.data_ptr(), storage.nbytes()
        if size and place not in self.known:
            self.known[place] = size
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.drop, place)

    def drop(self, place):
        self.now -= self.known.pop(place, 0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for value in tree_iter(found):
            if isinstance(value, torch.Tensor):
                self.add(value.untyped_storage())
        return found


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)


def taken(folder, name, dtype, adapter=None, **how):
    """Return the most bytes that stand while a second lesson is learnt."""
    plugin = plugins.load("learner", name, "PLUGIN")
    config = plugin.config(**{k: v for k, v in SETTINGS.items() if k in plugin.config.model_fields})
    spec = ModelSpec(name=str(folder), dtype=dtype, adapter=adapter, max_tokens=256)
    learner = plugin.build(config, spec, 0, Machine(device="cpu", **how))
    learner.learn(lesson(1))
    module = learner.net.module
    standing = [*module.parameters(), *module.buffers(), *tensors_in(vars(learner.method))]
    standing += tensors_in(learner._masters.kept)
    states = [p.quant_state for p in module.parameters() if p.dtype is torch.uint8]
    standing += [scales for state in states for scales in (state.absmax, state.state2.absmax)]
    counted = Counted(standing)
    del standing  # what a method replaces goes
    with counted:
        learner.learn(lesson(2))
    return counted.most


def planned(monkeypatch, folder, name, dtype, adapter=None, **how):
    monkeypatch.setattr(memory, "lessons", lambda stream: stream)
    fields = plugins.load("learner", name, "PLUGIN").config.model_fields
    learner = {"name": name, **{k: v for k, v in SETTINGS.items() if k in fields}}
    model = ModelSpec(name=str(folder), dtype=dtype, adapter=adapter, max_tokens=256)
    spec = RunSpec(name="x", model=model, learner=learner, stream="x")
    return Needs(Machine(device="cpu", **how), lambda _: ([lesson(1), lesson(2)], ()), card=False).of(spec)


CASES = [(name, "float32", {}) for name in NINE] + [
    *[("sft", "bfloat16", {}), ("lora", "bfloat16", {}), ("ewc", "float32", {"micro_batch": 2})],
    *[("sft", "float32", {"recompute": True}), ("sft", "float32", {"micro_batch": 2}), ("mas", "float32", {})],
    *[("l2", "float32", {}), ("derpp", "float32", {})],
]


@pytest.mark.parametrize(("name", "dtype", "how"), CASES)
def test_what_is_planned_is_what_a_lesson_takes(monkeypatch, middling, name, dtype, how):
    need = planned(monkeypatch, middling, name, dtype, **how)
    found = taken(middling, name, dtype, **how)
    assert need.unknown == ""
    assert need.peak - need.process == pytest.approx(found, rel=0.1)


@needs_four_bits
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_planned_on_a_base_in_four_bits_is_what_a_lesson_takes(monkeypatch, middling, dtype):
    need = planned(monkeypatch, middling, "lora", dtype, "qlora")
    found = taken(middling, "lora", dtype, "qlora")
    assert need.unknown == ""
    assert need.dtype == f"nf4, {dtype}"
    assert need.peak - need.process == pytest.approx(found, rel=0.1)


def test_a_plan_without_the_methods_own_copies_would_be_seen(monkeypatch, middling):
    plain = planned(monkeypatch, middling, "sft", "float32")
    found = taken(middling, "ewc", "float32")
    assert plain.peak - plain.process < 0.85 * found


def test_two_layers_tell_what_five_take(monkeypatch, middling):
    from clbench.training import planned as shapes

    short = planned(monkeypatch, middling, "sft", "float32")
    monkeypatch.setattr(shapes, "stack_of", lambda module: None)
    whole = planned(monkeypatch, middling, "sft", "float32")
    assert short.activations == whole.activations
    assert short.peak - short.process == pytest.approx(whole.peak - whole.process, rel=0.01)


# --- models of billions of weights, as files that hold no data ------------------------------------------------

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008}
LLAMA |= {"num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000}
LLAMA |= {"max_position_embeddings": 4096, "tie_word_embeddings": False}
HUNYUAN = {"architectures": ["HunYuanDenseV1ForCausalLM"], "model_type": "hunyuan_v1_dense", "hidden_size": 4096}
HUNYUAN |= {"intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
HUNYUAN |= {"head_dim": 128, "vocab_size": 128167, "max_position_embeddings": 32768, "tie_word_embeddings": True}
BERT = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 1024, "intermediate_size": 4096}
BERT |= {"num_hidden_layers": 24, "num_attention_heads": 16, "vocab_size": 30522, "max_position_embeddings": 512}
H, F, V = 4096, 11008, 32000
SIZES = {
    "llama": 2 * V * H + 32 * (4 * H * H + 3 * H * F + 2 * H) + H,
    "hunyuan": 128167 * H + 32 * (2 * H * H + 2 * H * 1024 + 3 * H * 14336 + 2 * H + 2 * 128) + H,
    # words, positions, kinds; a layer; the pooler; the head of two labels
    "bert": (30522 + 512 + 2 + 2) * 1024
    + 24 * (4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024)
    + 1024 * 1025
    + 2 * 1025,
}


def sparse(folder, shape, tokenizer, dtype):
    """Make a checkpoint with a right header and a body that takes no room on the disk."""
    configured(folder, shape, tokenizer)
    header, end = {}, 0
    for name, value in empty_model(ModelSpec(name=str(folder), dtype=dtype)).state_dict().items():
        size = value.numel() * value.element_size()
        kind = {"bfloat16": "BF16", "float32": "F32"}[dtype]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)


GRID = """\
name: large
model: {{name: {model}, dtype: {dtype}, max_tokens: {most}}}
stream: told.yaml
training: {{batch_size: 16}}
axes: {{learner: [{learners}]}}
"""


def plan_of(folder, monkeypatch, capsys, model, *arguments, learners=NINE, dtype="bfloat16"):
    """Return (exit code, the plan's JSON, what stands on stderr); no weights may be read for it."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(source, "_folder_identity", lambda *_: pytest.fail("the weights were read"))
    told = "name: told\ntasks: [world_tiny_facts, world_tiny_rules, world_tiny_laws]\ntask_ids: given\n"
    (folder / "told.yaml").write_text(told)
    most = 512 if model == "bert" else 2048
    (folder / "grid.yaml").write_text(GRID.format(model=model, dtype=dtype, most=most, learners=", ".join(learners)))
    code = main(["run", "grid.yaml", "--plan", "--json", "--store", "empty", *arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def by_learner(plan):
    return {need["learner"]: need for need in plan["memory"]["needs"]}


@pytest.mark.parametrize("model", ["llama", "hunyuan"])
def test_seven_billion_weights_take_what_a_sum_by_hand_says(tmp_path, monkeypatch, capsys, model):
    shape, tokenizer = {"llama": (LLAMA, "tiny-llama"), "hunyuan": (HUNYUAN, "tiny-hunyuan")}[model]
    sparse(tmp_path / model, shape, tokenizer, "bfloat16")
    _, plan, _ = plan_of(tmp_path, monkeypatch, capsys, model, "--memory", "400GB")
    needs, weights = by_learner(plan), SIZES[model]
    per_weight = {"sft": 16, "ewc": 28, "lwf": 20, "replay": 16, "agem": 16, "merge": 26, "separate": 26}
    # on disk: 2 bytes of answers and 4 of master copies; ewc: anchor and Fisher; merge: the sum; separate: two models
    on_disk = {"sft": 6, "ewc": 14, "lwf": 6, "replay": 6, "agem": 6, "merge": 10, "separate": 14}
    for name, each in per_weight.items():
        need = needs[name]
        assert need["trained"] == weights
        assert need["weights"] == pytest.approx(4 * weights, rel=1e-4)  # buffers of positions beside
        assert need["gradients"] == 4 * weights
        assert need["moments"] == 8 * weights
        assert need["per_weight"] == pytest.approx(each, rel=1e-3)
        assert need["state"] == pytest.approx(on_disk[name] * weights, rel=1e-3)
    # rank 16, all linear layers but the head: 16 numbers for each row and each column of a matrix
    inner = shape["intermediate_size"]
    kv = shape["num_key_value_heads"] * 128
    adapter = 32 * 16 * (2 * (H + H) + 2 * (H + kv) + 3 * (H + inner))
    assert needs["lora"]["trained"] == needs["olora"]["trained"] == adapter
    assert needs["lora"]["weights"] == pytest.approx(2 * weights + 4 * adapter, rel=1e-3)
    assert needs["olora"]["parameters"] == weights + 3 * adapter


def test_shards_take_what_a_sum_by_hand_says(tmp_path, monkeypatch, capsys):
    sparse(tmp_path / "llama", LLAMA, "tiny-llama", "bfloat16")
    shared = ("--processes", "8", "--shard", "--memory", "400GB")
    _, plan, _ = plan_of(tmp_path, monkeypatch, capsys, "llama", *shared, learners=("sft", "ewc"))
    needs, all_of, layer = by_learner(plan), SIZES["llama"], 4 * H * H + 3 * H * F + 2 * H
    whole = 4 * (2 * V * H + H + 2 * layer)  # words and the last norm, and two layers
    assert round(16 * all_of / 8 / 1e9, 1) == 13.5
    assert round(whole / 1e9, 2) == 2.67
    sft, ewc = needs["sft"], needs["ewc"]
    assert sft["weights"] == pytest.approx(4 * all_of / 8 + whole, rel=1e-4)
    assert sft["gradients"] == 4 * all_of / 8 + whole
    assert sft["moments"] == 8 * all_of / 8
    standing = sft["weights"] + sft["gradients"] + sft["moments"]
    assert round(standing / 1e9, 1) == 18.8
    assert sft["peak"] >= 4 * all_of * 9 / 8
    assert standing < sft["peak"] < standing + sft["activations"] + sft["logits"] + 1
    held = {name: ewc[name] for name in ("weights", "gradients", "moments", "method")}
    assert sum(held.values()) == pytest.approx(22 * all_of, rel=1e-4)
    assert held["method"] == pytest.approx(12 * all_of)
    assert ewc["state"] == pytest.approx(14 * all_of, rel=1e-3), "states are whole"


def test_processes_that_hold_all_have_the_gradients_that_they_sum_once_more():
    step = StepMemory(weights=400.0, parameters=100.0, trained=100.0, own=400.0, activations=50.0, last=10.0)
    step = replace(step, largest=40.0)
    work = memory.Work(PLAIN, lessons=1, parts=1, vocabulary=0, second=None, halves=False, stored=0, exams=0)
    assert memory.add_up(step, 400, work)["peak"] == 400 + 800 + 400 + 10
    assert memory.add_up(step, 400, replace(work, ranks=2))["peak"] == 400 + 800 + 400 + 400
    large = replace(step, trained=10**9)
    assert memory.add_up(large, 0, replace(work, ranks=2))["peak"] == 400 + 12 * 10**9 + 4 * (1 << 24) + 40


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_first_of_several_processes_has_the_longest_of_every_share(middling, ranks):
    from clbench.training.planned import ModelShape, Way

    shape = ModelShape(ModelSpec(name=str(middling), max_tokens=256))
    config = plugins.load("learner", "sft", "PLUGIN").config(batch_size=8, epochs=1)
    whole = shape.largest([lesson(1)], config, 0, Way(None, False, False), 0.0).first
    found = shape.largest([lesson(1)], config, 0, Way(None, False, False, ranks, shard=True), 0.0).first
    assert found.rows == -(-8 // ranks)
    assert found.tokens >= whole.tokens


@pytest.mark.parametrize(("read", "rows"), [(16, 64), (512, 13), (40_000, 1)])
def test_exams_take_as_many_rows_as_are_read_at_a_time(monkeypatch, read, rows):
    each = 1 << 19  # half a MiB a token, of a LLaMA of 7 billion weights in bfloat16
    monkeypatch.setattr(memory, "cache_bytes", lambda *_: each)
    monkeypatch.setattr(source, "configuration", lambda _: {})
    spec = SimpleNamespace(longest=1 << 20, dtype="bfloat16")
    shape = SimpleNamespace(vocabulary=9, spec=spec, exam_tokens=lambda _: read)
    exam = SimpleNamespace(examples=range(64), decode=SimpleNamespace(kind="text", max_tokens=100))
    found = Needs(Machine(device="cpu"), lambda _: None, card=True)._exams(shape, [exam], Machine(exam_batch=64))
    held = each * (read + 100)
    asked = next(by_length([read] * 64, [1] * 64, 64, [held] * 64))
    assert len(asked) == rows
    assert found == rows * held


@needs_four_bits
def test_seven_billion_weights_in_four_bits_take_what_a_sum_by_hand_says(tmp_path, monkeypatch, capsys):
    sparse(tmp_path / "llama", LLAMA, "tiny-llama", "bfloat16")
    ways = ("--memory", "40GB", "--set", "model.adapter=qlora")
    code, plan, err = plan_of(tmp_path, monkeypatch, capsys, "llama", *ways, learners=("lora",))
    assert code == 0, err
    need = by_learner(plan)["lora"]
    adapter, linear = 32 * 16 * (4 * 2 * H + 3 * (H + F)), 32 * (4 * H * H + 3 * H * F)
    assert need["parameters"] == SIZES["llama"] + adapter
    assert need["trained"] == adapter
    by_hand = linear * (0.5 + 1 / 64 + 4 / 16384) + 2 * (SIZES["llama"] - linear)
    assert need["weights"] == pytest.approx(by_hand + 4 * adapter, rel=1e-3)
    for page in ("large-models.md", "large-models.zh-CN.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for number in (f"{linear:,}", "3.34 GB", "0.52 GB", "0.64 GB", "4.5 GB"):
            assert number in text
    assert round((by_hand + 16 * adapter) / 1e9, 1) == 4.5


def test_a_card_refuses_what_cannot_fit_and_says_what_would(tmp_path, monkeypatch, capsys):
    sparse(tmp_path / "llama", LLAMA, "tiny-llama", "bfloat16")
    code, plan, err = plan_of(tmp_path, monkeypatch, capsys, "llama", "--memory", "40GB", learners=("sft", "lora"))
    assert code == 2
    assert "Traceback" not in err
    assert "an accelerator has 40.0 GB, and sft on llama (bfloat16) takes" in err
    assert "learner lora takes 1" in err
    assert list(plan["memory"]["advice"]) == ["sft on llama (bfloat16)"]
    needs = by_learner(plan)
    assert needs["lora"]["peak"] < 40e9 < needs["sft"]["peak"]


def test_bert_large_fits_a_workstation(tmp_path, monkeypatch, capsys):
    sparse(tmp_path / "bert", BERT, "tiny-bert", "float32")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**12))
    code, plan, err = plan_of(
        tmp_path, monkeypatch, capsys, "bert", "--memory", "64GB", dtype="float32", learners=("sft", "ewc", "lora")
    )
    assert code == 0, err
    needs = by_learner(plan)
    assert needs["sft"]["trained"] == SIZES["bert"]
    assert needs["sft"]["per_weight"] == pytest.approx(16, rel=1e-3)
    assert needs["ewc"]["per_weight"] == pytest.approx(28, rel=1e-3)


@pytest.mark.parametrize("page", ["large-models.md", "large-models.zh-CN.md"])
def test_the_sums_by_hand_in_the_docs_are_those_of_the_plan(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith(tuple(f"| {n} |" for n in NINE))]
    assert [row[0].strip() for row in rows] == ["sft", "replay", "agem", "lwf", "ewc", "merge", "separate"]
    for name, *_, single, half, state in rows:
        plugin = plugins.load("learner", name.strip(), "PLUGIN")
        held = plugin.holds(plugin.config())
        for own, stated in ((4, single), (2, half)):
            step = StepMemory(weights=4.0, parameters=1.0, trained=1.0, own=float(own))
            work = memory.Work(held, lessons=2, parts=1, vocabulary=0, second=None, halves=False, stored=0, exams=0)
            found = memory.add_up(step, own, work)
            assert found["per_weight"] == float(stated), name
            if own == 4:
                assert found["state"] == float(state), name


@pytest.mark.parametrize(("compute", "sides"), [(torch.bfloat16, (36, 8, 4)), (None, (44, 16, 4))])
def test_a_layer_keeps_what_the_table_of_the_docs_says(compute, sides):
    from transformers import AutoModelForCausalLM, LlamaConfig

    def kept(hidden, inner, heads):
        shape = {"hidden_size": hidden, "intermediate_size": inner, "num_attention_heads": heads, "vocab_size": 99}
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(LlamaConfig(**shape, num_hidden_layers=4))
        found = []
        for layers in (1, 2):
            short = shortened(model, layers)
            with without_content():
                taken = Pass(rows=2, tokens=32, places=4, targets=8, padded=False)
                found.append(walk(on_processor(short), taken, compute, recompute=False, card=True).activations)
        return (found[1] - found[0]) / 64

    first = kept(256, 512, 4)
    assert (kept(512, 512, 8) - first) / 256 == pytest.approx(sides[0] + 4 * sides[2] / 256, abs=0.2)
    assert (kept(256, 1024, 4) - first) / 512 == sides[1]


@pytest.mark.parametrize("size", ["much", "0GB", "-4GB", "4 XB", ""])
def test_a_size_that_is_none_is_refused(tmp_path, monkeypatch, capsys, size):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "demo", "--plan", "--memory", size]) == 2
    assert "is not a size of memory" in capsys.readouterr().err


def test_a_disk_that_is_too_small_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    (tmp_path / "one.yaml").write_text("name: one\nstream: worlds-tiny\nlearner: {name: sft}\n")
    assert main(["run", "one.yaml", "--plan", "--store", "new"]) == 2
    assert "the disk has 0.001 GB free" in capsys.readouterr().err


def test_a_probe_tells_the_time_that_no_record_tells(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(
        "name: two\nstream: worlds-tiny\ntraining: {batch_size: 8, epochs: 2}\naxes: {learner: [frozen, sft]}\n"
    )
    assert main(["run", "two.yaml", "--plan", "--store", "new"]) == 0
    assert "--plan --probe learns 20 steps" in capsys.readouterr().out
    assert main(["run", "two.yaml", "--plan", "--probe", "--store", "new", "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert not any(tmp_path.glob("new/**/stage.json")), "what is probed is not kept"
    known = {line["unit"]: line["seconds"] for line in lines}
    assert [unit for unit, seconds in known.items() if seconds] == [f"sft lesson {n}" for n in (1, 2, 3)]
    assert known["frozen lesson 1"] is None
    assert main(["run", "two.yaml", "--probe"]) == 2
    assert "belongs to --plan" in capsys.readouterr().err
