"""Pages of the methods, made from what their files say: docstring, settings, and traits of the plug-in.

A learner's module docstring begins with its idea in one sentence; then how it works, with equation and paper; then the
sections `SECTIONS`, each a paragraph that begins with the section's name and a colon.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from clbench.core import plugins
from clbench.core.protocols import LearnerPlugin
from clbench.core.traits import FAMILIES, Traits
from clbench.engine.resolve import open_learner
from clbench.report.runs.traits import STORED_WORDS
from clbench.training.settings import Training
from docs.build.measured import measured, measured_lines

SECTIONS = ("Defaults", "Keeps", "Told", "Not for", "Falls short")
OPTIONAL = ("Falls short",)  # where results show no gain over plain fine-tuning, it says why
HALF = (
    "A model of 16 bits (`model.dtype`) learns with float32 master copies of what is trained, and answers with weights",
    "rounded to its own type: [why](adr/0005-sixteen-bits.md). They count as bytes kept.",
)
SOURCES = "../src/clbench/learners"
COSTS = Path("bench") / "methods.json"


@dataclass(frozen=True)
class Described:
    """What a learner's docstring says.

    Attributes:
        idea: Its first paragraph.
        body: How it works, as written.
        sections: Section -> its text on one line; those that are written.
    """

    idea: str
    body: str
    sections: Mapping[str, str]


def described(docstring: str) -> Described:
    r"""Take a learner's docstring apart.

    Example:
        >>> found = described("Learn nothing.\n\nIt is simple.\nKeeps: nothing\nat all.\nTold: nothing.")
        >>> found.idea, found.body, found.sections
        ('Learn nothing.', 'It is simple.', {'Keeps': 'nothing at all.', 'Told': 'nothing.'})
    """
    begins = re.compile(rf"({'|'.join(SECTIONS)}):\s*(.*)")
    idea, _, rest = inspect.cleandoc(docstring).partition("\n\n")
    body: list[str] = []
    sections: dict[str, str] = {}
    current = ""
    for line in rest.splitlines():
        if begun := begins.fullmatch(line):
            current = begun[1]
            sections[current] = begun[2]
        elif current and line.strip():
            sections[current] = f"{sections[current]} {line.strip()}".strip()
        elif not current:
            body.append(line)
    return Described(" ".join(idea.split()), "\n".join(body).strip("\n"), sections)


def describe(name: str) -> tuple[Described, LearnerPlugin[Any]]:
    """Return what a shipped learner says of itself, and its plug-in; nothing heavy is imported."""
    plugin, _ = open_learner({"name": name})
    return described(sys.modules[f"{plugins.ROOMS['learner']}.{name}"].__doc__ or ""), plugin


# --- settings -----------------------------------------------------------------------------------------------


def meanings(config: type[BaseModel]) -> dict[str, str]:
    """Return field -> meaning, from the `Attributes:` of a configuration's docstring and of those that it extends.

    Example:
        >>> meanings(Training)["epochs"]
        'Passes over a lesson.'
    """
    found: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        _, _, listed = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("Attributes:\n")
        names: list[str] = []
        for line in listed.splitlines():
            if entry := re.fullmatch(r" {4}(\w+(?:, \w+)*): (.*)", line):
                names = entry[1].split(", ")
                found |= dict.fromkeys(names, entry[2])
            elif line.startswith(" " * 8):
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def own_settings(config: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the settings that are not those of training, or that have another default there."""
    shared = Training.model_fields if issubclass(config, Training) else {}
    return {
        name: field
        for name, field in config.model_fields.items()
        if name not in shared or field.default != shared[name].default
    }


def values_of(field: FieldInfo) -> str:
    """Say which values a setting may have.

    Example:
        >>> values_of(Training.model_fields["warmup"]), values_of(Training.model_fields["decay"])
        ('number >= 0, <= 1', '`constant`, `linear`')
    """
    bounds = [bound for part in field.metadata if (bound := _bound(part))]
    return " ".join([_kind(field.annotation), ", ".join(bounds)]).strip()


