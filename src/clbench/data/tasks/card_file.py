"""Read one YAML card safely: plain data only, no tags, no aliases, no repeated keys."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import plain_label
from clbench.core.strict import turned_into_number
from clbench.data.readers.utf8 import other_encoding
from clbench.data.tasks.older_cards import in_words_of_today

MOST_BYTES = 1_000_000
M = TypeVar("M", bound=BaseModel)
# YAML 1.1 reads `no`, `on`, dates, `<<`, 010 and 1:30 in unexpected ways; cards follow YAML 1.2.
_DROPPED = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "timestamp", "merge", "value")}
_INT = re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$")
_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_FLOAT = re.compile(rf"^(?:{_NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses what a card never needs."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases, anchors and explicit tags before anything is built from them."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _problem("aliases (*name) are not allowed in a card", event.start_mark)
        if isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            if event.anchor is not None:
                raise _problem("anchors (&name) are not allowed in a card", event.start_mark)
            if event.tag is not None:
                raise _problem(f"tags ({event.tag}) are not allowed in a card", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is written twice; YAML would silently keep the last."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _problem("a key must be plain text", key.start_mark)
            if key.value in seen:
                raise _problem(f"key {key.value!r} is written twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag not in _DROPPED]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: _int(str(node.value)))


def _int(text: str) -> int:
    """Return an integer of YAML 1.2: 010 is ten, 0o10 is eight."""
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _problem(text: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=mark)


@dataclass(frozen=True)
class CardText:
    """The values of a YAML file, and the lines on which they stand."""

    path: Path
    values: Mapping[str, Any]
    root: yaml.Node

    def where(self, loc: tuple[int | str, ...] = ()) -> str:
        """Return `file:line field.path` of the deepest part of `loc` that the file contains."""
        node: yaml.Node = self.root
        line = node.start_mark.line
        for part in loc:
            found = _child(node, part)
            if found is None:
                continue
            line, node = found
        path = ".".join(str(part) for part in loc)
        return f"{self.path}:{line + 1}" + (f" {path}" if path else "")


def _child(node: yaml.Node, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def read_text(path: Path) -> CardText:
    """Return the content of a card's YAML file.

    Raises:
        DataError: The file cannot be read, is not UTF-8 or not valid YAML, or uses tags, aliases or a key twice.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"a card of more than {MOST_BYTES:,} bytes is refused", where=str(path))
        text = path.read_text(encoding="utf-8-sig")
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            values = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except OSError as error:
        raise DataError(f"the card cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        line = error.object.split(b"\n")[error.object[: error.start].count(b"\n")]
        mend = other_encoding(line, path.name)
        raise DataError(f"the card is not UTF-8 (byte {error.start})", where=str(path), mend=mend) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise DataError(f"malformed YAML: {error.problem or error.context}", where=f"{path}{line}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"malformed YAML: {error or type(error).__name__}", where=str(path)) from None
    if root is None or not isinstance(values, dict):
        raise DataError("a card is a mapping of fields to values", where=f"{path}:1")
    if re.search(r"[\ud800-\udfff]", json.dumps(values, ensure_ascii=False, default=str)):
        mend = "write the character itself: \\uXXXX in quotes stands for one of up to four digits"
        raise DataError("half a character (a lone surrogate) in a text", where=str(path), mend=mend)
    return CardText(path, values, root)


def read_value(text: str) -> Any:
    """Return one value as a card would read it, for example of `--set field=VALUE`; raises `yaml.YAMLError`."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def validated(model: type[M], text: CardText, nested: Mapping[str, type[BaseModel]]) -> M:
    """Return a model made from a card's values.

    Args:
        model: The class of the card.
        text: The content of the file.
        nested: Field or union tag -> the model below it, for naming the nearest known field.

    Raises:
        DataError: One message for all problems, each with its line, field path and nearest known field.
    """
    values = in_words_of_today(text.values, str(text.path))
    try:
        card = model.model_validate(values, context={"path": text.path})
        if (turned := turned_into_number(values, card.model_dump(), "")) is None:
            return card
        loc = tuple(int(part) if part.isdigit() else part for part in turned[0].split("."))
        what = f"a number or a switch is wanted, not {turned[1]!r:.60}"
        raise DataError(what, where=text.where(loc), mend="write 1000, not 1_000; true and false are switches alone")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    first = found[0]
    lines: list[str] = []
    mend = ""
    for problem in found[:4]:
        loc = tuple(problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            owner = next((nested[str(part)] for part in reversed(loc[:-1]) if str(part) in nested), model)
            message = f"unknown field {str(loc[-1])!r}"
            mend = mend or did_you_mean(str(loc[-1]), owner.model_fields)
        elif problem["type"] == "missing":
            message = f"field {str(loc[-1])!r} is missing"
        lines.append(message if problem is first else f"{text.where(loc)}: {message}")
    if len(found) > 4:
        lines.append(f"and {len(found) - 4} more")
    raise DataError("; ".join(lines), where=text.where(tuple(first["loc"])), mend=mend)


def refuse_folding(field: str, texts: Sequence[str]) -> None:
    """Refuse members of a closed set that become one label when they are folded.

    Raises:
        ValueError: Some are one label, or one is empty once folded.
    """
    seen: dict[str, str] = {}
    for text in texts:
        label = plain_label(text)
        if not label:
            raise ValueError(f"{field} holds {text!a}, which is empty when it is read")
        if seen.setdefault(label, text) != text:
            why = "once blanks, invisible characters and normal form are folded"
            raise ValueError(f"{field}: {seen[label]!a} and {text!a} are one label {why}")
