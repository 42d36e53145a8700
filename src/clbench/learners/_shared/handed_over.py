"""What another program is handed for a lesson, and how it is seen that it left that as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.core.errors import LessonError
from clbench.core.types import Example, Lesson

FORMAT = 1
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
LLAMA_FACTORY = {
    "lesson": {
        "file_name": "lesson.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {**TAGS, "system_tag": "system"},
    }
}


def write_lesson(path: Path, lesson: Lesson) -> None:
    """Write the examples in the messages format, one JSON object a line, in the lesson's own order.

    What LLaMA-Factory reads of a data set lies beside them; `datasets` passes over a file of that name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "dataset_info.json").write_text(json.dumps(LLAMA_FACTORY, indent=1) + "\n", encoding="utf-8")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for example in lesson.examples:
            file.write(json.dumps({"messages": messages(example)}, ensure_ascii=False) + "\n")


def messages(example: Example) -> list[dict[str, str]]:
    """Return an example as a conversation whose last turn is what is taught."""
    turns = [{"role": turn.role, "content": turn.content} for turn in example.prompt]
    return [*turns, {"role": "assistant", "content": example.targets[0]}]


def write_about(path: Path, lesson: Lesson, more: Mapping[str, Any]) -> None:
    """Write what a program may know of a lesson beside its examples."""
    about = {
        "format": FORMAT,
        "number": lesson.number,
        "task": lesson.task_name,
        "examples": len(lesson.examples),
        "budget": lesson.budget.model_dump(mode="json"),
        "passes": lesson.passes,
        **more,
    }
    path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def stamps(*places: Path) -> dict[str, tuple[int, int, int]]:
    """Return (bytes, time of change in ns, inode) of files, and of all files below folders."""
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    return {str(f): (s.st_size, s.st_mtime_ns, s.st_ino) for f in files if f.is_file() for s in (f.stat(),)}


def check_unchanged(before: Mapping[str, tuple[int, int, int]], *places: Path, where: str) -> None:
    """Refuse what a program made of a lesson whose files it has changed.

    Raises:
        LessonError: Names the first file.
    """
    now = stamps(*places)
    if changed := sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)):
        how = "removed" if changed[0] not in now else "added" if changed[0] not in before else "changed"
        raise LessonError(
            f"it {how} {changed[0]}, which it was given to read",
            where=where,
            mend="let it write into its own folder ({out}) alone; it had a copy, and nothing is lost",
        )


def copy_files(source: Path, target: Path, names: Mapping[str, object] | set[str] | None = None) -> None:
    """Copy files with their folders, links by what they lead to; without names, all of them."""
    every = [f.relative_to(source).as_posix() for f in source.rglob("*") if f.is_file()] if names is None else names
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(every):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
