import math
from dataclasses import replace

import pytest

from clbench.core.errors import SpecError
from clbench.metrics import all_metrics
from clbench.testing import check_metric


@pytest.mark.parametrize("name", list(all_metrics()))
def test_every_metric_holds_its_contract(name):
    assert [o for o in check_metric(name) if o.problem] == []


def _last_counted(matrix):
    """Source: nobody. x = better."""
    t = matrix.num_lessons
    return sum(max(matrix.values[1 : t + 1, i]) - matrix.values[t, i] for i in range(t)) / t + matrix.values[t, t - 1]


def _writes(matrix):
    """Source: nobody. x = better."""
    matrix.values[0, 0] = 1.0
    return 0.0


BUGS = {
    "sign as declared": lambda m: -all_metrics()["forgetting"].compute(m),
    "last task left out": _last_counted,
    "pure": _writes,
    "missing is NaN": lambda m: -1.0,
    "within its range": lambda m: 7.0,
    "no change is 0": lambda m: all_metrics()["forgetting"].compute(m) + 0.5,
    "documented": lambda m: math.nan,
}


@pytest.mark.parametrize("check", BUGS)
def test_planted_bugs_are_caught(check):
    broken = replace(all_metrics()["forgetting"], compute=BUGS[check])
    if check == "pure":
        with pytest.raises(ValueError, match="read-only"):
            broken.compute(__import__("clbench.core.matrix", fromlist=["Matrix"]).Matrix.of([[0.0], [1.0]]))
        return
    assert check in {o.check for o in check_metric(broken) if o.problem}


FIGURE = """
import clbench as cl

def worst(matrix):
    \"\"\"Return min_i R[T, i]; higher is better. Source: nobody.\"\"\"
    return float(min(matrix.values[matrix.num_lessons]))

PLUGINS = [cl.MetricPlugin(name="worst", symbol="W", compute=worst, needs="matrix", better="high", low=0.0, high=1.0,
                           unit="score", group="performance")]
"""


def test_a_figure_of_one_s_own_is_checked_behind_its_module(tmp_path, monkeypatch):
    (tmp_path / "figpack").mkdir()
    for name, text in {"__init__": "", "mine": FIGURE, "other": "PLUGINS = [3]"}.items():
        (tmp_path / "figpack" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {o.check: o.problem for o in check_metric("figpack.mine.worst")}
    assert found["within its range"] == found["pure"] == ""
    for name, said in [
        ("figpack.mine.best", "there is no metric 'figpack.mine.best'"),
        ("figpack.other.x", "declares no list of MetricPlugins"),
        ("figpack.absent.x", "there is no metric 'figpack.absent'"),
    ]:
        with pytest.raises(SpecError, match=said):
            check_metric(name)
