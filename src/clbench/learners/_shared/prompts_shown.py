"""What in-context learners share: which taught examples are kept, how they are shown, and how many fit.

As documents, what was taught is written as sentences: the document of an example (generated worlds have them), or else
its question and its answer as lines of text. As turns, examples are earlier exchanges of the conversation.

No torch here: a net is whatever answers and can say how long a prompt is.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from clbench.core.counts import read_counts, write_counts
from clbench.core.documents import text_of
from clbench.core.errors import ModelError
from clbench.core.keys import canonical, digest
from clbench.core.protocols import Responder
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Answer, Budget, Decode, Example, Message, Prompt
from clbench.core.value import Renamed, Value
from clbench.training.kept import kept_counts

Show = Literal["documents", "turns"]


class Reader(Responder, Protocol):
    """A net as in-context learners see it; every causal net is one, and every model behind an API."""

    spec: ModelSpec
    tokenizer: Any

    def render(self, prompt: Prompt) -> str:
        """Write a prompt as the model reads it."""
        ...

    def answer_ids(self, text: str) -> list[int]:
        """Encode an answer with its end token."""
        ...


class Taught(Renamed):
    """An example and the lesson that taught it."""

    lesson: int
    example: Example
    stored_as: ClassVar[Mapping[str, str]] = {"lesson": "step"}


def load_reader(name: str, model: ModelSpec, machine: Machine) -> Reader:
    """Load a causal model, or open one behind an API.

    Raises:
        ModelError: The model is an encoder, which reads no conversation; `name` is the learner's.
    """
    if model.provider is not None:
        from clbench.models.api.answers import open_api

        return open_api(model, machine)
    from clbench.models.causal import Causal
    from clbench.models.load import load_net

    net = load_net(model, machine)
    if isinstance(net, Causal):
        return net
    raise ModelError(
        f"{name!r} shows examples in the prompt, and {model.name!r} is an encoder",
        where="model.name",
        mend="take a causal model for this learner",
    )


# --- how long prompts are and may be ------------------------------------------------------------------------


def num_tokens(net: Reader, prompt: Prompt) -> int:
    """Count the tokens of a whole prompt, nothing cut."""
    return len(net.tokenizer.encode(net.render(prompt), add_special_tokens=False))


def room_for(net: Reader, example: Example, decode: Decode) -> int:
    """Return how many tokens a question's prompt may have, so that it is read whole and the answer still fits."""
    if decode.kind == "label":
        return net.spec.longest - max((len(net.answer_ids(c)) for c in example.choices), default=0)
    return net.spec.longest - decode.max_tokens


def longest(num: int, prompt_of: Callable[[int], Prompt], size: Callable[[Prompt], int], room: int) -> Prompt:
    """Return `prompt_of(n)` for the largest n in 0..num whose size is at most `room`; `prompt_of(0)` if none is.

    Sizes must not fall as n grows.

    Example:
        >>> text = "abcdef"
        >>> as_prompt = lambda n: (Message(role="user", content=text[:n]),)
        >>> longest(6, as_prompt, lambda p: len(p[0].content), 4)[0].content
        'abcd'
    """
    return prompt_of(max(bisect_right(range(num + 1), room, key=lambda n: size(prompt_of(n))) - 1, 0))


# --- showing ------------------------------------------------------------------------------------------------


def as_turns(example: Example) -> Prompt:
    """Write a taught example as turns of a conversation; its instruction goes into its first question."""
    first, *more = example.prompt
    if first.role == "system" and more:
        more[0] = more[0].model_copy(update={"content": f"{first.content}\n\n{more[0].content}"})
        first, *more = more
    return (first, *more, Message(role="assistant", content=example.targets[0]))


def conversation(shown: Iterable[Example], question: Prompt) -> Prompt:
    """Put taught examples before a question, as earlier turns; an instruction of the question stays in front."""
    lead = 1 if question and question[0].role == "system" else 0
    turns = [turn for example in shown for turn in as_turns(example)]
    return (*question[:lead], *turns, *question[lead:])


def headed(page: str, prompt: Prompt) -> Prompt:
    """Put a page at the head of the first question; not every chat template knows an instruction (system message)."""
    first = next((i for i, m in enumerate(prompt) if m.role == "user"), 0)
    message = prompt[first].model_copy(update={"content": f"{page}\n\n{prompt[first].content}"})
    return (*prompt[:first], message, *prompt[first + 1 :])


def with_taught(examples: Sequence[Example], question: Prompt, show: Show) -> Prompt:
    """Put taught examples before a question: as documents at its head, or as earlier turns."""
    if show == "turns":
        return conversation(examples, question)
    return headed(page_of(examples), question) if examples else question


def page_of(examples: Sequence[Example]) -> str:
    """Return a page of documents: a line each, with an empty line around those of several lines."""
    texts = [text_of(e) for e in examples]
    return ("\n\n" if any("\n" in text for text in texts) else "\n").join(texts)


def distinct(taught: Iterable[Taught], show: Show) -> list[Taught]:
    """Return what is worth showing: of examples that state the same document the first; as turns, all of them.

    A world teaches a fact in several wordings, and states it in one sentence.
    """
    if show == "turns":
        return list(taught)
    first: dict[str, Taught] = {}
    for each in taught:
        first.setdefault(text_of(each.example), each)
    return list(first.values())


