"""Parameter isolation: an earlier part never changes, and parts compute what their equations say."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clbench.core import plugins
from clbench.core.errors import ModelError
from clbench.core.keys import digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Lesson, Message
from clbench.learners import progressive_prompts
from clbench.learners._shared import columns as _columns
from clbench.models import causal

pytestmark = pytest.mark.xdist_group("methods")
NAMES = ("adapters", "progressive", "progressive_prompts")
LABELS = {"a": ("red", "blue"), "b": ("cat", "dog"), "c": ("zorp", "tea")}


def examples(task, num=8):
    return tuple(
        Example(
            id=f"{task}-{i}",
            prompt=(Message(role="user", content=f"zan {task}" + " river" * (i % 3) + f" {i}"),),
            targets=(LABELS[task][i % 2],),
            choices=LABELS[task],
        )
        for i in range(num)
    )


def lesson(step, task):
    return Lesson(number=step, examples=examples(task), task_name=task, digest=digest(examples(task)))


def learner(name, model="tiny-llama", **settings):
    plugin = plugins.load("learner", name, "PLUGIN")
    given = {"lr": 3e-3, "batch_size": 4, "epochs": 1, "warmup": 0.0, **settings}
    known = {k: v for k, v in given.items() if k in plugin.config.model_fields}
    return plugin.build(plugin.config(**known), ModelSpec(name=model), 0, Machine(device="cpu"))


def switch_of(made):
    method = made.method
    return method.switch if isinstance(method, progressive_prompts.ProgressivePrompts) else method.columns.switch


def logits(made, task, part):
    """What a part says about a task's examples, every number of it."""
    with torch.no_grad(), switch_of(made).at(part):
        return made.net.forward(made.net.module, made.net.batch(list(examples(task)))).logits_NV


def told(made, task, kind="label"):
    return made.respond(examples(task), Decode(kind=kind, max_tokens=6, task_id=task))


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_is_told_is_answered_the_same_for_ever(name, tmp_path):
    made = learner(name)
    with torch.no_grad():
        base = made.net.forward(made.net.module, made.net.batch(list(examples("a")))).logits_NV
    untaught = made.net.respond(examples("c"), Decode(max_tokens=6))
    made.learn(lesson(1, "a"))
    first, said, chosen = logits(made, "a", 1), told(made, "a", "text"), told(made, "a")
    assert not torch.equal(first, base)
    assert told(made, "c", "text") == untaught, "a task never taught is answered by the base"
    for step, task in ((2, "b"), (3, "c")):
        made.learn(lesson(step, task))
    assert torch.equal(logits(made, "a", 1), first)
    assert told(made, "a", "text") == said
    assert told(made, "a") == chosen
    assert torch.equal(logits(made, "a", None), base)
    parts = [logits(made, "a", part) for part in (1, 2, 3)]
    assert not torch.equal(parts[0], parts[1])
    assert not torch.equal(parts[1], parts[2])
    with torch.no_grad():
        usual = made.net.forward(made.net.module, made.net.batch(list(examples("a")))).logits_NV
    assert torch.equal(usual, parts[2]), "told nothing, the last part answers"

    made.save(tmp_path)
    woken = learner(name)
    woken.load(tmp_path)
    assert woken.method.parts.tasks == {"a": 1, "b": 2, "c": 3}
    assert [torch.equal(logits(woken, "a", p), parts[p - 1]) for p in (1, 2, 3)] == [True] * 3


@pytest.mark.parametrize("name", NAMES)
def test_only_the_new_part_learns(name):
    made = learner(name)
    made.learn(lesson(1, "a"))
    before = {n: p.detach().clone() for n, p in made.net.module.named_parameters()}
    made.learn(lesson(2, "b"))
    after = dict(made.net.module.named_parameters())
    assert all(torch.equal(after[n], p) for n, p in before.items())
    new = set(after) - set(before)
    assert new
    assert all("part_2" in n or n == "prompt_2" for n in new)
    assert {n for n, p in after.items() if p.requires_grad} == new


@pytest.mark.parametrize("name", NAMES)
def test_an_encoder_keeps_its_answers_though_labels_arrive(name, tmp_path):
    made = learner(name, "tiny-bert")
    before = made.net.respond(examples("c"), Decode(kind="label"))
    made.learn(lesson(1, "a"))
    first, chosen = logits(made, "a", 1), told(made, "a")
    assert told(made, "c") == before
    for step, task in ((2, "b"), (3, "c")):
        made.learn(lesson(step, task))
    now = logits(made, "a", 1)
    assert now.shape[1] == first.shape[1] + 1  # zorp is a new label
    assert torch.allclose(now[:, :-1], first, atol=1e-6)
    assert told(made, "a") == chosen
    heads = {n: p for n, p in made.net.module.named_parameters() if n.startswith("head_part_")}
    assert len({len(p) for p in heads.values()}) == 1
    assert not heads["head_part_1.weight"][-1].any()
    assert all(heads[f"head_part_{k}.weight"].any() for k in (1, 2, 3))
    made.save(tmp_path)
    woken = learner(name, "tiny-bert")
    woken.load(tmp_path)
    assert torch.equal(logits(woken, "a", 1), now)


