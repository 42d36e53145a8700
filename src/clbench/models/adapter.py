"""PEFT adapters that are merged into base weights when these are loaded.

Loaders apply one that lies beside base weights silently. Here the spec must say whether it counts (`model.adapter`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.scratch import scratch
from clbench.core.spec import ModelSpec
from clbench.models.files import check_pointer, named_as_weights, shards
from clbench.models.weight_files import AGAIN, header

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
FILES = frozenset({CONFIG, *WEIGHTS})
# First values of an adapter that are taken from the base's own, and taken out of these: nothing to see without values.
DECOMPOSED = ("pissa", "olora", "mica", "loftq")
MOVED, MOVED_16 = 1e-3, 0.5  # by which merging may move logits, as a share of their size: in 32 bits, in 16
# As torch says it, of a matrix with a side for the words: a table, an output layer, or an adapter on one of them.
OTHER_SHAPE = re.compile(
    r"size mismatch for (?P<name>\S+): copying a param with shape torch\.Size\(\[(?P<own>[\d, ]+)\]\) from checkpoint, "
    r"the shape in current model is torch\.Size\(\[(?P<base>[\d, ]+)\]\)"
)
WORDS = re.compile(r"embed|lm_head|\bwte\b|output_layer")
RESIZE = (
    'python -c "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; '
    "m = M.from_pretrained('BASE'); m.resize_token_embeddings({words}, mean_resizing=False); "
    "m.save_pretrained('larger'); T.from_pretrained('{folder}').save_pretrained('larger')\""
)
IGNORE = "or write `adapter: ignore`"
MERGE = (
    'python -c "from peft import AutoPeftModelForCausalLM as M; '
    "M.from_pretrained('{folder}').merge_and_unload().save_pretrained('merged')\" "
    "and copy the tokenizer's files beside it"
)


def is_adapter_alone(folder: Path) -> bool:
    """Return whether a folder holds an adapter, and no base weights beside it; a copy of the base's config.json may."""
    return (folder / CONFIG).is_file() and not _has_base(folder)


def _has_base(folder: Path) -> bool:
    whole = bool(named_as_weights(folder) or shards(folder))
    # Without any weights at all, it is the base's that are missing.
    return (folder / "config.json").is_file() and (whole or not any((folder / name).is_file() for name in WEIGHTS))


def check_adapter(folder: Path, spec: ModelSpec) -> None:
    """Refuse a folder with base weights and an adapter if the spec does not say whether the adapter counts.

    Raises:
        ModelError: An adapter is incomplete; the spec does not say whether it counts, or asks for one that is not
            there; or there is an adapter alone, and the spec names another or none.
    """
    alone = not _has_base(folder)
    weights = [name for name in WEIGHTS if (folder / name).is_file()]
    if not (folder / CONFIG).is_file():
        if weights and not alone and spec.adapter != "ignore":
            raise ModelError(
                f"{folder} holds base weights and those of an adapter ({weights[0]}), and not its {CONFIG}",
                where="model.adapter",
                mend=f"bring its {CONFIG} back, {IGNORE}",
            )
        if spec.adapter == "use":
            raise ModelError(f"{folder} holds no adapter ({CONFIG})", where="model.adapter", mend="leave `adapter` out")
        return
    if alone:
        what = f"{folder} holds a PEFT adapter alone, without its base model, and `adapter` is {spec.adapter!r}"
        raise ModelError(what, where="model.name", mend="leave `adapter` out, or name the base")
    if spec.quantised:
        raise ModelError(
            f"{folder} holds base weights and a PEFT adapter ({CONFIG}), and `adapter: qlora` takes a base alone",
            where="model.adapter",
            mend="merge it first: " + MERGE.format(folder=folder),
        )
    if spec.adapter is None:
        raise ModelError(
            f"{folder} holds base weights and a PEFT adapter ({CONFIG}), and it is not said whether the adapter counts",
            where="model.adapter",
            mend="write `adapter: use` (it is merged into the weights when they are loaded) or `adapter: ignore` under "
            "`model:`; `--set adapter=use` for `clbench exam`, `baseline` and `gate`; or merge it: "
            + MERGE.format(folder=folder),
        )
    if spec.adapter == "use" and not weights:  # peft would look for them on the Hub, under the folder's name
        raise ModelError(
            f"{folder} holds the {CONFIG} of an adapter, and no weights of it ({' or '.join(WEIGHTS)})",
            where="model.adapter",
            mend=f"finish the download, {IGNORE}",
        )


