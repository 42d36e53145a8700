"""A test that leaves the process changed is caught, and what it changed is put back."""

import os
from pathlib import Path

import pytest

from tests.builders.child import environment, run_python
from tests.builders.leaks import nothing_left

Failed = pytest.fail.Exception


def test_what_is_put_back_is_no_matter(tmp_path, monkeypatch):
    with nothing_left(), monkeypatch.context() as patch:
        patch.setenv("A_PLANTED_VARIABLE", "1")
        patch.chdir(tmp_path)


@pytest.mark.parametrize(("name", "said"), [
    ("CLBENCH_PLANTED", "CLBENCH_PLANTED was not there, and is 'planted'"),
    ("WORLD_SIZE", "WORLD_SIZE was not there, and is 'planted'"),
    ("OMP_NUM_THREADS", "OMP_NUM_THREADS was '1', and is 'planted'"),
])  # fmt: skip
def test_a_variable_that_is_left_is_named(name, said):
    before = dict(os.environ)
    with pytest.raises(Failed, match=said), nothing_left():
        os.environ[name] = "planted"
    assert dict(os.environ) == before


def test_a_variable_that_is_taken_away_is_named():
    with pytest.raises(Failed, match="OMP_NUM_THREADS was '1', and is gone"), nothing_left():
        del os.environ["OMP_NUM_THREADS"]
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("gone", [False, True])
def test_a_working_folder_that_is_left_is_named(tmp_path, gone):
    before, place = Path.cwd(), tmp_path / "deep"
    place.mkdir()
    said = f"the working folder was {before}, and is {'gone' if gone else place}"
    with pytest.raises(Failed, match=said), nothing_left():
        os.chdir(place)
        if gone:
            place.rmdir()
    assert Path.cwd() == before


def test_every_test_is_watched(request):
    assert "_nothing_left" in request.fixturenames
    names = request.fixturenames
    assert names.index("_nothing_left") < names.index("monkeypatch"), "patches are put back before it is looked"


def test_a_child_starts_from_the_root_in_the_environment_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("A_PLANTED_VARIABLE", "1")
    code = "import os, tests.builders.places as p; print(os.getcwd() == str(p.ROOT), os.environ.get('ASKED'), *sorted("
    code += "{'WORLD_SIZE', 'A_PLANTED_VARIABLE'} & os.environ.keys()))"
    assert run_python(code, ASKED="for").stdout.split() == ["True", "for"]
    assert "WORLD_SIZE" not in environment()


def test_a_child_that_fails_says_why():
    with pytest.raises(Failed, match=r"(?s)ended with 3, not 0: .*\nit is here"):
        run_python("import sys; sys.stderr.write('it is here'); sys.exit(3)")
    assert run_python("import sys; sys.exit(3)", ends=3).returncode == 3
