"""A result as somebody handed it in: what verification reads, and nothing that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clbench.core.item_scores import ExampleItems, ItemScores
from clbench.core.matrix import Matrix
from clbench.core.results import Costs
from clbench.core.spec import RunSpec
from clbench.core.stream_summary import StreamSummary


@dataclass(frozen=True)
class Claim:
    """What the files of a result folder say."""

    spec: RunSpec
    matrix: Matrix
    item_scores: ItemScores
    stream: StreamSummary
    example_items: ExampleItems
    costs: Costs
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes:
        problems: What does not fit what is at hand.
        unseen: What could not be compared, and why.
    """

    problems: tuple[str, ...]
    unseen: tuple[str, ...]
