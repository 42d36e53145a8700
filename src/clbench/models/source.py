"""Where a base model comes from, and what identifies it. It reads files and imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from clbench.core.cache import Stamp, remembered_digest, stamp
from clbench.core.errors import ModelError
from clbench.core.events import notice
from clbench.core.keys import digest, folder_digest
from clbench.core.spec import ModelSpec
from clbench.core.types import Ability
from clbench.models import template_file
from clbench.models.adapter import FILES
from clbench.models.custom_code import check_code, code_digest
from clbench.models.ends import end_mark, left_aside, stated_ends
from clbench.models.files import TOKENIZER, check_pointer, has_tokenizer, identity_files
from clbench.models.lengths import Length, length_of
from clbench.models.pins import pin
from clbench.models.place import adapter_of, locate
from clbench.models.reasoning import mark_of
from clbench.models.supported import NF4, check_four_bits, check_supported, family_of_type
from clbench.models.template import DATE, chosen, habits, reads_clock
from clbench.models.weight_files import weight_files

PROCESSOR = "chat_template.json"
BEHIND_API = 32_768  # tokens that a model behind an API is taken to read
MERGING = 2  # version of merging adapters; raised when the same adapter gives other weights
ENCODER_SUFFIXES = ("ForSequenceClassification", "ForMaskedLM", "ForPreTraining")


@lru_cache(maxsize=64)
def _folder_identity(folder: Path, names: tuple[str, ...], _stamps: tuple[Stamp, ...]) -> str:
    return folder_digest(folder, names, remembered_digest)


def identity(spec: ModelSpec) -> str:
    """Return the digest of all that the base model's answers depend on: weights, tokenizer, template, dtype, length.

    End tokens and habits of the template are part of it if they are more than one end token and turns written as they
    are. So is the mark that ends reasoning, if the model has one.
    """
    if spec.provider is not None:
        own = {"answer": spec.answer} if spec.answer else {}
        return digest({"provider": spec.provider, "name": spec.name, "max_tokens": settled(spec).max_tokens, **own})
    folder = locate(spec)
    if folder is None:
        source: Any = {"hub": spec.name, "revision": spec.revision}
    else:
        source = _content(folder, identity_files(folder) - (set() if spec.adapter in (None, "use") else FILES))
    home = None if folder is None else tokenizer_home(spec, folder)
    own, mark = reading(spec), mark_of(spec, home)
    more = ({"reading": own} if own else {}) | ({"answer_after": mark} if mark else {})
    more |= _chosen_beyond(spec, folder)
    length = settled(spec).max_tokens
    return digest({"source": source, "family": spec.family, "dtype": spec.dtype, "max_tokens": length, **more})


def content_of(folder: Path) -> str:
    """Return the digest of a checkpoint's or an adapter's files: weights, tokenizer, templates.

    Raises:
        ModelError: A file of it is a link that leads nowhere, or an index of weights cannot be read.
    """
    return _content(folder, identity_files(folder))


def _content(folder: Path, names: set[str]) -> str:
    ordered = tuple(sorted(names))
    return _folder_identity(folder, ordered, tuple(stamp(folder / name) for name in ordered))


def _chosen_beyond(spec: ModelSpec, folder: Path | None) -> dict[str, Any]:
    """Return what a spec chooses beyond the checkpoint's folder, by its content: nothing for a spec that does not."""
    adapter = adapter_of(spec)
    found: dict[str, Any] = {} if adapter is None else {"merging": MERGING}
    if adapter is not None and adapter != folder:
        found["adapter"] = content_of(adapter)
    if spec.template is not None and (own := template_file.identity(spec.template)):
        found["template"] = own
    if spec.quantised:
        found["quantised"] = dict(NF4)
    if spec.attention is not None:
        found["attention"] = spec.attention
    if spec.trust_code is not None and folder is not None:
        found["code"] = code_digest(folder)
    return found


def unread_identity(spec: ModelSpec) -> str:
    """Return a digest that stands for `identity` where nothing is looked up by it: no file is read for it."""
    return digest({"unread": spec})


