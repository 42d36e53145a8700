"""Checkpoint folders in which a PEFT adapter lies beside the base weights, or alone.

Loaders sit such an adapter on the base without a word. Here the spec says what is meant (`model.adapter`), and an
adapter alone is merged by its owner first: which base it belongs to is for him to say.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clbench.core.errors import ModelError
from clbench.core.scratch import scratch
from clbench.core.spec import ModelSpec

CONFIG = "adapter_config.json"
FILES = frozenset({CONFIG, "adapter_model.safetensors", "adapter_model.bin"})
MERGE = (
    'python -c "from peft import AutoPeftModelForCausalLM as M; '
    "M.from_pretrained('{folder}').merge_and_unload().save_pretrained('merged')\" "
    "and copy the tokenizer's files beside it"
)


def check_adapter(folder: Path, spec: ModelSpec) -> None:
    """Refuse a folder of which it is not said whether its adapter counts.

    Raises:
        ModelError: There is an adapter without base weights; or with them, and the spec says nothing; or none to use.
    """
    alone = not (folder / "config.json").is_file()
    if not (folder / CONFIG).is_file():
        if spec.adapter == "use":
            raise ModelError(f"{folder} holds no adapter ({CONFIG})", where="model.adapter", mend="leave `adapter` out")
        return
    if alone:
        raise ModelError(
            f"{folder} holds a PEFT adapter alone, without its base model",
            where="model.name",
            mend=f"merge it into its base first: {MERGE.format(folder=folder)}",
        )
    if spec.adapter is None:
        raise ModelError(
            f"{folder} holds base weights and a PEFT adapter ({CONFIG}), and it is not said whether the adapter counts",
            where="model.adapter",
            mend="write `adapter: use` (it is merged into the weights when they are loaded) or `adapter: ignore` under "
            "`model:`; on the command line, move the adapter's files away or merge them: "
            + MERGE.format(folder=folder),
        )


@contextmanager
def base_alone(folder: Path | None) -> Generator[Path | None]:
    """Give a folder with the base's files only, since loaders cannot be told to leave an adapter where it is."""
    if folder is None or not (folder / CONFIG).is_file():
        yield folder
        return
    with scratch("base") as view:
        for path in folder.iterdir():
            if path.name not in FILES:
                (view / path.name).symlink_to(path.resolve())
        yield view


def with_adapter(module: Any, folder: Path | None, spec: ModelSpec) -> Any:
    """Return the model as the spec wants it: its adapter merged into its weights, or left aside.

    Raises:
        ModelError: The adapter does not fit the base, or is of a kind that cannot be merged; or a Hub model has one.
    """
    if folder is None and vars(module).get("peft_config"):
        raise ModelError(
            f"Hub model {spec.name!r} holds an adapter beside its base weights",
            where="model.name",
            mend="download it, and say in the spec whether the adapter counts (`adapter: use` or `ignore`)",
        )
    if spec.adapter != "use":
        return module
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            merged: Any = PeftModel.from_pretrained(module, str(folder))
            whole = merged.merge_and_unload().requires_grad_(True)  # peft had frozen the base
    except (ValueError, RuntimeError, AttributeError, KeyError, TypeError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"the adapter in {folder} cannot be merged into its base: {first}",
            where="model.adapter",
            mend="merge it yourself, or write `adapter: ignore`",
        ) from error
    missing = [str(w.message) for w in said if "missing adapter keys" in str(w.message)]
    if missing:
        raise ModelError(
            f"the adapter in {folder} does not fit its base: {missing[0][:200]}",
            where="model.adapter",
            mend="put it beside the base that it was trained on, or write `adapter: ignore`",
        )
    return whole
