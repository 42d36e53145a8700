"""How many tokens verdicts will take, before a judge is asked."""

from __future__ import annotations

from clbench.core.chat import Usage

INSTRUCTIONS = 400  # tokens of a request beside what is judged
RUBRIC = 50  # tokens of a rubric with its id: 179 characters on average
VERDICT = 40  # tokens of a verdict with its quote


def verdicts_of(num_rubrics: int, seen: int, batch: int = 0, times: int = 1) -> tuple[int, Usage]:
    """Return (requests, tokens) of the verdicts on one answer, a guess.

    Args:
        num_rubrics: Its rubrics.
        seen: Tokens of what the judge is shown of it.
        batch: Rubrics in one request; 0 is all.
        times: How often each rubric is asked for.

    Example:
        >>> verdicts_of(10, 1000, batch=5, times=3)
        (6, Usage(prompt=9900, cached=0, completion=1200, reasoning=0))
    """
    requests = -(-num_rubrics // (batch or num_rubrics or 1))
    usage = Usage(requests * (INSTRUCTIONS + seen) + num_rubrics * RUBRIC, 0, num_rubrics * VERDICT)
    return requests * times, Usage(usage.prompt * times, 0, usage.completion * times)