def test_no_two_of_them_are_the_same_and_none_is_sft():
    states = {}
    for name in (*NAMES, "sft"):
        made = learner(name)
        for step, task in ((1, "a"), (2, "b")):
            made.learn(lesson(step, task))
        with torch.no_grad():
            found = made.net.forward(made.net.module, made.net.batch(list(examples("a")))).logits_NV
        states[name] = digest(found.double().sum().item())
    assert len(set(states.values())) == 4


# --- columns ------------------------------------------------------------------------------------------------


class Toy(nn.Module):
    """Two blocks, each a linear layer; small enough to be worked out by hand."""

    def __init__(self, width=5):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def columns(num, *, lateral, seed=0):
    torch.manual_seed(seed)
    net = SimpleNamespace(module=Toy(), labels=(), head_name="")
    made = _columns.Columns(net, _columns.Switch(), 3, lateral=lateral)
    for part in range(1, num + 1):
        made.add(part)
    return net.module, made


def fill(module):
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "part_" in name:
                p.copy_(torch.randn_like(p))


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def by_hand(block, x, part, *, lateral):
    """h_k = gelu(D_k x + d_k + sum_{j<k} L_kj h_j); x + U_k h_k + u_k, spelt out over named parameters."""
    x = x @ block.weight.T + block.bias
    own = dict(block.named_parameters())
    inner = {}
    for k in range(1, part + 1):
        h = x @ own[f"part_{k}.down.weight"].T + own[f"part_{k}.down.bias"]
        for j in range(1, k if lateral else 1):
            h = h + inner[j] @ own[f"part_{k}.lateral.{j - 1}.weight"].T
        inner[k] = gelu(h)
    return x + inner[part] @ own[f"part_{part}.up.weight"].T + own[f"part_{part}.up.bias"]


@pytest.mark.parametrize("lateral", [False, True])
def test_columns_compute_their_equation(lateral):
    module, made = columns(3, lateral=lateral)
    fill(module)
    x = torch.randn(2, 4, 5)
    for part in (1, 2, 3):
        expected = x
        for block in module.blocks:
            expected = by_hand(block, expected, part, lateral=lateral)
        with made.switch.at(part):
            assert torch.allclose(module(x), expected, atol=1e-5)
    assert made.switch.part == 3


def test_without_laterals_a_progressive_column_is_an_adapter():
    module, made = columns(2, lateral=True)
    fill(module)
    plain, other = columns(2, lateral=False)
    plain.load_state_dict(module.state_dict(), strict=False)
    x = torch.randn(3, 5)
    with made.switch.at(2), other.switch.at(2):
        assert not torch.allclose(module(x), plain(x), atol=1e-3)
        for block in module.blocks:
            nn.init.zeros_(block.get_submodule("part_2").lateral[0].weight)
        assert torch.allclose(module(x), plain(x), atol=1e-6)


def test_laterals_are_the_number_of_earlier_columns_and_a_new_part_starts_as_the_base():
    module, made = columns(3, lateral=True)
    assert [len(module.blocks[0].get_submodule(f"part_{k}").lateral) for k in (1, 2, 3)] == [0, 1, 2]
    x = torch.randn(3, 5)
    new = module(x)
    with made.switch.at(None):
        assert torch.equal(module(x), new)


def test_blocks_that_give_more_than_a_hidden_state_keep_the_rest():
    class Wordy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(5, 5)

        def forward(self, x):
            return self.inner(x), "attention"

    module = Toy()
    module.blocks = nn.ModuleList([Wordy()])
    made = _columns.Columns(SimpleNamespace(module=module, labels=()), _columns.Switch(), 3, lateral=False)
    made.add(1)
    nn.init.ones_(module.blocks[0].get_submodule("part_1").up.bias)
    x = torch.randn(2, 5)
    hidden, rest = module.blocks[0](x)
    assert rest == "attention"
    assert torch.allclose(hidden, module.blocks[0].inner(x) + 1)


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-hunyuan", "tiny-bert"])
def test_blocks_are_found_in_every_family(model):
    module = learner("frozen", model).net.module
    assert [type(b).__name__.endswith("Layer") for b in _columns.blocks_of(module)] == [True] * 4


def test_a_model_without_blocks_is_refused():
    with pytest.raises(ModelError, match="Linear has no list of transformer blocks"):
        _columns.blocks_of(nn.Linear(2, 2))


# --- prompts ------------------------------------------------------------------------------------------------


