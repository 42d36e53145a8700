"""What is known of methods holds here: margins over three seeds, not one lucky run."""

import numpy as np
import pytest

from clbench.core.spec import Machine
from clbench.engine.grid import load_grid, run_grid
from clbench.report.gather import group_runs, load_runs
from clbench.store.store import Store

pytestmark = pytest.mark.xdist_group("behave")
TOLD = """\
name: told
tasks: [world_rules_zh, world_laws_en]
labels_per_task: 96
reveals: task
about: {license: Apache-2.0, text: "two small tasks; the task is told"}
"""
TASKS = """\
name: tasks
model: {name: tiny-llama}
stream: STREAM
training: {lr: 2.0e-3, epochs: 6, batch_size: 16}
budget: {policy: seen}
axes:
  seed: [0, 1, 2]
  learner: [sft, joint, separate, {name: replay, memory: 60, share: 0.5}, {name: lora_per_task, lr: 5.0e-3}]
"""
CLASSES = """\
name: classes
model: {name: tiny-bert}
stream: cil-worlds
training: {lr: 1.0e-3, epochs: 16, batch_size: 16}
budget: {policy: seen, items: 30}
axes:
  seed: [0, 1, 2]
  learner: [sft, {name: ewc, strength: 300}, {name: replay, memory: 80, share: 0.5}]
"""
ISOLATED = ("separate", "lora_per_task")


def groups_of(folder, recipe):
    (folder / "told.yaml").write_text(TOLD)
    path = folder / "recipe.yaml"
    path.write_text(recipe.replace("STREAM", str(folder / "told.yaml")))
    machine = Machine(store=folder / "store", workers=1, device="cpu")
    results = run_grid(load_grid(path), Store(machine.store), machine)
    return {group.label: group for group in group_runs(load_runs(results))}


@pytest.fixture(scope="session")
def tasks(tmp_path_factory):
    return groups_of(tmp_path_factory.mktemp("tasks"), TASKS)


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    return groups_of(tmp_path_factory.mktemp("classes"), CLASSES)


def of(groups, name, figure):
    return np.array([run.scores[figure] for run in groups[name].runs])


def test_replay_forgets_less_than_fine_tuning_in_every_seed(tasks):
    assert (of(tasks, "sft", "forgetting") - of(tasks, "replay", "forgetting")).min() > 0.1


def test_joint_training_is_at_least_as_good_as_all_that_learn_in_turn(tasks):
    joint = tasks["joint"]
    for name in ("sft", "replay"):
        reach = joint.scores["average_performance"] + joint.intervals["average_performance"].half
        assert reach >= tasks[name].scores["average_performance"], name


@pytest.mark.parametrize("name", ISOLATED)
def test_parts_of_their_own_forget_nothing_when_the_task_is_told(tasks, name):
    for run in tasks[name].runs:
        for i, column in enumerate(run.matrix.columns):
            later = run.matrix.values[column.taught :, i]
            assert set(later) == {later[0]}
        assert run.scores["learning_accuracy"] > run.matrix.values[0].mean()  # and they do learn


def test_of_classes_in_turn_regularisation_alone_keeps_far_less_than_replay(classes):
    replay = of(classes, "replay", "average_performance")
    for name in ("sft", "ewc"):
        assert (replay - of(classes, name, "average_performance")).mean() > 0.15, name
