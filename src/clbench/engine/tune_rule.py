"""The rule by which settings are chosen: what is tried next and what wins, from scores alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

LEAST_KEPT = 2
ORDERED = 3  # numeric values from which a grid has an inside
RULE = (
    "Every combination is run on the first seed, and the best third of them (rounded up, at least two) on all seeds. "
    "Of those the highest AP after the last lesson, mean over the seeds, is the best; of equal ones the lowest FM, "
    "then the one named first. The default, made of the values named first, wins instead if it was run on all seeds "
    "and its AP is at most one standard error (of the best one's mean over the seeds) below the best. Where the winner "
    "is at the edge of a numeric grid of three or more values, the next value outward is tried on the same schedule, "
    "in the ratio of the last step, until the winner is inside, the setting's legal range ends or the recipe's `widen` "
    "is reached"
)
Settings = Mapping[str, Any]
Legal = Callable[[Settings, str, float], float | None]  # settings, a setting and a new value of it -> it as allowed


@dataclass(frozen=True)
class Tried:
    """One combination of settings and what came of it.

    Attributes:
        settings: What was run.
        aps, fms: AP and FM by seed, in the order of the recipe's seeds: none yet, of the first, or of all; NaN where
            undefined.
        widens: The setting that goes beyond the grid by it; "" for a combination of the grid.
    """

    settings: Settings
    aps: tuple[float, ...] = ()
    fms: tuple[float, ...] = ()
    widens: str = ""

    @property
    def ap(self) -> float:
        """Mean AP over the seeds that were run, in [0, 1]; NaN if undefined in one of them."""
        return sum(self.aps) / len(self.aps)

    @property
    def fm(self) -> float:
        """Mean FM over the seeds that were run, in [-1, 1]; NaN if undefined in one of them."""
        return sum(self.fms) / len(self.fms)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean AP over two or more seeds, >= 0; NaN if it is undefined in one of them."""
        return math.nan if math.isnan(self.ap) else statistics.stdev(self.aps) / math.sqrt(len(self.aps))


def worth(ap: float, fm: float) -> tuple[float, float]:
    """Return what combinations are ordered by, the best last: AP, then less FM, to six digits; undefined comes first.

    Example:
        >>> worth(0.5, 0.1) > worth(0.5, 0.2) > worth(0.5, math.nan) > worth(math.nan, 0.0)
        True
    """
    return -math.inf if math.isnan(ap) else round(ap, 6), -math.inf if math.isnan(fm) else -round(fm, 6)


def num_kept(tries: int) -> int:
    """Return how many of a grid's combinations are run on all seeds.

    Example:
        >>> [num_kept(tries) for tries in (3, 6, 8, 12)]
        [2, 2, 3, 4]
    """
    return max(LEAST_KEPT, math.ceil(tries / 3))


def best_of(tried: Sequence[Tried]) -> Tried:
    """Return the one of the highest AP, of equal ones the lowest FM, of equal ones the first."""
    return max(tried, key=lambda one: worth(one.ap, one.fm))  # of equal ones max takes the first


def choose(tried: Sequence[Tried], default: Tried) -> Tried:
    """Choose among combinations that were run on all seeds: the best, or the default within one standard error of it.

    Example:
        >>> low, high = Tried({"lr": 1}, (0.4, 0.5, 0.6), (0, 0, 0)), Tried({"lr": 3}, (0.3, 0.6, 0.7), (0, 0, 0))
        >>> choose([low, high], default=low).settings, choose([low, high], default=high).settings
        ({'lr': 1}, {'lr': 3})
    """
    best = best_of(tried)
    near = default in tried and round(default.ap + best.standard_error - best.ap, 6) >= 0
    return default if near else best