def settled(spec: ModelSpec) -> ModelSpec:
    """Return a spec with a length, the model's own if the spec names none, and with its other files pinned.

    Raises:
        ModelError: There is no such model, the spec asks for more tokens than the model has positions, or a file that
            is pinned is not what it was.
    """
    if spec.provider is not None:
        return _settled_behind_api(spec)
    length = _length(spec)
    spec = _pinned(spec)
    if spec.max_tokens is None:
        if length.bound:
            notice(
                f"{spec.name}: the model takes {length.most or 'any number of'} tokens; inputs are cut at "
                f"{length.default}, whose keys and values take 4 GiB; `max_tokens` gives it more"
            )
        return spec.model_copy(update={"max_tokens": length.default})
    if length.most is not None and spec.max_tokens > length.most:
        raise ModelError(
            f"max_tokens is {spec.max_tokens}, and {spec.name!r} has {length.most} positions",
            where="model.max_tokens",
            mend=f"{length.most} or less; without it the model's own length is used",
        )
    return spec


def _settled_behind_api(spec: ModelSpec) -> ModelSpec:
    if spec.max_tokens is not None:
        return spec
    notice(
        f"{spec.name}: it is behind an API, so its length is not known: {BEHIND_API} tokens are taken (`max_tokens` "
        "says another number), and what stands before a question is counted at four bytes a token"
    )
    return spec.model_copy(update={"max_tokens": BEHIND_API})


def _pinned(spec: ModelSpec) -> ModelSpec:
    adapter, more = adapter_of(spec), dict[str, Any]()
    if adapter is not None and spec.adapter not in (None, "use"):
        content = content_of(adapter)
        more["adapter"] = pin(spec.adapter, content, "model.adapter")
    if spec.template is not None and spec.template.file is not None:
        more["template"] = template_file.pinned(spec.template)
    if spec.max_tokens is None:  # it is settled for the first time
        for text in _remarks(spec, adapter):
            notice(f"{spec.name}: {text}")
    return spec.model_copy(update=more) if more else spec


def _remarks(spec: ModelSpec, adapter: Path | None) -> Iterator[str]:
    """Yield what a user must know of how a model is taken."""
    folder = locate(spec)
    if spec.trust_code is None and configuration(spec).get("auto_map"):
        yield "it brings code of its own (auto_map), which does not run unasked (`trust_code`)"
    if adapter is not None and adapter != folder:
        yield f"the adapter in {adapter} is merged into the weights of {folder}"
    if folder is not None and spec.revision is not None:
        yield "`revision` is not read: it is a folder"
    told = template_file.arguments_of(spec)
    text = (template_of(spec) or "") if told else ""
    if unread := [name for name in told if name not in text]:
        yield f"its chat template does not read {', '.join(unread)}"


def template_of(spec: ModelSpec) -> str | None:
    """Return the text of the chat template that a model is asked with; None without one."""
    tokenizer = stated(spec, "tokenizer_config.json")
    return template_file.text_of(spec) or chosen(_templates(spec, tokenizer), spec.name) or processors_template(spec)


def _length(spec: ModelSpec) -> Length:
    config = configuration(spec)
    found = family_of(spec, list(config.get("architectures") or []), unknown="causal")
    tokenizer = stated(spec, "tokenizer_config.json")
    length = length_of(config, tokenizer, spec.dtype, encoder=found == "encoder")
    if length.most is None and config.get("model_type"):
        # The file leaves out defaults of its class, which only transformers knows.
        length = length_of(_filled(config), tokenizer, spec.dtype, encoder=found == "encoder")
    return length


def _filled(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**as_read(config), **config}


