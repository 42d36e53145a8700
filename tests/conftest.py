"""No network, one thread, and the real data where it is."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
os.environ.setdefault("CLBENCH_CACHE", tempfile.mkdtemp(prefix="clbench-test-cache-"))
ROOT = Path(__file__).parents[1]
_connect = socket.socket.connect


def _refuse(self, address):
    if self.family == socket.AF_UNIX:
        return _connect(self, address)
    raise RuntimeError(f"a test tried to reach {address}: tests use no network")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", _refuse)


# Outside the escape suite, which asks for walls itself, the programs that tests run are our own and the data sets'.
os.environ.setdefault("CLBENCH_WEAK_SANDBOX", "1")


@pytest.fixture(scope="session")
def data_root():
    for place in (os.environ.get("CLBENCH_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("the real data sets are not here: set CLBENCH_DATA")
