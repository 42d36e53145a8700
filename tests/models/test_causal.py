import json
import shutil

import pytest
import torch

from clbench.core.errors import ModelError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example, Message
from clbench.models import source, tiny
from clbench.models.batching import like_lengths
from clbench.models.load import load_net
from clbench.models.reader import cut_middle

pytestmark = pytest.mark.xdist_group("models")
CHOICES = ("red", "blue", "green apple", "a much longer choice of many words")
EXAMPLES = [
    Example(
        id=str(i),
        prompt=(Message(role="user", content="What is it? " + "zanmir vek " * i),),
        targets=("red",),
        choices=CHOICES,
    )
    for i in range(11)
]


def net_of(name, batch=64):
    return load_net(ModelSpec(name=name), Machine(exam_batch=batch, device="cpu"))


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-hunyuan"])
def causal(request):
    return net_of(request.param)


def test_loglik_equals_one_plain_forward_pass(causal):
    pairs = [(e.prompt, c) for e in EXAMPLES[:4] for c in CHOICES]
    for (prompt, text), found in zip(pairs, causal.loglik(pairs), strict=True):
        ids, said = causal.prompt_ids(prompt), causal.tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            logp = causal.module(torch.tensor([ids + said])).logits[0].log_softmax(-1)
        expected = sum(float(logp[len(ids) - 1 + k, t]) for k, t in enumerate(said))
        assert found == pytest.approx(expected, abs=1e-4)


def test_results_do_not_depend_on_the_exam_batch(causal):
    pairs = [(e.prompt, c) for e in EXAMPLES for c in CHOICES]
    causal.exam_batch = 64
    whole = causal.loglik(pairs)
    text, labels = causal.respond(EXAMPLES, Decode(max_tokens=12)), causal.respond(EXAMPLES, Decode(kind="label"))
    for batch in (1, 3):
        causal.exam_batch = batch
        assert causal.loglik(pairs) == pytest.approx(whole, abs=1e-4)
        assert causal.respond(EXAMPLES, Decode(max_tokens=12)) == text
        assert causal.respond(EXAMPLES, Decode(kind="label")) == labels


def test_choices_that_share_a_row_score_as_rows_of_their_own(causal, monkeypatch):
    pairs = [(e.prompt, c) for e in EXAMPLES for c in CHOICES[: 1 + int(e.id) % len(CHOICES)]]
    packed = causal.loglik(pairs)
    assert causal.way == "packed"
    for way in ("spread", "whole"):
        monkeypatch.setattr(causal, "way", way)
        assert causal.loglik(pairs) == pytest.approx(packed, abs=1e-4)
        assert causal.loglik(pairs[1:2]) == pytest.approx(packed[1:2], abs=1e-4)


def test_greedy_text_equals_a_hand_written_loop(causal):
    for example in EXAMPLES[:3]:
        ids, said = causal.prompt_ids(example.prompt), []
        while len(said) < 8:
            with torch.no_grad():
                best = int(causal.module(torch.tensor([ids + said])).logits[0, -1].argmax())
            if best == causal.tokenizer.eos_token_id:
                break
            said.append(best)
        (answer,) = causal.respond([example], Decode(max_tokens=8))
        assert answer.text == causal.tokenizer.decode(said, skip_special_tokens=True).strip()
        assert answer.finish == ("length" if len(said) == 8 else "stop")


def test_sampling_is_seeded_by_example(causal):
    decode = Decode(max_tokens=6, temperature=1.5, seed=3)
    whole = causal.respond(EXAMPLES, decode)
    assert causal.respond(EXAMPLES[4:5], decode) == whole[4:5]
    assert causal.respond(EXAMPLES, decode.model_copy(update={"seed": 4})) != whole


def test_stop_strings_end_an_answer(causal):
    (plain,) = causal.respond(EXAMPLES[:1], Decode(max_tokens=8))
    if plain.text:
        (cut,) = causal.respond(EXAMPLES[:1], Decode(max_tokens=8, stop=(plain.text[-1],)))
        assert plain.text[-1] not in cut.text


def test_loss_is_on_the_answer_alone(causal):
    batch = causal.batch(EXAMPLES[:3])
    assert batch.num_targets == 3 * len(causal.answer_ids("red"))
    assert int((batch.labels != -100).sum()) == batch.num_targets
    assert int(batch.mask_BT.sum()) == batch.num_tokens == sum(causal.length(e) for e in EXAMPLES[:3])


def test_encoder_chooses_among_its_choices_and_grows():
    net = net_of("tiny-bert")
    known = net.labels
    answers = net.respond(EXAMPLES, Decode(kind="label"))
    assert all(a.text in CHOICES for a in answers)
    net.grow(CHOICES)
    assert net.labels[: len(known)] == known
    # A label not yet learnt answers the same before and after it has got its row.
    assert net.respond(EXAMPLES, Decode(kind="label")) == answers
    net.exam_batch = 2
    assert net.respond(EXAMPLES, Decode(kind="label")) == answers
    with pytest.raises(ModelError, match="cannot write text"):
        net.respond(EXAMPLES, Decode(kind="text"))


