"""Every architecture of the zoo answers in mixed batches as plain transformers does alone, and learns.

In the default suite one learner teaches each checkpoint: they take turns, in the order of their names. A model with
experts is taught by every learner that puts parts into a model. All learners on all checkpoints are marked `attack`:
about ten minutes of one core.
"""

import copy

import pytest
import torch
import transformers

from clbench.core import plugins
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Lesson, Message, Request
from clbench.data.streams.stream import merge_lessons
from clbench.models.load import load_net
from tests.builders import zoo

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
CHOICES = ("red", "blue", "green apple", "a much longer choice of many words")
WORDS = 8
EXAMPLES = [
    Example(
        id=str(i),
        prompt=(Message(role="user", content="What is it? " + "zanmir vek " * (2 * i)),),
        targets=(CHOICES[i % 4],),
        choices=CHOICES,
        requests=(
            Request(kind="loglik", context="one two " * (3 * i) + "three", continuation=" four five"),
            Request(kind="text", context="one two " * (3 * i) + "three", max_tokens=WORDS),
        ),
    )
    for i in range(5)
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    root, made = tmp_path_factory.mktemp("zoo"), {}

    def folder(name):
        if name not in made:
            made[name] = zoo.checkpoint(root / name, name)
        return made[name]

    return folder


def spec_of(folder):
    return ModelSpec(name=str(folder), **({"dtype": "bfloat16"} if folder.name.endswith("bf16") else {}))


def loaded(folder):
    """Return the net, which asks in batches of three, and what plain transformers makes of the same folder."""
    spec = spec_of(folder)
    dtype = torch.bfloat16 if spec.dtype == "bfloat16" else torch.float32
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    return load_net(spec, Machine(device="cpu", exam_batch=3)), plain


def near(net):
    """Nats of a sum over a few tokens; 16 bits round each of them."""
    return 0.2 if net.spec.dtype == "bfloat16" else 2e-3


def nats_of(logits, start, said):
    logp = logits.float().log_softmax(-1)
    return sum(float(logp[start + k, token]) for k, token in enumerate(said))


def nats(plain, ids, said, unread=1):
    """Return the log-likelihood of what is said, whose last token is read in lessons, and not in exams."""
    row = (ids + said)[: len(ids) + len(said) - unread]
    with torch.no_grad():
        return nats_of(plain(input_ids=torch.tensor([row])).logits[0], len(ids) - 1, said)


def ways(logits, ends, slack, said=()):
    """Return all that greedy decoding may write where a kernel's rounding moves a logit by `slack`; `logits` of ids."""
    if len(said) == WORDS:
        return {said}
    last = logits(list(said))
    near_best = torch.nonzero(last >= last.max() - slack).flatten().tolist()
    return {way for t in near_best for way in ([said] if t in ends else ways(logits, ends, slack, (*said, t)))}


def texts(net, ids, logits, ends, strip=True):
    """Return the texts of all that may be written after these ids, where `logits` are of a whole row."""
    said = ways(lambda written: logits(ids + written)[-1].float(), ends, near(net) / 4)
    decoded = [net.tokenizer.decode(way, skip_special_tokens=True) for way in said]
    return {text.strip() if strip else text for text in decoded}


def written(plain, ids, ends):
    """Return what transformers' own `generate` writes after one prompt, without its end."""
    out = plain.generate(
        input_ids=torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=WORDS,
        do_sample=False,
        eos_token_id=list(ends),
        pad_token_id=ends[0],
    )[0, len(ids) :].tolist()
    return out[: next((place for place, token in enumerate(out) if token in ends), len(out))]


@pytest.fixture(scope="module", params=zoo.DECODERS)
def both(request, folder_of):
    return loaded(folder_of(request.param))


def test_choices_of_a_mixed_batch_score_as_each_alone_in_one_plain_pass(both):
    net, plain = both
    prompts = [net.prompt_ids(e.prompt) for e in EXAMPLES]
    assert len({*map(len, prompts)}) == len(prompts)
    choices = [[net.answer_ids(c) for c in e.choices] for e in EXAMPLES]
    right = [[nats(plain, ids, said) for said in group] for ids, group in zip(prompts, choices, strict=True)]
    assert max(map(max, right)) - min(map(min, right)) > 20  # answers that depend on what is read
    with torch.inference_mode():
        found = net.score(prompts, choices)
    for ours, theirs in zip(found, right, strict=True):
        assert [value for value, _ in ours] == pytest.approx(theirs, abs=near(net))
    for answer, theirs in zip(net.respond(EXAMPLES, Decode(kind="label")), right, strict=True):
        assert theirs[CHOICES.index(answer.text)] == pytest.approx(max(theirs), abs=near(net))


def test_generation_in_a_mixed_batch_writes_what_transformers_writes_alone(both):
    net, plain = both
    for example, answer in zip(EXAMPLES, net.respond(EXAMPLES, Decode(max_tokens=WORDS)), strict=True):
        prompt = net.prompt_ids(example.prompt)
        said = net.tokenizer.decode(written(plain, prompt, net.reader.ends), skip_special_tokens=True).strip()
        assert answer.text == said or answer.text in near_texts(net, plain, prompt, net.reader.ends)


def near_texts(net, plain, ids, ends, strip=True):
    """Return what may be written in 16 bits, whose ties each kernel breaks in its own way; nothing in 32 bits."""

    def logits(row):
        with torch.no_grad():
            return plain(input_ids=torch.tensor([row])).logits[0]

    return texts(net, ids, logits, ends, strip) if net.spec.dtype == "bfloat16" else set()


def test_plain_questions_score_and_write_as_alone(both):
    net, plain = both
    for example, answer in zip(EXAMPLES, net.respond(EXAMPLES, Decode(kind="raw")), strict=True):
        scored, asked = (net.tokenizer.encode(request.context) for request in example.requests)
        whole = net.tokenizer.encode(example.requests[0].context + example.requests[0].continuation)
        right = nats(plain, scored, whole[len(scored) :])
        assert answer.replies[0].loglik == pytest.approx(right, abs=near(net))
        ends = net.reader.plain_ends or net.reader.ends
        said = net.tokenizer.decode(written(plain, asked, ends), skip_special_tokens=True)
        assert answer.replies[1].text == said or answer.replies[1].text in near_texts(net, plain, asked, ends, False)


def test_a_lesson_s_loss_over_a_mixed_batch_is_that_of_each_alone(both):
    net, plain = both
    pairs = [net.encode(e) for e in EXAMPLES]
    right = -sum(nats(plain, ids, said, unread=0) for ids, said in pairs) / sum(len(said) for _, said in pairs)
    with torch.no_grad():
        assert float(net.forward(net.module, net.batch(EXAMPLES)).loss) == pytest.approx(right, abs=near(net) / 2)


@pytest.mark.parametrize("name", zoo.DECODERS)
def test_soft_prompts_are_read_as_in_a_plain_pass_over_embeddings(name, folder_of):
    net, plain = loaded(folder_of(name))
    vectors_PH = with_prompts(net, (4, 3))

    def logits(ids):
        words = plain.get_input_embeddings()(torch.tensor([ids]))
        with torch.no_grad():
            return plain(inputs_embeds=torch.cat([vectors_PH[None], words], dim=1)).logits[0]

    def right(ids, said, unread=1):
        row = (ids + said)[: len(ids) + len(said) - unread]
        return nats_of(logits(row), len(vectors_PH) + len(ids) - 1, said)

    prompts = [net.prompt_ids(e.prompt) for e in EXAMPLES]
    choices = [[net.answer_ids(c) for c in e.choices] for e in EXAMPLES]
    with torch.inference_mode():
        found = net.score(prompts, choices)
    for ids, group, scores in zip(prompts, choices, found, strict=True):
        assert [value for value, _ in scores] == pytest.approx([right(ids, said) for said in group], abs=near(net))
    pairs = [net.encode(e) for e in EXAMPLES]
    loss = -sum(right(ids, said, unread=0) for ids, said in pairs) / sum(len(said) for _, said in pairs)
    assert float(net.forward(net.module, net.batch(EXAMPLES)).loss) == pytest.approx(loss, abs=near(net) / 2)
    if name == "llama-longrope":  # what is cached keeps the scale of its time, as in transformers' own generation
        return
    for ids, answer in zip(prompts, net.respond(EXAMPLES, Decode(max_tokens=WORDS)), strict=True):
        assert answer.text in texts(net, ids, logits, net.reader.ends)


def with_prompts(net, lengths):
    """Let a net read soft prompts of these lengths before every text, and return their vectors, (P, H)."""
    from clbench.learners.progressive_prompts import Config, ProgressivePrompts

    parts, method = [], ProgressivePrompts(Config())
    for number, length in enumerate(lengths, start=1):
        method.config = Config(length=length)
        method.prepare(net, number)
        vectors = net.module.get_parameter(f"prompt_{number}")
        with torch.no_grad():
            vectors.add_(0.1 * torch.randn(vectors.shape).to(vectors.dtype))
        parts.append(vectors.detach().clone())
    return torch.cat(parts)


@pytest.mark.parametrize("name", zoo.READERS)
def test_labels_of_a_mixed_batch_are_those_of_each_alone(name, folder_of):
    net = load_net(spec_of(folder_of(name)), Machine(device="cpu", exam_batch=3))
    net.grow(["blue", "green", "red"])
    plain = copy.deepcopy(net.module)
    asked = [e.model_copy(update={"choices": net.labels, "targets": ("red",)}) for e in EXAMPLES]
    ids = [net.prompt_ids(e.prompt) for e in asked]

    def alone(**inputs):
        with torch.no_grad():
            return plain(**inputs).logits[0]

    right = [alone(input_ids=torch.tensor([i])) for i in ids]
    near = 1e-3 * float(torch.stack(right).std())
    with torch.no_grad():
        found = net.forward(net.module, net.batch(asked)).logits_NV
    assert torch.allclose(found, torch.stack(right), atol=near)
    for answer, logits in zip(net.respond(asked, Decode(kind="label")), right, strict=True):
        assert float(logits[net.labels.index(answer.text)]) >= float(logits.max()) - near
    vectors_PH = with_prompts(net, (3, 2))
    words = plain.get_input_embeddings()
    for example, tokens in zip(asked, ids, strict=True):
        text = words(torch.tensor([tokens]))
        right = alone(inputs_embeds=torch.cat([text[:, :1], vectors_PH[None], text[:, 1:]], dim=1))
        assert torch.allclose(net._logits([example], [])[0], right, atol=near)


# --- lessons --------------------------------------------------------------------------------------------------------


def lesson(number, labels):
    examples = tuple(
        Example(
            id=f"{number}-{i}",
            prompt=(Message(role="user", content=f"thing {number} {i} " * (1 + i % 3)),),
            targets=(labels[i % len(labels)],),
            choices=labels,
        )
        for i in range(6)
    )
    return Lesson(number=number, examples=examples, digest=f"lesson {number}", task_name=f"task {number}")


LESSONS = [lesson(1, ("red", "blue")), lesson(2, ("green", "yellow", "pink"))]
ASKED = [e.model_copy(update={"choices": ("red", "green", "never heard of")}) for e in LESSONS[0].examples[:3]]
SETTINGS = {"lr": 1e-3, "epochs": 1, "batch_size": 3, "warmup": 0.0}
PARTS = ["adapters", "combine", "lora", "lora_per_task", "lora_plus", "olora", "osf"]
PARTS += ["progressive", "progressive_prompts", "replay_lora"]


def learners_of(name):
    family = "causal" if name in zoo.DECODERS else "encoder"
    known = {n: plugins.load("learner", n, "PLUGIN") for n in plugins.names("learner")}
    return [n for n, plugin in known.items() if family in plugin.model_families and plugin.elsewhere is None]


def whose_turn(name):
    known = learners_of(name)
    return known[[*zoo.DECODERS, *zoo.READERS].index(name) % len(known)]


def built(learner, folder, **settings):
    plugin = plugins.load("learner", learner, "PLUGIN")
    known = {k: v for k, v in {**SETTINGS, **settings}.items() if k in plugin.config.model_fields}
    return plugin.build(plugin.config(**known), spec_of(folder), 0, Machine(device="cpu"))


def lives(learner, folder, tmp_path):
    """Learn, and answer after a sleep as before it."""
    plugin = plugins.load("learner", learner, "PLUGIN")
    awake = built(learner, folder)
    before = {n: p.detach().clone() for n, p in awake.net.module.named_parameters()}
    for each in [merge_lessons(LESSONS)] if plugin.teaches == "at_once" else LESSONS:
        awake.learn(each)
    now = {n.replace(".base_layer", ""): p for n, p in awake.net.module.named_parameters()}
    moved = [n for n, p in now.items() if n not in before or p.shape != before[n].shape or not p.equal(before[n])]
    assert bool(moved) == (plugin.trains != "none")
    awake.save(tmp_path)
    woken = built(learner, folder)
    woken.load(tmp_path)
    asked = Decode(kind="label", task_id="task 1")
    said = awake.respond(ASKED, asked)
    assert [a.example_id for a in said] == [e.id for e in ASKED]
    assert woken.respond(ASKED, asked) == said


@pytest.mark.slow
@pytest.mark.parametrize("name", [*zoo.DECODERS, *zoo.READERS])
def test_a_learner_teaches_every_checkpoint(name, folder_of, tmp_path):
    lives(whose_turn(name), folder_of(name), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("learner", PARTS)
def test_every_learner_that_adds_parts_teaches_a_model_with_experts(learner, folder_of, tmp_path):
    lives(learner, folder_of("mixtral"), tmp_path)


@pytest.mark.attack
@pytest.mark.parametrize("name", [*zoo.DECODERS, *zoo.READERS])
def test_all_learners_teach_every_checkpoint(name, folder_of, tmp_path):
    for learner in learners_of(name):
        lives(learner, folder_of(name), tmp_path / learner)
