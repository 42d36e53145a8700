"""Where a result comes from: code, packages, machine. No host name, no user name."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from clbench.core.spec import Machine

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


def provenance(machine: Machine) -> dict[str, Any]:
    """Give what a reader needs to judge and repeat a result."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_revision(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": cores(),
        "gpus": gpus(),
        "machine": {k: v for k, v in machine.model_dump(mode="json").items() if k not in ("store", "data")},
        "arguments": [Path(a).name if a.startswith("/") else a for a in sys.argv[1:]],
    }


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
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpus() -> list[str]:
    """Give the names of NVIDIA devices, without touching them through torch."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    found = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=10, check=False)
    return [line.split(" (UUID")[0] for line in found.stdout.splitlines() if line.startswith("GPU")]


def git_revision() -> dict[str, Any] | None:
    """Give commit and cleanness of the source tree that clbench runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain"])
    said = [
        subprocess.run([git, "-C", str(root), *c], capture_output=True, text=True, timeout=10, check=False)
        for c in commands
    ]
    if said[0].returncode:
        return None
    return {"commit": said[0].stdout.strip(), "dirty": bool(said[1].stdout.strip())}
