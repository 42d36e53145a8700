"""The gate on recorded results: a sound comparison passes, and each planted fault is named."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clbench.core.errors import DataError
from clbench.core.matrix import Column, Matrix
from clbench.data.tasks.card_folder import shipped_recipes
from clbench.report.runs.load import load_runs
from docs.build import sound, tables
from tests.builders.places import ROOT

TASKS = ("a", "b")
ENDS = {
    "frozen": 0.25,
    "sft": 0.4,
    "agem": 0.6,
    "replay": 0.8,
    "joint": 0.9,
    "cumulative": 0.88,
    "separate": 0.92,
    "ewc": 0.5,
}


@dataclass
class Exams:
    groups: tuple = ()

    def named(self, name):
        return SimpleNamespace(groups=self.groups, ids=tuple(range(100)))


@dataclass
class Run:
    """What the gate reads of a run: two tasks, the second forgotten by nobody."""

    name: str
    seed: int
    end: float
    own: float = 0.95
    lr: float = 1e-3
    before: float = 0.25
    lost: float = 0.0
    item_scores: Exams = field(default_factory=Exams)
    provenance: dict = field(default_factory=dict)
    stream_name: str = "s"
    epochs: int = 6
    domain: str = "nonsense"

    @property
    def spec(self):
        learner = {"name": self.name, "lr": self.lr, "epochs": self.epochs}
        return SimpleNamespace(stream=self.stream_name, seed=self.seed, learner=learner, learner_name=self.name)

    @property
    def stream(self):
        lessons = [SimpleNamespace(teaches=(task,), domains=(self.domain,)) for task in TASKS]
        return SimpleNamespace(task_ids="given", lessons=lessons)

    @property
    def scores(self):
        return {"average_performance": self.end, "forgetting": self.lost}

    @property
    def matrix(self):
        columns = tuple(Column(name=t, taught=k + 1, guess_rate=0.25, size=100) for k, t in enumerate(TASKS))
        return Matrix.of([[self.before] * 2, [self.own, self.before], [self.end, self.own]], columns)


def comparison(**changes):
    """Runs of a sound comparison over three seeds; a change takes over fields of a learner's runs."""
    found = [Run(name, seed, end + 0.01 * seed) for name, end in ENDS.items() for seed in range(3)]
    found += [Run("sft", seed, 0.3, lr=1e-4, own=0.5) for seed in range(3)]
    return [replace(run, **changes.get(run.name, {})) if run.lr == 1e-3 else run for run in found]


def test_a_sound_comparison_has_no_fault():
    assert sound.faults(comparison()) == []
    assert sound.under_protocol(comparison())
    assert not sound.under_protocol([run for run in comparison() if run.lr == 1e-3])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"joint": {"end": 0.6}}, "joint is 21.0 points below replay"),
        ({"cumulative": {"end": 0.7}}, "cumulative is 11.0 points below replay"),
        ({"sft": {"own": 0.85}}, "plain fine-tuning ends its lesson on a at 85.0"),
        ({"frozen": {"before": 0.5}}, "the untouched model scores 50.0 on a; guessing scores 25.0"),
        ({"replay": {"end": 0.55}}, "replay is 6.0 points below agem"),
        ({"agem": {"end": 0.35}}, "agem is 6.0 points below sft"),
        ({"sft": {"own": math.nan}}, "plain fine-tuning ends its lesson on a at nan"),
        ({"joint": {"end": math.nan}}, "joint is nan points below"),
        ({"agem": {"end": math.nan}}, "replay is nan points below agem"),
        ({"separate": {"lost": 0.02}}, "separate has a part for every given task and forgets 2.0 points"),
    ],
)
def test_each_planted_fault_is_named(changes, says):
    assert any(fault.startswith(says) for fault in sound.faults(comparison(**changes))), says


def test_only_generated_tasks_must_be_learnt_and_guessed():
    """Real data may be harder than 90, and its labels may be known to the model."""
    hard = {"sft": {"own": 0.85}, "frozen": {"before": 0.5}}
    assert sound.faults([replace(run, domain="news") for run in comparison(**hard)]) == []
    assert len(sound.faults([replace(run, domain="facts 1000") for run in comparison(**hard)])) == 4