def prompted(made, num):
    """Give a learner `num` prompts that say something, without training."""
    torch.manual_seed(1)
    for step in range(1, num + 1):
        made.method.prepare(made.net, step)
        with torch.no_grad():
            made.net.module.get_parameter(f"prompt_{step}").normal_(0, 0.3)
    return torch.cat([made.net.module.get_parameter(f"prompt_{k}") for k in range(1, num + 1)]).detach()


def in_full(made, prompts, ids):
    """Logits of one unpadded text after the prompts, by a plain call: no hook, no cache. Shape (T, V)."""
    net = made.net
    with torch.no_grad(), switch_of(made).at(None):
        text = net.module.get_input_embeddings()(torch.tensor([ids]))
        out = net.module(inputs_embeds=torch.cat([prompts[None], text], dim=1), use_cache=False)
    return out.logits[0, len(prompts) :]


def gpt2():
    """An untrained model with positions that are learnt, not rotary: another path through ranking and masks."""
    from transformers import GPT2Config, GPT2LMHeadModel

    made = learner("progressive_prompts", length=3)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=2560, n_positions=128, n_embd=16, n_layer=2, n_head=2, eos_token_id=2)
    made.net = causal.Causal(ModelSpec(max_tokens=128), GPT2LMHeadModel(config).eval(), made.net.tokenizer, 16)
    return made


FAMILIES = {
    "llama": lambda: learner("progressive_prompts", length=3),
    "hunyuan": lambda: learner("progressive_prompts", "tiny-hunyuan", length=3),
    "gpt2": gpt2,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_read_before_the_text_in_training_ranking_and_generation(family, monkeypatch):
    made = FAMILIES[family]()
    prompts = prompted(made, 2)
    net, asked = made.net, examples("a", 3)  # of different lengths, so that batches are padded
    batch = net.batch(list(asked))
    with torch.no_grad():
        found = net.forward(net.module, batch).logits_NV
    rows = [in_full(made, prompts, p + a)[len(p) - 1 : -1] for p, a in map(net.encode, asked)]
    assert torch.allclose(found, torch.cat(rows), atol=2e-4)
    with torch.no_grad(), switch_of(made).at(None):
        assert not torch.allclose(net.forward(net.module, batch).logits_NV, found, atol=1e-2)

    texts = ("red", "blue river 12")
    expected = []
    for e in asked:
        ids = net.prompt_ids(e.prompt)
        for answer in map(net.answer_ids, texts):
            logp = in_full(made, prompts, ids + answer)[len(ids) - 1 : -1].log_softmax(-1)
            expected.append(logp.gather(-1, torch.tensor(answer)[:, None]).sum().item())
    for way in ("packed", "spread") if family != "gpt2" else ("spread",):
        monkeypatch.setitem(vars(net), "way", way)
        with torch.inference_mode():
            scores = net.score([net.prompt_ids(e.prompt) for e in asked], [[net.answer_ids(t) for t in texts]] * 3)
        assert [nats for row in scores for nats, _ in row] == pytest.approx(expected, abs=2e-3)

    answers = made.respond(asked, Decode(max_tokens=5))
    for e, answer in zip(asked, answers, strict=True):
        ids, written = net.prompt_ids(e.prompt), []
        while len(written) < 5 and 2 not in written:
            written.append(int(in_full(made, prompts, ids + written)[-1].argmax()))
        kept = written[: written.index(2)] if 2 in written else written
        assert answer.text == net.tokenizer.decode(kept, skip_special_tokens=True).strip()


def test_an_encoder_reads_the_prompts_after_its_first_token():
    made = learner("progressive_prompts", "tiny-bert", length=3)
    prompts = prompted(made, 2)
    net, asked = made.net, list(examples("a", 3))
    batch = net.batch(asked)
    with torch.no_grad():
        found = net.forward(net.module, batch).logits_NV
        with switch_of(made).at(None):
            words = net.module.get_input_embeddings()(batch.ids_BT)
            wide = torch.cat([words[:, :1], prompts.expand(3, -1, -1), words[:, 1:]], dim=1)
            mask = torch.cat([torch.ones(3, 6, dtype=torch.long), batch.mask_BT], dim=1)
            expected = net.module(inputs_embeds=wide, attention_mask=mask).logits
            base = net.forward(net.module, batch).logits_NV
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, base, atol=1e-2)


def test_a_text_that_leaves_no_room_for_prompts_is_refused_with_what_to_do():
    made = learner("progressive_prompts", "tiny-bert", length=500)
    prompted(made, 1)
    (question,) = examples("a", 1)
    made.respond([question], Decode(kind="label"))
    long = question.model_copy(update={"prompt": (Message(role="user", content="river " * 20),)})
    with pytest.raises(ModelError) as error:
        made.respond([long], Decode(kind="label"))
    assert "model's 512 positions" in str(error.value)
    assert "set model.max_tokens to 12 or less" in str(error.value)
