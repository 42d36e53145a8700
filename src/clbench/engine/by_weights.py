"""Whether a learner answers by the weights of one model, so that another program can answer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clbench.core.errors import LearnerError

if TYPE_CHECKING:
    from clbench.engine.trajectory import Trajectory


def check_weights_alone(trajectory: Trajectory, lesson: int) -> None:
    """Refuse a learner that answers with more than the weights of one model."""
    from clbench.training.new_method import new_method

    plugin = trajectory.plugin
    if lesson == 0 and plugin.starts_as_base:
        return
    if plugin.method is not None:
        needs = new_method(plugin.method, trajectory.config).beyond_weights()
    else:
        needs = "" if plugin.answers == "net" else "it writes what it was taught into the prompt of every question"
    if needs:
        raise LearnerError(
            f"{needs}: no checkpoint says that",
            where=f"learner {trajectory.spec.learner_label}",
            mend="ask it by clbench's own engine; to take a model out, use one that answers by weights (ewc, lora)",
        )
