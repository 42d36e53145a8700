"""Extras: packages that `pip install clbench` alone does not install, and the extra of each. Imports none of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping

from clbench.core.errors import ExtraError, said_of

# Extra -> the modules that clbench imports of it.
MODULES: Mapping[str, tuple[str, ...]] = {
    "train": ("torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors", "rouge_score", "sacrebleu"),
    "data": ("datasets", "pyarrow", "pandas"),
    "abilities": ("lm_eval", "langdetect", "jieba", "nltk", "punkt"),
    "sentencepiece": ("sentencepiece",),
    "qlora": ("bitsandbytes",),
    "context": ("aiohttp",),
    "energy": ("pynvml",),
    "figures": ("vl_convert",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "ray": ("ray",),
    "slurm": ("submitit",),
}
# Needed to load a model; the others of "train" serve single methods and scorers, which ask for them.
TO_LOAD = ("torch", "transformers", "accelerate")


def install(extra: str) -> str:
    """Return the command that installs an extra."""
    return f'pip install "clbench[{extra}]"'


def absent(modules: Iterable[str]) -> list[str]:
    """Return the modules that are not installed, in their order."""
    return [name for name in modules if not _is_here(name)]


def _is_here(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # an import hook refuses it, or its place in sys.modules is barred
        return False


def need_models(what: str) -> None:
    """Refuse work that needs a model if none can be loaded, before anything is opened or planned.

    Args:
        what: The work, for the message: "a run", "an exam".

    Raises:
        ExtraError: Names the missing modules and the extra that installs them.
    """
    if lacking := absent(TO_LOAD):
        raise ExtraError(f"{what} needs {_listed(lacking)}", mend=install("train"))


def need(extra: str, module: str, what: str) -> None:
    """Refuse what needs a module of an extra where it is not installed.

    Args:
        extra: The extra that brings it.
        module: The module.
        what: The work, for the message: "a table of figures".

    Raises:
        ExtraError: Names the module and the extra.
    """
    if lacking := absent([module]):
        raise ExtraError(f"{what} needs {_listed(lacking)}", mend=install(extra))


def explained(error: ImportError) -> ExtraError | None:
    """Return the error for the user of a failed import; None if the module does not belong to an extra."""
    root = error.name.partition(".")[0] if isinstance(error.name, str) else ""
    found = next((extra for extra, modules in MODULES.items() if root in modules), None)
    if found is None:
        return None
    if not _is_here(root):
        return ExtraError(f"this needs {_listed([root])}", mend=install(found))
    return ExtraError(
        f"{root} is installed and does not import: {said_of(error)}", mend=f"install it anew: {install(found)}"
    )


def _listed(modules: list[str]) -> str:
    return f"{', '.join(modules)}, which {'is' if len(modules) == 1 else 'are'} not installed"
