"""Sources: where a task's rows lie, pinned so that they cannot change under us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator

from clbench.core.value import Value
from clbench.data.tasks import template

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$"  # it names files, for which a file system takes 255 bytes
HEX64 = r"^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=NAME)]
Sha256 = Annotated[str, Field(pattern=HEX64)]


class PathSource(Value):
    """Files below the data root (`--data`, `CLBENCH_DATA`) or beside the card.

    Attributes:
        path: A folder with one file per split (or a `save_to_disk` folder), relative, without `..`.
        sha256: Split -> digest of its file; checked if given.
    """

    path: str = Field(min_length=1)
    sha256: Mapping[Name, Sha256] = {}

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        parts = PurePosixPath(value).parts
        if value.startswith(("/", "~")) or ".." in parts or "\\" in value or ":" in value or "\0" in value:
            raise ValueError(f"path {value!r} must be relative and stay below the data root or the card's folder")
        return value

    def __str__(self) -> str:
        """Return the source as a listing shows it."""
        return self.path


class HubSource(Value):
    """A data set of the Hugging Face Hub, pinned to a commit.

    Attributes:
        repo: `owner/name`.
        config: Name of the configuration, if the data set has several.
        revision: The full commit hash; a branch or tag could change under us. Null in an unverified card only,
            which can then not be opened.
    """

    repo: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    config: str | None = None
    revision: str | None = None

    @field_validator("revision")
    @classmethod
    def _is_commit(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[0-9a-f]{40}", value):
            raise ValueError(f"revision {value!r} is not a commit; give all 40 hexadecimal digits, not a branch or tag")
        return value

    def __str__(self) -> str:
        """Return the source as a listing shows it."""
        return f"{self.repo}{f':{self.config}' if self.config else ''}@{(self.revision or 'unpinned')[:12]}"


class UrlSource(Value):
    """Files that are downloaded once, and refused if their digest is not the pinned one.

    Attributes:
        url: http(s) address; `{split}` stands for the split's name.
        sha256: Split -> digest of its file.
    """

    url: str = Field(pattern=r"^https?://[^\s]+$")
    sha256: Mapping[Name, Sha256]

    @field_validator("url")
    @classmethod
    def _has_split(cls, value: str) -> str:
        if template.parse(value).fields != ("split",):
            raise ValueError("the address must hold {split}, and no other field")
        return value

    def __str__(self) -> str:
        """Return the source as a listing shows it."""
        return self.url


class WorldSource(Value):
    """A task that is generated from a seed.

    Attributes:
        world: Settings of `clbench.data.worlds`.
    """

    world: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the source as a listing shows it."""
        return "generated"


RowSource = PathSource | HubSource | UrlSource


def _tag(value: Any) -> str | None:
    if isinstance(value, (list, tuple)):
        return "list"
    keys: set[str] = set(value) if isinstance(value, dict) else set(type(value).model_fields)
    tags = keys & {"path", "repo", "url", "world"}
    return tags.pop() if len(tags) == 1 else None


_KINDS = "{path}, {repo, config, revision} or {url, sha256}"
_One = Annotated[
    Annotated[PathSource, Tag("path")] | Annotated[HubSource, Tag("repo")] | Annotated[UrlSource, Tag("url")],
    Discriminator(
        _tag, custom_error_type="source", custom_error_message=f"a source in a list of sources is one of {_KINDS}"
    ),
]
Source = Annotated[
    Annotated[PathSource, Tag("path")]
    | Annotated[HubSource, Tag("repo")]
    | Annotated[UrlSource, Tag("url")]
    | Annotated[WorldSource, Tag("world")]
    | Annotated[tuple[_One, ...], Tag("list"), Field(min_length=1)],
    Discriminator(
        _tag,
        custom_error_type="source",
        custom_error_message=f"a source is one of {_KINDS}, {{world}}, or a list of the first three",
    ),
]