@pytest.mark.parametrize("name", tiny.NAMES)
def test_any_checkpoint_folder_loads_by_the_same_path(name, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny.folder(name), folder)
    decode = Decode(kind="label")
    assert net_of(str(folder)).respond(EXAMPLES, decode) == net_of(name).respond(EXAMPLES, decode)
    spec = ModelSpec(name=str(folder))
    before = source.identity(spec)
    assert before == source.identity(ModelSpec(name=name))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert source.identity(spec) != before


@pytest.mark.parametrize("name", tiny.NAMES)
def test_shipped_models_are_small_and_tell_how_they_were_made(name):
    folder = tiny.folder(name)
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000
    made = json.loads((folder / "pretraining.json").read_text())
    assert made["recipe"]["name"] == name
    assert made["scores"]


def test_pretrained_scores_are_above_chance():
    for name in ("tiny-llama", "tiny-hunyuan"):
        made = json.loads((tiny.folder(name) / "pretraining.json").read_text())
        for ability, found in made["scores"].items():
            assert found["score"] > found["chance"], (name, ability)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (ModelSpec(name="tiny-lama"), "did you mean 'tiny-llama'"),
        (ModelSpec(name="org/model"), "is not pinned"),
        (ModelSpec(name="org/model", revision="main"), "is not pinned"),
    ],
)
def test_models_that_are_not_there(spec, said):
    with pytest.raises(ModelError) as error:
        source.locate(spec)
    assert said in str(error.value)


def test_folders_that_are_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        source.locate(ModelSpec(name=str(tmp_path)))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no weights"):
        source.locate(ModelSpec(name=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="does not say what the model is"):
        load_net(ModelSpec(name=str(tmp_path)), Machine())
    (tmp_path / "config.json").write_text('{"model_type": "nobody"}')
    with pytest.raises(ModelError, match="cannot tell the family"):
        load_net(ModelSpec(name=str(tmp_path)), Machine())
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load_net(ModelSpec(name=str(tmp_path), family="causal"), Machine())


def test_long_prompts_lose_their_middle():
    assert cut_middle(list(range(10)), 4) == [0, 1, 8, 9]
    assert cut_middle([1, 2], 4) == [1, 2]


def test_mixed_lengths_run_in_parts_and_come_back_in_order(causal, monkeypatch):
    texts = ["a", "a b c d e f " * 9, "b c", "d " * 70, "e"]
    examples = [
        Example(id=f"e{i}", prompt=(Message(role="user", content=t),), targets=(f"answer {i}",) if i % 2 else ("no",))
        for i, t in enumerate(texts)
    ]
    batch = causal.batch(examples)
    parts = like_lengths(batch.mask_BT)
    assert len(parts) > 1
    assert sorted(int(row) for rows, _ in parts for row in rows) == [0, 1, 2, 3, 4]
    mine = causal.forward(causal.module, batch)
    monkeypatch.setattr("clbench.models.taught.like_lengths", lambda mask, **_: [(torch.arange(5), mask.shape[1])])
    whole = causal.forward(causal.module, batch)
    assert torch.equal(mine.labels_N, whole.labels_N)
    torch.testing.assert_close(mine.logits_NV, whole.logits_NV, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(mine.loss, whole.loss, atol=1e-5, rtol=1e-5)


def test_scores_at_taught_places_equal_those_of_a_plain_forward_pass(causal):
    batch = causal.batch([Example(id="e", prompt=(Message(role="user", content="one two"),), targets=("three",))])
    plain = causal.module(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False).logits[:, :-1]
    taught = batch.labels[:, 1:] != -100
    torch.testing.assert_close(causal.forward(causal.module, batch).logits_NV, plain[taught], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([5, 5, 5], [[0, 1, 2]]),
        ([100, 5, 100, 6], [[1, 3], [0, 2]]),
        ([10, 400, 10, 90, 10], [[0, 2, 4], [3], [1]]),
        ([1], [[0]]),
        ([30, 40], [[0, 1]]),
    ],
)
def test_a_batch_is_cut_where_padding_would_cost_more(lengths, expected):
    mask = torch.tensor([[1] * n + [0] * (max(lengths) - n) for n in lengths])
    parts = like_lengths(mask)
    assert [rows.tolist() for rows, _ in parts] == expected
    assert [longest for _, longest in parts] == [max(lengths[i] for i in rows) for rows in expected]


def test_an_encoder_gives_mixed_lengths_in_order(monkeypatch):
    encoder = net_of("tiny-bert")
    encoder.grow(["no", "yes"])
    examples = [
        Example(
            id=str(i),
            prompt=(Message(role="user", content=t),),
            targets=("no" if i % 2 else "yes",),
            choices=("no", "yes"),
        )
        for i, t in enumerate(["a", "b c d " * 60, "e", "f " * 80, "g"])
    ]
    batch = encoder.batch(examples)
    assert len(like_lengths(batch.mask_BT)) > 1
    mine = encoder.forward(encoder.module, batch).logits_NV
    monkeypatch.setattr("clbench.models.encoder.like_lengths", lambda mask, **_: [(torch.arange(5), mask.shape[1])])
    torch.testing.assert_close(mine, encoder.forward(encoder.module, batch).logits_NV, atol=1e-4, rtol=1e-4)
