"""The code of a user's file besides its own text: the modules of its folder that it imports.

They are found by reading, so that a result's identity is known before anything runs: `import` statements, also those
inside functions, modules that are named to `import_module` and the like, and files `*.py` that are named anywhere. A
package counts with all its modules. A notice names what a file imports from elsewhere, once it has run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import marshal
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import all_suffixes
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from clbench.core.errors import SpecError
from clbench.core.keys import digest, file_digest

DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
NAMING = frozenset({"import_module", "__import__", "find_spec", "run_module", "import_string"})
INSTALLED = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True)
class _Named:
    """The names in a Python file.

    Attributes:
        modules: Levels above its own package (0: an absolute name) and the dotted name.
        files: Relative paths that end with `.py`.
        folders: Texts that may be folders in which it searches for modules.
        learners: Learners of the package that it imports.
    """

    modules: frozenset[tuple[int, str]] = frozenset()
    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    learners: frozenset[str] = frozenset()


def modules_beside(path: Path, root: Path | None = None) -> dict[str, Path]:
    """Return the modules at or below a file's folder that it imports, directly or through other modules.

    Args:
        path: The file.
        root: Folder in which its imports are found, if it is not its own: for a module of a package, the folder that
            holds the package.

    Returns:
        Path relative to the folder in which the import finds it -> the file; without the file itself.
    """
    return {name: file for name, file in _walk(path, root) if file != path.absolute()}


def code_of(module: ModuleType) -> str:
    """Return the digest of the code of a module from outside: its package, or its file.

    Unless it is installed, the modules beside these that it imports are included.
    """
    top = sys.modules[module.__name__.partition(".")[0]]
    homes = [Path(text).absolute() for text in vars(top).get("__path__", ())]
    files = {f"{home.name}/{part.relative_to(home).as_posix()}": part for home in homes for part in _inside(home)}
    if (own := vars(module).get("__file__")) is not None:
        path = Path(own).absolute()
        root = homes[0].parent if homes else path.parent
        if not homes:
            files[path.name] = path
        if not _is_installed(module.__name__, path):
            files |= modules_beside(path, root)
    return digest({name: file_digest(file) for name, file in files.items()})


def learners_used(path: Path) -> frozenset[str]:
    """Return the shipped learners that a file, or a module beside it, imports: its results depend on theirs."""
    files = [path, *modules_beside(path).values()]
    return frozenset(name for file in files for name in _named(file).learners)


def _walk(path: Path, root: Path | None = None) -> Iterator[tuple[str, Path]]:
    home = path.absolute()
    folders = [root] if root is not None else list(dict.fromkeys([home.parent, home.resolve().parent]))
    waiting, seen = [home], {home}
    while waiting:
        file = waiting.pop()
        named = _named(file)
        folders += [f for base in folders[:2] for text in named.folders if _is_below(f := base / text, base)]
        for base, part in _found(named, file, folders):
            if part not in seen:
                seen.add(part)
                waiting.append(part)
                yield part.relative_to(base).as_posix(), part


def _is_below(folder: Path, base: Path) -> bool:
    return folder.is_dir() and folder.resolve() != base.resolve() and folder.resolve().is_relative_to(base.resolve())


def _found(named: _Named, file: Path, folders: list[Path]) -> Iterator[tuple[Path, Path]]:
    for level, name in sorted(named.modules):
        # A relative import begins in the file's own package, one folder higher for each dot after the first.
        roots = folders if level == 0 else [file.parents[level - 1]] if level <= len(file.parents) else []
        for root in roots:
            for part in _files_of(root, name.split(".") if name else []):
                yield root, part
    for name in sorted(named.files):
        for root in [file.parent, *folders]:
            if (part := root / name).is_file() and part.is_relative_to(root):
                yield root, part


def _files_of(root: Path, parts: list[str]) -> Iterator[Path]:
    """Yield the files that run, or may run later, when a dotted name is imported from a folder."""
    for depth, part in enumerate(parts):
        folder = root / part
        if (folder / "__init__.py").is_file():
            yield from _inside(folder)
            return
        module = next((f for s in all_suffixes() if (f := root / f"{part}{s}").is_file()), None)
        if module is not None:
            yield module
            return
        if not folder.is_dir() or depth == len(parts) - 1:
            return
        root = folder


def _inside(package: Path) -> Iterator[Path]:
    """Yield the modules of a package and of its subpackages."""
    for inside, below, names in os.walk(package):
        below[:] = [b for b in below if not b.startswith(".") and b != "__pycache__"]
        yield from (Path(inside, n) for n in sorted(names) if n.endswith(tuple(all_suffixes())))


def _named(path: Path) -> _Named:
    if path.suffix != ".py":
        return _Named()
    return _read(path, file_digest(path))


@lru_cache(maxsize=1024)
def _read(path: Path, content: str) -> _Named:
    """Return the names in a file; `content` is its digest, so that an edited file is read again."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # running it reports the error
        return _Named()
    modules: set[tuple[int, str]] = set()
    texts: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {(0, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = f"{node.module}." if node.module else ""
            modules |= {(node.level, node.module)} if node.module else set()
            modules |= {(node.level, f"{package}{alias.name}") for alias in node.names if alias.name != "*"}
        elif isinstance(node, ast.Call) and _called(node.func) in NAMING:
            modules |= {(0, text) for text in _texts(node) if DOTTED.fullmatch(text)}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    shipped = {name.split(".")[2] for level, name in modules if not level and name.startswith("clbench.learners.")}
    return _Named(
        modules=frozenset(m for m in modules if m[1].split(".")[0] != "clbench"),
        files=frozenset(t for t in texts if t.endswith(".py") and len(t) < 200 and not Path(t).is_absolute()),
        folders=frozenset(t for t in texts if re.fullmatch(r"[\w\-./]{1,100}", t) and not Path(t).is_absolute()),
        learners=frozenset(name for name in shipped if not name.startswith("_")),
    )


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _texts(call: ast.Call) -> list[str]:
    given = [*call.args, *(word.value for word in call.keywords)]
    return [a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str)]


# --- once it runs -------------------------------------------------------------------------------------------


PYC_HEAD = 16  # bytes before the code in compiled text, PEP 552


class _Claim(NamedTuple):
    """Which module a name of the first level means in this process."""

    folder: Path
    content: str


_claims: dict[str, _Claim] = {}


def make_room(path: Path, parts: Mapping[str, Path]) -> None:
    """Forget loaded modules, so that a file which is about to run gets its own: Python keeps one for each name.

    Raises:
        SpecError: Another file of this process has another module of the same name.
    """
    tops: dict[str, dict[str, Path]] = {}
    for name, file in parts.items():
        tops.setdefault(Path(name).parts[0].partition(".")[0], {})[name] = file
    home = path.absolute().parent
    claims = {top: _Claim(home, digest({n: file_digest(f) for n, f in files.items()})) for top, files in tops.items()}
    changed = [top for top, claim in claims.items() if top in _claims and _claims[top].content != claim.content]
    for top in changed:
        if (other := _claims[top].folder) != home:
            raise SpecError(
                f"{path} and a file in {other} each import a module {top!r} of their own, and they differ",
                where=str(path),
                mend=f"rename one module {top!r}, or run the two learners by separate commands",
            )
    for file in parts.values():
        _forget_compiled(file)
    # All of them: those that stand as they were may hold what they took from the others; and what the caller's own
    # script imported before may be older than the file.
    if changed or not claims.keys() <= _claims.keys():
        _forget({file.resolve() for file in parts.values()})
    _claims.update(claims)
    importlib.invalidate_caches()


def _forget_compiled(file: Path) -> None:
    """Remove the compiled text of a module: Python takes one of equal time and size for current, edited or not.

    Raises:
        SpecError: It cannot be removed, and is of another text.
    """
    if file.suffix != ".py":
        return
    compiled = Path(importlib.util.cache_from_source(str(file)))
    if not compiled.is_file():
        return
    try:
        compiled.unlink()
    except OSError:
        text = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
        if compiled.read_bytes()[PYC_HEAD:] != marshal.dumps(text):
            mend = f"delete {compiled}, or set PYTHONPYCACHEPREFIX to an empty folder"
            raise SpecError("its compiled text is of another version, and stays", where=str(file), mend=mend) from None


def _forget(files: set[Path]) -> None:
    """Forget the modules of these files, and the packages that hold them, so that they are imported anew."""
    for name, module in list(sys.modules.items()):
        if (file := file_of(module)) is not None and file in files:
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                sys.modules.pop(".".join(parts[:depth]), None)


def strangers(before: frozenset[str], parts: Mapping[str, Path]) -> list[str]:
    """Return the modules imported since `before` that are neither installed, nor Python's, nor among `parts`."""
    known = {file.resolve() for file in parts.values()}
    new = {name: module for name, module in list(sys.modules.items()) if name not in before}
    return sorted(
        {
            name.partition(".")[0]
            for name, module in new.items()
            if (file := file_of(module)) is not None and file not in known and not _is_installed(name, file)
        }
    )


def file_of(module: ModuleType) -> Path | None:
    """Return the file of a module, without links; None if it has no file."""
    file = vars(module).get("__file__")
    return Path(file).resolve() if isinstance(file, str) else None


def _is_installed(name: str, file: Path) -> bool:
    library = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")]
    inside = INSTALLED & set(file.parts) or any(file.resolve().is_relative_to(folder) for folder in library)
    return bool(inside) or name.partition(".")[0] == "clbench" or name.startswith("clbench_own_")
