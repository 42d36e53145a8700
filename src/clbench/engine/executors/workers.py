"""Processes that are forked from a server, and know nothing of the script that started them."""

from __future__ import annotations

import sys
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any


class OwnMain(ForkServerProcess):
    """A worker that never imports the caller's script, so that a script needs no `if __name__ == "__main__":`."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  # the name that multiprocessing calls
        script = sys.modules.get("__main__")
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return ForkServerProcess._Popen(process_obj)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]  # not in the stubs
        finally:
            if script is None:
                del sys.modules["__main__"]
            else:
                sys.modules["__main__"] = script


class Workers(ForkServerContext):
    """Workers that are forked from a server, with a main module of their own."""

    Process = OwnMain  # pyright: ignore[reportIncompatibleVariableOverride, reportAssignmentType]  # a subclass of it
