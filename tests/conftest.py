"""No network, one thread, and the real data where it is."""

import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from clbench.core.wording import speak
from tests.builders.leaks import nothing_left

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("CLBENCH_CACHE", tempfile.mkdtemp(prefix="clbench-test-cache-"))
ROOT = Path(__file__).parents[1]
# A machine with much else to do is slow now and then, and no test of a property asks how fast it is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
# Folders and files whose tests need torch, if only to import what they test.
NEED_MODELS = {
    *("attack", "contract", "e2e", "learners", "lm_eval", "models", "testing", "training"),
    *("outside", "test_cuts.py", "exam_callback.py", "test_exam_callback.py", "checkpoints.py", "served.py"),
    *("test_memory.py", "test_provenance.py", "test_serving.py", "test_shared_learner.py", "test_kept_need.py"),
}
_connect = socket.socket.connect


def _refuse(self, address):
    if self.family == socket.AF_UNIX or address[0] == "127.0.0.1":  # the stub server of a test
        return _connect(self, address)
    raise RuntimeError(f"a test tried to reach {address}: tests use no network")


def pytest_addoption(parser):
    parser.addoption(
        "--no-models", action="store_true", help="leave out what loads models, and bar torch from the rest"
    )


class _Barred:
    """A finder that refuses torch, so that a test that loads a model and does not say so fails."""

    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("a test that is not marked as one of `models` imports torch", name="torch")


def pytest_configure(config):
    if config.getoption("no_models"):
        os.environ["USE_TORCH"] = "0"  # or `datasets` asks for it
        sys.meta_path.insert(0, _Barred())


def loads_models(path):
    parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else ()
    return bool(NEED_MODELS & set(parts)) and "api" not in parts  # models behind an address need no torch


def pytest_ignore_collect(collection_path, config):
    return True if config.getoption("no_models") and loads_models(collection_path) else None


def pytest_collection_modifyitems(items):
    for item in items:
        if loads_models(item.path):
            item.add_marker("models")


@pytest.fixture(autouse=True)
def _nothing_left():
    speak("en")  # a command of the test before may have left another language in this process
    with nothing_left():
        yield


@pytest.fixture(autouse=True)
def _no_network(_nothing_left, monkeypatch):  # in this order: what is patched is put back before it is looked
    monkeypatch.setattr(socket.socket, "connect", _refuse)


# Outside the escape suite, which asks for walls itself, the programs that tests run are our own and the data sets'.
os.environ.setdefault("CLBENCH_WEAK_SANDBOX", "1")


@pytest.fixture(scope="session")
def data_root():
    for place in (os.environ.get("CLBENCH_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("the real data sets are not here: set CLBENCH_DATA")


@pytest.fixture
def heard():
    """Return the list of notices that come."""
    from clbench.core.events import notice_listener

    told = []
    token = notice_listener.set(told.append)
    yield told
    notice_listener.reset(token)
