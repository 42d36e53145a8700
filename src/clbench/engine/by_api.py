"""Runs over a model behind an API: what cannot work is refused before anything is spent."""

from __future__ import annotations

from clbench.core.errors import SpecError
from clbench.core.spec import Machine, RunSpec
from clbench.engine.spending import check_price
from clbench.models.api.providers import address_of


def check_provider(spec: RunSpec, machine: Machine) -> None:
    """Refuse a run over a model behind an API that cannot be asked there.

    Raises:
        SpecError: Several processes or a server of weights are to answer for it; its provider cannot be asked; or its
            price is not known where money is limited.
    """
    if spec.model.provider is None:
        return
    if machine.processes > 1 or spec.exam_server is not None:
        where = "--processes" if machine.processes > 1 else "exam_server"
        what = f"{spec.model.name!r} is behind an API, which nothing here can stand for"
        raise SpecError(what, where=where, mend="leave it out; --exam-batch N asks N questions at a time")
    address_of(spec.model.provider, machine.providers)
    check_price(spec.model, machine)
