"""What a Python user calls: the same work as the command line does, with the same store and the same resume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clbench.core.results import ExamResult
    from clbench.engine.recipe.recipe import Recipe
    from clbench.report.results import Runs


def run(
    recipe: Recipe | Path | str,
    *,
    set: Sequence[str] | str = (),  # the word of the command line
    store: Path | str | None = None,
    data: Path | str | None = None,
    workers: int = 1,
    device: str = "auto",
) -> Runs:
    """Make every run of a recipe; what the store already holds is taken from there.

    Args:
        recipe: Name of a recipe that comes with clbench ("demo"), path of a YAML file, or a `Recipe`.
        set: Changes `a.b.c=VALUE` of a recipe that is read, as of `clbench run --set`.
        store: Folder of the store; None is `$CLBENCH_STORE`, else `clbench-store`.
        data: Folder of local data sets; None is `$CLBENCH_DATA`.
        workers: Processes, one thread each, >= 1. More than 1 needs a script whose work stands under
            `if __name__ == "__main__":`; a notebook is fine.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UserError: Something in the recipe, its cards or its data is wrong, or a run could not be made; says what,
            where, and how to mend it.

    Example:
        >>> import clbench as cl
        >>> tiny = cl.Recipe(name="tiny", learner="frozen", stream="worlds-tiny", budget={"items": 2})
        >>> [spec.name for spec in tiny.specs()]
        ['tiny']
    """
    from clbench.cli.options import machine, progress_bars
    from clbench.core.errors import SpecError
    from clbench.core.extras import need_models
    from clbench.engine.recipe.recipe import Recipe, load_recipe
    from clbench.engine.run import run as run_recipe
    from clbench.store.store import Store

    need_models("a run")
    if isinstance(recipe, Recipe) and set:
        raise SpecError("a Recipe is changed where it is made", where="set", mend="write the values into the Recipe")
    found = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, [set] if isinstance(set, str) else set)
    how = machine(_path(store), _path(data), workers, device)
    with progress_bars():
        return run_recipe(found, Store(how.store), how)


def load(*folders: Path | str) -> Runs:
    """Read finished runs: result folders, folders that hold some, or a store.

    Raises:
        DataError: There is none, or a file is missing or broken; raised when the runs are first looked at.
    """
    from clbench.report.results import Runs

    return Runs([Path(folder) for folder in folders])


def exam(
    model: Path | str,
    exams: Sequence[str] | str = ("abilities",),
    *,
    items: int | None = None,
    store: Path | str | None = None,
    data: Path | str | None = None,
    device: str = "auto",
) -> list[ExamResult]:
    """Examine one checkpoint, with no stream.

    Args:
        model: A shipped model ("tiny-llama"), a checkpoint folder, or a Hub id.
        exams: Exams, suites, card files or `harness:TASK`.
        items: Most questions per exam; None is all.
        store: As of `run`.
        data: As of `run`.
        device: As of `run`.

    Returns:
        One result per exam: answers, grades and the score in [0, 1].

    Raises:
        UserError: The model does not load, or cannot sit one of the exams.
    """
    from clbench.cli.options import machine, progress_bars
    from clbench.core.errors import SpecError
    from clbench.core.extras import need_models
    from clbench.core.spec import ModelSpec
    from clbench.data.exams.exam import open_named
    from clbench.engine.checkpoint_exam import examine
    from clbench.store.store import Store

    if items is not None and items < 1:
        raise SpecError(f"{items} questions per exam", where="items", mend="take 1 or more, or None for all")
    need_models("an exam")
    named = [exams] if isinstance(exams, str) else exams
    how = machine(_path(store), _path(data), 1, device)
    with progress_bars():
        return list(examine(ModelSpec(name=str(model)), open_named(named, items, how.data), Store(how.store), how))


def _path(given: Path | str | None) -> Path | None:
    from clbench.core.errors import SpecError

    if given is not None and not isinstance(given, (str, Path)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users' code is not always checked
        raise SpecError(f"a folder is a path, not {given!r:.60}", mend="give a string or a pathlib.Path")
    return None if given is None else Path(given)
