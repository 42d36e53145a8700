"""Reasoning that a model writes before its answer: where it ends, and the answer without it. No torch is imported.

Some models think aloud first and close with a mark (`</think>`). What stands before the last mark is not part of the
answer: it is taken off before grading, kept beside the answer, and its tokens are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clbench.core.spec import ModelSpec
from clbench.core.types import Answer, AnswerRule, Decode, Example, Reply
from clbench.models import template_file
from clbench.models.stops import before_stop

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
    """Return the mark that ends reasoning in a chat template; "" if the template has no reasoning.

    Args:
        template: The template, or several by name, or None.

    Example:
        >>> mark_in("{% if '</think>' in m.content %}..."), mark_in({"default": "{{ m }}"}), mark_in(None)
        ('</think>', '', '')
    """
    text = template if isinstance(template, str) else json.dumps(template, ensure_ascii=False)
    return next((end for end, begin in MARKS.items() if end in text or begin in text), "")


def mark_of(spec: ModelSpec, folder: Path | None) -> str:
    """Return the mark by which answers of a checkpoint are read: the spec's, else the one in its template's files."""
    if spec.answer is not None:
        return spec.answer.after
    if (own := template_file.text_of(spec)) is not None:
        return mark_in(own)
    if folder is None:
        return ""
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
        return None  # loading the tokenizer reports it
    return stated.get("chat_template") if isinstance(stated, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # JSON has no types


def opening(mark: str) -> str:
    """Return the mark that begins reasoning, from the one that ends it; "" if it is unknown.

    Example:
        >>> opening("</think>"), opening("[/REASON]"), opening("ANSWER:")
        ('<think>', '[REASON]', '')
    """
    return MARKS.get(mark) or (mark.replace("/", "", 1) if "/" in mark[:3] else "")


def parted(text: str, mark: str, *, inside: bool, at_limit: bool) -> tuple[str, str]:
    r"""Return (reasoning, answer) of a generated text.

    Args:
        text: The text.
        mark: The mark that ends reasoning.
        inside: The prompt ends with the mark that begins reasoning, as some templates do.
        at_limit: The text was cut off at its token limit.

    Reasoning that never ends leaves no answer. A text without the mark, which ends by itself after a prompt that began
    reasoning, is an answer without reasoning: models learn to answer so.

    Example:
        >>> parted("<think>2+2</think>\\n\\n4", "</think>", inside=False, at_limit=False)
        ('<think>2+2', '\\n\\n4')
        >>> parted("2+2 is", "</think>", inside=True, at_limit=True)
        ('2+2 is', '')
        >>> parted("4", "</think>", inside=True, at_limit=False)
        ('', '4')
    """
    before, found, after = text.rpartition(mark)
    if found:
        return before, after
    begun = bool(opening(mark)) and text.lstrip().startswith(opening(mark))
    return (text, "") if begun or (inside and at_limit) else ("", text)


def decoded(tokenizer: Any, ids: Sequence[int], mark: str) -> str:
    """Return the text of tokens without special tokens, but with the last mark that ends reasoning."""
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    if not mark or mark in text:
        return text
    own = tokenizer.encode(mark, add_special_tokens=False)
    if not set(own) & set(tokenizer.all_special_ids):
        return text
    for start in range(len(ids) - len(own), -1, -1):
        if list(ids[start : start + len(own)]) == own:
            before, after = (
                tokenizer.decode(part, skip_special_tokens=True) for part in (ids[:start], ids[start + len(own) :])
            )
            return f"{before}{mark}{after}"
    begins = opening(mark)
    first = tokenizer.encode(begins, add_special_tokens=False) if begins else []
    return begins + text if first and list(ids[: len(first)]) == first else text


class Reasons(NamedTuple):
    """How a model reasons.

    Attributes:
        mark: The mark that ends its reasoning.
        inside: Whether an example's prompt ends with the mark that begins it.
        num_tokens: Counts the tokens of a text.
    """

    mark: str
    inside: Callable[[Example], bool]
    num_tokens: Callable[[str], int]


def without_reasoning(ask: Ask, examples: Sequence[Example], decode: Decode, how: Reasons) -> list[Answer]:
    """Return answers with the reasoning taken off, which is kept beside them.

    What ends an answer (`stop`) must not end reasoning: if it did, the question is asked again without stops.

    Args:
        ask: Asks the model, whose reasoning it leaves in.
        examples: The questions.
        decode: How they are asked.
        how: How the model reasons.
    """
    plain = decode.model_copy(update={"answer": NONE})
    answers = list(ask(examples, plain))
    begun = {i: decode.kind == "text" and how.inside(examples[i]) for i in range(len(examples))}
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
    """Return whether a stop may have ended reasoning, or stood before the answer's first word."""
    stops = [bool(r.stop) for r in example.requests] if answer.replies else [bool(decode.stop)]
    texts = [r.text for r in answer.replies] if answer.replies else [answer.text]
    for text, stopped in zip(texts, stops, strict=True):
        reasoning, said = parted(text, mark, inside=begun, at_limit=True)
        if stopped and reasoning and not said.strip():
            return True
    return begun and bool(decode.stop) and mark not in answer.text


def _endless(example: Example) -> Example:
    requests = tuple(r.model_copy(update={"stop": ()}) for r in example.requests)
    return example.model_copy(update={"requests": requests})


def _text_parted(answer: Answer, decode: Decode, how: Reasons, begun: bool) -> Answer:
    mark = how.mark
    reasoning, said = parted(answer.text, mark, inside=begun, at_limit=answer.finish == "length")
    said = said.strip()
    ended = before_stop(said, decode.stop)
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
        reasoning, said = parted(reply.text, mark, inside=False, at_limit=False)
        if reasoning or mark in reply.text:
            said = before_stop(said.lstrip(), request.stop)
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
