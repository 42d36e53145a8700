"""Sum up what a run cost from the stages it is made of, as they were first made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from clbench.core.chat import Usage, usage_of_record
from clbench.core.keys import canonical
from clbench.core.results import Costs, ExamResult
from clbench.core.spec import JudgeSpec
from clbench.core.value import written
from clbench.engine.trajectory import Trajectory
from clbench.store.store import Store

T = TypeVar("T")

# Counts of a state (`counts.json`) that a run reports as they stand after its last lesson.
AT_THE_END = (
    *("train_tokens", "forward_tokens", "kept_bytes", "buffer_bytes", "state_bytes", "added_bytes"),
    "added_parameters",
)


def measure_costs(trajectory: Trajectory, results: Sequence[ExamResult]) -> Costs:
    """Return what a run cost.

    Stages that several runs share count in each of them: a method's cost does not depend on what ran before it.
    """
    store = trajectory.store
    lessons = [trajectory.reach(k) for k in range(1, len(trajectory.lessons) + 1)]
    counts = [known["counts"] for known in lessons]
    costs = [_cost(trajectory, k, store) for k in range(1, len(trajectory.lessons) + 1)]
    seconds = [known["wall_s"] for known in costs]
    asked = _asked(results, store)
    spent = [*costs, *(cost for cost, _ in asked)]
    joules = [cost.get("joules") for cost in spent]
    end: dict[str, Any] = {name: int(counts[-1].get(name, 0)) if counts else 0 for name in AT_THE_END}
    found = Costs(
        train_s=sum(seconds),
        exam_s=sum(cost["wall_s"] for cost, _ in asked),
        exam_answers=sum(n for _, n in asked),
        exam_latency_s=tuple(round(cost["wall_s"] / n, 9) for cost, n in asked if n),
        peak_memory_bytes=int(max(cost["peak_memory_bytes"] for cost in spent)),
        device_memory_bytes=int(max(cost.get("device_memory_bytes", 0) for cost in spent)),
        examples_used=sum(len(lesson.examples) for lesson in trajectory.lessons),
        stream_bytes=sum(len(canonical(lesson.examples).encode()) for lesson in trajectory.lessons),
        kept_bytes_by_lesson=tuple(c.get("kept_bytes", 0) for c in counts),
        parameters_by_lesson=tuple(c.get("parameters", 0) for c in counts),
        train_s_by_lesson=tuple(seconds),
        buffer_bytes_by_lesson=tuple(c.get("buffer_bytes", 0) for c in counts),
        buffer_examples_by_lesson=tuple(c.get("buffer_examples", 0) for c in counts),
        cut_by_lesson=_cut(trajectory, counts),
        trained_by_lesson=_where_any([c.get("trained_parameters", 0) for c in counts]),
        unreached_by_lesson=_where_any(
            [(c.get("unreached_parameters", 0), c.get("idle_expert_parameters", 0)) for c in counts]
        ),
        reasoning_tokens=sum(result.reasoning[0] for result in results if result.reasoning),
        joules=None if any(j is None for j in joules) else sum(j for j in joules if j is not None),
    )
    if (judged := judge_usage(results, store)).total:
        end["judge_tokens"] = (judged.prompt, judged.cached, judged.completion)
    if trajectory.spec.model.provider is not None:
        end["api_tokens"] = _api_tokens(results, counts[-1] if counts else {})
    found = found.model_copy(update=end)
    elsewhere = trajectory.plugin.elsewhere
    if elsewhere is None:
        return found
    counted = {name for known in counts for name in known}
    unknown = OF_LEARNING if elsewhere.unknown is None else [n for n in elsewhere.unknown if n not in counted]
    return _learnt_elsewhere(found, elsewhere.costs(trajectory.config), unknown)


def _api_tokens(results: Sequence[ExamResult], counts: Mapping[str, int]) -> tuple[int, int, int]:
    """Return (prompt, cached, completion) tokens of answers, and of what the model wrote until the last lesson."""
    answers = [answer for result in results for answer in result.answers]
    return (
        sum(a.tokens_in for a in answers) + counts.get("api_prompt", 0),
        sum(a.tokens_cached for a in answers) + counts.get("api_cached", 0),
        sum(a.tokens_out for a in answers) + counts.get("api_completion", 0),
    )


OF_LEARNING = (
    *("train_s", "train_s_by_lesson", "train_tokens", "forward_tokens", "examples_used", "joules"),
    *("peak_memory_bytes", "device_memory_bytes", "parameters_by_lesson", "added_parameters", "added_bytes"),
    *("kept_bytes", "kept_bytes_by_lesson", "buffer_bytes", "buffer_bytes_by_lesson", "buffer_examples_by_lesson"),
    *("state_bytes", "cut_by_lesson", "trained_by_lesson", "unreached_by_lesson"),
)
PEAKS = ("peak_memory_bytes", "device_memory_bytes")


def _learnt_elsewhere(measured: Costs, stated: Mapping[str, Any], unknown: Sequence[str]) -> Costs:
    """Return the costs of a run whose lessons another program learnt: what was measured, and what the user states."""
    unknown = tuple(name for name in unknown if name not in stated)
    blank = {name: Costs.model_fields[name].default for name in unknown}
    found = {name: max(value, vars(measured)[name]) if name in PEAKS else value for name, value in stated.items()}
    if "joules" in found:
        found["joules"] = None if measured.joules is None else measured.joules + found["joules"]
    return measured.model_copy(update={**blank, **found, "unknown": unknown})


def judge_usage(results: Sequence[ExamResult], store: Store) -> Usage:
    """Return the tokens of the verdicts behind some results, as they were first made."""
    stages = [store.stage("mark", result.grades_key) for result in results]
    return sum((usage_of_record(s["why"]["judge"]["usage"]) for s in stages if s and "judge" in s["why"]), Usage())


def judged_of(judge: JudgeSpec | None, results: Sequence[ExamResult], store: Store) -> dict[str, Any]:
    """Return who judged, and what it came to, for the record; {} where nobody did."""
    stages = [store.stage("mark", result.grades_key) for result in results]
    found = [stage["why"]["judge"] for stage in stages if stage is not None and "judge" in stage["why"]]
    if judge is None or not found:
        return {}
    states = sum((Counter[str](one["states"]) for one in found), Counter[str]())
    return {
        **written(judge),
        "served": sorted({name for one in found for name in one["served"]}),
        "requests": sum(one["requests"] for one in found),
        "tokens": judge_usage(results, store).plain(),
        "states": dict(sorted(states.items())),
    }


def _where_any(values: Sequence[T]) -> tuple[T, ...]:
    """Return the values of all lessons; empty where all of them are zero."""
    return tuple(values) if any(value not in (0, (0, 0)) for value in values) else ()


def _cut(trajectory: Trajectory, counts: Sequence[Mapping[str, int]]) -> tuple[tuple[int, int, int], ...]:
    """Return (prompts cut, answers cut, examples) of every lesson; empty where nothing was cut."""
    found = tuple(
        (known.get("cut_prompts", 0), known.get("cut_answers", 0), len(lesson.examples))
        for known, lesson in zip(counts, trajectory.lessons, strict=True)
    )
    return found if any(prompts or answers for prompts, answers, _ in found) else ()


def _cost(trajectory: Trajectory, index: int, store: Store) -> dict[str, float]:
    """Return the costs of a lesson; a shared first lesson counts with the pass that settles on it."""
    trajectory.reach(index)
    stage = store.stage("effective", trajectory.keys[index])
    assert stage is not None, "every state of a finished run is remembered"
    cost = dict(stage["why"]["cost"])
    if index == 1 and trajectory.shared is not None:  # of which nobody needs the lessons after the first
        cost["wall_s"] += _cost(trajectory.shared, 1, store)["wall_s"]
    return cost


def _asked(results: Sequence[ExamResult], store: Store) -> list[tuple[dict[str, float], int]]:
    """Return (costs, answers) of each result."""
    found: list[tuple[dict[str, float], int]] = []
    for result in results:
        stage = store.stage("ask", result.answers_key)
        assert stage is not None, "every due result of a finished run has been asked"
        found.append((stage["meter"], len(result.answers)))
    return found