@contextmanager
def base_alone(folder: Path | None) -> Generator[Path | None]:
    """Yield a folder with the base's files only, since loaders cannot be told to ignore an adapter."""
    if folder is None or not (folder / CONFIG).is_file():
        yield folder
        return
    with scratch("base") as view:
        for path in folder.iterdir():
            if path.name not in FILES:
                (view / path.name).symlink_to(path.resolve())
        yield view


def with_adapter(module: Any, adapter: Path | None, spec: ModelSpec) -> Any:
    """Return the model as the spec wants it: with an adapter merged into its weights, or without.

    Raises:
        ModelError: The adapter does not fit the base, is damaged, or is of a kind that cannot be merged; or a Hub model
            has one.
    """
    if vars(module).get("peft_config"):
        raise ModelError(
            f"Hub model {spec.name!r} holds an adapter beside its base weights",
            where="model.name",
            mend="download it, and say in the spec whether the adapter counts (`adapter: use` or `ignore`)",
        )
    if adapter is None:
        return module
    from clbench.models.loaded import not_finite

    merged_module = _merge(module, adapter)
    if broken := not_finite(merged_module):
        raise ModelError(
            f"the adapter in {adapter} brings NaN or infinite values into {len(broken)} weights, such as {broken[0]}",
            where="model.adapter",
            mend=f"use an earlier one, {IGNORE}",
        )
    return merged_module


def check_fits(module: Any, adapter: Path) -> None:
    """Refuse an adapter that does not fit a model, which may be built without weights.

    Raises:
        ModelError: As of `with_adapter`, but for what depends on the weights' values.
    """
    try:
        _put_on(module, adapter)
    except ModelError as error:
        # Else it needs the values, and is seen when they are loaded.
        if not re.search(r"(?<![a-z])meta(?![a-z])", str(error.__cause__)):
            raise


def _merge(module: Any, folder: Path) -> Any:
    wrapped = _put_on(module, folder)
    if (init := str(vars(wrapped.active_peft_config).get("init_lora_weights"))).startswith("pissa_niter"):
        notice(f"{folder}: {init} draws what is taken out of the base: it may differ from what was in training")
    try:
        beside = _probed(wrapped)
        with warnings.catch_warnings(), _untied(wrapped.get_base_model()):
            warnings.simplefilter("ignore")  # of tied words, which `_untied` sees to
            merged: Any = wrapped.merge_and_unload().requires_grad_(True)  # peft had frozen the base
        _check_same(beside, _probed(merged), merged.dtype)
    except Exception as error:  # whatever the library meets in a file that is not what it seems
        raise _unmergeable(folder, error) from error
    return merged


def _probed(module: Any) -> Any:
    """Return what a model says of seven tokens, as numbers on the CPU."""
    import torch

    rows = module.get_input_embeddings().weight.shape[0]
    ids = torch.tensor([[37 * (place + 1) % rows for place in range(7)]], device=module.device)
    with torch.no_grad():
        return module.eval()(input_ids=ids).logits.float().cpu()


def _check_same(beside: Any, merged: Any, dtype: Any) -> None:
    """Refuse a merge after which the model answers otherwise than with the adapter beside its weights.

    Raises:
        ValueError: By how much.
    """
    far = float((beside - merged).abs().max())
    if far > (MOVED if dtype.itemsize >= 4 else MOVED_16) * max(float(beside.std()), float(beside.abs().mean())):
        raise ValueError(f"merged, it answers otherwise than beside it (logits differ by up to {far:.2g})")


