"""What a run will take, before it is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clbench.context.cost import prices_of
from clbench.context.order import by_context
from clbench.context.rows import Index
from clbench.core.chat import Usage
from clbench.models.api.client import CHARS_PER_TOKEN
from clbench.scoring.rubric.expected import INSTRUCTIONS, RUBRIC, VERDICT


@dataclass(frozen=True)
class Estimate:
    """What one part of a run takes; `usd` is None without prices."""

    what: str
    requests: int
    prompt: int
    cached: int
    completion: int
    usd: float | None


def estimated(
    index: Index, trials: int, output_tokens: int, prices: Path | None, models: tuple[str, str]
) -> list[Estimate]:
    """Return what the answers and the verdicts of a data set take.

    Args:
        index: The data set.
        trials: Answers for each row.
        output_tokens: Tokens of an answer.
        prices: A file of prices, if any.
        models: The answering model and the judge.

    Raises:
        SpecError: The file of prices cannot be used.
    """
    rows = len(index.entries) * trials
    prompt = sum(e.num_chars for e in index.entries) * trials // CHARS_PER_TOKEN
    # All but the first request of a context find what the shortest conversation of it holds in the cache.
    shared = sum(group[0].num_chars * (len(group) * trials - 1) for group in by_context(index.entries))
    rubrics = sum(e.num_rubrics for e in index.entries) * trials
    answers = Usage(prompt, min(prompt, shared // CHARS_PER_TOKEN), rows * output_tokens)
    verdicts = Usage(rows * (INSTRUCTIONS + output_tokens) + rubrics * RUBRIC, 0, rubrics * VERDICT)
    found: list[Estimate] = []
    for what, usage, model in (("answers", answers, models[0]), ("verdicts", verdicts, models[1])):
        price = prices_of(prices, model)
        usd = None if price is None else round(price.usd(usage), 4)
        found.append(Estimate(what, rows, usage.prompt, usage.cached, usage.completion, usd))
    return found
