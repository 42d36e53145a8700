"""The record of a tuning: JSON of all that was tried, a Markdown table of it, and the settings that a recipe reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from clbench.core.atomic_write import write_atomically
from clbench.core.errors import SpecError
from clbench.core.types import Stream
from clbench.core.wording import in_english, tr, translated
from clbench.engine.recipe.recipe import read_values
from clbench.engine.tune_recipe import Tuning
from clbench.engine.tune_rule import RULE, Search, Tried, best_of, is_ordered, num_kept
from clbench.models import source

CONTROL = "sft-tenth"  # plain fine-tuning at a tenth of its tuned rate, which stands in every table
MADE_BY = "Made by: clbench tune"
READING = "Stream {stream}; seeds {seeds}. Scores in percent: mean ± standard error over the seeds."
AT_EDGE = "{learner}: {setting} {value} is left at the edge of its grid: {why}"


def record_of(
    tuning: Tuning, stream: Stream, searches: Mapping[str, Search], hardware: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return all that was tried and chosen, as plain data without times: the same tuning gives the same record."""
    recipe = tuning.recipe
    settings = {name: dict(search.winner.settings) for name, search in searches.items()}
    if "lr" in settings.get("sft", {}):
        settings[CONTROL] = {**settings["sft"], "lr": float(f"{settings['sft']['lr'] / 10:.6g}")}
    return {
        "rule": RULE,
        "stream": recipe.stream,
        "tasks": {task.name: task.digest[:16] for task in stream.tasks},
        "reported": list(recipe.reported),
        "model": source.settled(recipe.model).model_dump(mode="json"),
        "seeds": list(recipe.seeds),
        "training": dict(recipe.training),
        "budget": recipe.budget.model_dump(mode="json"),
        "tries": tuning.tries,
        "kept": num_kept(tuning.tries),
        "widen": recipe.widen,
        "hardware": [dict(one) for one in hardware],
        "settings": settings,
        "learners": {name: _entry(search, recipe.seeds) for name, search in searches.items()},
    }


def _entry(search: Search, seeds: Sequence[int]) -> dict[str, Any]:
    winner, best, edges = search.winner, best_of(search.finished), search.edges()
    return {
        "grid": {setting: list(values) for setting, values in search.grid.items()},
        "fixed": dict(search.fixed),
        "default": dict(search.tried[0].settings),
        "widenings": search.num_widened,
        "runs": sum(len(one.aps) for one in search.tried),
        "chosen": dict(winner.settings),
        "best": dict(best.settings),
        "standard_error": _rounded(best.standard_error),
        "why": "the highest AP" if winner is best else "the default, within one standard error of the highest AP",
        "inside": not edges,
        "edges": edges,
        "of_two_values": [s for s, v in search.grid.items() if len(v) == 2 and is_ordered(v, 2)],
        "tried": [_plain(one, seeds) for one in search.tried],
    }


def _plain(one: Tried, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "settings": dict(one.settings),
        "widens": one.widens,
        "seeds": list(seeds[: len(one.aps)]),
        "AP": _rounded(one.ap),
        "FM": _rounded(one.fm),
        "AP_by_seed": [_rounded(value) for value in one.aps],
        "FM_by_seed": [_rounded(value) for value in one.fms],
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6) + 0.0  # not -0.0


def table_of(record: Mapping[str, Any]) -> str:
    """Return a record as Markdown: what was chosen, then what is left at an edge, in percent."""
    seeds = ", ".join(map(str, record["seeds"]))
    head = tuple(map(tr, ("learner", "chosen", "AP", "FM", "why", "inside", "tries", "widened", "runs")))
    rows = [_row(name, entry) for name, entry in record["learners"].items()]
    if CONTROL in record["settings"]:
        rows.append((CONTROL, _settings(record["settings"][CONTROL]), "–", "–", tr("control"), "–", "–", "–", "–"))
    told = [
        tr(AT_EDGE, learner=name, setting=setting, value=entry["chosen"][setting], why=translated(why))
        for name, entry in record["learners"].items()
        for setting, why in entry["edges"].items()
    ]
    two = [f"{name} ({', '.join(e['of_two_values'])})" for name, e in record["learners"].items() if e["of_two_values"]]
    told += [tr("Two values have no inside, so they are not widened: {names}.", names=", ".join(two))] if two else []
    made = tr(READING, stream=record["stream"], seeds=seeds)
    return "\n".join([*_markdown(head, rows), "", made, *(f"- {line}" for line in told)])


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    one = next(one for one in entry["tried"] if one["settings"] == entry["chosen"])
    why = tr("highest AP" if entry["chosen"] == entry["best"] else "default, tied")
    num = len(entry["tried"]) - entry["widenings"]
    counts = (str(num), str(entry["widenings"]), str(entry["runs"]))
    inside = tr("yes") if entry["inside"] else tr("no: {names}", names=", ".join(entry["edges"]))
    return (name, _settings(entry["chosen"]), _mean(one), _percent(one["FM"]), why, inside, *counts)


