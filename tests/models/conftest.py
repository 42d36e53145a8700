"""A small random checkpoint in Hugging Face format, and a copy of it that a test may damage."""

import shutil
from pathlib import Path

import pytest

from tests.builders.checkpoints import write_base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return the folder of a checkpoint, which no test changes."""
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(base, tmp_path):
    """Return the folder of a copy of it."""
    return Path(shutil.copytree(base, tmp_path / "m"))
