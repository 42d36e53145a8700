"""IFEval: does an answer follow the instructions that can be verified?

`Example.check` is JSON {instruction_id_list, kwargs}. Level "prompt": all of a prompt's instructions; "instruction":
each by itself, over all prompts together. Mode "loose" accepts an answer if it obeys without its first line, its
last line, or its asterisks. `group` looks at some instructions only: "format" (form, punctuation, case, beginning and
end), "content" (keywords, language, length, parts that must be there), or "combined" (prompts with more than one
instruction, and those of two answers or a repeated prompt); a prompt without any is not graded.

Source: Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", arXiv:2311.07911, sec. 2.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clbench.core.protocols import Scorer, ScorerPlugin, Specimen
from clbench.core.types import Answer, Example, Grade
from clbench.scoring import _weighing
from clbench.scoring._instructions import obeys
from clbench.scoring._settings import clip, settings_of

DEFAULTS: dict[str, Any] = {"mode": "strict", "level": "prompt", "group": "all"}
CHOICES = {
    "mode": ("strict", "loose"),
    "level": ("prompt", "instruction"),
    "group": ("all", "format", "content", "combined"),
}
FORMAT = ("detectable_format", "punctuation", "change_case", "startend")
CONTENT = ("keywords", "language", "length_constraints", "detectable_content")


def build(settings: Mapping[str, Any]) -> Scorer:
    """Return the scorer; `parts` are the verdicts whose mean is the exam's score."""
    how = settings_of("ifeval", settings, DEFAULTS, CHOICES)

    def grade_answer(example: Example, answer: Answer) -> Grade:
        if answer.finish == "error":
            return Grade(example_id=example.id, score=None, note=f"no answer: {answer.text[:200]}")
        if not example.check:
            return Grade(example_id=example.id, score=None, note="there are no instructions to verify")
        check = json.loads(example.check)
        pairs = [*zip(check["instruction_id_list"], check["kwargs"], strict=True)]
        wanted = in_group(pairs, how["group"])
        if not wanted:
            return Grade(example_id=example.id, score=None, note=f"no instruction of group {how['group']!r}")
        try:
            loose = how["mode"] == "loose"
            verdicts = [(k, obeys(k, arguments, clip(answer.text), loose=loose)) for k, arguments in wanted]
        except KeyError as error:
            return Grade(example_id=example.id, score=None, note=f"instruction without {error}")
        values = [float(v) for _, v in verdicts]
        parts = [min(values)] if how["level"] == "prompt" else values
        failed = ", ".join(k for k, v in verdicts if not v)
        return Grade(example_id=example.id, score=sum(parts) / len(parts), parts=tuple(parts), note=failed)

    return grade_answer


def in_group(pairs: Sequence[tuple[str, Any]], group: str) -> list[tuple[str, Any]]:
    """Return the instructions of a prompt that a group looks at.

    Example:
        >>> asked = [("punctuation:no_comma", {}), ("keywords:existence", {"keywords": ["a"]})]
        >>> [[kind for kind, _ in in_group(asked, group)] for group in ("format", "content")]
        [['punctuation:no_comma'], ['keywords:existence']]
        >>> len(in_group(asked, "combined")), in_group(asked[:1], "combined")
        (2, [])
    """
    if group == "all":
        return list(pairs)
    if group == "combined":
        return list(pairs) if len(pairs) > 1 or pairs[0][0].startswith("combination:") else []
    rooms = FORMAT if group == "format" else CONTENT
    return [(kind, arguments) for kind, arguments in pairs if kind.partition(":")[0] in rooms]


def combine(grades: Sequence[Grade]) -> float:
    """Return the mean of all verdicts."""
    parts = [part for grade in grades for part in grade.parts]
    return sum(parts) / len(parts)


_SPECIMEN = Specimen(
    prompt="Say hello in capital words. Wrap it in quotation marks, and use no commas.",
    targets=('"HELLO TO YOU"',),
    wrong="hello, you",
    check=json.dumps(
        {"instruction_id_list": ["punctuation:no_comma", "startend:quotation"], "kwargs": [{}, {}], "prompt": ""}
    ),
)
PLUGIN = ScorerPlugin(
    build=build,
    version=3,
    about="instructions that can be verified (IFEval)",
    combine=combine,
    weigh=_weighing.verdicts,
    specimens=(_SPECIMEN,),
)