def _tries_of(record: Mapping[str, Any]) -> str:
    """Return every try as Markdown, with the seeds that it was run on."""
    head = ("learner", "settings", "seeds", "AP", "FM", "AP by seed", "note")
    rows: list[tuple[str, ...]] = []
    for name, entry in record["learners"].items():
        for i, one in enumerate(entry["tried"]):
            notes = (
                "default" if i == 0 else f"widens {one['widens']}" if one["widens"] else "",
                "chosen" if one["settings"] == entry["chosen"] else "",
            )
            seeds, aps = " ".join(map(str, one["seeds"])), " ".join(_percent(ap) for ap in one["AP_by_seed"])
            figures = (_percent(one["AP"]), _percent(one["FM"]), aps)
            rows.append((name, _settings(one["settings"]), seeds, *figures, ", ".join(filter(None, notes))))
    return "\n".join(_markdown(head, rows))


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows)]
    rule = ["-" * width for width in widths]
    return [f"| {' | '.join(line)} |".replace("\n", " ") for line in (lines[0], rule, *lines[1:])]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{setting}={value}" for setting, value in settings.items()).replace("|", "\\|")


def _mean(one: Mapping[str, Any]) -> str:
    found = Tried({}, tuple(one["AP_by_seed"])) if None not in one["AP_by_seed"] else None
    return "–" if found is None else f"{_percent(found.ap)} ± {_percent(found.standard_error)}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{round(100 * value, 1) + 0.0:.1f}"


def files_of(place: Path) -> tuple[Path, Path]:
    """Return the JSON and the Markdown beside a file of chosen settings."""
    return place.with_suffix(".json"), place.with_suffix(".md")


def write_tuned(record: Mapping[str, Any], place: Path, recipe: Path) -> None:
    """Write the chosen settings as YAML, which a recipe takes over by `tuned: FILE`, and the record beside them.

    Raises:
        SpecError: One of the files is there and was not written by this function.
    """
    check_place(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = files_of(place)
    made_by = f"{MADE_BY} {recipe.as_posix()}"
    chosen = {part: record[part] for part in ("rule", "stream", "settings")} | {"record": as_json.name}
    text = yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True, width=120)
    write_atomically(as_json, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    with in_english():
        table = table_of(record)
    write_atomically(as_markdown, f"<!-- {made_by} -->\n\n{record['rule']}.\n\n{table}\n\n{_tries_of(record)}\n")
    write_atomically(place, f"# {made_by}\n{text}")


def check_place(place: Path) -> None:
    """Refuse to write over anything but older files of `write_tuned`; raises as it does."""
    as_json, as_markdown = files_of(place)
    if place in (as_json, as_markdown):
        raise SpecError(f"{place} would be the record's own file", where="--out", mend="name a file that ends in .yaml")
    foreign = [
        *([place] if place.exists() and "rule" not in read_values(place) else []),
        *([as_json] if as_json.exists() and '"rule"' not in as_json.read_text(encoding="utf-8")[:100] else []),
        *(
            [as_markdown]
            if as_markdown.exists() and MADE_BY not in as_markdown.read_text(encoding="utf-8")[:100]
            else []
        ),
    ]
    if foreign:
        raise SpecError(
            f"{foreign[0]} exists and is not a file of `clbench tune`", where="--out", mend="name another file"
        )
