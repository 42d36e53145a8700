"""Where a result comes from: the stages it is made of, code, packages, machine. No host name, no user name."""

from __future__ import annotations

import platform
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.core.keys import canonical
from clbench.core.results import ExamResult
from clbench.core.spec import Machine, ModelSpec
from clbench.engine.trajectory import Trajectory
from clbench.models import source
from clbench.store.origin import cores, cpu_model, git_revision, gpus, packages, same_code, threads

SERVERS = ("--exam-server", "--serve", "--provider")
PLACES = (
    "store",
    "data",
    "exam_server",
    "serve",
    "providers",
    "cluster",
    "spending",
)  # they say more of the machine's owner
# The start of an absolute path or of one in a home, at the beginning of an argument or of a value in it.
_PRIVATE_PATH = re.compile(r"(?<![^\s=,:\[{'\"])~?/(?!/)[^=,:\]}'\"]*")


def provenance(machine: Machine, model: ModelSpec, stages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a reader needs to judge and repeat a result.

    "git" and "packages" are those of the stages, where all agree; "stages" lists what they were made by otherwise
    too. "recorded" is the look that wrote the record, which may be later and by other code.

    Args:
        machine: How it is recorded.
        model: The base model.
        stages: The stage.json of all that the result is made of.
    """
    stages = list(stages)
    made_by = origins(stages)
    return {
        "made": max((str(s["made"]) for s in stages), default=""),
        "model": {
            "identity": source.identity(model),
            "type": source.configuration(model).get("model_type", ""),
            **({"reading": reading} if (reading := source.reading(model)) else {}),
        },
        "git": one_of_all(o["origin"].get("code") for o in made_by),
        "packages": one_of_all(o["origin"].get("packages", {}) for o in made_by) or {},
        "stages": made_by,
        "recorded": {"git": git_revision(), "packages": packages()},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": threads(),
        "gpus": gpus(),
        "machine": {k: v for k, v in machine.model_dump(mode="json").items() if k not in PLACES},
        "arguments": [without_folders(argument) for argument in without_servers(sys.argv[1:])],
    }


def stages_of(trajectory: Trajectory, results: Iterable[ExamResult]) -> list[Mapping[str, Any]]:
    """Return the stage.json of every answer and grade of a run; of states, which may be gone, what is remembered."""
    store = trajectory.store
    found: list[Mapping[str, Any]] = []
    for result in results:
        both = (store.stage("ask", result.answers_key), store.stage("mark", result.grades_key))
        found += [stage for stage in both if stage is not None]
    for index in range(1, len(trajectory.lessons) + 1):
        remembered = store.stage("effective", trajectory.keys[index])
        assert remembered is not None, "every state of a finished run is remembered"
        found.append({"made": remembered["made"], "origin": remembered["why"].get("origin", {})})
    return found


def origins(stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return by what some stages were made, the most frequent first: [{"origin": {...}, "made": 12}, ...]."""
    found: Counter[str] = Counter()
    known: dict[str, Mapping[str, Any]] = {}
    for stage in stages:
        name = canonical(stage.get("origin", {}))
        found[name] += 1
        known[name] = stage.get("origin", {})
    return [{"origin": known[name], "made": num} for name, num in sorted(found.items(), key=lambda i: (-i[1], i[0]))]


def foreign(made_by: Iterable[Mapping[str, Any]], here: Mapping[str, Any]) -> int:
    """Return how many stages were made by other code than that of the origin `here`, or by code not on record."""
    return sum(o["made"] for o in made_by if not same_code(o["origin"], here))


def one_of_all(values: Iterable[Any]) -> Any:
    """Return the value that all have, None where they differ or there is none."""
    found = list(values)
    return found[0] if found and all(value == found[0] for value in found) else None


def without_servers(arguments: Sequence[str]) -> list[str]:
    """Return arguments without the values of options that name a server: addresses, and commands with keys in them.

    Example:
        >>> without_servers(["run", "a.yaml", "--serve", "vllm serve {folder}", "--exam-server=http://host/v1"])
        ['run', 'a.yaml', '--serve', '...', '--exam-server=...']
    """
    found: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name, equals, _ = argument.partition("=")
        hidden = f"{name}=..." if equals and name in SERVERS else argument
        found.append("..." if before in SERVERS else hidden)
    return found


def without_folders(argument: str) -> str:
    """Return a command-line argument with the folders of its private paths left out.

    Example:
        >>> without_folders("--store=/home/someone/runs")
        '--store=runs'
        >>> without_folders("../recipes/demo.yaml")
        '../recipes/demo.yaml'
    """
    return _PRIVATE_PATH.sub(lambda found: Path(found.group()).name, argument)
