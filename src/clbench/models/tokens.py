"""How long rows are for a model: its tokenizer and chat template, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from clbench.core.spec import ModelSpec
from clbench.core.types import Message, Prompt
from clbench.models import source
from clbench.models.net import cut_middle, pretrained

Turns = tuple[tuple[str, str], ...]


def as_read(tokenizer: Any, prompt: Prompt) -> str:
    """Write a prompt as a causal model reads it: its chat template, or plain paragraphs where it has none."""
    if tokenizer.chat_template:
        turns = [{"role": m.role, "content": m.content} for m in prompt]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    return (tokenizer.bos_token or "") + "\n\n".join(m.content for m in prompt) + "\n"


class Tokens:
    """Counts and cuts rows exactly as training does.

    Attributes:
        unit: "tokens of NAME".
        most: Longest row that is not cut, in tokens.
        exact: True: nothing is guessed.
    """

    exact = True

    def __init__(self, tokenizer: Any, family: Literal["causal", "encoder"], name: str, most: int) -> None:
        self.tokenizer = tokenizer
        self.family = family
        self.unit = f"tokens of {name}"
        self.most = most

    def lengths(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, int]]:
        """Give (prompt, answer) lengths of rows before any cut; a causal model's answer has its end token."""
        if not prompts:
            return []
        causal = self.family == "causal"
        asked = self._ids([self._text(turns) for turns in prompts], special=not causal)
        said = self._ids(answers, special=False)
        return [(len(a), len(s) + causal) for a, s in zip(asked, said, strict=True)]

    def fits(self, prompt: int, answer: int) -> bool:
        """Whether a row is left whole; an encoder does not read the answer."""
        return prompt + (answer if self.family == "causal" else 0) <= self.most

    def cut(self, prompt: Turns, answer: str) -> tuple[str, str]:
        """Give the lost middle of the prompt and the lost end of the answer."""
        causal = self.family == "causal"
        (asked,) = self._ids([self._text(prompt)], special=not causal)
        (said,) = self._ids([answer], special=False)
        kept = min(len(said) + 1, self.most // 2) if causal else 0
        limit = max(self.most - kept, 8) if causal else self.most
        head = limit // 2
        gone = asked[head : len(asked) - (limit - head)] if len(cut_middle(asked, limit)) < len(asked) else []
        end = said[kept:] if causal else []
        return self.tokenizer.decode(gone), self.tokenizer.decode(end)

    def _text(self, turns: Turns) -> str:
        prompt = tuple(Message.model_construct(role=role, content=content) for role, content in turns)  # pyright: ignore[reportArgumentType]  # roles are checked where rows are read
        if self.family == "causal":
            return as_read(self.tokenizer, prompt)
        return "\n".join(m.content for m in prompt)

    def _ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]


def load_tokens(spec: ModelSpec) -> Tokens:
    """Load a model's tokenizer, and nothing else of it.

    Raises:
        ModelError: No such model, no checkpoint, or one that does not load.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = source.locate(spec)
    architectures = source.configuration(spec).get("architectures") or []
    if folder is None and spec.family == "auto":
        architectures = list(pretrained(AutoConfig, spec, folder).architectures or [])
    family = source.family_of(spec, architectures)
    return Tokens(pretrained(AutoTokenizer, spec, folder), family, spec.name, spec.max_tokens)
