"""A folder with a small tuning recipe."""

import pytest

from tests.builders.tuning import write_tuning


@pytest.fixture
def tuning_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tuning(tmp_path)
    return tmp_path
