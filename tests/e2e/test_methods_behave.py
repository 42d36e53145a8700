"""What is known of methods holds here: margins over three seeds, not one lucky run."""

import numpy as np

from clbench.core.spec import Machine
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import load_runs
from clbench.store.store import Store

TOLD = """\
name: told
tasks: [world_rules_zh, world_laws_en]
labels_per_task: 96
task_ids: given
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
    results = run_recipe(load_recipe(path), Store(machine.store), machine).folders
    return {group.label: group for group in group_runs(load_runs(results))}


def of(groups, name, figure):
    return np.array([run.scores[figure] for run in groups[name].runs])


def replay_forgets_less_than_fine_tuning_in_every_seed(tasks):
    assert (of(tasks, "sft", "forgetting") - of(tasks, "replay", "forgetting")).min() > 0.1


def joint_training_is_at_least_as_good_as_all_that_learn_in_turn(tasks):
    joint = tasks["joint"]
    for name in ("sft", "replay"):
        reach = joint.scores["average_performance"] + joint.intervals["average_performance"].half
        assert reach >= tasks[name].scores["average_performance"], name


def parts_of_their_own_forget_nothing_when_the_task_is_told(tasks):
    for run in (run for name in ISOLATED for run in tasks[name].runs):
        for i, column in enumerate(run.matrix.columns):
            later = run.matrix.values[column.taught :, i]
            assert set(later) == {later[0]}, run.spec.name
        assert run.scores["learning_accuracy"] > run.matrix.values[0].mean(), run.spec.name  # and they do learn


def test_of_tasks_in_turn_what_is_known_of_methods_holds(tmp_path):
    """One test, so that one process makes the runs, however tests are shared out."""
    tasks = groups_of(tmp_path, TASKS)
    replay_forgets_less_than_fine_tuning_in_every_seed(tasks)
    joint_training_is_at_least_as_good_as_all_that_learn_in_turn(tasks)
    parts_of_their_own_forget_nothing_when_the_task_is_told(tasks)


def test_of_classes_in_turn_regularisation_alone_keeps_far_less_than_replay(tmp_path):
    classes = groups_of(tmp_path, CLASSES)
    replay = of(classes, "replay", "average_performance")
    for name in ("sft", "ewc"):
        assert (replay - of(classes, name, "average_performance")).mean() > 0.15, name