def is_ordered(values: Sequence[Any], least: int = ORDERED) -> bool:
    """Tell whether values are `least` or more numbers; of three, one lies inside.

    Example:
        >>> is_ordered([1.0, 0.5, 0.25]), is_ordered([1, 2]), is_ordered(["ties", "dare", "average"])
        (True, False, False)
    """
    return len(values) >= least and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def outward(value: float, neighbour: float) -> float | None:
    """Return the next value beyond `value`, in the ratio of the step from its neighbour; None where there is no ratio.

    Example:
        >>> outward(0.004, 0.002), outward(1, 3), outward(300, 100), outward(0.0, 0.5)
        (0.008, 0.333333, 900, None)
    """
    if value * neighbour <= 0:
        return None
    found = value * value / neighbour
    whole = isinstance(value, int) and isinstance(neighbour, int) and found >= 1
    rounded = round(found) if whole else float(f"{found:.6g}")
    return None if rounded == value else rounded


@dataclass
class Search:
    """The search for one learner's settings: what has been tried, what is due, and what wins so far.

    Attributes:
        grid: Setting -> the values to try, the default first.
        fixed: Setting -> its one value.
        num_seeds: Seeds of the recipe.
        most_widenings: Most combinations beyond the grid.
        legal: Returns a new value of a setting as the learner allows it, None where its range ends.
        tried: In the order in which they came up; the first one is the default.
    """

    grid: Mapping[str, Sequence[Any]]
    fixed: Settings
    num_seeds: int
    most_widenings: int
    legal: Legal
    tried: list[Tried] = field(default_factory=list[Tried])

    @property
    def due(self) -> list[int]:
        """Places of the combinations that are due on the first seed."""
        return [i for i, one in enumerate(self.tried) if not one.aps]

    @property
    def due_on_others(self) -> list[int]:
        """Places of the combinations that are due on the other seeds: of the best on the first, those without."""
        ranked = sorted(enumerate(self.tried), key=lambda i: worth(i[1].aps[0], i[1].fms[0]), reverse=True)
        num = num_kept(len(self.tried) - self.num_widened)
        return sorted(place for place, one in ranked[:num] if len(one.aps) < self.num_seeds)

    @property
    def num_widened(self) -> int:
        """How many combinations beyond the grid were tried."""
        return sum(bool(one.widens) for one in self.tried)

    @property
    def finished(self) -> list[Tried]:
        """Combinations that were run on all seeds."""
        return [one for one in self.tried if len(one.aps) == self.num_seeds]

    @property
    def winner(self) -> Tried:
        """What `RULE` chooses of all that was tried so far."""
        return choose(self.finished, self.tried[0])

    def add(self, place: int, aps: Sequence[float], fms: Sequence[float]) -> None:
        """Add the scores of further seeds to a combination."""
        one = self.tried[place]
        self.tried[place] = replace(one, aps=(*one.aps, *aps), fms=(*one.fms, *fms))

    def widen(self) -> None:
        """Put up the next values outward, where the winner is at an edge; they are due then."""
        winner = self.winner
        for setting in self.edges():
            value = self._beyond(winner, setting)
            if value is not None and self.num_widened < self.most_widenings:
                self.tried.append(Tried({**winner.settings, setting: value}, widens=setting))

    def edges(self) -> dict[str, str]:
        """Return setting -> why no further value is tried, of those in which the winner is at the edge of its grid."""
        winner = self.winner
        at_edge = [s for s in self.grid if is_ordered(self.grid[s]) and self._ends(winner, s)]
        limit = f"{self.most_widenings} widenings are the most"
        return {s: "its legal range ends" if self._beyond(winner, s) is None else limit for s in at_edge}

    def _line(self, winner: Tried, setting: str) -> list[float]:
        """Return the values that stand for a setting: those of the grid, and those tried with all else the same."""
        others = {k: v for k, v in winner.settings.items() if k != setting}
        alike = [t for t in self.tried if {k: v for k, v in t.settings.items() if k != setting} == others]
        return sorted({*self.grid[setting], *(t.settings[setting] for t in alike)})

    def _ends(self, winner: Tried, setting: str) -> bool:
        line = self._line(winner, setting)
        return winner.settings[setting] in (line[0], line[-1])

    def _beyond(self, winner: Tried, setting: str) -> float | None:
        line, value = self._line(winner, setting), winner.settings[setting]
        found = outward(value, line[1] if value == line[0] else line[-2])
        return None if found is None else self.legal(winner.settings, setting, found)
