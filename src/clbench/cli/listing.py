"""The rows of `clbench list`: fields for --json, and a line for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from clbench.core.wording import tr

Row = dict[str, Any]


def learners() -> list[Row]:
    """Return every learner: name, version, teaches, its traits, settings (name -> default)."""
    from clbench.core import plugins
    from clbench.core.protocols import LearnerPlugin

    rows: list[Row] = []
    for name in plugins.names("learner"):
        plugin = cast("LearnerPlugin[Any]", plugins.load("learner", name, "PLUGIN"))
        fields = plugin.config.model_fields.items()
        rows.append(
            {
                "name": name,
                "version": plugin.version,
                "teaches": plugin.teaches,
                **plugin.traits(_defaults(plugin.config)).record(),
                "settings": {n: _plain(f.get_default(call_default_factory=True)) for n, f in fields},
            }
        )
    return rows


def _defaults(config: type[Any]) -> Any:
    """Return a learner's default settings; None where some must be given."""
    try:
        return config()
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    """Return a default as a JSON value; null for a setting that must be given."""
    from pydantic_core import PydanticUndefined, to_jsonable_python

    return None if value is PydanticUndefined else to_jsonable_python(value)


def scorers() -> list[Row]:
    """Return every scorer: name, about, version, own_rule (an exam's score is not the mean of its items)."""
    from clbench.core import plugins
    from clbench.engine.grade import open_scorer

    found = [(name, open_scorer(name)) for name in plugins.names("scorer")]
    return [{"name": n, "about": p.about, "version": p.version, "own_rule": p.combine is not None} for n, p in found]


def metrics() -> list[Row]:
    """Return every figure: name, symbol, about, group, unit, better, low, high (null: unbounded), needs, references."""
    import math

    from clbench.metrics import all_metrics

    return [
        {
            "name": name,
            "symbol": p.symbol,
            "about": (p.compute.__doc__ or "").splitlines()[0],
            "group": p.group,
            "unit": p.unit,
            "better": p.better,
            "low": p.low if math.isfinite(p.low) else None,
            "high": p.high if math.isfinite(p.high) else None,
            "needs": p.needs,
            "references": list(p.references),
        }
        for name, p in all_metrics().items()
    ]


def models() -> list[Row]:
    """Return the shipped models: name, family, type, architectures, bytes of the weights, positions, vocabulary."""
    from clbench.core.spec import ModelSpec
    from clbench.models import source, tiny

    rows: list[Row] = []
    for name in tiny.NAMES:
        spec = ModelSpec(name=name)
        config = source.configuration(spec)
        architectures = [str(a) for a in config.get("architectures") or []]
        rows.append(
            {
                "name": name,
                "family": source.family_of(spec, architectures),
                "type": config.get("model_type", ""),
                "architectures": architectures,
                "bytes": source.weights_bytes(spec),
                "positions": config.get("max_position_embeddings"),
                "vocabulary": config.get("vocab_size"),
            }
        )
    return rows


def tasks() -> list[Row]:
    """Return every task card: name, kind, language, domain, license, source, scorer, labels, unverified, rows."""
    from clbench.data.tasks.card import Card, list_cards, load_task_card

    def row(card: Card) -> Row:
        about = {k: card.about.get(k) for k in ("kind", "language", "domain", "license")}
        listed = card.labels if isinstance(card.labels, (list, tuple)) else None
        lock = card.lock
        return {
            "name": card.name,
            **{k: None if v is None else str(v) for k, v in about.items()},
            "source": [str(s) for s in card.sources] or ["generated"],
            "scorer": card.scorer.name if card.scorer is not None else None,
            "labels": len(listed) if listed else None,
            "unverified": bool(card.unverified),
            "rows": None if lock is None else {"lesson": lock.lesson, "dev": lock.dev, "exam": lock.exam},
        }

    return [row(load_task_card(name)) for name in list_cards("tasks")]


def streams() -> list[Row]:
    """Return every stream card: name, about, tasks, worlds (how many), order, task_ids, online, missing, listed."""
    from clbench.data.streams.card import load_stream_card
    from clbench.data.tasks.card import list_cards

    return [
        {
            "name": card.name,
            "about": str(card.about.get("text", "")),
            "tasks": list(card.tasks),
            "worlds": sum(w.num for w in card.worlds),
            "order": card.order if isinstance(card.order, str) else card.order.model_dump(mode="json"),
            "task_ids": card.task_ids,
            "online": card.online,
            "missing": card.missing,
            "listed": card.listed,
        }
        for card in map(load_stream_card, list_cards("streams"))
    ]


def exams() -> list[Row]:
    """Return every exam card: name, kind, ability, suites, source, scorer."""
    from clbench.data.tasks.card import list_cards, load_exam_card

    return [
        {
            "name": card.name,
            "kind": card.kind,
            "ability": card.ability or None,
            "suites": list(card.suites),
            "source": card.source.model_dump(mode="json", exclude_none=True),
            "scorer": card.scorer.name if card.scorer is not None else None,
        }
        for card in map(load_exam_card, list_cards("exams"))
    ]


LISTERS: Mapping[str, Callable[[], list[Row]]] = {
    "learners": learners,
    "scorers": scorers,
    "metrics": metrics,
    "models": models,
    "tasks": tasks,
    "streams": streams,
    "exams": exams,
}


def line_of(what: str, row: Row) -> str:
    """Return the text after a name in the listing for people."""
    if what == "metrics":
        return f"{row['symbol']}{tr(': ')}{tr(row['about'])}"
    if what == "models":
        return tr(
            "{family}, {size} MB; or any checkpoint folder, or a Hub id with its revision",
            family=tr(row["family"]),
            size=f"{row['bytes'] / 1e6:.1f}",
        )
    if what == "tasks":
        about = tr(", ").join(tr(row[k]) for k in ("kind", "language", "domain", "license") if row[k] is not None)
        return tr("unverified: {about}", about=about) if row["unverified"] else about
    if what == "streams":
        return f"{tr(row['about'])} [{row['listed']}]".strip()
    if what == "exams":
        kind, suites = tr(row["kind"]), tr(", ").join(row["suites"])
        return tr("{kind}; in {suites}", kind=kind, suites=suites) if suites else tr("{kind}; in no suite", kind=kind)
    return tr(row["about"])
