"""Options that several verbs share, and how progress and machine are made from them."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.core.errors import SpecError
from clbench.core.progress import Progress, listener

if TYPE_CHECKING:
    from clbench.core.spec import Machine, ModelSpec

Data = Annotated[Path | None, typer.Option("--data", help="Folder of local data sets [default: $CLBENCH_DATA].")]
Place = Annotated[
    Path | None, typer.Option("--store", help="Folder of the store [default: $CLBENCH_STORE or clbench-store].")
]
Model = Annotated[str, typer.Argument(help="A shipped model, a checkpoint folder, or a Hub id (ID@COMMIT).")]
MaxTokens = Annotated[int | None, typer.Option(min=8, help="Longest input in tokens [default: the model's own].")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]


def model_spec(model: str, **settings: Any) -> ModelSpec:
    """Make the spec of a model as it is named on the command line, `ID@COMMIT` for one of the Hub.

    Raises:
        SpecError: A value is out of range.
        ModelError: There is no such model, or it has fewer positions than are asked for.
    """
    from clbench.core.spec import ModelSpec
    from clbench.engine.resolve import validated
    from clbench.models import source

    name, _, revision = model.partition("@")
    return source.settled(validated(ModelSpec, settings | {"name": name, "revision": revision or None}, "model"))


def store_folder(given: Path | None) -> Path:
    """Give the store's folder: the given one, else $CLBENCH_STORE, else `clbench-store`."""
    return given or Path(os.environ.get("CLBENCH_STORE", "clbench-store"))


def machine(store: Path | None, data: Path | None, workers: int | None, device: str = "auto") -> Machine:
    """Make the machine that a command runs on.

    Raises:
        SpecError: A value is out of range.
    """
    from clbench.core.spec import Machine
    from clbench.data.fetch import data_root
    from clbench.engine.provenance import cores
    from clbench.engine.resolve import validated

    values = {
        "store": store_folder(store),
        "data": data_root(data),
        "workers": cores() if workers is None else workers,
        "device": device,
    }
    folder = values["store"]
    if isinstance(folder, Path) and folder.exists() and not folder.is_dir():
        raise SpecError(
            f"{folder} is a file, not a folder", where="--store", mend="name a folder; it is made if missing"
        )
    return validated(Machine, values, "")


@contextmanager
def progress_bars() -> Generator[None]:
    """Show progress with ETA on stderr; plain lines, at most one in ten seconds, where stderr is no terminal."""
    show = _bars() if sys.stderr.isatty() else _lines()
    with show:
        yield


@contextmanager
def _bars() -> Generator[None]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    slots: dict[int, tuple[str, object]] = {}

    def tell(progress: Progress) -> None:
        name = "[bold]whole[/bold]" if progress.slot == 0 else progress.what
        if progress.slot not in slots or slots[progress.slot][0] != name:
            if progress.slot in slots:
                bars.remove_task(slots[progress.slot][1])  # pyright: ignore[reportArgumentType]  # rich's TaskID is an int
            slots[progress.slot] = (name, bars.add_task(name, total=progress.total))
        bars.update(slots[progress.slot][1], completed=progress.done, total=progress.total)  # pyright: ignore[reportArgumentType]  # same

    token = listener.set(tell)
    try:
        with bars:
            yield
    finally:
        listener.reset(token)


@contextmanager
def _lines() -> Generator[None]:
    import time

    started = time.monotonic()
    last = [started]

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        if progress.slot == 0 and (now - last[0] > 10 or progress.done == progress.total):
            last[0] = now
            spent = now - started
            left = (
                f", about {spent / progress.done * (progress.total - progress.done):.0f} s left"
                if progress.done
                else ""
            )
            sys.stderr.write(f"{progress.what}: {progress.done} of {progress.total} after {spent:.0f} s{left}\n")
            sys.stderr.flush()

    token = listener.set(tell)
    try:
        yield
    finally:
        listener.reset(token)


def say(text: str) -> None:
    """Write a line of a result on stdout."""
    sys.stdout.write(text + "\n")
