"""From a conversation to the tokens that a model reads, and from an answer to the tokens that it is taught.

Data are text: what looks like a special token in them (`<|end|>`, `[SEP]`) is read letter by letter, so that it forges
no turn. Everything else is encoded as the tokenizer does by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.spec import ModelSpec
from clbench.core.types import Message, Prompt
from clbench.models import template_file
from clbench.models.ends import end_mark, stated_ends
from clbench.models.source import processors_template, stated
from clbench.models.template import MARKS, Template, chosen

STAND_IN = 0xF0000  # private characters from here on stand for special tokens in data while a template is rendered
LEAST = 8  # tokens that a prompt keeps, however long its answer is


class Read(NamedTuple):
    """A prompt as it is read: its tokens, how many were left out, and how many earlier exchanges were dropped."""

    ids: list[int]
    lost: int = 0
    dropped: int = 0


class Reader:
    """Reads prompts and answers for one model.

    Attributes:
        tokenizer: The model's tokenizer.
        source: The text of its chat template; None without one.
        templates: That, or all that it has by name; None without one.
        template: Its chat template; None without one: then turns are plain paragraphs.
    """

    def __init__(self, tokenizer: Any, spec: ModelSpec) -> None:
        self.tokenizer = tokenizer
        self.spec = spec
        self._checked: set[tuple[str, ...]] = set()
        own = template_file.text_of(spec)
        self.templates: Any = own or tokenizer.chat_template or processors_template(spec)
        self.source = own or chosen(tokenizer.chat_template, spec.name) or processors_template(spec)
        names = dict(tokenizer.special_tokens_map) | template_file.arguments_of(spec)
        self.template = None if self.source is None else Template(self.source, names, spec.name, notice)

    # --- ends -----------------------------------------------------------------------------------------------

    @cached_property
    def plain_ends(self) -> tuple[int, ...]:
        """The ids that end a text: the tokenizer's own, and all that the checkpoint's configurations name."""
        files = [stated(self.spec, name) for name in ("config.json", "generation_config.json")]
        own = self.tokenizer.eos_token_id
        return tuple(dict.fromkeys([*([] if own is None else [own]), *stated_ends(*files)]))

    @cached_property
    def end(self) -> int:
        """The id that is taught as the end of an answer, and ranked with it: the template's, else the tokenizer's.

        Raises:
            ModelError: Neither is known.
        """
        mark = None
        if self.template is not None:
            mark = end_mark(self.template.habits.ending, self._added)
        if mark is not None:
            return self._added[mark]
        if self.plain_ends:
            return self.plain_ends[0]
        raise ModelError("the tokenizer has no end token", where=self.spec.name, mend="set eos_token in its config")

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The ids that end an answer in a conversation; the one that is taught comes first."""
        return tuple(dict.fromkeys([self.end, *self.plain_ends]))

    @cached_property
    def _added(self) -> dict[str, int]:
        """Text -> id of special and added tokens."""
        found = {str(token): i for i, token in self.tokenizer.added_tokens_decoder.items()}
        named = {t: self.tokenizer.convert_tokens_to_ids(t) for t in self.tokenizer.all_special_tokens}
        return {**named, **found}

    # --- text that looks like a special token -----------------------------------------------------------------

    @cached_property
    def _special(self) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
        """Texts of the tokens that data must not forge, and the pattern that finds them."""
        decoder = self.tokenizer.added_tokens_decoder.values()
        special = {str(t) for t in decoder if t.special} | set(self.tokenizer.all_special_tokens)
        if self.template is not None:
            head = self.render((Message(role="user", content=MARKS[1]),)).partition(MARKS[1])[0]
            frame = head + self.template.habits.ending
            special |= {t for t in self._added if t.strip() and t in frame}
        texts = tuple(sorted((t for t in special if t.strip()), key=lambda t: (-len(t), t)))
        return texts, re.compile("|".join(map(re.escape, texts))) if texts else None

    def special_in(self, text: str) -> str | None:
        """Return the first special token that a text of data writes out; None without one."""
        pattern = self._special[1]
        found = None if pattern is None else pattern.search(text)
        return None if found is None else found.group()

    def text_ids(self, text: str) -> list[int]:
        """Return the tokens of a text of data, without special ones."""
        if self.special_in(text) is None:
            return self._encode(text)
        return self._pieces(self._stood_in(text))

    def _stood_in(self, text: str) -> str:
        """Return a text in which private characters stand for special tokens."""
        texts, pattern = self._special
        assert pattern is not None, "asked where one was found"
        return pattern.sub(lambda found: chr(STAND_IN + texts.index(found.group())), text)

    def _pieces(self, text: str) -> list[int]:
        """Return the tokens of a text with stand-ins: these as text, the rest as the tokenizer does."""
        texts, _ = self._special
        found: list[int] = []
        for piece in re.split(f"([{chr(STAND_IN)}-{chr(STAND_IN + len(texts) - 1)}])", text):
            if not piece:
                continue
            place = ord(piece[0]) - STAND_IN
            stands = len(piece) == 1 and 0 <= place < len(texts)
            if stands:
                found += self._letters(texts[place])
            else:
                found += self._following(piece) if found else self._encode(piece)
        return found

    def _letters(self, token: str) -> list[int]:
        """Return a special token's text as tokens of text."""
        ids = self._following(token, split_special_tokens=True)
        forbidden = set(self._added.values()) - {self.tokenizer.unk_token_id}
        if not forbidden & set(ids) or len(token) < 2:
            return ids
        return [*self._following(token[:1]), *self._following(token[1:])]

    def _following(self, text: str, **how: Any) -> list[int]:
        """Return the tokens of a text that follows another: without the blank that some tokenizers put in front."""
        anchor, both = self._encode("\n", **how), self._encode("\n" + text, **how)
        return both[len(anchor) :] if both[: len(anchor)] == anchor else self._encode(text, **how)

    def _encode(self, text: str, **how: Any) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, verbose=False, **how))

    # --- prompts and answers ----------------------------------------------------------------------------------

    def render(self, prompt: Prompt) -> str:
        """Return a prompt as the model reads it: by its chat template, or as plain paragraphs without one."""
        return self._written([(m.role, m.content) for m in prompt])

    def _written(self, turns: Sequence[tuple[str, str]]) -> str:
        if self.template is not None:
            return self.template.write(turns)
        return (self.tokenizer.bos_token or "") + "\n\n".join(content for _, content in turns) + "\n"

    def forges(self, prompt: Prompt) -> bool:
        """Return whether a message of a prompt writes a special token out."""
        return any(self.special_in(m.content) is not None for m in prompt)

    def ids(self, prompt: Prompt) -> list[int]:
        """Return the tokens of a whole prompt."""
        if not self.forges(prompt):
            return self._encode(self.render(prompt))
        return self._pieces(self._written([(m.role, self._stood_in(m.content)) for m in prompt]))

    def answer_ids(self, text: str) -> list[int]:
        """Return the tokens of an answer and its end, encoded apart from its prompt, in lessons and exams alike."""
        return [*self.text_ids(text), self.end]

    def same(self, labels: Sequence[str]) -> list[tuple[str, ...]]:
        """Return groups of labels that are the same tokens: a model cannot tell the labels of a group apart."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for label in dict.fromkeys(labels):
            groups.setdefault(tuple(self.text_ids(label)), []).append(label)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def check_labels(self, labels: tuple[str, ...], where: str) -> None:
        """Refuse a closed set in which labels are the same tokens; each set is checked once.

        Raises:
            ModelError: Names the labels.
        """
        if labels in self._checked:
            return
        if groups := self.same(labels):
            raise ModelError(
                named_alike(groups[0]),
                where=where,
                mend="write them with words that its tokenizer knows, or use another model",
            )
        self._checked.add(labels)

    def framed_ids(self, text: str) -> list[int]:
        """Return a text as an encoder reads it: between the tokenizer's own special tokens."""
        if self.special_in(text) is None:
            return list(self.tokenizer(text, add_special_tokens=True, verbose=False)["input_ids"])
        own = self._encode("a")
        framed = list(self.tokenizer("a", add_special_tokens=True)["input_ids"])
        start = next((i for i in range(len(framed)) if framed[i : i + len(own)] == own), 0)
        return [*framed[:start], *self.text_ids(text), *framed[start + len(own) :]]

    def room(self, prompt: Prompt, answer: int) -> int:
        """Return the most tokens that an answer keeps when it is taught: half of the input, or what its prompt leaves.

        Args:
            prompt: The prompt.
            answer: Tokens of the answer.
        """
        half = self.spec.longest // 2
        return half if answer <= half else max(half, self.spec.longest - len(self.ids(prompt)))

    def fit(self, prompt: Prompt, limit: int) -> Read:
        """Return a prompt in at most `limit` tokens.

        Earlier exchanges (few-shot examples before the question) are dropped first, the oldest before the others. Then
        the middle of the rest is left out, since instructions stand at both ends.
        """
        ids = self.ids(prompt)
        if len(ids) <= limit:
            return Read(ids)
        num, dropped = len(ids), 0
        while len(ids) > limit and (shorter := without_oldest(prompt)) is not None:
            prompt, dropped = shorter, dropped + 1
            ids = self.ids(prompt)
        kept = cut_middle(ids, limit)
        return Read(kept, num - len(kept), dropped)


