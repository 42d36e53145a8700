"""Where a result comes from: code, packages, machine. No host name, no user name."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from clbench.core.spec import Machine, ModelSpec
from clbench.models import source

PACKAGES = (
    "clbench",
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "datasets",
    "safetensors",
    "numpy",
    "pydantic",
    "rouge-score",
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
WAIT_S = 10.0
# The start of an absolute path or of one in a home, at the beginning of an argument or of a value in it.
_PRIVATE_PATH = re.compile(r"(?<![^\s=,:\[{'\"])~?/(?!/)[^=,:\]}'\"]*")


def provenance(machine: Machine, model: ModelSpec) -> dict[str, Any]:
    """Give what a reader needs to judge and repeat a result."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {
            "identity": source.identity(model),
            "type": source.configuration(model).get("model_type", ""),
            **({"reading": reading} if (reading := source.reading(model)) else {}),
        },
        "git": git_revision(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": cores(),
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
        "gpus": gpus(),
        "machine": {k: v for k, v in machine.model_dump(mode="json").items() if k not in ("store", "data")},
        "arguments": [shown(argument) for argument in sys.argv[1:]],
    }


def shown(argument: str) -> str:
    """Give a command-line argument with the folders of its private paths left out.

    Example:
        >>> shown("--store=/home/someone/runs")
        '--store=runs'
        >>> shown("../recipes/demo.yaml")
        '../recipes/demo.yaml'
    """
    return _PRIVATE_PATH.sub(lambda found: Path(found.group()).name, argument)


def package_version(name: str) -> str | None:
    """Give the version of an installed package without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cores() -> int:
    """Give the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def cpu_model() -> str:
    """Give the processor's name as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def gpus() -> tuple[str, ...]:
    """Give the names of NVIDIA devices, without touching them through torch."""
    said = _said(["nvidia-smi", "-L"]) or ""
    return tuple(line.split(" (UUID")[0] for line in said.splitlines() if line.startswith("GPU"))


@cache
def git_revision() -> dict[str, Any] | None:
    """Give commit and cleanness of the source tree that clbench runs from; None for an installed package.

    "dirty" is about the package's own source: results and notes beside it change nothing.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    commit = _said(["git", "-C", str(root), "rev-parse", "HEAD"])
    changed = _said(["git", "-C", str(root), "status", "--porcelain", "--", "src", "pyproject.toml"])
    if commit is None or changed is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(changed.strip())}


def _said(command: Sequence[str]) -> str | None:
    """Give what a program prints; None if it is not installed, fails or hangs: a run never fails for its record."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, errors="replace", timeout=WAIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None