def test_more_passes_and_a_lower_rate_are_told_apart():
    longer = [Run("sft", seed, 0.45, epochs=8) for seed in range(3)]
    found = sound.learners_in([*longer, *comparison()])
    assert [(name, found[name][0].epochs, found[name][0].lr) for name in ("sft", sound.CONTROL, sound.MATCHED)] == [
        ("sft", 6, 1e-3),
        (sound.CONTROL, 6, 1e-4),
        (sound.MATCHED, 8, 1e-3),
    ]


def test_a_bound_must_hold_on_every_stream():
    good, bad = comparison(), comparison(joint={"end": 0.6})
    runs = [*(replace(r, stream_name="one") for r in good), *(replace(r, stream_name="two") for r in bad)]
    runs = [replace(r, end=0.99) if r.name == "joint" and r.stream_name == "one" else r for r in runs]
    found = sound.faults(runs)
    assert [fault for fault in found if fault.startswith("two: joint")]
    assert not [fault for fault in found if fault.startswith("one: ")]


def test_a_bound_within_its_error_is_no_fault():
    runs = comparison()
    shifts = {0: -0.2, 1: 0.1, 2: -0.05}
    noisy = [replace(r, end=ENDS["replay"] + shifts[r.seed]) if r.name == "joint" else r for r in runs]
    gaps = [ENDS["replay"] + shifts[s] - (ENDS["replay"] + 0.01 * s) for s in range(3)]
    assert np.mean(gaps) < 0 < np.mean(gaps) + 2 * np.std(gaps, ddof=1) / 3**0.5
    assert not any(fault.startswith("joint") for fault in sound.faults(noisy))


def test_items_of_one_fact_count_once():
    """Half right on four facts asked 25 times each is not told apart from guessing."""
    grouped = Exams(groups=tuple(i % 4 for i in range(100)))
    assert not sound.faults(comparison(frozen={"before": 0.44, "item_scores": grouped}))


def test_few_groups_excuse_no_untouched_model_that_knows_half():
    grouped = Exams(groups=tuple(i % 3 for i in range(100)))
    (fault, _) = sound.faults(comparison(frozen={"before": 0.5, "item_scores": grouped}))
    assert fault.startswith("the untouched model scores 50.0")


def test_a_table_of_unsound_results_is_not_built(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    monkeypatch.setattr(tables, "load_runs", lambda paths: comparison(joint={"end": 0.1}))
    with pytest.raises(DataError, match="joint is"):
        tables.filled("<!-- table: methods markdown -->\n<!-- end -->", tmp_path)


@pytest.fixture
def small(monkeypatch):
    """Give a shipped recipe the learners of `comparison`."""
    specs = [SimpleNamespace(learner=run.spec.learner, learner_label=f"{run.name} {run.lr:g}") for run in comparison()]
    monkeypatch.setattr(sound, "load_recipe", lambda name: SimpleNamespace(specs=lambda: specs))
    return "methods"


@pytest.mark.parametrize("label", ["joint 0.001", "frozen 0.001", "sft 0.0001", "sft 0.001"])
def test_no_rule_is_passed_by_leaving_out_a_learner(label, small):
    """Without its control a comparison would else pass for one from before the protocol, and be judged by nothing."""
    assert sound.faults_of(small, comparison()) == []
    bad = comparison(joint={"end": 0.6})
    left = [run for run in bad if f"{run.name} {run.lr:g}" != label]
    found = sound.faults_of(small, left)
    assert f"{label} of the recipe methods has 0 of 3 runs" in found
    assert any(fault.startswith("joint is") for fault in found) == (label != "joint 0.001")


def test_no_rule_is_passed_by_leaving_out_seeds(small):
    """One run of joint training has no error, so that no difference to it would be told."""
    one = [run for run in comparison(joint={"end": 0.1}) if run.name != "joint" or run.seed == 0]
    assert sound.faults(one) == []
    assert sound.faults_of(small, one) == ["joint 0.001 of the recipe methods has 1 of 3 runs"]


def test_results_from_before_the_protocol_are_named_one_by_one(small):
    old = [run for run in comparison(joint={"end": 0.6}) if run.lr == 1e-3]
    assert all(sound.faults_of(name, old) == [] for name in sound.BEFORE)
    assert all(sound.faults_of(name, comparison(joint={"end": 0.6})) for name in sound.BEFORE)
    assert sound.lacking("nobody's", old) == []


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(p.name for p in (ROOT / "results").iterdir() if p.is_dir()))
def test_recorded_results_are_sound(recipe):
    assert recipe in shipped_recipes(), "else nobody knows which runs are due"
    assert sound.faults_of(recipe, load_runs([Path(ROOT / "results" / recipe)])) == []
