"""Load a model: choose its device and its family."""

from __future__ import annotations

import torch

from clbench.core.errors import SpecError
from clbench.core.ranks import place
from clbench.core.resource_probes import DEVICE, HOW, RESOURCE_PROBES, ResourceProbe
from clbench.core.spec import Machine, ModelSpec
from clbench.models import source
from clbench.models.net import Net, seeded
from clbench.models.skeleton import check_checkpoint

LAST_DIGITS = ("exam_batch", "micro_batch", "recompute")  # of `Machine`: how a stage was computed, told in its origin


def device_of(machine: Machine) -> torch.device:
    """Return the device that the machine names; "auto" is an accelerator if there is one.

    Raises:
        SpecError: The machine has no such device.
    """
    if machine.processes > 1 and machine.device in ("auto", "cuda") and torch.cuda.is_available():
        return _own_device(torch.cuda.device_count())
    if machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mend = "auto takes an accelerator if there is one; cpu is always there"
    try:
        device = torch.device(machine.device)
    except RuntimeError:
        raise SpecError(f"{machine.device!r} is not a device", where="--device", mend=mend) from None
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (device.index or 0) >= here.get(device.type, 1):
        what = f"there is no device {machine.device!r} here: {here[device.type]} of the kind {device.type}"
        raise SpecError(what, where="--device", mend=mend)
    return device


def _own_device(num: int) -> torch.device:
    """Return the accelerator of this rank, one each.

    Raises:
        SpecError: There are fewer than ranks on this machine.
    """
    local = place().local
    if local >= num:
        what = f"rank {local} of this machine has no accelerator: there are {num}"
        raise SpecError(what, where="--device", mend=f"start {num} processes here, or take --device cpu")
    return torch.device("cuda", local)


def _watch_memory() -> float:
    torch.cuda.reset_peak_memory_stats()
    return 0.0


DEVICE_MEMORY = ResourceProbe(_watch_memory, lambda _: float(torch.cuda.max_memory_allocated()))


def load_net(spec: ModelSpec, machine: Machine) -> Net:
    """Return a base model with its tokenizer.

    Raises:
        ModelError: The model does not exist, is not a checkpoint, or does not load.
    """
    from clbench.models.causal import Causal
    from clbench.models.encoder import Encoder

    check_checkpoint(spec)
    folder, spec = source.locate(spec), source.settled(spec)
    family = source.family_of(spec, list(source.configuration(spec).get("architectures") or []))
    device = device_of(machine)
    DEVICE["device"] = str(device)
    HOW.clear()
    HOW.update(machine.model_dump(mode="json", include=set(LAST_DIGITS), exclude_defaults=True))
    if device.type == "cuda":
        if ":" in str(device):
            torch.cuda.set_device(device)  # whose memory is measured
        RESOURCE_PROBES["device_memory_bytes"] = DEVICE_MEMORY
    loader = Causal if family == "causal" else Encoder
    with seeded(0, device):  # parts that a checkpoint lacks (a pooler) are drawn at random: the same for everybody
        net = loader.load(spec, folder, device, machine.exam_batch)
    net.micro_batch = machine.micro_batch
    return net
