"""Find plug-ins: the folder is the registry, the file name is the plug-in's name.

A user's own file is named by its path and what it declares, `my_file.py:MyL2`; see `UserFile`.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from clbench.core import imports
from clbench.core.cache import first_time
from clbench.core.errors import SpecError, UserError, did_you_mean, said_of
from clbench.core.events import notice
from clbench.core.keys import digest, file_digest
from clbench.core.older_names import new_word
from clbench.core.process import a_file_is_run, in_its_folder, leave, staying

ROOMS = {"learner": "clbench.learners", "scorer": "clbench.scoring", "metric": "clbench.metrics"}


@lru_cache(maxsize=len(ROOMS))
def _installed(kind: str) -> dict[str, str]:
    # Scanning entry points reads the metadata of every installed package: once per process is enough.
    return {e.name: e.module for e in entry_points(group=f"clbench.{kind}s")}


def shipped(kind: str) -> list[str]:
    """Return the names of the plug-ins of a kind ("learner", "scorer", "metric") that belong to the package."""
    files = [entry.name for entry in resources.files(ROOMS[kind]).iterdir()]
    return sorted(name.removesuffix(".py") for name in files if name.endswith(".py") and not name.startswith("_"))


def names(kind: str) -> list[str]:
    """Return the names of the plug-ins of a kind, shipped and installed, without importing any."""
    return sorted({*shipped(kind), *_installed(kind)})


def load(kind: str, name: str, attribute: str, where: str = "") -> object:
    """Return a plug-in's declaration.

    Args:
        kind: "learner", "scorer" or "metric".
        name: A file name in the kind's room, an entry-point name, or a dotted module path.
        attribute: The module's attribute that declares it, such as "PLUGIN".
        where: Where the user wrote the name, for the error.

    Raises:
        SpecError: There is no such plug-in, or its module does not declare one.
    """
    module = _module(kind, name, where)
    if attribute not in vars(module):
        raise SpecError(
            f"module {module.__name__} declares no {attribute}",
            where=where,
            mend=f"a {kind} plug-in ends with {attribute} = ...; see CONTRIBUTING.md",
        )
    return vars(module)[attribute]


def load_known(kind: str, name: str, attribute: str, where: str = "") -> object:
    """Return the declaration of a plug-in that ships or is installed: results and cards must not choose an import.

    Raises:
        SpecError: There is no plug-in of that name here.
    """
    if name not in names(kind):
        raise SpecError(f"there is no {kind} {name!r}", where=where, mend=did_you_mean(name, names(kind)))
    return load(kind, name, attribute, where)


def _module(kind: str, name: str, where: str) -> ModuleType:
    if "." not in name and name in names(kind):
        return importlib.import_module(_installed(kind).get(name, f"{ROOMS[kind]}.{name}"))
    if "." in name and all(part.isidentifier() for part in name.split(".")):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
        mend = "a module of your own is found once it is installed, or its folder stands in $PYTHONPATH"
        raise SpecError(f"there is no {kind} {name!r}", where=where, mend=mend)
    raise SpecError(f"there is no {kind} {name!r}", where=where, mend=did_you_mean(name, names(kind)))


@cache
def code_of(kind: str, name: str) -> str:
    """Return the digest of the code of a plug-in that does not ship with clbench; "" for one that does.

    Users may edit a module without raising its version, so keys hold the digest of its code.
    """
    return "" if name in shipped(kind) else imports.code_of(_module(kind, name, ""))


# --- a user's own file --------------------------------------------------------------------------------------

MODULE = "clbench_own_"  # before the names of modules made of files
LONG_S = 60.0  # a notice names a file that takes longer to run
DIGITS = 16  # hex digits of a file's digest that stand in a name
OWN = re.compile(rf"(?P<path>.+\.py)(?::(?P<attribute>[^:@]*)(?:@(?P<pin>[0-9a-f]{{{DIGITS}}}))?)?")


@dataclass(frozen=True)
class UserFile:
    """What a name such as `my_file.py:MyL2` points at; a digest behind `@` pins its content.

    Attributes:
        path: The file, from the current folder.
        attribute: The name in the file.
        pin: Digest of its content: of the file, and of the modules of its folder that it imports.
        parts: Those modules, by their paths from the folder in which it finds them.
    """

    path: Path
    attribute: str
    pin: str
    parts: Mapping[str, Path] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Return the name that points at this content only."""
        return f"{self.path.as_posix()}:{self.attribute}@{self.pin}"

    @property
    def identity(self) -> str:
        """Return what stands for it in keys: its content, not its path."""
        return f"{self.attribute}@{self.pin}"


