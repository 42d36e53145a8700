"""What each learner makes of the smallest stream, against what it made when its version was set.

Compared to three digits: processors round differently, and a changed method moves weights by far more than that.
To take over a meant change: raise the plug-in's `version`, then `python tests/contract/test_learners_golden.py`.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clbench.core import plugins
from clbench.core.keys import folder_digest
from clbench.core.spec import Machine, ModelSpec
from clbench.data.streams.stream import lessons, merge_lessons, open_stream

pytestmark = pytest.mark.xdist_group("learners")
GOLDEN = Path(__file__).parents[1] / "golden" / "learners.json"
SETTINGS = {"lr": 1e-3, "epochs": 2, "batch_size": 8, "warmup": 0.0, "decay": "constant"}


def taught(name):
    """Give a learner after two lessons, its weights before, and its weights now."""
    plugin = plugins.load("learner", name, "PLUGIN")
    settings = {k: v for k, v in SETTINGS.items() if k in plugin.config.model_fields}
    learner = plugin.build(plugin.config(**settings), ModelSpec(name="tiny-llama"), 0, Machine(device="cpu"))
    before = {n: p.detach().clone() for n, p in learner.net.module.named_parameters()}
    stream = open_stream("worlds-tiny", None)
    lessons_ = lessons(stream.model_copy(update={"task_ids": "given"}) if plugin.needs_task_ids else stream)[:2]
    for lesson in (merge_lessons(lessons_),) if plugin.teaches == "at_once" else lessons_:
        learner.learn(lesson)
    # peft wraps a layer: its frozen weights get another name, and have not moved.
    now = {n.replace(".base_layer", ""): p.detach() for n, p in learner.net.module.named_parameters()}
    now |= learner.method.parked() if hasattr(learner, "method") else {}
    return learner, before, now


def fingerprint(name, found=None):
    """Version, and how far the weights went: sums of |change| over each of them, the largest five.

    Of a learner that keeps the weights as they are, the digest of what it answers by.
    """
    learner, before, now = found or taught(name)
    moved = {n: float((p - before[n]).abs().sum() if n in before else p.abs().sum()) for n, p in now.items()}
    largest = sorted(moved.items(), key=lambda item: -item[1])[:5]
    version = plugins.load("learner", name, "PLUGIN").version
    made = {"version": version, "moved": {n: float(f"{v:.6g}") for n, v in largest if v}}
    return made if made["moved"] else {**made, "answers": _answers_by(learner)}


@pytest.fixture(scope="module")
def fine_tuned():
    _, before, now = taught("sft")
    return before, now


def apart(weights, fine_tuned):
    """Distance from where plain fine-tuning ends, as a share of the way that it went."""
    before, end = fine_tuned
    way = sum((end[n] - before[n]).square().sum() for n in end) ** 0.5
    return float(sum((weights[n] - end[n]).square().sum() for n in end) ** 0.5 / way)


def _answers_by(learner):
    with TemporaryDirectory() as folder:
        learner.save(Path(folder))
        return folder_digest(Path(folder) / "answers")


@pytest.mark.parametrize("name", plugins.names("learner"))
def test_results_change_with_the_version_only(name, fine_tuned):
    known = json.loads(GOLDEN.read_text())
    assert name in known, f"a new learner: python {Path(__file__).name} records what it makes"
    learnt = taught(name)
    found = fingerprint(name, learnt)
    same = found["moved"] == pytest.approx(known[name]["moved"], rel=2e-3)
    same = same and found.get("answers") == known[name].get("answers")
    if found["version"] == known[name]["version"]:
        assert same, f"{name} makes something else: raise its version, then run this file to record it"
    else:
        pytest.fail(f"{name} has a new version: run this file to record what it makes")
    if name != "sft":
        assert apart(learnt[2], fine_tuned) > 1e-3, f"{name} ends where plain fine-tuning does"


def test_plain_fine_tuning_is_where_it_ends(fine_tuned):
    assert apart(fine_tuned[1], fine_tuned) == 0


def test_another_learning_rate_would_be_noticed(monkeypatch):
    monkeypatch.setitem(SETTINGS, "lr", 1.02e-3)
    assert fingerprint("sft")["moved"] != pytest.approx(json.loads(GOLDEN.read_text())["sft"]["moved"], rel=2e-3)


if __name__ == "__main__":
    made = {name: fingerprint(name) for name in plugins.names("learner")}
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
