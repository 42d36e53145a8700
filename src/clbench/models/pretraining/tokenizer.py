"""The tokenizer of the tiny models: byte-level BPE made from generated text only, saved as a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

CHAT_TOKENS = ("<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
ENCODER_TOKENS = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHAT_TEMPLATE = (
    "<|begin|>{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make(lines: Iterable[str], vocab: int) -> Any:
    """Return a trained byte-level BPE.

    Digits stand alone, so that arithmetic is done on digits. Chinese characters stand alone too: a frequent pair that
    became one token would be missing in nonsense names.

    Args:
        lines: The text it is made from.
        vocab: Size of the vocabulary, special tokens included.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex("[\u4e00-\u9fff]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[*CHAT_TOKENS, *ENCODER_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def save(tokenizer: Any, out: Path, family: Literal["causal", "encoder"], longest: int) -> None:
    """Write the folder's tokenizer files for a family.

    Args:
        tokenizer: What `make` returned.
        out: The checkpoint folder.
        family: Causal models get the chat template, encoders "[CLS] text [SEP]".
        longest: Most positions of the model.
    """
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    own = Tokenizer.from_str(tokenizer.to_str())
    names: dict[str, Any] = {"pad_token": "<|pad|>", "unk_token": "[UNK]", "model_max_length": longest}
    if family == "encoder":
        ends = [(t, own.token_to_id(t)) for t in ("[CLS]", "[SEP]")]
        own.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
        )
        names |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    else:
        names |= {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": CHAT_TEMPLATE}
        names["additional_special_tokens"] = ["<|system|>", "<|user|>", "<|assistant|>"]
    fast = PreTrainedTokenizerFast(tokenizer_object=own, clean_up_tokenization_spaces=False, **names)
    fast.save_pretrained(str(out))