def as_read(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a configuration with defaults and current names; unchanged if its type is unknown."""
    from transformers import AutoConfig

    settings = {k: v for k, v in config.items() if k != "model_type"}
    try:
        return AutoConfig.for_model(str(config["model_type"]), **settings).to_dict()
    except Exception:  # a type with code of its own, or values that its class refuses: loading reports it
        return config


def reading(spec: ModelSpec) -> dict[str, Any]:
    """Return what the checkpoint's files say of ends and turns, beyond one end token and turns as they are.

    Keys, each only if there is something to say: "ends" (ids stated beside the tokenizer's own, and the template's
    mark), "decoding" (settings of generation_config.json that are ignored), "date" (of a template that reads the
    clock), "system" (a system turn that the template drops), "opening" (what it leaves out before an answer),
    "parts" (it reads turns in parts), "template" (the file, if it is not the tokenizer's).
    """
    config, generation = configuration(spec), stated(spec, "generation_config.json")
    if family_of(spec, list(config.get("architectures") or []), unknown="causal") == "encoder":
        return {}
    tokenizer = stated(spec, "tokenizer_config.json")
    names = {n: t for n in ("bos_token", "eos_token", "pad_token", "unk_token") if (t := token(tokenizer.get(n)))}
    ids = _added(stated(spec, "tokenizer.json"), tokenizer)
    found: dict[str, Any] = {}
    source = template_file.text_of(spec) or chosen(_templates(spec, tokenizer), spec.name)
    if source is None and (source := processors_template(spec)) is not None:
        found["template"] = PROCESSOR
    own = ids.get(names.get("eos_token", ""))
    ends = [i for i in stated_ends(config, generation) if i != own]
    arguments = template_file.arguments_of(spec)
    does = None if source is None else habits(source, names | arguments)
    mark = None if does is None else end_mark(does.ending, [*ids, *names.values()])
    mark = None if mark == names.get("eos_token") else mark
    if mark is not None or len(ends) > (own is None):
        found["ends"] = {"ids": ends, "mark": mark}
    if aside := left_aside(generation, config):
        found["decoding"] = f"without {', '.join(aside)}"
    if source is not None and reads_clock(source):
        found["date"] = str(arguments.get("date_string", DATE))
    if does is not None and does.system == "dropped":
        found["system"] = "folded"
    if does is not None and does.opening:
        found["opening"] = does.opening
    if does is not None and does.parts:
        found["parts"] = True
    return found


def token(value: Any) -> str:
    """Return the text of a special token, which files state as a text or with its settings."""
    return str(value["content"]) if isinstance(value, Mapping) and "content" in value else str(value or "")


def _added(tokenizer: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, int]:
    """Return text -> id of the special and added tokens."""
    found = {str(t["content"]): int(t["id"]) for t in tokenizer.get("added_tokens") or ()}
    decoder: Mapping[str, Any] = config.get("added_tokens_decoder") or {}
    return found | {token(token): int(number) for number, token in decoder.items()}


def _templates(spec: ModelSpec, tokenizer: Mapping[str, Any]) -> Any:
    path = checkpoint_file(spec, "chat_template.jinja")
    return path.read_text(encoding="utf-8") if path is not None else tokenizer.get("chat_template")


def processors_template(spec: ModelSpec) -> str | None:
    """Return the chat template in the processor's file, where models that see images keep it; None without one."""
    return chosen(stated(spec, PROCESSOR).get("chat_template"), spec.name)


def checkpoint_file(spec: ModelSpec, name: str) -> Path | None:
    """Return the path of a checkpoint's file, fetched for a model of the Hub; None if there is no such file.

    Raises:
        ModelError: A Hub model's config.json is not here and cannot be fetched.
    """
    folder = locate(spec)
    if spec.provider is not None:
        return None
    if folder is not None:
        home = tokenizer_home(spec, folder) if name in TOKENIZER else folder
        return home / name if (home / name).is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(spec.name, name, revision=spec.revision))
    except (EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        if name != "config.json":
            return None
        raise ModelError(
            f"Hub model {spec.name!r} cannot be fetched: {str(error).splitlines()[0]}",
            where="model.name",
            mend="check the network, or name a local checkpoint folder",
        ) from error


def tokenizer_home(spec: ModelSpec, folder: Path) -> Path:
    """Return where the tokenizer and its template lie: beside an adapter that brings them, else beside the weights."""
    adapter = adapter_of(spec)
    return adapter if adapter is not None and has_tokenizer(adapter) else folder


def stated(spec: ModelSpec, name: str) -> dict[str, Any]:
    """Return the content of a JSON file of a checkpoint; {} if there is no such file.

    Raises:
        ModelError: It is not a JSON object.
    """
    path = checkpoint_file(spec, name)
    if path is None:
        return {}
    stat = path.stat()
    return _read_json(path, (stat.st_size, stat.st_mtime_ns))


@lru_cache(maxsize=64)
def _read_json(path: Path, _stamp: tuple[int, int]) -> dict[str, Any]:
    mend = "write the checkpoint again"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        check_pointer(path)
        raise ModelError(f"{path.name} cannot be read: {error}", where=str(path.parent), mend=mend) from error
    if not isinstance(value, dict):
        raise ModelError(f"{path.name} is not a JSON object", where=str(path.parent), mend=mend)
    return value


def configuration(spec: ModelSpec) -> dict[str, Any]:
    """Return the checkpoint's config.json, fetched for a model of the Hub.

    Raises:
        ModelError: It is not a JSON object, or its model type or architectures are not texts.
    """
    found = stated(spec, "config.json")
    named: Any = found.get("architectures") or []
    kinds = [*named, found.get("model_type") or ""] if isinstance(named, list) else [None]
    if not all(isinstance(kind, str) for kind in kinds):
        what = "config.json says model_type or architectures in a form that is neither a text nor a list of texts"
        raise ModelError(what, where=spec.name, mend="write the checkpoint again")
    return found


def abilities(spec: ModelSpec) -> frozenset[Ability] | None:
    """Return the abilities of a model without loading it; None for a Hub model that names no architecture."""
    if spec.provider is not None:
        return frozenset({"text"})
    check_architecture(spec)
    architectures = configuration(spec).get("architectures") or []
    if not architectures and spec.family == "auto" and locate(spec) is None:
        return None
    causal = family_of(spec, architectures) == "causal"
    return frozenset({"text", "loglik", "label"}) if causal else frozenset({"label"})


def check_architecture(spec: ModelSpec) -> None:
    """Refuse checkpoints that this package cannot ask or train correctly, before anything is loaded.

    Raises:
        ModelError: It is of an unsupported kind (`check_supported`), or holds other code than the spec trusts.
    """
    config, folder = configuration(spec), locate(spec)
    causal = family_of(spec, list(config.get("architectures") or []), "encoder") == "causal"
    check_supported(config, spec.name, causal=causal)
    if spec.quantised:
        check_four_bits(spec, causal=causal)
    if spec.template is not None and not causal:
        what = f"an encoder reads no chat template, and {spec.name!r} is one"
        raise ModelError(what, where="model.template", mend="leave `template` out")
    if spec.trust_code is not None:
        check_code(spec.trust_code, folder, spec.name, (config, stated(spec, "tokenizer_config.json")))


def weights_bytes(spec: ModelSpec) -> int:
    """Return the size of the files of weights that are read, in bytes; 0 for a Hub model that is not here.

    Raises:
        ModelError: As of `weight_files`.
    """
    folder = locate(spec)
    if folder is None:
        return 0
    return sum(path.stat().st_size for path in weight_files(folder, configuration(spec).get("transformers_weights")))


def family_of(
    spec: ModelSpec, architectures: list[str], unknown: Literal["causal", "encoder"] | None = None
) -> Literal["causal", "encoder"]:
    """Return the family that the spec names, or that of the architectures in the configuration.

    Args:
        spec: The model.
        architectures: As config.json lists them.
        unknown: What to return for an architecture that is neither, instead of an error.

    Raises:
        ModelError: The family is "auto" and the architecture is neither.
    """
    if spec.family != "auto":
        return spec.family
    if any(a.endswith(ENCODER_SUFFIXES) for a in architectures):
        return "encoder"
    if any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures):
        return "causal"
    if not architectures and (found := family_of_type(configuration(spec).get("model_type"))) is not None:
        return found
    if unknown is not None:
        return unknown
    raise ModelError(
        f"cannot tell the family of {spec.name!r} from its architectures {architectures}",
        where="model.family",
        mend="say `family: causal` or `family: encoder`",
    )
