"""The judge that a command line names, outside of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clbench.core.errors import DataError, SpecError
from clbench.core.spec import JudgeSpec
from clbench.core.validation import validated
from clbench.core.value import Value
from clbench.data.tasks.card_file import read_text
from clbench.engine.judge import settled_judge


class _Judged(Value):
    judge: JudgeSpec


def read_judge(text: str) -> JudgeSpec:
    """Return the judge that is named: `exact`, a model of this process, or a file that says what a recipe says.

    Raises:
        SpecError: There is no such file, or what it says is not a judge.
    """
    given: Any = text
    if Path(text).suffix in (".yaml", ".yml", ".json") or Path(text).is_file():
        try:
            found = dict(read_text(Path(text)).values)
        except DataError as error:
            mend = "write what a recipe has below `judge:`, such as `model: {provider: openai, name: gpt-5.1}`"
            raise SpecError(error.what, where=f"--judge {text}", mend=mend) from None
        given = found["judge"] if set(found) == {"judge"} else found
    judged: _Judged = validated(_Judged, {"judge": given}, "")
    return settled_judge(judged.judge)