def _bound(part: object) -> str:
    match part:
        case Ge():
            return f">= {part.ge}"
        case Gt():
            return f"> {part.gt}"
        case Le():
            return f"<= {part.le}"
        case Lt():
            return f"< {part.lt}"
        case _:
            return ""


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not NoneType]
        said = " or ".join(dict.fromkeys(_kind(part) for part in parts))
        return f"null or {said}" if NoneType in get_args(annotation) else said
    names = {
        int: "integer",
        float: "number",
        str: "text",
        Path: "path",
        bool: "`true`, `false`",
        tuple: "list",
        list: "list",
    }
    return names.get(get_origin(annotation) or annotation, "mapping")


def settings_table(
    config: type[BaseModel], fields: Mapping[str, FieldInfo], inherited: Mapping[str, str] | None = None
) -> list[str]:
    """Return settings as lines of a table: name, default, values, meaning; `inherited` are meanings said elsewhere."""
    said = {**(inherited or {}), **meanings(config)}
    rows = ["| setting | default | values | meaning |", "|---|---|---|---|"]
    for name, field in fields.items():
        default = "–" if field.is_required() else f"`{_default(field)}`"
        rows.append(f"| `{name}` | {default} | {_cell(values_of(field))} | {_cell(said.get(name, ''))} |")
    return rows


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    plain = isinstance(value, str) and value != "" and value.isprintable()
    return str(value) if plain else json.dumps(value, default=str, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- pages --------------------------------------------------------------------------------------------------


def method_page(name: str) -> str:
    """Return docs/methods/NAME.md."""
    said, plugin = describe(name)
    traits = plugin.traits(plugin.config())
    lines = [f"# `{name}`", "", said.idea, "", said.body, "", *(f"- **{k}**: {v}" for k, v in trait_lines(traits))]
    lines += [*(f"- **{title}**: {said.sections[title]}" for title in SECTIONS if title in said.sections)]
    own = own_settings(plugin.config)
    lines += ["", "## Settings", ""]
    lines += settings_table(plugin.config, own) if own else ["It has none of its own."]
    if issubclass(plugin.config, Training):
        lines += ["", "Beyond these: the [settings of training](../methods.md#settings-of-training)."]
    lines += measured_lines(name, measured())
    lines += ["", "## What the contract suite holds it to", "", *(f"- {fact}" for fact in facts(plugin))]
    lines += ["", "[All methods](../methods.md), and what they [cost](../methods.md#cost). Made by `make docs`."]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def trait_lines(traits: Traits) -> list[tuple[str, str]]:
    """Return what a page says of a method's traits: name and value."""
    trains = {"all": "all weights", "part": "part of the weights, or parameters that it adds", "none": "nothing"}
    boundaries = {True: "uses where a lesson begins or ends", False: "does not use them", None: "not said"}
    return [
        ("Family", traits.family or "not said"),
        ("Paper", traits.paper or "none: it is ours"),
        ("Trains", "not said" if traits.trains is None else trains[traits.trains]),
        ("Boundaries", boundaries[traits.uses_boundaries]),
        ("Users' data", f"beside the weights it keeps {STORED_WORDS[traits.stores]} (`stores: {traits.stores}`)"),
    ]


def facts(plugin: LearnerPlugin[Any]) -> list[str]:
    """Say what a plug-in declares, in words."""
    found = [f"Defined on {' and '.join(plugin.model_families)} models."]
    if plugin.neutral is not None:
        at = ", ".join(f"`{k}: {json.dumps(v)}`" for k, v in plugin.neutral.items())
        found.append(f"Plain fine-tuning, bit for bit{f', at {at}' if at else ''}.")
    if plugin.first_lesson_as is not None:
        found.append(f"Learns its first lesson exactly as `{plugin.first_lesson_as}`, so that grids share it.")
    if plugin.needs_task_ids:
        found.append("Must be told the task: it needs a stream with `task_ids: given`.")
    if plugin.teaches == "at_once":
        found.append("Is taught all lessons at once.")
    if not plugin.starts_as_base:
        found.append("Answers otherwise than the base model even before its first lesson.")
    return [*found, f"Version {plugin.version}."]


def methods_page(costs: Path = COSTS) -> str:
    """Return docs/methods.md: all methods by family, the settings of training, and what `bench/methods.py` measured."""
    lines = [
        "# Methods",
        "",
        "One file per method in `src/clbench/learners/`, one training loop, equal budgets. Each name leads to a file,",
        "which begins with equation, paper and settings. `make docs` makes a page of each in `docs/methods/`.",
        "Your own: [tutorial](tutorial-method.md).",
        "",
        "Users' data: what lies beside the trained weights. `none`; `derived`, numbers made of examples; `may_quote`,",
        "text that can repeat them word for word; `examples`, as they are. Weights remember too: none is a promise.",
        "",
        "Isolated methods and `separate` find the part that answers by one rule: the task's where a question names it,",
        "else that of the lesson that the question is most like. A question unlike every lesson, such as most of those",
        "of ability exams, is answered by the base ([equations](../src/clbench/learners/_shared/lesson_keys.py)).",
    ]
    known = {name: describe(name) for name in plugins.shipped("learner")}
    for title in FAMILIES:
        members = [name for name, (_, plugin) in known.items() if plugin.family == title]
        if members:
            lines += ["", f"## {title.capitalize()}", ""]
            lines += ["| method | what it does | told | users' data | models |", "|---|---|---|---|---|"]
            lines += [_row(name, *known[name]) for name in members]
    lines += [
        "",
        "## Learnt elsewhere",
        "",
        "What other programs [trained](elsewhere.md), or [train](trainers.md).",
        "",
    ]
    lines += ["| method | what it does | told | users' data | models |", "|---|---|---|---|---|"]
    lines += [_row(name, *known[name]) for name, (_, plugin) in known.items() if plugin.elsewhere is not None]
    lines += ["", "## Settings of training", "", "Those that all trained methods share.", ""]
    lines += settings_table(Training, Training.model_fields)
    lines += ["", *HALF]
    return "\n".join([*lines, "", "## Cost", "", *cost_table(costs)]) + "\n"


def _row(name: str, said: Described, plugin: LearnerPlugin[Any]) -> str:
    told, stores = _sentence(said.sections.get("Told", "–")), plugin.stored(plugin.config()) or "not said"
    cells = [f"[`{name}`]({SOURCES}/{name}.py)", plugin.about, told, stores, ", ".join(plugin.model_families)]
    return f"| {' | '.join(map(_cell, cells))} |"


def _sentence(text: str) -> str:
    """Return the first sentence of a section, without what stands in brackets behind it."""
    return re.split(r"[.;]\s|\s\(", text, maxsplit=1)[0].rstrip(".;")


def cost_table(path: Path) -> list[str]:
    """Return what `bench/methods.py` measured as a table with its hardware and its bars."""
    if not path.is_file():
        return ["Not measured yet: `make bench`."]
    found = json.loads(path.read_text(encoding="utf-8"))
    lines = [
        *found["about"],
        "",
        "| method | settings | step | lesson | after the lesson | memory | kept | exam | wanted |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    return lines + [_cost_row(name, row) for name, row in sorted(found["methods"].items())]


def _cost_row(name: str, row: Mapping[str, Any]) -> str:
    cells = [
        f"[`{row['learner']}`]({SOURCES}/{row['learner']}.py)",
        ", ".join(f"`{k}: {v}`" for k, v in row["settings"].items()) or "defaults",
        _times(row["step"]) if row["step"] is not None else f"{row['example_ms']:.2f} ms per example",
        _times(row["lesson"]),
        f"{row['after']:.2f} epochs",
        _times(row["memory"]),
        _size(row["kept_bytes"]),
        _times(row["exam"]),
        "; ".join(f"{w} <= {most:g}: {'held' if row[w] <= most else 'not held'}" for w, most in row["bars"].items()),
    ]
    return f"| {' | '.join(cells)} |"


def _times(value: float) -> str:
    return f"{value:.2f} x"


def _size(num_bytes: int) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} B"
