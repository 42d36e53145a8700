"""Make the notebooks of docs/examples from the scripts beside them: every cell is run, and its output written down.

A script is in the percent format: `# %% [markdown]` begins a cell of text, `# %%` one of code.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "docs" / "examples"
PROGRESS = re.compile(r"units: \d+ of \d+ after ")  # how far work is, by the clock: of a screen, and no result
HEAD = {
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def cells_of(script: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each cell of a script, kind "markdown" or "code"."""
    parts = re.split(r"(?m)^# %%(.*)\n", script)[1:]
    found: list[tuple[str, str]] = []
    for mark, text in zip(parts[::2], parts[1::2], strict=True):
        kind = "markdown" if "[markdown]" in mark else "code"
        text = text.strip("\n")
        found.append((kind, re.sub(r"(?m)^# ?", "", text) if kind == "markdown" else text))
    return found


def notebook(script: str, folder: Path) -> dict[str, Any]:
    """Return a notebook of a script, run in a folder.

    Raises:
        Exception: Whatever a cell raises.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    made: list[dict[str, Any]] = []
    before = Path.cwd()
    os.chdir(folder)
    try:
        for place, (kind, text) in enumerate(cells_of(script)):
            name = hashlib.sha256(f"{place}{text}".encode()).hexdigest()[:8]
            lines = text.splitlines(keepends=True)
            cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": lines}
            if kind == "code":
                count = sum(c["cell_type"] == "code" for c in made) + 1
                cell |= {"execution_count": count, "outputs": _ran(text, space, count)}
            made.append(cell)
    finally:
        os.chdir(before)
    return {"cells": made, **HEAD}


def _ran(text: str, space: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell, and return what it printed and the value of its last expression."""
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        exec(compile(tree, "cell", "exec"), space)  # the repository's own scripts
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)  # same
    outputs: list[dict[str, Any]] = []
    if lines := [line for line in printed.getvalue().splitlines(keepends=True) if not PROGRESS.match(line)]:
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        rich = vars(type(value)).get("_repr_html_")
        if rich is not None:
            data["text/html"] = str(rich(value)).splitlines(keepends=True)
        outputs.append({"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": data})
    return outputs


def write(name: str) -> Path:
    """Run a script of docs/examples and write its notebook beside it."""
    script = PLACE / f"{name}.py"
    with TemporaryDirectory() as folder:
        (Path(folder) / "results").symlink_to(ROOT / "results")
        made = notebook(script.read_text(encoding="utf-8"), Path(folder))
        text = json.dumps(made, indent=1, ensure_ascii=False).replace(str(Path(folder).resolve()), "...")
    file = script.with_suffix(".ipynb")
    file.write_text(text + "\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    for each in sorted(PLACE.glob("*.py")):
        write(each.stem)