def named_alike(labels: Sequence[str]) -> str:
    """Return a sentence that names labels that are the same tokens.

    Example:
        >>> named_alike(["zebra", "giraffe"])
        "the labels 'zebra', 'giraffe' are the same tokens to the model"
    """
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return f"the labels {', '.join(map(repr, labels[:5]))}{more} are the same tokens to the model"


def cut_middle(ids: list[int], limit: int) -> list[int]:
    """Return the first and the last part of a sequence that is too long: instructions stand at both ends."""
    if len(ids) <= limit:
        return ids
    head = limit // 2
    return ids[:head] + ids[len(ids) - (limit - head) :]


def without_oldest(prompt: Prompt) -> Prompt | None:
    """Return a prompt without its first exchange; None if it has no exchange before its last turn.

    Example:
        >>> turns = [("system", "s"), ("user", "1"), ("assistant", "2"), ("user", "3")]
        >>> [m.content for m in without_oldest(tuple(Message(role=r, content=c) for r, c in turns))]
        ['s', '3']
    """
    lead = next((i for i, m in enumerate(prompt) if m.role != "system"), len(prompt))
    answer = next((i for i in range(lead, len(prompt) - 1) if prompt[i].role == "assistant"), None)
    return None if answer is None else (*prompt[:lead], *prompt[answer + 1 :])
