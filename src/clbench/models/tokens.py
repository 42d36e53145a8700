"""How long rows are for a model, and what of their text it reads: by its tokenizer and template, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from clbench.core.spec import ModelSpec
from clbench.core.types import Message, Prompt
from clbench.models import source
from clbench.models.pretrained import load_tokenizer
from clbench.models.reader import LEAST, Reader, named_alike

WORTH_SAYING = 0.01  # share of unknown tokens from which they are reported
Turns = tuple[tuple[str, str], ...]


class Tokens:
    """Lengths of rows, and what is cut of them, exactly as in training.

    Attributes:
        unit: The unit of lengths, "tokens of NAME".
        most: Longest row that is not cut, in tokens.
        exact: True: the lengths are not estimates.
    """

    exact = True

    def __init__(self, tokenizer: Any, family: Literal["causal", "encoder"], spec: ModelSpec) -> None:
        self.tokenizer = tokenizer
        self.reader = Reader(tokenizer, spec)
        self.family = family
        self.unit = f"tokens of {spec.name}"
        self.most = spec.longest
        # Tokenizers like GPT-2's use the end token as the unknown one: they know every byte.
        none = (None, tokenizer.bos_token_id, tokenizer.eos_token_id)
        self._unk = -1 if tokenizer.unk_token_id in none else int(tokenizer.unk_token_id)
        self._unknown = self._all = 0

    def lengths(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, int]]:
        """Return (prompt, answer) lengths of rows before any cut; a causal model's answer has its end token."""
        if not prompts:
            return []
        causal = self.family == "causal"
        asked = self._asked(prompts)
        answered = self._ids(answers, special=False)
        self._unknown += sum(ids.count(self._unk) for ids in [*asked, *(answered if causal else [])])
        self._all += sum(map(len, asked)) + (sum(map(len, answered)) if causal else 0)
        forged = [i for i, answer in enumerate(answers) if self.reader.special_in(answer) is not None]
        for i in forged:
            answered[i] = self.reader.text_ids(answers[i])
        return [(len(a), len(s) + causal) for a, s in zip(asked, answered, strict=True)]

    def fits(self, prompt: int, answer: int) -> bool:
        """Return whether a row fits without a cut; an encoder does not read the answer."""
        return prompt + (answer if self.family == "causal" else 0) <= self.most

    def cut(self, prompt: Turns, answer: str) -> tuple[str, str]:
        """Return the lost part of the prompt and the lost end of the answer."""
        causal = self.family == "causal"
        (asked,) = self._asked([prompt])
        said = self.reader.text_ids(answer)
        kept = min(len(said) + 1, self.reader.room(_prompt(prompt), len(said) + 1)) if causal else 0
        limit = max(self.most - kept, LEAST) if causal else self.most
        end = self.tokenizer.decode(said[kept:] if causal else [])
        if causal:
            read = self.reader.fit(_prompt(prompt), limit)
            if read.dropped:
                return f"{read.dropped} earlier exchanges of it ({read.lost} tokens)", end
        head = limit // 2
        gone = asked[head : len(asked) - (limit - head)] if len(asked) > limit else []
        return self.tokenizer.decode(gone), end

    def remarks(self, prompts: Sequence[Turns], answers: Sequence[str]) -> list[tuple[int, str, str]]:
        """Return (row, "special", what) of each text that writes out a special token, read letter by letter."""
        found: list[tuple[int, str, str]] = []
        for i, (turns, answer) in enumerate(zip(prompts, answers, strict=True)):
            texts = [("the prompt", content) for _, content in turns]
            if self.family == "causal":
                texts.append(("the answer", answer))
            for place, text in texts:
                if (token := self.reader.special_in(text)) is not None:
                    found.append((i, "special", f"in {place}: {token!r} is a special token of the model"))
        return found

    def closing(self, labels: Sequence[str]) -> list[tuple[str, str]]:
        """Return the labels that are the same tokens ("alike"), and the share of tokens that are unknown ("unknown").

        An encoder reads no label, so it has no alike ones.
        """
        groups = self.reader.same(labels) if self.family == "causal" else []
        found = [("alike", named_alike(group)) for group in groups]
        if self._all and self._unknown / self._all >= WORTH_SAYING:
            share = f"{100 * self._unknown / self._all:.1f} %"
            found.append(("unknown", f"{self._unknown:,} of {self._all:,} tokens ({share}) stand for unknown words"))
        return found

    def _asked(self, prompts: Sequence[Turns]) -> list[list[int]]:
        """Return the tokens of uncut prompts; those that write special tokens out are encoded one by one."""
        causal = self.family == "causal"
        turns = [_prompt(p) for p in prompts]
        forged = {i for i, prompt in enumerate(turns) if self.reader.forges(prompt)}
        plain = [i for i in range(len(turns)) if i not in forged]
        texts = [self.reader.render(turns[i]) if causal else _joined(turns[i]) for i in plain]
        found = dict(zip(plain, self._ids(texts, special=not causal) if texts else [], strict=True))
        for i in forged:
            found[i] = self.reader.ids(turns[i]) if causal else self.reader.framed_ids(_joined(turns[i]))
        return [found[i] for i in range(len(turns))]

    def _ids(self, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        return self.tokenizer(list(texts), add_special_tokens=special, verbose=False)["input_ids"]


def _prompt(turns: Turns) -> Prompt:
    return tuple(Message.model_construct(role=role, content=content) for role, content in turns)  # pyright: ignore[reportArgumentType]  # roles are checked where rows are read


def _joined(prompt: Prompt) -> str:
    return "\n".join(m.content for m in prompt)


def load_tokens(spec: ModelSpec) -> Tokens:
    """Return a model's tokenizer as `Tokens`, without loading anything else of it.

    Raises:
        ModelError: The model does not exist, is not a checkpoint, does not load, or is of an unsupported kind.
    """
    source.check_architecture(spec)
    folder, spec = source.locate(spec), source.settled(spec)
    family = source.family_of(spec, list(source.configuration(spec).get("architectures") or []))
    return Tokens(load_tokenizer(spec, folder), family, spec)
