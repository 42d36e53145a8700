"""A scorer by name: the settings that a task's language decides, doubts about them, and the rule of an exam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from clbench.core import plugins
from clbench.core.errors import UserError
from clbench.core.events import notice
from clbench.core.graded import by_repeating, mean_rule
from clbench.core.language import codes
from clbench.core.protocols import ScorerPlugin, Weigh
from clbench.core.types import Example, ScorerSpec

LOOKED_AT = 2000  # targets


def adapt_to_language(scorer: ScorerSpec, about: Mapping[str, Any], where: str = "") -> ScorerSpec:
    """Return a scorer with the settings that a task's language decides, unless the card sets them.

    Args:
        scorer: As the card names it; what it sets stays.
        about: The card's `about`; `language` is a code or several ("zh", "en+zh").
        where: The card, for errors.

    Raises:
        SpecError: There is no such scorer.
    """
    named = str(about.get("language", ""))
    languages, plugin = codes(named), _plugin(scorer, where)
    if plugin is None or plugin.suits is None or not named:
        return scorer
    if not languages:
        notice(f"{where} about.language {named!r} is not a code of a language: {scorer.name} grades by its defaults")
        return scorer
    settings = {**plugin.suits(languages), **scorer.settings}
    return scorer.model_copy(update={"settings": settings})


def depends_on_language(name: str) -> bool:
    """Return whether a scorer's settings depend on the language of a task; raises `SpecError` for an unknown scorer."""
    plugin = _plugin(ScorerSpec(name=name), "")
    return plugin is not None and plugin.suits is not None


def notice_doubts(scorer: ScorerSpec, examples: Iterable[Example], name: str, where: str = "") -> None:
    """Give a notice if a scorer's settings do not fit the targets of a task; 2,000 targets are checked."""
    plugin = _plugin(scorer, where)
    targets = [target for example in islice(examples, LOOKED_AT) for target in example.targets]
    if plugin is None or plugin.doubts is None or not targets:
        return
    if what := plugin.doubts(scorer.settings, targets):
        notice(f"task {name!r}, scorer {scorer.name}: {what}")


@lru_cache(maxsize=64)
def rule_of(scorer: str) -> Weigh:
    """Return how a scorer computes the score of an exam; the mean for a scorer that is not installed here."""
    try:
        plugin = plugins.load_known("scorer", scorer, "PLUGIN", where="scorer.name")
    except UserError:
        return mean_rule
    return rule_by(plugin) if isinstance(plugin, ScorerPlugin) else mean_rule


def rule_by(plugin: ScorerPlugin) -> Weigh:
    """Return how a scorer computes the score of an exam; the mean if it has no rule of its own."""
    return mean_rule if plugin.combine is None else plugin.weigh or by_repeating(plugin.combine)


def _plugin(scorer: ScorerSpec, where: str) -> ScorerPlugin | None:
    found = plugins.load_known("scorer", scorer.name, "PLUGIN", where=f"{where} scorer.name".strip())
    return found if isinstance(found, ScorerPlugin) else None
