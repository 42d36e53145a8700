"""Options that several verbs share, and the output that all of them use."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.cli.terminal import is_dumb
from clbench.core import events
from clbench.core.errors import SpecError
from clbench.core.events import Progress, progress_listener
from clbench.core.plain import plain, plain_json
from clbench.core.ranks import place
from clbench.core.wording import Language, speak, tr, translated

if TYPE_CHECKING:
    from clbench.core.spec import Machine, ModelSpec

Data = Annotated[Path | None, typer.Option("--data", help="Folder of local data sets (default: $CLBENCH_DATA).")]
Place = Annotated[
    Path | None, typer.Option("--store", help="Folder of the store (default: $CLBENCH_STORE or clbench-store).")
]
Model = Annotated[str, typer.Argument(help="A shipped model, a checkpoint folder, or a Hub id (ID@COMMIT).")]
MaxTokens = Annotated[int | None, typer.Option(min=8, help="Longest input in tokens (default: the model's own).")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
ModelField = Annotated[
    list[str] | None, typer.Option("--set", help="Change a field of the model: --set adapter=use (repeatable).")
]
ExamBatch = Annotated[int, typer.Option(min=1, help="Most questions that are asked side by side.")]
Memory = Annotated[str | None, typer.Option(help="Memory that the device has for this, say 40GB (default: all of it).")]
Anyway = Annotated[bool, typer.Option("--anyway", help="Also make what is planned not to fit into memory or disk.")]
KEPT = ("units", "exams", "answers", "grades")  # work whose finished parts are on the disk


def _speak(given: Language | None) -> Language | None:
    speak(language(given))
    return given


Lang = Annotated[
    Language | None,
    typer.Option(
        "--lang", callback=_speak, is_eager=True, help="Language: en or zh (default: $CLBENCH_LANG, or the locale's)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]


def language(given: Language | None) -> Language:
    """Return the language to write in: the given one, that of $CLBENCH_LANG, or that of the locale; else English."""
    if given is not None:
        return given
    names = ("CLBENCH_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    first = next((value for name in names if (value := os.environ.get(name))), "")
    return "zh" if re.match(r"zh\b|zh_", first.lower()) else "en"


def model_spec(model: str, **settings: Any) -> ModelSpec:
    """Return the spec of a model as it is named on the command line, `ID@COMMIT` for one on the Hub.

    Raises:
        ExtraError: No model can be loaded here.
        SpecError: A value is out of range.
        ModelError: There is no such model, or it has fewer positions than `max_tokens`.
    """
    from clbench.core.extras import need_models
    from clbench.core.spec import ModelSpec
    from clbench.core.validation import validated
    from clbench.models import source

    need_models("an exam of a model")
    name, _, revision = (model, "", "") if Path(model).exists() else model.partition("@")
    return source.settled(validated(ModelSpec, settings | {"name": name, "revision": revision or None}, "model"))


def model_fields(sets: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of a model that changes `a.b=VALUE` name.

    Raises:
        SpecError: One is not a change, or not YAML.
    """
    from clbench.engine.recipe.changes import apply_change

    found: dict[str, Any] = {"model": {}}
    for change in sets or ():
        apply_change(found, f"model.{change}")
    return dict(found["model"])


def store_folder(given: Path | None) -> Path:
    """Return the store's folder: the given one, else $CLBENCH_STORE, else `clbench-store`.

    Raises:
        SpecError: It, or a part of its path, is a file.
    """
    folder = given or Path(os.environ.get("CLBENCH_STORE") or "clbench-store")
    for part in (folder, *folder.parents):
        what = "is a file, not a folder" if part.exists() else "is a link that leads nowhere"
        if not part.is_dir() and (part.exists() or part.is_symlink()):
            raise SpecError(f"{part} {what}", where="--store", mend="name a folder; it is created if missing")
    return folder


def machine(store: Path | None, data: Path | None, workers: int | None, device: str = "auto") -> Machine:
    """Return the machine that a command of one process runs on.

    Raises:
        SpecError: A value is out of range; or a launcher has started several processes.
    """
    if (size := place().size) > 1:
        mend = "start it without a launcher; `clbench run` alone shares its work among processes"
        raise SpecError(f"this works in one process, and {size} were started", where="WORLD_SIZE", mend=mend)
    return shared_machine(store, data, workers, device)


def shared_machine(
    store: Path | None, data: Path | None, workers: int | None, device: str = "auto", processes: int | None = None
) -> Machine:
    """Return the machine that a command runs on, whose work several processes may share.

    Args:
        store: Its folder.
        data: The folder of local data sets.
        workers: Processes side by side; None is one, where they share work, or what the machine has room for.
        device: What each process computes on.
        processes: Processes that work together; None is what a launcher says.

    Raises:
        SpecError: A value is out of range, or is not what a launcher says.
    """
    from clbench.core.spec import Machine
    from clbench.core.validation import validated
    from clbench.data.tasks.fetch import data_root
    from clbench.engine.executors.devices import room_for_workers

    size = place().size
    if size > 1 and processes not in (None, size):
        what = f"a launcher has started {size} processes, not {processes}"
        raise SpecError(what, where="--processes", mend="leave it out under a launcher")
    together = size if processes is None else processes
    if workers is None:
        workers = 1 if together > 1 else room_for_workers(device)
    values = {
        "store": store_folder(store),
        "data": data_root(data),
        "workers": workers,
        "device": device,
        "processes": together,
    }
    return validated(Machine, values, "")


UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def byte_size(text: str | None) -> int | None:
    """Return a size in bytes; None for None.

    Raises:
        SpecError: It is not a size.

    Example:
        >>> byte_size("40GB"), byte_size("1.5 GiB")
        (40000000000, 1610612736)
    """
    if text is None:
        return None
    found = SIZE.fullmatch(text.strip())
    unit = UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if size < 1:
        raise SpecError(f"{text!r} is not a size of memory", where="--memory", mend="write 40GB, or 24GiB")
    return size


def provider_addresses(given: Sequence[str] | None) -> dict[str, str]:
    """Return provider -> address of arguments `NAME=URL`.

    Raises:
        SpecError: One is not such, or names a provider twice.
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, url = text.partition("=")
        if not equals or re.fullmatch(r"[a-z][a-z0-9_-]*", name) is None or name in found:
            what = f"{name!r} is named twice" if name in found else f"{text!r} is not NAME=https://HOST/v1"
            raise SpecError(
                what, where="--provider", mend="write --provider NAME=https://HOST/v1 once for each provider"
            )
        found[name] = url
    return found


@contextmanager
def progress_bars() -> Generator[None]:
    """Show progress with the time left on stderr; without a terminal, as at most one line in ten seconds."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]  # a service, or pythonw
        yield
        return
    show = _bars() if sys.stderr.isatty() and not is_dumb() else _lines()
    with show:
        yield


_reached: list[Progress] = []  # the last progress of all work together, if any


def _note(progress: Progress) -> None:
    if progress.slot == 0:
        _reached[:] = [progress]


def stopped_text() -> str:
    """Return the message of a stopped command: how much of the work is kept, if that was reported."""
    if not _reached or _reached[0].what not in KEPT:
        return tr("stopped; the same command resumes here")
    last = _reached[0]
    text = "stopped; {done} of {total} {what} are kept, and the same command resumes here"
    return tr(text, done=last.done, total=last.total, what=translated(last.what))


@contextmanager
def _bars() -> Generator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    slots: dict[int, tuple[str, object]] = {}

    def tell(progress: Progress) -> None:
        _note(progress)
        name = tr("all") if progress.slot == 0 else translated(progress.what)
        if progress.slot not in slots or slots[progress.slot][0] != name:
            if progress.slot in slots:
                bars.remove_task(slots[progress.slot][1])  # pyright: ignore[reportArgumentType]  # rich's TaskID is an int
            slots[progress.slot] = (name, bars.add_task(name, total=progress.total))
        bars.update(slots[progress.slot][1], completed=progress.done, total=progress.total)  # pyright: ignore[reportArgumentType]  # same

    def above(text: str) -> None:
        bars.console.print(f"{tr('notice: ')}{translated(text)}", markup=False, highlight=False, soft_wrap=True)

    token, heard = progress_listener.set(tell), events.notice_listener.set(above)
    try:
        with bars:
            yield
    finally:
        progress_listener.reset(token)
        events.notice_listener.reset(heard)


@contextmanager
def _lines() -> Generator[None]:
    import time

    started = time.monotonic()
    last = [started]

    def tell(progress: Progress) -> None:
        _note(progress)
        now = time.monotonic()
        if progress.slot == 0 and (now - last[0] > 10 or progress.done == progress.total):
            last[0] = now
            spent = now - started
            text = "{what}: {done} of {total} after {spent} s"
            if progress.done:
                text = "{what}: {done} of {total} after {spent} s, about {left} s left"
            left = f"{spent / (progress.done or 1) * (progress.total - progress.done):.0f}"
            how_far = {"what": translated(progress.what), "done": progress.done, "total": progress.total}
            sys.stderr.write(tr(text, **how_far, spent=f"{spent:.0f}", left=left) + "\n")
            sys.stderr.flush()

    token = progress_listener.set(tell)
    try:
        yield
    finally:
        progress_listener.reset(token)


def say(text: str) -> None:
    """Write a line on stdout at once, with control characters escaped: a notice that follows it stands behind it."""
    sys.stdout.write(plain(text) + "\n")
    sys.stdout.flush()


def say_json(value: Any) -> None:
    """Write a value on stdout as JSON at once, with control characters as JSON escapes."""
    sys.stdout.write(plain_json(json.dumps(value, indent=1, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write an error on stderr, with control characters escaped."""
    rank = os.environ.get("RANK", "0") if os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1") else "0"
    sys.stderr.write(f"clbench: {'' if rank == '0' else f'rank {plain(rank)}: '}{plain(translated(text))}\n")
