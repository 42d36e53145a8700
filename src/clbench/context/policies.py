"""What of a row's context the answering model is shown: all of it, nothing, the last turn, passages found, or notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from clbench.context.rows import Raw
from clbench.core.errors import SpecError
from clbench.data.bm25 import Bm25
from clbench.data.streams.similarity import words

Name = Literal["full", "none", "last-turn", "rag", "notes"]
TASK_MARK = "<|TASK|>"  # what stands between context and task in rows of CL-bench Life
PASSAGE = 1000  # characters of a passage at most
NUM_PASSAGES = 8
VERSION = 1  # raise it when the wordings below change: answers under different ones are not comparable
ASK_NOTES = (
    "Here is a document.\n\n{document}\n\nQuestions about it will be asked, and you will not see it then. Write notes "
    "of everything in it that may be needed to answer them: rules, names, numbers, steps, exceptions. Write the notes "
    "alone."
)
FOUND, NOTES = "Passages of a document:", "Notes on a document:"


@dataclass(frozen=True)
class Policy:
    """What is shown.

    Attributes:
        name: "full": the row as it is. "none": the task alone, the floor. "last-turn": instruction and last message.
            "rag": the passages of the document most like the task (BM25). "notes": the model's own notes on it.
        num: Passages of "rag".
    """

    name: Name = "full"
    num: int = NUM_PASSAGES

    def __str__(self) -> str:
        """Return it as it is written on the command line."""
        return f"{self.name}:{self.num}" if self.name == "rag" else self.name

    def identity(self) -> Raw:
        """Return what makes answers comparable with others; nothing for rows as they are."""
        return {} if self.name == "full" else {"context_policy": str(self), "policy_version": VERSION}


@dataclass(frozen=True)
class Parts:
    """A conversation taken apart.

    Attributes:
        system: Its instructions.
        document: What the first message of the user says before its task.
        first: The first task.
        later: All messages behind it.
        guessed: Whether nothing marks where the document ends, so that its last paragraph was taken for the task.
    """

    system: tuple[Raw, ...]
    document: str
    first: str
    later: tuple[Raw, ...]
    guessed: bool

    @property
    def task(self) -> str:
        """The task that is asked: the last message of the user, without a document."""
        asked = [text_of(m) for m in self.later if m.get("role") == "user"]
        return asked[-1] if asked else self.first


def policy_of(text: str) -> Policy:
    """Return a policy from its name on the command line.

    Raises:
        SpecError: There is none of that name.

    Example:
        >>> policy_of("rag:4")
        Policy(name='rag', num=4)
    """
    name, colon, num = text.partition(":")
    if name in get_args(Name) and (not colon or (name == "rag" and num.isdigit() and int(num) > 0)):
        return Policy(cast(Name, name), int(num) if colon else NUM_PASSAGES)
    mend = f"write full, none, last-turn, notes or rag:K, such as rag:{NUM_PASSAGES}"
    raise SpecError(f"{text!r} is not a policy", where="--context-policy", mend=mend)


def text_of(message: Raw) -> str:
    """Return the text of a message; of one in parts, the parts that are text."""
    content = message.get("content")
    if isinstance(content, list):
        parts = cast(list[object], content)
        return "\n".join(str(cast(Raw, p).get("text") or "") for p in parts if isinstance(p, dict))
    return str(content or "")


def parts_of(messages: Sequence[Raw]) -> Parts:
    """Take a conversation apart.

    In CL-bench nothing stands between a context and its first task; there the last paragraph of the first message
    counts as the task, and `guessed` says so.
    """
    start = next((k for k, m in enumerate(messages) if m.get("role") == "user"), len(messages))
    text = text_of(messages[start]) if start < len(messages) else ""
    document, mark, first = text.rpartition(TASK_MARK)
    if not mark:
        document, first = _last_paragraph(text)
    return Parts(tuple(messages[:start]), document.strip(), first.strip(), tuple(messages[start + 1 :]), not mark)


def _last_paragraph(text: str) -> tuple[str, str]:
    """Return a text without its last paragraph, and that; of one paragraph its last line, of one line all of it."""
    stripped = text.rstrip()
    for gap in (r"\n\s*\n", r"\n"):
        places = [m.end() for m in re.finditer(gap, stripped)]
        if places:
            return stripped[: places[-1]], stripped[places[-1] :]
    return "", stripped


def visible_messages(policy: Policy, messages: Sequence[Raw], notes: str = "") -> list[Raw]:
    """Return the messages that the model is asked with.

    Args:
        policy: What is shown.
        messages: The row's.
        notes: The model's notes on the document, for "notes".
    """
    if policy.name == "full":
        return list(messages)
    parts = parts_of(messages)
    if policy.name == "none":
        return [_user(parts.task)]
    if policy.name == "last-turn":
        asked = [m for m in messages if m.get("role") == "user"]
        return [*parts.system, *asked[-1:]]
    page = notes if policy.name == "notes" else "\n\n".join(retrieved(parts.document, parts.task, policy.num))
    head = NOTES if policy.name == "notes" else FOUND
    text = f"{head}\n\n{page}\n\n{parts.first}" if page else parts.first
    return [*parts.system, _user(text), *parts.later]


def note_request(document: str) -> list[Raw]:
    """Return the messages with which a model is asked for notes."""
    return [_user(ASK_NOTES.replace("{document}", document))]


def retrieved(document: str, task: str, num: int) -> list[str]:
    """Return the passages of a document that are most like a task, in the order of the document."""
    pieces = passages(document)
    best = Bm25([words(piece) for piece in pieces]).best(words(task), num)
    return [pieces[k] for k in sorted(best)]


def passages(document: str) -> list[str]:
    r"""Return a document in passages: paragraphs, long ones cut at ends of lines, sentences or words.

    Example:
        >>> passages("One.\n\nTwo.")
        ['One.', 'Two.']
    """
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", document):
        rest = paragraph.strip()
        while len(rest) > PASSAGE:
            cut = max((rest.rfind(end, 0, PASSAGE) + len(end.rstrip()) for end in ("\n", ". ", "。")), default=0)
            cut = cut if cut > PASSAGE // 4 else rest.rfind(" ", 0, PASSAGE) + 1 or PASSAGE
            found.append(rest[:cut].strip())
            rest = rest[cut:].strip()
        found += [rest] if rest else []
    return [piece for piece in found if piece]


def _user(text: str) -> Raw:
    return {"role": "user", "content": text}
