"""Pages of reference that are made from the code and are not tracked: recipes, cards, commands, scorers, exams, API."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from pydantic import BaseModel

import clbench
from clbench.cli.listing import exams, scorers
from clbench.cli.main import app
from clbench.core import plugins
from clbench.core.spec import ExamBudget, Machine, ModelSpec, RunSpec, TemplateSpec
from clbench.core.types import AnswerRule, Decode
from clbench.data.streams.card import Blur, Classes, Recur, StreamCard, Worlds
from clbench.data.tasks.card import AbilitySource, Card, ExamCard, Lock, Splits, Take, TaskSource
from clbench.engine.recipe.recipe import Recipe
from clbench.engine.tune_recipe import TuneRecipe
from docs.build.methods import meanings, settings_table

MADE = "Made from the code by `make docs`."


def _fields(title: str, config: type[BaseModel], about: str, inherited: Mapping[str, str] | None = None) -> list[str]:
    return ["", f"## {title}", "", about, "", *settings_table(config, config.model_fields, inherited)]


def recipe_page() -> str:
    """Return docs/reference/recipe.md: every field that a recipe may have."""
    lines = [
        "# Recipe",
        "",
        "What `clbench run` reads: a YAML file of these fields, or a `cl.Recipe` in Python. " + MADE,
    ]
    lines += _fields("A recipe", Recipe, "One file, one or many runs: `axes` varies any field.", meanings(RunSpec))
    lines += _fields("`model`", ModelSpec, "A name alone is short for `{name: ...}`. [What is read](../reading.md).")
    lines += _fields("`model.template`", TemplateSpec, "[Loading](../large-models.md#loading).")
    lines += _fields(
        "`model.answer`", AnswerRule, "[Models that write reasoning](../cards.md#models-that-write-reasoning)."
    )
    lines += _fields("`budget`", ExamBudget, "[Examples](../streams.md#evaluation-budget).")
    lines += [
        "",
        "## `learner` and `training`",
        "",
        "A learner is its name, or `{name: ewc, strength: 30}`; `as:` names it",
    ]
    lines += ["in tables. What all trained learners share stands under [training](../methods.md#settings-of-training);"]
    lines += ["each [method](../methods.md) has a page with its own settings."]
    tuning = "What `clbench tune` reads: [the rule](../tuning.md)."
    lines += _fields("A tuning recipe", TuneRecipe, tuning)
    how = "Options of `clbench run`. They are not part of a run's identity, except `exam_batch` in 16 bits."
    lines += _fields("How it is run", Machine, how)
    return "\n".join(lines) + "\n"


def cards_page() -> str:
    """Return docs/reference/cards.md: every field that a card may have."""
    lines = [
        "# Fields of cards",
        "",
        f"Explained with examples: [cards](../cards.md), [streams](../streams.md). {MADE}",
    ]
    kinds: list[tuple[str, type[BaseModel], str]] = [
        ("A task card", Card, "A data set as a task."),
        ("`splits`", Splits, "Of a task card."),
        ("`take`", Take, "Of a task card."),
        ("`lock`", Lock, "Written by `clbench check card NAME --lock`."),
        ("`decode`", Decode, "Of a task card or an exam card."),
        ("An exam card", ExamCard, "What is asked and never taught."),
        ("`source` of an exam: an ability", AbilitySource, "Generated from a seed."),
        ("`source` of an exam: a task", TaskSource, "The exam questions of a task card."),
        ("A stream card", StreamCard, "What is taught, in which order."),
        ("`worlds`", Worlds, "Of a stream card: generated tasks."),
        ("`classes`", Classes, "Of a stream card, by task."),
        ("`recur`", Recur, "Of a stream card."),
        ("`blur`", Blur, "Of a stream card."),
    ]
    for title, config, about in kinds:
        lines += _fields(title, config, about)
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Return docs/reference/commands.md: every verb with its arguments and options, as `--help` says them."""
    lines = [
        "# Commands",
        "",
        "What `clbench VERB --help` says, on one page. [What verbs have in common](../command-line.md),",
    ]
    lines += [f"exit codes and JSON among it. {MADE}"]
    for verb, command in sorted(_verbs("", typer.main.get_command(app))):
        lines += ["", f"## `clbench {verb}`", "", " ".join((command.help or "").split()), ""]
        lines += ["| argument or option | default | meaning |", "|---|---|---|"]
        lines += [_option(p) for p in command.params if p.name != "help"]
    return "\n".join(lines) + "\n"


def _verbs(group: str, command: Any) -> Iterator[tuple[str, Any]]:
    for verb, found in command.commands.items():
        if "commands" in vars(found):
            yield from _verbs(f"{group}{verb} ", found)
        else:
            yield f"{group}{verb}", found


def _option(param: Any) -> str:
    fields = vars(param)
    argument = param.param_type_name == "argument"
    names = (param.name or "").upper() if argument else ", ".join(f"`{name}`" for name in param.opts)
    default = "needed" if param.required else "–" if param.default in (None, (), []) else f"`{param.default}`"
    text = " ".join(str(fields.get("help") or "").split()).replace("|", "\\|")
    return f"| {names} | {default} | {text} |"


def scorers_page() -> str:
    """Return docs/reference/scorers.md: every scorer, and what its file says of its rule."""
    lines = ["# Scorers", "", "What counts as right. A card names one: `scorer: {name: bleu}`; see"]
    lines += [f"[which depends on the language](../cards.md#scorers). {MADE}"]
    for row in scorers():
        own = "The score of an exam is its own rule, not the mean of its items." if row["own_rule"] else ""
        lines += ["", f"## `{row['name']}`", "", f"{row['about']} {own} Version {row['version']}.".replace("  ", " ")]
        lines += ["", "```text", _module_text(row["name"]), "```"]
    return "\n".join(lines) + "\n"


def _module_text(name: str) -> str:
    module = sys.modules[f"{plugins.ROOMS['scorer']}.{name}"]
    return inspect.cleandoc(module.__doc__ or "").replace("```", "'''")


def exams_page() -> str:
    """Return docs/reference/exams.md: every shipped exam with the suites that ask it."""
    lines = [
        "# Exams",
        "",
        "What can be asked beyond the stream's own tasks: `exams:` of a recipe, `--suite` and `--exam` of",
    ]
    lines += [f"`clbench exam`. [How they are asked](../lm-eval-exams.md). {MADE}", ""]
    lines += ["| exam | kind | ability | suites | scorer |", "|---|---|---|---|---|"]
    for row in exams():
        suites = ", ".join(f"`{suite}`" for suite in row["suites"]) or "–"
        cells = [f"`{row['name']}`", row["kind"], row["ability"] or "–", suites, row["scorer"] or "of its source"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """Return docs/reference/python.md: every public name, for mkdocstrings to fill in."""
    lines = [
        "# Python API",
        "",
        f"Every public name of `import clbench as cl`. [How they are used](../python.md). {MADE}",
    ]
    for name in sorted((n for n in clbench.__all__ if n != "__version__"), key=lambda n: (n[0].isupper(), n)):
        lines += ["", f"::: clbench.{name}"]
    return "\n".join(lines) + "\n"


REFERENCE_PAGES: dict[str, Callable[[], str]] = {
    "reference/recipe.md": recipe_page,
    "reference/cards.md": cards_page,
    "reference/commands.md": commands_page,
    "reference/scorers.md": scorers_page,
    "reference/exams.md": exams_page,
    "reference/python.md": python_page,
}
