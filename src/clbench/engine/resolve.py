"""From what a user wrote to a spec in which every default is visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clbench.core import plugins
from clbench.core.errors import ModelError, SpecError, UserError, said_of
from clbench.core.extras import TO_LOAD, absent
from clbench.core.keys import canonical
from clbench.core.protocols import LearnerPlugin
from clbench.core.spec import Machine, ModelSpec, RunSpec, Spending
from clbench.core.types import Exam, Stream
from clbench.core.validation import validated
from clbench.core.value import written
from clbench.engine.judge import settled_judge
from clbench.engine.user_method import open_user_method
from clbench.learners._shared.adapters import LoraTraining
from clbench.metrics import check_names
from clbench.models import source
from clbench.models.place import is_shipped
from clbench.training.new_method import new_method
from clbench.training.plugin import undefined_on
from clbench.training.settings import INSTEAD, NO_FLOAT16


def open_learner(learner: Mapping[str, Any]) -> tuple[LearnerPlugin[Any], Any]:
    """Return a learner's plug-in and its validated settings.

    Raises:
        SpecError: Unknown learner, unknown setting, or a value out of range.
    """
    if not isinstance(learner.get("name"), str):
        raise SpecError("a learner needs a name", where="learner", mend="learner: {name: sft, ...}")
    owned = plugins.find_user_file(learner["name"], where="learner.name")
    plugin = (
        plugins.load("learner", learner["name"], "PLUGIN", where="learner.name")
        if owned is None
        else open_user_method(owned)
    )
    if not isinstance(plugin, LearnerPlugin):
        raise SpecError(
            f"{learner['name']!r} declares no LearnerPlugin", where="learner.name", mend="see CONTRIBUTING.md"
        )
    settings = {k: v for k, v in learner.items() if k != "name"}
    if owned is None:
        return plugin, validated(plugin.config, settings, "learner")
    try:
        return plugin, validated(plugin.config, settings, "learner")
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # of a validator of the user's own
        mend = "correct its Config: a validator raises ValueError where a setting is wrong"
        raise SpecError(f"its settings break: {said_of(error)}", where=str(owned.path), mend=mend) from error


def resolve(
    spec: RunSpec, broken: dict[str, UserError] | None = None, known: dict[str, ModelSpec] | None = None
) -> RunSpec:
    """Fill in every default of the learner and the model's own length; refuse unknown names before anything is spent.

    The name of a user's own file is pinned to its content: a run of a changed file is another run.

    Args:
        spec: The run.
        broken: Where given, a model that cannot be used is put in here, by its key, and left as it is.
        known: Where given, models that have been settled, by their keys: what is to be said of one is said once.
    """
    known = {} if known is None else known
    plugin, config = open_learner(spec.learner)
    plugin.traits(config)  # a trait that breaks is told before anything is spent
    owned = plugins.find_user_file(spec.learner_name)
    name = spec.learner_name if owned is None else owned.name
    check_names(spec.metrics)
    model = spec.model
    try:
        if (named := model_key(model)) not in known:
            known[named] = source.settled(model)
        model = known[named]
    except ModelError as error:
        if broken is None:
            raise
        broken[model_key(model)] = error
        plugin = replace(plugin, elsewhere=None)  # what is compared with the model is told once it works
    if plugin.elsewhere is not None:
        config = plugin.elsewhere.pin(config, model)
    judge = None if spec.judge is None else settled_judge(spec.judge)
    return spec.model_copy(update={"model": model, "judge": judge, "learner": {"name": name, **written(config)}})


def model_key(model: ModelSpec) -> str:
    """Return a model as a key: all that a spec says of it."""
    return canonical(model)


def check_model(model: ModelSpec, *, tell: bool = False) -> None:
    """Refuse a model that its files show not to work, without reading its weights; shipped ones do.

    Without the libraries that load models, nothing is checked.

    Args:
        model: The model.
        tell: Whether what loading would tell of it is told now.

    Raises:
        ModelError: Says what is wrong with it.
        ExtraError: A package that it needs is not installed.
    """
    if model.provider is not None or is_shipped(model) or absent(TO_LOAD):
        return
    from clbench.models.skeleton import check_checkpoint

    check_checkpoint(model, tell=tell)


def check_device(machine: Machine) -> None:
    """Refuse a device that is not here, also where the store holds all that is asked for and nothing is computed.

    Raises:
        SpecError: There is no such device.
    """
    if machine.device not in ("auto", "cpu"):  # these are always here, and torch takes seconds to import
        from clbench.models.load import device_of

        device_of(machine)


def inapplicable(spec: RunSpec) -> SpecError | None:
    """Return why a learner is not defined on the model of a run; None where it is."""
    plugin, config = open_learner(spec.learner)
    if spec.model.provider is not None and plugin.traits(config).trains != "none":
        what = f"{spec.learner_name!r} trains weights, and those of {spec.model.name!r} are behind an API"
        mend = "take in_context, retrieval, notebook or frozen; or a model of weights"
        return SpecError(what, where="learner", mend=mend)
    if (error := undefined_on(plugin, spec.learner_name, spec.model, "learner")) is not None:
        return error
    if spec.model.dtype == "float16" and plugin.elsewhere is None and plugin.traits(config).trains != "none":
        return SpecError(NO_FLOAT16.format(what=repr(spec.learner_name)), where="model.dtype", mend=INSTEAD)
    try:
        _check_on_four_bits(spec, plugin, config)
        if spec.model.provider is not None and not plugins.runs_user_file(spec.learner):  # it says itself what it needs
            plugin.build(config, spec.model, spec.seed, Machine(spending=Spending(name=spec.name, dry=True)))
    except SpecError as error:
        return error
    return None


def check_learner(spec: RunSpec, stream: Stream) -> None:
    """Refuse a learner that is not defined on the model, must be told what the stream hides, or has other lessons.

    Raises:
        SpecError: Says which.
    """
    if (why := inapplicable(spec)) is not None:
        raise why
    plugin, config = open_learner(spec.learner)
    if plugin.needs_task_ids and stream.task_ids != "given":
        raise SpecError(
            f"{spec.learner_name!r} must be told the task, and {stream.name!r} has `task_ids: {stream.task_ids}`",
            where="learner",
            mend="take a stream with `task_ids: given`, or a learner that needs no task",
        )
    taken = plugin.elsewhere.lessons if plugin.elsewhere is not None else None
    if taken is not None and (num := taken(config)) != len(stream):
        raise SpecError(
            f"{spec.learner_name!r} has what {num} lessons left, and {stream.name!r} has {len(stream)} lessons",
            where="learner",
            mend="name what was left by each lesson, in their order, or a stream of as many lessons",
        )


def _check_on_four_bits(spec: RunSpec, plugin: LearnerPlugin[Any], config: Any) -> None:
    """Refuse a learner that trains other weights than low-rank adapters on a base in four bits.

    Raises:
        SpecError: Names those that can.
    """
    trains_adapters = isinstance(config, LoraTraining) and plugin.method is not None
    if not spec.model.quantised or trains_adapters or plugin.traits(config).trains == "none":
        return
    raise SpecError(
        f"{spec.learner_name!r} trains other weights than low-rank adapters, and `adapter: qlora` keeps the base in "
        "four bits",
        where="learner",
        mend="take lora, lora_plus, replay_lora, olora or lora_per_task; or leave `adapter: qlora` out",
    )


def check_shards(spec: RunSpec, machine: Machine) -> None:
    """Refuse a learner that needs whole weights in every step where each rank is to hold a part of them.

    Raises:
        SpecError: Names it.
    """
    if not machine.shard:
        return
    if spec.model.quantised:
        what = "--shard leaves each process a part of every weight, and `adapter: qlora` keeps them in four bits"
        raise SpecError(what, where="model.adapter", mend="leave --shard out: each process holds the small base whole")
    plugin, config = open_learner(spec.learner)
    if plugin.method is None and (plugin.elsewhere is not None or plugin.traits(config).trains == "none"):
        return
    if plugin.method is None or not new_method(plugin.method, config).shards():
        what = f"{spec.learner_name!r} looks at whole weights or gradients in every step, and --shard leaves parts"
        mend = "leave --shard out: then every process holds the whole model (data parallel)"
        raise SpecError(what, where="learner", mend=mend)


def check_abilities(spec: RunSpec, exams: tuple[Exam, ...]) -> None:
    """Refuse exams that the model cannot sit.

    Raises:
        ModelError: Names the exam and what it needs.
    """
    can = source.abilities(spec.model)
    if can is None:
        return
    for exam in exams:
        if not exam.needs <= can:
            needs = ", ".join(sorted(exam.needs - can))
            raise ModelError(
                f"exam {exam.name!r} needs {needs}, and {spec.model.name!r} offers only {', '.join(sorted(can))}",
                where="exams" if exam.kind != "task" else "stream",
                mend="take a causal model, or a stream and exams of classification (suite `abilities-labels`)",
            )