def answer_with(
    net: Reader, examples: Sequence[Example], decode: Decode, prompt_of: Callable[[Example, int], Prompt]
) -> list[Answer]:
    """Answer questions under longer prompts; `prompt_of(question, room)` is at most `room` tokens long."""
    if decode.kind == "raw":
        return net.respond([_plainly(net, e, prompt_of) for e in examples], decode)
    asked = [e.model_copy(update={"prompt": prompt_of(e, room_for(net, e, decode))}) for e in examples]
    return net.respond(asked, decode)


def _plainly(net: Reader, example: Example, prompt_of: Callable[[Example, int], Prompt]) -> Example:
    """Put what is shown before an example's plain questions, as plain text; texts that are scored whole stay alone."""
    longest_answer = max(
        (r.max_tokens if r.kind == "text" else len(net.answer_ids(r.continuation)) for r in example.requests), default=0
    )
    shown = _as_plain_text(prompt_of(example, net.spec.longest - longest_answer), example.prompt)
    requests = [
        r
        if r.kind == "rolling"
        else r.model_copy(
            update={"context": shown + r.context, "starts": tuple(len(shown) + start for start in r.starts)}
        )
        for r in example.requests
    ]
    return example.model_copy(update={"requests": tuple(requests)})


def _as_plain_text(prompt: Prompt, own: Prompt) -> str:
    """Return what a longer prompt shows before a question's own: earlier turns, or a page at its head."""
    lead = 1 if own and own[0].role == "system" else 0
    turns = prompt[lead : lead + len(prompt) - len(own)]
    if turns:
        return "".join(f"{turn.content}\n{'' if turn.role == 'user' else chr(10)}" for turn in turns)
    return next((m.content.removesuffix(o.content) for m, o in zip(prompt, own, strict=True) if m != o), "")


# --- keeping ------------------------------------------------------------------------------------------------


def in_turn(taught: Sequence[Taught], seed: int) -> list[Taught]:
    """Put examples in an order of which every beginning is even over lessons and, in a lesson, over classes.

    Lessons take turns, and so do the classes of a lesson; free text is one class. Among equals, a hash decides.
    What was left over of such an order has the same order again, so an order can be cut and made longer.
    """
    classes: dict[tuple[int, str], list[Taught]] = defaultdict(list)
    for t in taught:
        classes[t.lesson, t.example.targets[0] if t.example.choices else ""].append(t)
    lessons: dict[int, list[tuple[int, str, Taught]]] = defaultdict(list)
    for (number, _), members in classes.items():
        hashed = sorted((digest([seed, number, t.example.id]), t.example.id, t) for t in members)
        lessons[number] += [(turn, mark, t) for turn, (mark, _, t) in enumerate(hashed)]
    ranked: list[tuple[int, str, Taught]] = []
    for number, members in lessons.items():
        members.sort(key=lambda m: m[:2])
        ranked += [(turn, digest([seed, "lesson", number]), t) for turn, (_, _, t) in enumerate(members)]
    return [t for _, _, t in sorted(ranked, key=lambda m: m[:2])]


def fitting(
    ordered: Sequence[Taught], budget: Budget, most: int | None, size: Callable[[Example], int], tokens: int | None
) -> list[Taught]:
    """Walk an order and keep each example that still fits.

    Args:
        ordered: Examples, the most wanted first.
        budget: Most examples, and most bytes of them as canonical JSON.
        most: Most examples beside the budget.
        size: Example -> its tokens.
        tokens: Most tokens together.
    """
    limits = [n for n in (budget.examples, most) if n is not None]
    kept: list[Taught] = []
    used_bytes, used_tokens = 1, 0  # brackets, and a comma less than there are examples
    for t in ordered:
        if limits and len(kept) >= min(limits):
            break
        more_bytes = len(canonical(t.example).encode()) + 1 if budget.bytes is not None else 0
        more_tokens = size(t.example) if tokens is not None else 0
        if budget.bytes is not None and used_bytes + more_bytes > budget.bytes:
            continue
        if tokens is not None and used_tokens + more_tokens > tokens:
            continue
        kept.append(t)
        used_bytes, used_tokens = used_bytes + more_bytes, used_tokens + more_tokens
    return kept


# --- sleeping and waking ------------------------------------------------------------------------------------


def save_shown(folder: Path, number: int, name: str, values: Sequence[Value]) -> None:
    """Write `answers/NAME.json` if there is anything to show, and `counts.json` once something was taught."""
    folder.mkdir(parents=True, exist_ok=True)
    text = canonical(values)
    if values:
        (folder / "answers").mkdir(exist_ok=True)
        (folder / "answers" / f"{name}.json").write_text(text, encoding="utf-8")
    if number:
        stored = [value.example for value in values if isinstance(value, Taught)]
        write_counts(folder, {"lessons": number, **kept_counts(stored, len(text.encode()) if values else 0, 0)})


def load_shown(folder: Path, name: str) -> tuple[int, list[Any]]:
    """Read what `save_shown` wrote: the number of lessons, and the values as JSON."""
    values = folder / "answers" / f"{name}.json"
    return read_counts(folder).get("lessons", 0), json.loads(
        values.read_text(encoding="utf-8")
    ) if values.is_file() else []
