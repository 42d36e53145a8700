"""The head of a report: what was run, on what, when, and by which command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from clbench.report.runs.groups import Group
from clbench.report.runs.load import RunRecord

MOST_SEEDS = 10  # more are told as a number


def header_rows(groups: Sequence[Group], texts: dict[str, str]) -> list[tuple[str, str]]:
    """Return (what, text) rows; what the runs do not say is left out."""
    runs = [run for group in groups for run in group.runs]
    made = sorted({str(run.provenance.get("made", ""))[:10] for run in runs} - {""})
    rows = [
        (texts["head_model"], _each(run.spec.model.name for run in runs)),
        (texts["head_stream"], _each(_stream(run, texts) for run in runs)),
        (texts["head_runs"], texts["head_runs_text"].format(runs=len(runs), methods=len(groups), seeds=_seeds(runs))),
        (texts["head_made"], " – ".join(dict.fromkeys([made[0], made[-1]])) if made else ""),
        (texts["head_machine"], _each(_machine(run.provenance, texts) for run in runs)),
        (texts["head_version"], _each(_version(run.provenance) for run in runs)),
        (texts["head_command"], _each(_command(run.provenance) for run in runs)),
    ]
    return [(head, text) for head, text in rows if text]


def _each(found: Iterable[str], most: int = 4) -> str:
    """Return different texts once, in order; of many, the first ones and a number."""
    once = list(dict.fromkeys(text for text in found if text))
    more = f" (+ {len(once) - most})" if len(once) > most else ""
    return "; ".join(once[:most]) + more


def _stream(run: RunRecord, texts: dict[str, str]) -> str:
    lessons = run.stream.lessons
    examples = sum(lesson.examples for lesson in lessons)
    return texts["head_stream_text"].format(
        name=run.spec.stream, lessons=len(lessons), tasks=len(run.stream.tasks), examples=f"{examples:,}"
    )


def _seeds(runs: Sequence[RunRecord]) -> str:
    seeds = sorted({run.spec.seed for run in runs})
    return ", ".join(map(str, seeds)) if len(seeds) <= MOST_SEEDS else f"{len(seeds)} ({seeds[0]} – {seeds[-1]})"


def _machine(provenance: Any, texts: dict[str, str]) -> str:
    cpu, cores = provenance.get("cpu"), provenance.get("cores")
    known = [str(cpu) if cpu else "", texts["head_cores"].format(cores=cores) if cores else ""]
    return ", ".join([*(text for text in known if text), *map(str, provenance.get("gpus") or ())])


def _version(provenance: Any) -> str:
    version = (provenance.get("packages") or {}).get("clbench")
    git = provenance.get("git") or {}
    commit = f" ({git['commit'][:7]}{'+' if git.get('dirty') else ''})" if git.get("commit") else ""
    return f"clbench {version}{commit}" if version else ""


def _command(provenance: Any) -> str:
    arguments = provenance.get("arguments")
    return f"clbench {shlex.join(map(str, arguments))}" if arguments else ""