def runs_user_file(learner: Any) -> bool:
    """Return whether a learner's settings name a user's own file, for the learner or a part of it."""
    if isinstance(learner, str):
        return OWN.fullmatch(learner) is not None
    parts: Any = learner.values() if isinstance(learner, Mapping) else learner
    return isinstance(learner, (Mapping, list, tuple)) and any(map(runs_user_file, parts))


def all_known(learner: Any) -> bool:
    """Return whether every learner that some settings name, for the learner or a part, ships or is installed."""
    return not runs_user_file(learner) and set(learners_in(learner)) <= set(names("learner"))


def learners_in(learner: Any) -> list[str]:
    """Return the names of learners in some settings, of the learner and of its parts."""
    inside: Any = learner.values() if isinstance(learner, Mapping) else learner
    if not isinstance(learner, (Mapping, list, tuple)):
        return []
    named = [str(learner["name"])] if isinstance(learner, Mapping) and "name" in learner else []
    return named + [name for part in inside for name in learners_in(part)]


def find_user_file(name: str, where: str = "") -> UserFile | None:
    """Return what a name in the form `file.py:Name` points at, without running the file; None for every other name.

    Raises:
        SpecError: The file is missing, differs from the pinned one, or the name names nothing in it.
    """
    found = OWN.fullmatch(name)
    if found is None:
        return None
    path = Path(found["path"])
    if not path.is_file():
        near = sorted(p.as_posix() for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        mend = did_you_mean(path.as_posix(), near) if near else "write its path from the folder you are in"
        raise SpecError(f"there is no file {found['path']!r}", where=where, mend=mend)
    if not found["attribute"]:
        raise SpecError(f"{name!r} names a file and nothing in it", where=where, mend=f"write {path}:ClassName")
    parts = imports.modules_beside(path)
    pin = _pin(path, parts)
    if found["pin"] not in (None, pin):
        also = f", with the modules beside it that it imports ({', '.join(sorted(parts)[:5])})," if parts else ""
        raise SpecError(
            f"{path}{also} is no longer the file that this name means: its digest is {pin}, not {found['pin']}",
            where=where,
            mend=f"bring the old file back, or write {path}:{found['attribute']} to take it as it is now",
        )
    return UserFile(path, found["attribute"], pin, parts)


def _pin(path: Path, parts: Mapping[str, Path]) -> str:
    content = file_digest(path)  # for a file that stands alone its own digest, as of `sha256sum`
    if parts:
        content = digest([content, {name: file_digest(part) for name, part in parts.items()}])
    return content[:DIGITS]


def load_user_file(owned: UserFile, where: str = "") -> object:
    """Return what a name points at, after running the user's file once for each content.

    Raises:
        SpecError: The file does not import, or does not declare the name.
    """
    tell_trust(owned)
    a_file_is_run(owned.path.as_posix())
    module = sys.modules.get(_module_name(owned)) or _run(owned, where)
    declared = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    if owned.attribute not in declared:
        here = [n for n, value in declared.items() if isinstance(value, type) and value.__module__ == module.__name__]
        raise SpecError(
            f"{owned.path} declares no {owned.attribute!r}", where=where, mend=did_you_mean(owned.attribute, here)
        )
    return declared[owned.attribute]


def tell_trust(owned: UserFile) -> None:
    """Give a notice, once for each content of a file, that it runs with the user's rights; not in workers."""
    if multiprocessing.parent_process() is None and first_time("trusted", owned.pin):
        notice(
            f"{owned.path}: this file is run, with all your rights and no walls around it; look through what is not "
            "your own (said once for each content of a file)"
        )


def _tell_strangers(owned: UserFile, before: frozenset[str]) -> None:
    """Give a notice, once, of the modules imported by a file that are not part of its identity."""
    found = imports.strangers(before, owned.parts)
    if found and multiprocessing.parent_process() is None and first_time("imported", owned.pin):
        notice(
            f"{owned.path} imports {', '.join(found)}, neither installed nor found in its folder by an import "
            "statement: results are not known by it, so what is in the store stays when it is edited"
        )


def learners_used(owned: UserFile) -> list[str]:
    """Return the shipped learners that a user's file imports, for example to subclass one."""
    return sorted(set(shipped("learner")) & set(imports.learners_used(owned.path)))


def module_of(owned: UserFile) -> ModuleType:
    """Return the module that `load_user_file` has made of a file."""
    return sys.modules[_module_name(owned)]


def _module_name(owned: UserFile) -> str:
    return f"{MODULE}{owned.path.stem}_{owned.pin}"


def _run(owned: UserFile, where: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_module_name(owned), owned.path)
    assert spec is not None, "a path that ends with .py has a loader"
    assert spec.loader is not None, "as above"
    module = importlib.util.module_from_spec(spec)
    imports.make_room(owned.path, owned.parts)
    before = frozenset(sys.modules)
    sys.modules[spec.name] = module  # before it runs: pydantic looks up the names of annotations there
    home = os.getpid()
    long = threading.Timer(
        LONG_S, notice, [f"{owned.path}: it is still being read, for {LONG_S:.0f} s; Ctrl-C ends it"]
    )
    long.daemon = True
    long.start()
    # Python takes compiled text for current by its second and its size: an edit within the second would not be seen.
    # So this file is compiled from its source, and nothing compiled of what it imports is kept.
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        with staying(), in_its_folder():
            exec(compile(owned.path.read_bytes(), str(owned.path), "exec", dont_inherit=True), vars(module))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a user's file may raise
        sys.modules.pop(spec.name, None)
        raise SpecError(
            f"{owned.path} does not import: {said_of(error)}",
            where=_line(owned.path, error) or where,
            mend=(error.mend if isinstance(error, UserError) else new_word(error)) or _mend_import(owned.path, error),
        ) from error
    finally:
        long.cancel()
        sys.dont_write_bytecode = kept
        if os.getpid() != home:  # a copy that came out of the file would do the same work once more
            leave(1)
    _tell_strangers(owned, before)
    return module


def _mend_import(path: Path, error: BaseException) -> str:
    """Return how to mend a file that does not import; a module beside it is found by `python FILE`, and not here."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name and any((path.parent / found).exists() for found in (name, f"{name}.py")):
        add = "import sys; from pathlib import Path; sys.path.insert(0, str(Path(__file__).parent))"
        return f"its folder, where {name} is, is not searched: write before the import: {add}"
    if name:
        return f"install {name}, or add its folder to sys.path in the file, before the import"
    return "`python FILE` shows the same: correct it there"


def _line(path: Path, error: BaseException) -> str:
    """Return the line of the user's file on which an import broke; "" if it is in another file."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}:{error.lineno}" if error.lineno else str(path)
    own_file = path.resolve()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == own_file]
    return f"{path}:{lines[-1]}" if lines else ""


def user_file_line(error: BaseException) -> str:
    """Return the innermost line of a user's file in a traceback, as ` (line 7 of mine.py)`; "" without one."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [(f, line) for f, line in frames if str(f.f_globals.get("__name__")).startswith(MODULE)]
    return "".join(f" (line {line} of {Path(f.f_code.co_filename).name})" for f, line in own[-1:])