def _put_on(module: Any, folder: Path) -> Any:
    from peft import PeftConfig, PeftModel

    _check_files(folder)
    try:
        with warnings.catch_warnings(record=True) as reported:
            warnings.simplefilter("always")
            kind: Any = PeftConfig.from_pretrained(str(folder))
            _check_kind(kind)
            if module.device.type == "meta" and str(vars(kind).get("init_lora_weights")).startswith(DECOMPOSED):
                kind.init_lora_weights = True
            wrapped: Any = PeftModel.from_pretrained(module, str(folder), config=kind)
            if any("merging LoRA weights won't be possible" in str(w.message) for w in reported):
                raise ValueError("lora_bias gives a bias to layers of the base that have none")
            loaded = wrapped.load_adapter(str(folder), wrapped.active_adapter)  # again, for the keys that it returns
    except Exception as error:  # as above
        raise _unmergeable(folder, error) from error
    wrong = [str(w.message)[:200] for w in reported if "missing adapter keys" in str(w.message)]
    if strange := sorted(loaded.unexpected_keys):
        wrong.append(f"{len(strange)} weights of it have no place there, for example {strange[0]}")
    if wrong:
        raise ModelError(
            f"the adapter in {folder} does not fit its base and its {CONFIG}: {wrong[0]}",
            where="model.adapter",
            mend=f"put it beside the base that it was trained on, {IGNORE}",
        )
    return wrapped


def _check_files(folder: Path) -> None:
    """Refuse an adapter whose files are not whole, or hold more than tensors; the first that is there is read."""
    from clbench.models.pickles import of_pickle

    for name in (CONFIG, *WEIGHTS):
        check_pointer(folder / name)
    path = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    if path.stat().st_size == 0:
        raise ModelError(f"{path.name} is empty", where=str(folder), mend=AGAIN)
    _ = of_pickle(path) if path.suffix == ".bin" else header(path)


def _check_kind(kind: Any) -> None:
    """Refuse kinds of adapters that are more than a change of the base's weights.

    Raises:
        ValueError: Says what it is.
    """
    if kind.is_prompt_learning or kind.is_adaption_prompt:
        raise ValueError(f"{kind.peft_type.value} changes what the model reads, and no weights")
    stated = vars(kind)
    if stated.get("alora_invocation_tokens"):
        raise ValueError("aLoRA changes weights for the tokens behind its words alone")
    if stated.get("layer_replication"):
        raise ValueError("layer_replication makes layers that share their weights, and changes each in another way")


def _other_words(folder: Path, error: Exception) -> ModelError | None:
    """Return the error that names both numbers of words, where an adapter's table has another than its base's."""
    found = OTHER_SHAPE.search(str(error))
    if found is None or not WORDS.search(found["name"]):
        return None
    own, base = ([int(n) for n in found[part].split(", ")] for part in ("own", "base"))
    apart = [(a, b) for a, b in zip(own, base, strict=False) if a != b]
    if len(own) != len(base) or len(apart) != 1:
        return None
    words, there = apart[0]
    how = "words were added to" if words > there else "words were taken from"
    return ModelError(
        f"the adapter in {folder} belongs to a base of {words:,} words, and this one has {there:,}: {how} it before "
        "the adapter was trained",
        where="model.adapter",
        mend="name the base of that training, or make it, with the rows that the adapter brings: "
        + RESIZE.format(words=words, folder=folder),
    )


def _unmergeable(folder: Path, error: Exception) -> ModelError:
    if (of_words := _other_words(folder, error)) is not None:
        return of_words
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = f"{lines[0]} {lines[1].strip()}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    if isinstance(error, KeyError):
        first = f"peft does not know {first}, or {CONFIG} lacks it"
    return ModelError(
        f"the adapter in {folder} cannot be merged into its base: {first}",
        where="model.adapter",
        mend=f"merge it yourself, {IGNORE}",
    )


@contextmanager
def _untied(base: Any) -> Generator[None]:
    """Split the shared table of input and output words in two while an adapter that changes one side is merged.

    Else what is merged into one side would change the other side too, which the adapter has not learnt.
    """
    inside: list[Any] = [_plain(base.get_input_embeddings()), _plain(base.get_output_embeddings())]
    tied = None not in inside and inside[0].weight is inside[1].weight
    if tied:
        inside[1].weight = type(inside[1].weight)(inside[1].weight.detach().clone())
    yield
    first, last = base.get_input_embeddings(), base.get_output_embeddings()
    if tied and bool((first.weight == last.weight).all()):
        last.weight = first.weight
    elif tied:
        base.config.tie_word_embeddings = False


def _plain(layer: Any) -> Any:
    """Return the base's own layer inside peft's wrapper; None for None."""
    inside: dict[str, Any] = {} if layer is None else dict(layer.named_children())
    return inside.get("base_layer", inside.get("original_module", layer))
