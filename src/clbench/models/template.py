"""Chat templates: rendered in a sandbox, the same on every day and in every process; no torch.

A template may read the clock, draw at random, refuse a system turn or two turns of one speaker, leave a turn out
silently, or read a turn's text in parts. The clock stands at `NOW`, the draws are seeded, and what a template does to a
conversation is measured on a probe, so that it can be reported.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols

from clbench.core.errors import ModelError
from clbench.models.bounds import Bounded, TooMuchError

NOW = datetime(2024, 7, 26)  # the default date of the templates of Llama 3
DATE = NOW.strftime("%d %b %Y")
CLOCK = ("strftime_now", "date_string", "|random", "| random", "lipsum")
FAULTS = (
    *(TemplateError, TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, SyntaxError),  # nested too deep, too long, or not Python when it is compiled
)
MARKS = ("Qpxsys", "Qpxask", "Qpxsaid")  # words of the probe; no template writes them itself
Turns = Sequence[tuple[str, str]]


class _Generation(Extension):
    """The tag `{% generation %}`, by which templates mark what is taught; its content is written as it is."""

    tags: ClassVar[set[str]] = {"generation"}  # pyright: ignore[reportIncompatibleVariableOverride]  # jinja reads it of the class

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


@lru_cache(maxsize=32)
def _compiled(source: str) -> Any:
    def refuse(message: str) -> str:
        raise TemplateError(message)

    def as_json(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = Bounded(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    environment.filters["tojson"] = environment.guarded("tojson", as_json)
    known: Any = environment.globals
    known.update({"raise_exception": refuse, "strftime_now": NOW.strftime})
    return environment.from_string(source)


def render(source: str, turns: Turns, names: Mapping[str, Any], *, ask: bool = True, parts: bool = False) -> str:
    """Return a conversation as a template writes it.

    Args:
        source: The template.
        turns: (role, content) pairs.
        names: Special tokens by name, "bos_token" and so on, and the arguments that a spec gives to the template.
        ask: Whether the model's turn begins at the end.
        parts: Whether a turn's text is passed as a list of one part, as templates of models that see images read it.

    Raises:
        One of `FAULTS`: The template is broken, or refuses the conversation.
    """
    before = random.getstate()
    random.seed(0)  # the filter `random` and `lipsum` draw from here
    try:
        template = _compiled(source)
        template.environment.begin()
        return template.render(
            messages=[{"role": role, "content": _content(text, parts)} for role, text in turns],
            tools=None,
            documents=None,
            add_generation_prompt=ask,
            **{"date_string": DATE, **names},
        )
    finally:
        random.setstate(before)


def _content(text: str, parts: bool) -> Any:
    return [{"type": "text", "text": text}] if parts else text


def reads_clock(source: str) -> bool:
    """Return whether a template asks for the date or draws at random; both are fixed here."""
    return any(name in source for name in CLOCK)


def chosen(found: Any, where: str) -> str | None:
    """Return the template for plain conversations among those of a tokenizer; None if it has none.

    Args:
        found: A template, or templates by name, as a mapping or as a list of {"name", "template"}.
        where: The model's name, for the error.

    Raises:
        ModelError: There are several without a default, or `found` is neither a text nor texts.
    """
    if found is None or isinstance(found, str):
        return found or None
    named = _named(found)
    if named is None:
        raise ModelError(
            "chat_template is neither a text nor a list of texts with names",
            where=where,
            mend="write the template to the checkpoint's chat_template.jinja",
        )
    if "default" in named or len(named) == 1:
        return named["default"] if "default" in named else next(iter(named.values()))
    if not named:
        return None
    raise ModelError(
        f"the tokenizer has the chat templates {', '.join(sorted(named))}, and none of them is named default",
        where=where,
        mend="write the one that is meant to the checkpoint's chat_template.jinja, and the others nowhere",
    )


def _named(found: Any) -> dict[str, str] | None:
    """Return templates by name from a mapping or from a list of {"name", "template"}; None if it is neither."""
    try:
        pairs = list(found.items()) if isinstance(found, Mapping) else [(t["name"], t["template"]) for t in found]
    except (TypeError, KeyError):
        return None
    return dict(pairs) if all(isinstance(text, str) for pair in pairs for text in pair) else None


@dataclass(frozen=True)
class Habits:
    """What a template does beyond writing the turns down, measured on a probe.

    Attributes:
        system: What it does with a system turn: "kept", "dropped" (silently) or "refused".
        ending: The text after an answer, up to the next turn; may be empty.
        opening: What it writes before an answer, and leaves out when it is asked to begin one. Empty if that is blanks
            alone, as in transformers: they belong to the answer's first word.
        parts: Whether it reads a turn's text in parts only.
    """

    system: str = "kept"
    ending: str = ""
    opening: str = ""
    parts: bool = False


def habits(source: str, names: Mapping[str, Any]) -> Habits:
    """Return the habits of a template; the default for a broken or endless one, which rendering reports."""
    try:
        return _habits(source, names)
    except TooMuchError:
        return Habits()


def _habits(source: str, names: Mapping[str, Any]) -> Habits:
    system, ask, said = MARKS
    user = [("user", ask)]
    parts = not _writes(source, user, names) and _writes(source, user, names, parts=True)

    def attempt(turns: Turns, ask: bool = True) -> str | None:
        return _attempt(source, turns, names, ask=ask, parts=parts)

    plain = attempt(user)
    if plain is None:
        return Habits()
    with_system = attempt([("system", system), *user])
    fate = "refused" if with_system is None else "kept" if _holds(with_system, system) else "dropped"
    answered = attempt([*user, ("assistant", said)], ask=False)
    if answered is None or said not in answered:
        return Habits(fate, parts=parts)
    head, _, ending = answered.rpartition(said)
    # Some templates ignore `add_generation_prompt`: what they write before an answer must be added by hand.
    opening = head.removeprefix(plain) if plain == attempt(user, ask=False) and head.startswith(plain) else ""
    return Habits(fate, ending, opening if opening.strip() else "", parts)


def _attempt(
    source: str, turns: Turns, names: Mapping[str, Any], *, ask: bool = True, parts: bool = False
) -> str | None:
    try:
        return render(source, turns, names, ask=ask, parts=parts)
    except TooMuchError:
        raise  # another try would take as long
    except FAULTS:
        return None


def _holds(text: str, mark: str) -> bool:
    return mark.casefold() in text.casefold()  # some templates change the case


def _writes(source: str, turns: Turns, names: Mapping[str, Any], *, parts: bool = False) -> bool:
    text = _attempt(source, turns, names, parts=parts)
    return text is not None and all(_holds(text, content) for _, content in turns)


class Template:
    """The template of a model, and what it cannot write as it is.

    Attributes:
        source: The template's text.
        habits: What it does beyond writing the turns down.
    """

    def __init__(self, source: str, names: Mapping[str, Any], where: str, tell: Callable[[str], None]) -> None:
        self.source = source
        self.habits = habits(source, names)
        self._names = dict(names)
        self._where = where
        self._tell = tell
        self._noticed: set[str] = set()
        self._lost: dict[tuple[str, ...], tuple[str, ...]] = {}

    def write(self, turns: Turns) -> str:
        """Return a conversation as the model reads it, up to the beginning of the model's turn.

        Where the template refuses or drops a system turn, its text begins the turn of the user that follows; where it
        refuses two turns of one speaker in a row, they become one. Either is reported once.

        Raises:
            ModelError: The template is broken, or refuses the conversation even so, or leaves turns of it out.
        """
        first: Exception | None = None
        for change, attempt in self._attempts(turns):
            try:
                text = render(self.source, attempt, self._names, parts=self.habits.parts)
                self._check_complete(attempt)
            except FAULTS as error:
                first = first or error
                if isinstance(error, TooMuchError):
                    break
                continue
            if change and change not in self._noticed:
                self._noticed.add(change)
                self._tell(f"{self._where}: the chat template {change}")
            return text + self.habits.opening
        roles = ", ".join(role for role, _ in turns)
        why = str(first).strip().splitlines()[0] if str(first).strip() else type(first).__name__
        raise ModelError(
            f"the model's chat template cannot write a conversation of the turns ({roles}): {why}",
            where=self._where,
            mend="correct chat_template in the checkpoint, or give the data the turns that it takes",
        ) from first

    def _check_complete(self, turns: Turns) -> None:
        """Refuse a conversation of which the template leaves turns out silently, by a probe of its roles.

        Raises:
            ValueError: Names the roles of the turns that are left out.
        """
        roles = tuple(role for role, _ in turns)
        if roles not in self._lost:
            marks = [f"Qpxturn{i}x" for i in range(len(roles))]
            found = _attempt(self.source, list(zip(roles, marks, strict=True)), self._names, parts=self.habits.parts)
            kept = [found is None or _holds(found, mark) for mark in marks]  # None: it looks at the texts of turns
            self._lost[roles] = tuple(role for role, stays in zip(roles, kept, strict=True) if not stays)
        if lost := self._lost[roles]:
            raise ValueError(f"it leaves out {len(lost)} of them without a word ({', '.join(lost)})")

    def _attempts(self, turns: Turns) -> list[tuple[str, Turns]]:
        """Return the forms to try, in order: (what to report, the turns)."""
        folded, joined = fold_system(turns), merge_turns(turns)
        both = merge_turns(folded)
        refuses = "refuses a system turn: its text begins the first turn of the user"
        alternate = "refuses two turns of one speaker in a row: they are written as one"
        found: list[tuple[str, Turns]] = [("", turns)]
        if folded != turns and self.habits.system == "dropped":
            found = [("drops a system turn without a word: its text begins the first turn of the user", folded)]
        elif folded != turns:
            found.append((refuses, folded))
        if joined != turns:
            found.append((alternate, joined))
        if both not in [attempt for _, attempt in found]:
            found.append((f"{refuses}; and it {alternate}", both))
        return found


def fold_system(turns: Turns) -> list[tuple[str, str]]:
    r"""Return the turns with the text of every system turn at the beginning of the user's turn that follows it.

    Example:
        >>> fold_system([("system", "Be brief."), ("user", "Hello")])
        [('user', 'Be brief.\n\nHello')]
    """
    found: list[tuple[str, str]] = []
    waiting: list[str] = []
    for role, content in turns:
        if role == "system":
            waiting.append(content)
        elif role == "user" and waiting:
            found.append((role, "\n\n".join([*waiting, content])))
            waiting = []
        else:
            found.append((role, content))
    return [*found, ("user", "\n\n".join(waiting))] if waiting else found


def merge_turns(turns: Turns) -> list[tuple[str, str]]:
    r"""Return the turns with neighbours of one speaker as one.

    Example:
        >>> merge_turns([("user", "Listen."), ("user", "Which?")])
        [('user', 'Listen.\n\nWhich?')]
    """
    found: list[tuple[str, str]] = []
    for role, content in turns:
        if found and found[-1][0] == role:
            found[-1] = (role, f"{found[-1][1]}\n\n{content}")
        else:
            found.append((role, content))
    return found
