"""Reasoning that a model writes before its answer: where it ends, and the answer without it. No torch is imported.

Some models think aloud first and close with a mark (`</think>`). What stands before the last mark is no part of the
answer: it is taken off before grading, kept beside the answer, and its tokens are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clbench.core.spec import ModelSpec
from clbench.core.types import Answer, AnswerRule, Decode, Example, Reply

# End of reasoning -> its beginning, as the chat templates of published checkpoints have them.
MARKS = {
    "</think>": "<think>",
    "</seed:think>": "<seed:think>",
    "[/THINK]": "[THINK]",
    "◁/think▷": "◁think▷",
    "<|END_THINKING|>": "<|START_THINKING|>",
    "<|channel|>final<|message|>": "<|channel|>analysis<|message|>",
}
NONE = AnswerRule(after="")
Ask = Callable[[Sequence[Example], Decode], list[Answer]]


def mark_in(template: Any) -> str:
    """Return the mark that ends the reasoning which a chat template knows of; "" where it knows of none.

    Args:
        template: The template, several by name, or None.

    Example:
        >>> mark_in("{% if '</think>' in m.content %}..."), mark_in({"default": "{{ m }}"}), mark_in(None)
        ('</think>', '', '')
    """
    text = template if isinstance(template, str) else json.dumps(template, ensure_ascii=False)
    return next((end for end, begin in MARKS.items() if end in text or begin in text), "")


def mark_of(spec: ModelSpec, folder: Path | None) -> str:
    """Return the mark by which answers of a checkpoint are read: the spec's, else the one in its template's files."""
    if spec.answer is not None or folder is None:
        return spec.answer.after if spec.answer else ""
    files = [folder / "tokenizer_config.json", *sorted(folder.glob("chat_template*"))]
    files += sorted(folder.glob("additional_chat_templates/*.jinja"))
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    found = [
        mark_in(_template(text) if file.suffix == ".json" else text) for file, text in zip(files, texts, strict=False)
    ]
    return next(filter(None, found), "")


def _template(text: str) -> Any:
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError):
        return None  # whoever loads the tokenizer says so
    return stated.get("chat_template") if isinstance(stated, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON has no types


def opening(mark: str) -> str:
    """Return the mark that begins what another one ends; "" where there is none.

    Example:
        >>> opening("</think>"), opening("[/REASON]"), opening("ANSWER:")
        ('<think>', '[REASON]', '')
    """
    return MARKS.get(mark) or (mark.replace("/", "", 1) if "/" in mark[:3] else "")


def parted(text: str, mark: str, *, opened: bool, cut: bool) -> tuple[str, str]:
    r"""Return (reasoning, answer) of what was written.

    Args:
        text: All of it.
        mark: What ends reasoning.
        opened: The prompt ends with the mark that begins reasoning, as some templates do.
        cut: It was cut off at its longest.

    Reasoning that was begun and never ended leaves no answer. A text that ends by itself after a prompt that began
    reasoning, and has no mark at all, is an answer without reasoning: models learn to answer so.

    Example:
        >>> parted("<think>2+2</think>\\n\\n4", "</think>", opened=False, cut=False)
        ('<think>2+2', '\\n\\n4')
        >>> parted("2+2 is", "</think>", opened=True, cut=True), parted("4", "</think>", opened=True, cut=False)
        (('2+2 is', ''), ('', '4'))
    """
    before, found, after = text.rpartition(mark)
    if found:
        return before, after
    begun = bool(opening(mark)) and text.lstrip().startswith(opening(mark))
    return (text, "") if begun or (opened and cut) else ("", text)


def decoded(tokenizer: Any, ids: Sequence[int], mark: str) -> str:
    """Return the text of tokens without special ones, but with the last mark that ends reasoning."""
    whole = str(tokenizer.decode(ids, skip_special_tokens=True))
    if not mark or mark in whole:
        return whole
    own = tokenizer.encode(mark, add_special_tokens=False)
    if not set(own) & set(tokenizer.all_special_ids):
        return whole
    for start in range(len(ids) - len(own), -1, -1):
        if list(ids[start : start + len(own)]) == own:
            before, after = (
                tokenizer.decode(part, skip_special_tokens=True) for part in (ids[:start], ids[start + len(own) :])
            )
            return f"{before}{mark}{after}"
    begins = opening(mark)
    first = tokenizer.encode(begins, add_special_tokens=False) if begins else []
    return begins + whole if first and list(ids[: len(first)]) == first else whole


class Reasons(NamedTuple):
    """How a model reasons.

    Attributes:
        mark: What ends its reasoning.
        opened: Whether an example's prompt ends with the mark that begins it.
        num_tokens: Counts the tokens of a text.
    """

    mark: str
    opened: Callable[[Example], bool]
    num_tokens: Callable[[str], int]


def without_reasoning(ask: Ask, examples: Sequence[Example], decode: Decode, how: Reasons) -> list[Answer]:
    """Return answers without the reasoning before them, which stands beside them.

    What ends an answer (`stop`) does not end reasoning: where it did, the question is asked again without.

    Args:
        ask: Asks the model as if it did not reason.
        examples: What is asked.
        decode: How it is asked.
        how: How the model reasons.
    """
    plain = decode.model_copy(update={"answer": NONE})
    answers = list(ask(examples, plain))
    begun = {i: decode.kind == "text" and how.opened(examples[i]) for i in range(len(examples))}
    again = [i for i, a in enumerate(answers) if _ended_early(a, examples[i], decode, how.mark, begun[i])]
    if again:
        unended = [_endless(examples[i]) for i in again]
        for i, answer in zip(again, ask(unended, plain.model_copy(update={"stop": ()})), strict=True):
            answers[i] = answer
    found: list[Answer] = []
    for i, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        if answer.replies:
            found.append(_plain_parted(answer, example, how))
        else:
            found.append(_text_parted(answer, decode, how, begun[i]))
    return found


def _ended_early(answer: Answer, example: Example, decode: Decode, mark: str, begun: bool) -> bool:
    """Say whether a stop may have ended reasoning, or stood before the answer's first word."""
    stops = [bool(r.stop) for r in example.requests] if answer.replies else [bool(decode.stop)]
    texts = [r.text for r in answer.replies] if answer.replies else [answer.text]
    for text, stopped in zip(texts, stops, strict=True):
        reasoning, said = parted(text, mark, opened=begun, cut=True)
        if stopped and reasoning and not said.strip():
            return True
    return begun and bool(decode.stop) and mark not in answer.text


