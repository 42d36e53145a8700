"""What the public scripts ask a judge: everything in one message, the response as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, cast

from clbench.context.rows import Raw, rubrics_of
from clbench.core.errors import SpecError
from clbench.scoring.rubric.verdicts import RATIONALE, SCORE, STATUS


def public_list(row: Raw) -> str:
    """Return a row's rubrics as the public script lists them: a blank one is left out and leaves a gap in the numbers.

    Example:
        >>> print(public_list({"rubrics": ["a", " ", "b"]}))
        1. a
        3. b
    """
    found = row.get("rubrics")
    given = cast(list[Any], found) if isinstance(found, list) else []
    texts = [(n, rubrics_of({"rubrics": [rubric]})) for n, rubric in enumerate(given, 1)]
    return "\n".join(f"{n}. {text[0]}" for n, text in texts if text) or "No specific rubrics provided."


def public_prompt(listed: str, response: str) -> str:
    """Return a prompt in the outline of the public scripts: everything in one message, the response as it is.

    The wording is ours, since theirs is not ours to ship; `--judge-prompt eval.py` reads theirs from a copy.
    """
    form = f'{{"{RATIONALE}": "...", "{STATUS}": ["yes", "no", ...], "{SCORE}": 0 or 1}}'
    return (
        "You grade strictly. The score is 1 only if the response fully satisfies every rubric, otherwise 0. List the "
        "rubrics, check each one against the response, and reflect once more before you score.\n"
        f"【Rubrics】:\n{listed}\n【Student Response】:\n{response}\n\n"
        f"Please strictly output ONLY this JSON, with one status for each rubric:\n{form}\n"
    )


def prompt_template(path: Path) -> str:
    """Return a judge prompt with the places `{rubrics_text}` and `{model_output}`.

    It stands in a text file, or in the public `eval.py`, which is read and not run.

    Raises:
        SpecError: The file holds no such prompt.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = _prompts_of(text) if path.suffix == ".py" else [text]
    fit = [t for t in found if "{rubrics_text}" in t and "{model_output}" in t]
    if not fit:
        mend = "name a text with {rubrics_text} and {model_output} in it, or the public eval.py"
        raise SpecError("holds no judge prompt", where=str(path), mend=mend)
    return fit[0]


def filled(template: str, listed: str, response: str) -> str:
    """Return a template with its two places filled; text that is put in is not searched for places."""
    given = {"{rubrics_text}": listed, "{model_output}": response}
    return re.sub(r"\{rubrics_text\}|\{model_output\}", lambda m: given[m[0]], template)


def _prompts_of(code: str) -> list[str]:
    """Return the f-strings of a script, places as `{name}`."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    return ["".join(_piece(part) for part in node.values) for node in joined]


def _piece(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return f"{{{ast.unparse(part.value)}}}" if isinstance(part, ast.FormattedValue) else ""
