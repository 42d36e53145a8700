"""Which tokens end an answer, by the checkpoint's own files and its template; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Settings of generation_config.json that do not change answers; all others are ignored, and reported.
QUIET = frozenset(
    "_from_model_config bos_token_id cache_implementation decoder_start_token_id do_sample eos_token_id max_length "
    "max_new_tokens output_attentions output_hidden_states output_scores pad_token_id return_dict_in_generate "
    "temperature top_k top_p transformers_version use_cache".split()
)
TOKENS = frozenset(
    "bad_words_ids begin_suppress_tokens forced_bos_token_id forced_eos_token_id suppress_tokens".split()
)
NEUTRAL = {
    "diversity_penalty": 0.0,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "length_penalty": 1.0,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "repetition_penalty": 1.0,
    "typical_p": 1.0,
}


def stated_ends(*configurations: Mapping[str, Any]) -> tuple[int, ...]:
    """Return every id that a `config.json` or `generation_config.json` names as an end, rising, each once.

    Example:
        >>> stated_ends({"eos_token_id": [5, 2]}, {"text_config": {"eos_token_id": 7}})
        (2, 5, 7)
    """
    found: set[int] = set()
    for configuration in configurations:
        for part in (configuration, configuration.get("text_config")):
            ids = part.get("eos_token_id") if isinstance(part, Mapping) else None
            listed: Iterable[Any] = ids if isinstance(ids, (list, tuple)) else [ids]  # pyright: ignore[reportUnknownVariableType]  # as JSON gives it
            found |= {i for i in listed if isinstance(i, int) and not isinstance(i, bool) and i >= 0}
    return tuple(sorted(found))


def end_mark(ending: str, tokens: Iterable[str]) -> str | None:
    """Return the token that a template puts after an answer; None if it does not put a token there.

    Args:
        ending: The text after an answer (`Habits.ending`).
        tokens: The tokenizer's special and added tokens.

    Example:
        >>> end_mark("<|im_end|>", ["<|im_end|>"]), end_mark(" </s>", ["</s>"]), end_mark(" </s>", ["<s>"])
        ('<|im_end|>', '</s>', None)
    """
    text = ending.lstrip()
    return max((t for t in tokens if t.strip() and text.startswith(t.strip())), key=len, default=None)


def left_aside(generation: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the decoding settings of a checkpoint that would change answers, and that are ignored.

    Args:
        generation: Its generation_config.json; {} without one.
        config: Its config.json, used without a generation_config.json: older checkpoints state them there.

    Example:
        >>> left_aside({"repetition_penalty": 1.8, "num_beams": 1, "eos_token_id": 2, "suppress_tokens": None}, {})
        ('repetition_penalty',)
        >>> left_aside({}, {"num_beams": 4, "hidden_size": 64})
        ('num_beams',)
    """
    if not generation:
        generation = {name: value for name, value in config.items() if name in NEUTRAL or name in TOKENS}
    empty = (None, False, [], "", {})
    return tuple(
        sorted(
            name
            for name, value in generation.items()
            if name not in QUIET and value not in empty and not (name in NEUTRAL and value == NEUTRAL[name])
        )
    )