def _endless(example: Example) -> Example:
    requests = tuple(r.model_copy(update={"stop": ()}) for r in example.requests)
    return example.model_copy(update={"requests": requests})


def _before(text: str, stop: Sequence[str]) -> str:
    return text[: min((text.index(s) for s in stop if s and s in text), default=len(text))]


def _text_parted(answer: Answer, decode: Decode, how: Reasons, begun: bool) -> Answer:
    mark = how.mark
    reasoning, said = parted(answer.text, mark, opened=begun, cut=answer.finish == "length")
    said = said.strip()
    ended = _before(said, decode.stop)
    update: dict[str, Any] = {"text": ended.strip(), "reasoning": reasoning.strip().removeprefix(opening(mark)).strip()}
    if reasoning:
        update["tokens_reasoning"] = how.num_tokens(reasoning + (mark if mark in answer.text else ""))
    if len(ended) < len(said):
        update["finish"] = "stop"
    return answer.model_copy(update=update)


def _plain_parted(answer: Answer, example: Example, how: Reasons) -> Answer:
    mark = how.mark
    replies: list[Reply] = []
    for reply, request in zip(answer.replies, example.requests, strict=True):
        reasoning, said = parted(reply.text, mark, opened=False, cut=False)
        if reasoning or mark in reply.text:
            said = _before(said.lstrip(), request.stop)
        replies.append(reply if said == reply.text else reply.model_copy(update={"text": said, "reasoning": reasoning}))
    thought = [r.reasoning for r in replies if r.reasoning]
    return answer.model_copy(
        update={
            "text": next((r.text for r in replies if r.text), ""),
            "replies": tuple(replies),
            "reasoning": "\n\n".join(thought),
            "tokens_reasoning": sum(map(how.num_tokens, thought)),
        }
    )
