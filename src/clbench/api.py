"""What a Python user calls: the same work as the command line, on the same store, resumed in the same way."""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clbench.core.results import ExamResult
    from clbench.engine.recipe.recipe import Recipe
    from clbench.report.results import Runs


RECIPE = "a Recipe, the name of one, or the path of a file"
FOLDER = "the path of a folder, as a text or a pathlib.Path"
# torch's generator and the loading of models belong to the process: two runs at once would draw from one another.
_ONE_AT_A_TIME = threading.RLock()


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
        set: Changes `a.b.c=VALUE` of a recipe that is read, as in `clbench run --set`.
        store: Folder of the store; None is `$CLBENCH_STORE`, else `clbench-store`.
        data: Folder of local data sets; None is `$CLBENCH_DATA`.
        workers: Processes, one thread each, >= 1. Calls from several threads wait for each other.
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
    from clbench.cli.options import progress_bars, shared_machine
    from clbench.core.extras import need_models
    from clbench.core.system_errors import as_user_errors, check_place
    from clbench.engine.recipe.recipe import Recipe
    from clbench.engine.run import run as run_recipe
    from clbench.store.store import Store

    check_place()  # before torch is imported, which kills a process that stands nowhere
    need_models("a run")
    _check("recipe", recipe, (Recipe, str, PathLike), RECIPE)
    changes = _texts("set", set, "changes such as 'learner.lr=1e-4'")
    with in_words_of_python(), _ONE_AT_A_TIME, as_user_errors(), progress_bars():
        found = _recipe(recipe, changes)
        how = shared_machine(_path("store", store), _path("data", data), _workers(workers), device)
        return run_recipe(found, Store(how.store), how)


def load(*folders: Path | str) -> Runs:
    """Read finished runs: result folders, folders that hold some, or a store.

    Raises:
        SpecError: No folder is named, or one of them is not a path.
        DataError: There are no runs, or a file is missing or broken; raised when the runs are first looked at.
    """
    from clbench.core.errors import SpecError
    from clbench.report.results import Runs

    if not folders:
        raise SpecError("no folder is named", where="folders", mend='name some: cl.load("results/demo")')
    for folder in folders:
        _check("folders", folder, (str, PathLike), "a path; folders stand one after the other: cl.load(ONE, TWO)")
    return Runs(folders)


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
        store: As in `run`.
        data: As in `run`.
        device: As in `run`.

    Returns:
        One result per exam: answers, grades and the score in [0, 1].

    Raises:
        UserError: The model does not load, or cannot sit one of the exams.
    """
    from clbench.cli.options import machine, progress_bars
    from clbench.core.errors import SpecError
    from clbench.core.extras import need_models
    from clbench.core.spec import ModelSpec
    from clbench.core.system_errors import as_user_errors, check_place
    from clbench.data.exams.exam import open_named
    from clbench.engine.checkpoint_exam import examine
    from clbench.store.store import Store

    check_place()
    need_models("an exam")
    most = _most(items)
    _check("model", model, (str, PathLike), "the name or the folder of a model")
    named = _texts("exams", exams, "names of exams or suites, or card files")
    if not named:
        raise SpecError("no exam is named", where="exams", mend='name some: ["abilities"]')
    with in_words_of_python(), _ONE_AT_A_TIME, as_user_errors(), progress_bars():
        how = machine(_path("store", store), _path("data", data), 1, device)
        asked = open_named(named, most, how.data)
        return list(examine(ModelSpec(name=str(model)), asked, Store(how.store), how))


def _recipe(given: Recipe | Path | str, changes: Sequence[str]) -> Recipe:
    """Return a recipe as it is, or read one with changes to it."""
    from clbench.core.errors import SpecError
    from clbench.core.system_errors import user_path
    from clbench.engine.recipe.recipe import Recipe, load_recipe

    if not isinstance(given, Recipe):
        return load_recipe(user_path(given, "recipe", f"give {RECIPE}"), changes)
    if changes:
        raise SpecError("a Recipe is changed where it is made", where="set", mend="write the values into the Recipe")
    return given


def _check(name: str, value: Any, kinds: tuple[type, ...], wanted: str) -> None:
    """Refuse a value of another type: a user's code has not always seen a type checker."""
    from clbench.core.errors import SpecError

    if not isinstance(value, kinds):
        raise SpecError(f"{value!r:.60} is not what is wanted here", where=name, mend=f"give {wanted}")


def _workers(workers: Any) -> int:
    """Return the number of processes as an int of Python's."""
    from clbench.core.errors import SpecError

    _check("workers", workers, (Integral,), "a number of processes, 1 or more")
    if type(workers) is bool:  # which Python counts as a number
        raise SpecError(f"{workers} is not what is wanted here", where="workers", mend="give a number of processes")
    if workers > 1 and multiprocessing.current_process().daemon:
        mend = "workers=1, or call it outside of a multiprocessing.Pool"
        raise SpecError("this process may not start workers, since it is one of a pool", where="workers", mend=mend)
    return int(workers)


def _most(items: Any) -> int | None:
    """Return the most questions per exam as an int of Python's."""
    from clbench.core.errors import SpecError

    if items is not None and (type(items) is bool or not isinstance(items, Integral) or items < 1):
        raise SpecError(f"{items!r:.60} questions per exam", where="items", mend="take 1 or more, or None for all")
    return None if items is None else int(items)


def _texts(name: str, value: Any, wanted: str) -> list[str]:
    """Return a text, or several of them, as a list."""
    found: list[Any] = (
        [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [None]
    )
    for text in found:
        _check(name, text if text is not None else value, (str,), wanted)
    return found


def _path(name: str, given: Any) -> Path | None:
    from clbench.core.system_errors import user_path

    if given is None:
        return None
    _check(name, given, (str, PathLike), FOLDER)
    return user_path(given, name, f"give {FOLDER}")


# Words of the command line that stand in errors, and how a script writes the same.
_OPTION = re.compile(r"--(set|store|data|workers|device)\b[ =]?")


@contextmanager
def in_words_of_python() -> Generator[None]:
    """Say `store=` where an error of the block says `--store`.

    Raises:
        UserError: The same error.
    """
    from clbench.core.errors import UserError

    try:
        yield
    except UserError as error:
        error.what, error.mend = (_OPTION.sub(r"\1=", text) for text in (error.what, error.mend))
        error.where = _OPTION.sub(r"\1=", error.where).removesuffix("=")
        error.args = (error.what,)
        raise
