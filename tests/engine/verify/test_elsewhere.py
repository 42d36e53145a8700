"""Results of what another program learnt: which are refused as a submission, and that nothing of them is run."""

from types import SimpleNamespace

import pytest

from clbench.core.errors import SpecError
from clbench.core.spec import RunSpec
from clbench.engine.verify.keys import _learner
from clbench.engine.verify.rerun import _refuse_strange


@pytest.mark.parametrize(
    ("learner", "refused"),
    [
        ({"name": "checkpoints", "folders": ["./a@0123456789abcdef"]}, True),
        ({"name": "sft"}, False),
    ],
)
def test_what_was_learnt_elsewhere_is_refused(learner, refused):
    claim = SimpleNamespace(spec=RunSpec(name="x", learner=learner, stream="worlds-tiny"), provenance={})
    found = " ".join(_learner(claim)[0])
    assert ("that it learnt these lessons, and nothing else, is not shown" in found) is refused


@pytest.mark.parametrize("name", ["checkpoints", "command"])
def test_nothing_of_it_is_run_again(name):
    with pytest.raises(SpecError, match="its learner did not come with clbench"):
        _refuse_strange(RunSpec(name="x", learner={"name": name}, stream="worlds-tiny"))
