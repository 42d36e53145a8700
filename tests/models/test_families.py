"""Foreign architectures with random weights: what is ranked, scored and written, against plain forward passes."""

import json
import shutil

import pytest
import torch
import transformers

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message, Request
from clbench.models import tiny
from clbench.models.load import load_net

pytestmark = [pytest.mark.xdist_group("models"), pytest.mark.filterwarnings("ignore")]
CHOICES = ("red", "blue", "green apple", "a much longer choice of many words")
SMALL = {"vocab_size": 2560, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
ROPE = {**SMALL, **IDS, "intermediate_size": 64, "max_position_embeddings": 128}
GROUPED = {**ROPE, "num_key_value_heads": 1, "head_dim": 16}
# Beside those of test_zoo.py.
FAMILIES = {
    "Phi": ROPE,
    # Decoders of two-part models count places from the row's first, padding or not.
    "Bart": {
        "vocab_size": 2560,
        "d_model": 32,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "is_encoder_decoder": False,
        **IDS,
    },
}


def checkpoint(folder, family, settings, **tokenizer):
    """Write random weights of a family with the tokenizer of tiny-llama, whose configuration is changed."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for part in model.parameters():
            if part.dim() > 1:
                part.normal_(0, 0.3)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny.folder("tiny-llama") / name, folder / name)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **tokenizer}))
    return folder


def examples(num=5):
    return [
        Example(
            id=str(i),
            prompt=(Message(role="user", content="What is it? " + "zanmir vek " * i),),
            targets=("red",),
            choices=CHOICES,
            requests=(
                Request(kind="loglik", context="one two " * i + "three", continuation=" four five"),
                Request(kind="text", context="one two " * i + "three", max_tokens=6),
            ),
        )
        for i in range(num)
    ]


def plain_nats(net, ids, said):
    with torch.no_grad():
        logp = net.module(input_ids=torch.tensor([ids + said])).logits[0].float().log_softmax(-1)
    return sum(float(logp[len(ids) - 1 + k, t]) for k, t in enumerate(said))


def plain_text(net, ids, ends, num):
    said = []
    while len(said) < num:
        with torch.no_grad():
            best = int(net.module(input_ids=torch.tensor([ids + said])).logits[0, -1].argmax())
        if best in ends:
            break
        said.append(best)
    return net.tokenizer.decode(said, skip_special_tokens=True)


@pytest.fixture(scope="module", params=FAMILIES)
def net(request, tmp_path_factory):
    folder = checkpoint(tmp_path_factory.mktemp(request.param), request.param, FAMILIES[request.param])
    return load_net(ModelSpec(name=str(folder)), Machine(device="cpu", exam_batch=3))


def test_labels_and_continuations_score_as_in_one_plain_pass(net):
    pairs = [(e.prompt, c) for e in examples() for c in CHOICES]
    expected = [plain_nats(net, net.prompt_ids(p), net.reader.text_ids(c)) for p, c in pairs]
    assert net.loglik(pairs) == pytest.approx(expected, abs=2e-3)
    for example, answer in zip(examples(), net.respond(examples(), Decode(kind="label")), strict=True):
        nats = {c: plain_nats(net, net.prompt_ids(example.prompt), net.answer_ids(c)) for c in CHOICES}
        assert nats[answer.text] == pytest.approx(max(nats.values()), abs=2e-3)


def test_answers_are_those_of_a_plain_greedy_loop(net):
    for example, answer in zip(examples(), net.respond(examples(), Decode(max_tokens=6)), strict=True):
        assert answer.text == plain_text(net, net.prompt_ids(example.prompt), net.reader.ends, 6).strip()


def test_plain_questions_score_and_write_as_plainly(net):
    for example, answer in zip(examples(), net.respond(examples(), Decode(kind="raw")), strict=True):
        scored, written = example.requests
        ids = net.tokenizer.encode(scored.context)
        whole = net.tokenizer.encode(scored.context + scored.continuation)
        assert answer.replies[0].loglik == pytest.approx(plain_nats(net, ids, whole[len(ids) :]), abs=2e-3)
        assert answer.replies[1].text == plain_text(
            net, net.tokenizer.encode(written.context), net.reader.plain_ends, 6
        )


def test_many_labels_score_in_parts_as_together(tmp_path, monkeypatch):
    folder = checkpoint(tmp_path, "Qwen3", GROUPED)
    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    pairs = [(e.prompt, f"label number {i} of many") for e in examples(2) for i in range(40)]
    many = [e.model_copy(update={"choices": tuple(text for _, text in pairs[:40])}) for e in examples(2)]
    whole = [net.score([net.prompt_ids(e.prompt)], [[net.answer_ids(c) for c in e.choices]])[0] for e in many]
    for nodes in (20, 7):
        monkeypatch.setattr("clbench.models.continuations.MOST_NODES", nodes)
        monkeypatch.setattr("clbench.models.prefix.MOST_NODES", nodes)
        parts = net.score(
            [net.prompt_ids(e.prompt) for e in many], [[net.answer_ids(c) for c in e.choices] for e in many]
        )
        for a, b in zip(parts, whole, strict=True):
            assert [nats for nats, _ in a] == pytest.approx([nats for nats, _ in b], abs=2e-3)


@pytest.mark.parametrize("pad", ["<|beyond|>", None])
def test_a_padding_token_beyond_the_embedding_or_none_changes_nothing(tmp_path, pad):
    settings = {**ROPE, "num_key_value_heads": 2}
    usual = load_net(ModelSpec(name=str(checkpoint(tmp_path / "a", "Llama", settings))), Machine(device="cpu"))
    folder = checkpoint(tmp_path / "b", "Llama", settings)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = pad
    if pad:
        tokenizer.add_special_tokens({"pad_token": pad})
    tokenizer.save_pretrained(folder)
    odd = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    assert odd.respond(examples(), Decode(max_tokens=6)) == usual.respond(examples(), Decode(max_tokens=6))
    assert odd.respond(examples(), Decode(kind="label")) == usual.respond(examples(), Decode(kind="label"))


def test_padding_behind_a_stop_is_not_counted(tmp_path):
    net = load_net(ModelSpec(name=str(checkpoint(tmp_path / "a", "Llama", ROPE))), Machine(device="cpu", exam_batch=5))
    whole = net.respond(examples(), Decode(max_tokens=20))
    stop = next(a.text[1:3] for a in whole if len(a.text) > 6)
    asked = Decode(max_tokens=20, stop=(stop,))
    together = net.respond(examples(), asked)
    assert together == [net.respond([e], asked)[0] for e in examples()]
    assert min(a.tokens_out for a in together) < 20


def test_a_padding_token_that_is_a_word_shortens_no_answer(tmp_path):
    usual = load_net(ModelSpec(name=str(checkpoint(tmp_path / "a", "Llama", ROPE))), Machine(device="cpu"))
    written = usual.write([usual.prompt_ids(e.prompt) for e in examples()], 20, ("never written",), 0.0, (2,))
    word = next(row[-1] for row in written if row[-1] != 2)  # the very word that an answer ends with
    folder = checkpoint(tmp_path / "b", "Llama", ROPE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(word)
    tokenizer.save_pretrained(folder)
    odd = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    assert odd.tokenizer.pad_token_id == word
    for asked in (Decode(max_tokens=20, stop=("never written",)), Decode(max_tokens=20), Decode(kind="label")):
        ours, theirs = (net.respond(examples(), asked) for net in (odd, usual))
        assert [(a.tokens_out, a.finish) for a in ours] == [(a.tokens_out, a.finish) for a in theirs]
    # Being special, the word itself is not printed, as transformers decodes; in ranking it is not written at all.
    assert [a.text for a in ours] == [a.text for a in theirs]


def test_a_model_that_reads_what_follows_is_refused(tmp_path):
    folder = checkpoint(tmp_path / "a", "Llama", ROPE)
    config = {**SMALL, **IDS, "intermediate_size": 64, "max_position_embeddings": 128}
    bert = transformers.BertLMHeadModel(transformers.BertConfig(**config, is_decoder=False))
    bert.save_pretrained(folder)
    with pytest.raises(ModelError, match="reads what follows a token"):
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    bert.config.is_decoder = True
    bert.save_pretrained(folder)
    assert load_net(ModelSpec(name=str(folder)), Machine(device="cpu")).respond(examples(2), Decode(kind="label"))


def test_roberta_s_kin_as_decoders_are_refused(tmp_path):
    folder = checkpoint(tmp_path / "a", "Llama", ROPE)
    config = transformers.RobertaConfig(**SMALL, **IDS, intermediate_size=64, is_decoder=True)
    transformers.RobertaForCausalLM(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="counts its positions from the padding token on"):
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


def test_words_without_an_embedding_are_one_line(tmp_path):
    folder = checkpoint(tmp_path / "a", "Llama", {**ROPE, "vocab_size": 400, "num_key_value_heads": 2})
    with pytest.raises(ModelError, match="2160 words beyond the 400 rows of the model"):
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))


def test_marks_without_an_embedding_are_one_line(tmp_path):
    rows = 2560
    folder = checkpoint(tmp_path / "a", "Llama", {**ROPE, "vocab_size": rows, "num_key_value_heads": 2})
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<|turn|>"], special_tokens=True)
    tokenizer.chat_template = "{% for m in messages %}<|turn|>{{ m.content }}<|end|>{% endfor %}<|turn|>"
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=f"and the model has {rows} embeddings") as error:
        load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    assert "resize_token_embeddings" in error.value.mend
    tokenizer.chat_template = tokenizer.chat_template.replace("<|turn|>", "")
    (folder / "chat_template.jinja").write_text(tokenizer.chat_template)
    net = load_net(ModelSpec(name=str(folder)), Machine(device="cpu"))
    with pytest.raises(ModelError, match=f"and the model has {rows} embeddings"):
        net.known([rows])
