"""What made a stage: code, packages, device, threads. No host name, no user name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from clbench.core.resource_probes import DEVICE, HOW

PACKAGES = (
    "clbench",
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "bitsandbytes",
    "datasets",
    "safetensors",
    "numpy",
    "pydantic",
    "rouge-score",
)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
WAIT_S = 10.0
UNKNOWN: Mapping[str, Any] = {}  # the origin of stages that were made before origins were kept


def origin() -> dict[str, Any]:
    """Return the origin of the stages that this process makes.

    "code" and "packages" decide what a stage holds; "device", "cpu", "gpus", "threads" and "how" (options of the
    machine that do not stand at their defaults, such as `micro_batch`) may change its last digits.
    """
    how = {"how": dict(HOW)} if HOW else {}
    return {**_unchanging(), "device": DEVICE.get("device", ""), "threads": threads(), **how}


@cache
def _unchanging() -> dict[str, Any]:
    # Imported code does not change, so it is looked at once per process.
    return {
        "code": git_revision(),
        "packages": packages(),
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "gpus": list(gpus()),
    }


def same_code(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Return whether two origins have the same code: commit, cleanness and packages; False for an unknown origin."""
    known = bool(one.get("packages") and two.get("packages"))
    return known and all(one.get(part) == two.get(part) for part in ("code", "packages", "python"))


def packages() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    return {name: version for name in PACKAGES if (version := package_version(name))}


def threads() -> dict[str, str]:
    """Return how many threads the environment asks for."""
    return {name: os.environ[name] for name in THREADS if name in os.environ}


@cache
def package_version(name: str) -> str | None:
    """Return the version of an installed package without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def cpu_model() -> str:
    """Return the processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def gpus() -> tuple[str, ...]:
    """Return the names of NVIDIA devices, without touching them through torch."""
    listing = _output_of(["nvidia-smi", "-L"]) or ""
    return tuple(line.split(" (UUID")[0] for line in listing.splitlines() if line.startswith("GPU"))


def accelerators() -> int:
    """Return how many NVIDIA devices this process may use: 0 where torch has no support for them."""
    if "+cpu" in (package_version("torch") or ""):
        return 0
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return len(gpus())
    named = [part.strip() for part in chosen.split(",")]
    valid = named[: next((i for i, part in enumerate(named) if part in ("", "-1")), len(named))]  # as CUDA reads it
    return min(len(valid), len(gpus())) if valid else 0


@cache
def git_revision() -> dict[str, Any] | None:
    """Return commit and cleanness of the source tree that clbench runs from; None for an installed package.

    "dirty" is about the package's own source: results and notes beside it change nothing.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    commit = _output_of(["git", "-C", str(root), "rev-parse", "HEAD"])
    changed = _output_of(["git", "-C", str(root), "status", "--porcelain", "--", "src", "pyproject.toml"])
    if commit is None or changed is None:
        return None
    return {"commit": commit.strip(), "dirty": bool(changed.strip())}


def _output_of(command: Sequence[str]) -> str | None:
    """Return what a program prints; None if it is not installed, fails or hangs: a run never fails for its record."""
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
