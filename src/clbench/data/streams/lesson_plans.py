"""From increments to lesson plans: how many come together, which come again, and how they run into each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from clbench.core.errors import DataError, did_you_mean
from clbench.core.keys import digest
from clbench.core.types import Axis, Example, LessonPlan, Task
from clbench.data.streams.card import Blur, StreamCard
from clbench.data.streams.increments import class_of, form_of, positions, set_of, slices


@dataclass(frozen=True)
class Share:
    """The examples of one increment that a lesson shows, in its turn or `ahead` of it."""

    task: Task
    examples: tuple[Example, ...]
    ahead: bool = False


Draft = tuple[Share, ...]


def grouped(units: Sequence[Task], card: StreamCard) -> list[tuple[Task, ...]]:
    """Return the increments of each lesson: the base lesson, if there is one, then `per_lesson` at a time.

    Raises:
        DataError: The base names a task that is not in the stream.
    """
    base = _base(units, card)
    names = {task.name for task in base}
    # A task that is named twice may come again after the base lesson, but only if the base is a number.
    rest = list(units[len(base) :]) if isinstance(card.base, int) else [t for t in units if t.name not in names]
    size = card.per_lesson
    groups = [base] if base else []
    groups += [rest[i : i + size] for i in range(0, len(rest), size)]
    return [tuple({task.name: task for task in group}.values()) for group in groups]


def _base(units: Sequence[Task], card: StreamCard) -> list[Task]:
    if isinstance(card.base, int):
        return list(units[: card.base])
    known = {name for task in units for name in (task.name, task.part_of) if name}
    for i, name in enumerate(card.base):
        if name not in known:
            mend = did_you_mean(name, known)
            raise DataError(f"the base names {name!r}, which is not taught", where=card.where("base", i), mend=mend)
    return [task for task in units if {task.name, task.part_of} & set(card.base)]


def recurring(groups: Sequence[tuple[Task, ...]], every: int | None) -> list[tuple[Task, ...]]:
    """Return the groups with an earlier one taught again after every `every` lessons, the oldest first.

    Example:
        >>> recurring(["a", "b", "c", "d"], 2)
        ['a', 'b', 'a', 'c', 'd', 'b']
    """
    found: list[tuple[Task, ...]] = []
    for number, group in enumerate(groups, start=1):
        found.append(group)
        if every is not None and number % every == 0:
            found.append(groups[number // every - 1])
    return found


def lesson_shares(groups: Sequence[tuple[Task, ...]], card: StreamCard) -> list[Draft]:
    """Return what each lesson shows of its tasks: all their examples, or with `fresh` another share each time."""
    times = Counter(task.name for group in groups for task in group)
    turn: Counter[str] = Counter()
    drafts: list[Draft] = []
    for group in groups:
        draft: list[Share] = []
        for task in group:
            num = times[task.name] if card.recur.fresh else 1
            draft.append(Share(task, slices(task, num, card)[turn[task.name] % num]))
            turn[task.name] += 1
        drafts.append(tuple(draft))
    return drafts


def blurred(drafts: Sequence[Draft], blur: Blur | None, seed: int) -> list[Draft]:
    """Return the drafts with a share of each class moved into the lesson before; nothing moves twice or is shown twice.

    A task that is also taught in the lesson before moves nothing there.
    """
    if blur is None:
        return list(drafts)
    found: list[Draft] = [drafts[0]]
    for boundary, draft in enumerate(drafts[1:], start=1):
        before = {share.task.name for share in found[-1]}
        stays: list[Share] = []
        for share in draft:
            part = 0.0 if share.task.name in before else blur.at(boundary)
            moved, kept = _moved(share, part, seed)
            stays.append(Share(share.task, kept))
            if moved:
                found[-1] = (*found[-1], Share(share.task, moved, ahead=True))
        found.append(tuple(stays))
    return found


def _moved(share: Share, part: float, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    task, examples = share.task, share.examples
    stay = {c: num - int(part * num) for c, num in Counter(class_of(task, e) for e in examples).items()}
    pairs = list(zip(examples, positions(task, examples, seed), strict=True))
    moved = tuple(e for e, place in pairs if place >= stay[class_of(task, e)])
    return moved, tuple(e for e, place in pairs if place < stay[class_of(task, e)])


def lesson_plans(drafts: Sequence[Draft]) -> tuple[LessonPlan, ...]:
    """Return the plans of drafts: with labels that grow, axes that move, and unique ids."""
    plans: list[LessonPlan] = []
    known: dict[str, set[str]] = {}
    taught: set[str] = set()
    before: Draft = ()
    for draft in drafts:
        own = tuple(share for share in draft if not share.ahead)
        new = _new_labels(draft, known)
        moved = _moved_axes(own, before, taught, {name for name in new if name in known})
        for name, labels in new.items():
            known.setdefault(name, set()).update(labels)
        taught |= {share.task.name for share in own}
        ahead = sum(len(share.examples) for share in draft if share.ahead)
        names = tuple(share.task.name for share in own)
        pairs = _woven(draft, known)
        examples = unique(pairs)
        plans.append(
            LessonPlan(
                teaches=names,
                examples=examples,
                moved=moved,
                new_labels=new,
                ahead=ahead,
                kinds=kinds_of([name for name, _ in pairs]),
                digest=digest(examples),
            )
        )
        before = own
    return tuple(plans)


def _new_labels(draft: Draft, known: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    new: dict[str, set[str]] = {}
    for share in draft:
        if share.task.labels:
            name = set_of(share.task)
            here = {class_of(share.task, e) for e in share.examples} - known.get(name, set())
            if here:
                new.setdefault(name, set()).update(here)
    return {name: tuple(sorted(labels)) for name, labels in new.items()}


def _moved_axes(own: Draft, before: Draft, taught: set[str], grown: set[str]) -> tuple[Axis, ...]:
    """Return the axes on which a lesson differs from the one before; () for the first lesson."""
    if not before:
        return ()
    forms, domains, sets = (
        [{look(share.task) for share in draft} for draft in (before, own)] for look in (form_of, _domain_of, set_of)
    )
    same_form = forms[0] == forms[1]
    axes: dict[Axis, bool] = {
        "task": not same_form,
        "domain": domains[0] != domains[1] or (same_form and sets[0] != sets[1]),
        "class": any(share.task.part_of in grown for share in own),
        "recurring": any(share.task.name in taught for share in own),
    }
    return tuple(axis for axis, moves in axes.items() if moves)


def _domain_of(task: Task) -> tuple[str, str]:
    return str(task.about.get("domain")), str(task.about.get("language"))


def _woven(draft: Draft, known: dict[str, set[str]]) -> list[tuple[str, Example]]:
    """Return a lesson's (task, example) in order: its own as they are, those ahead of their turn ever more often."""
    own = [(share.task, e) for share in draft if not share.ahead for e in share.examples]
    ahead = [(share.task, e) for share in draft if share.ahead for e in share.examples]
    # The k-th of n quantiles of a density that rises from 0 at the start of the lesson to its end is sqrt(k / n).
    placed = [((i + 0.5) / len(own), pair) for i, pair in enumerate(own)]
    placed += [(((i + 0.5) / len(ahead)) ** 0.5, pair) for i, pair in enumerate(ahead)]
    pairs = [pair for _, pair in sorted(placed, key=lambda x: x[0])] if ahead else own
    return [(task.name, _grown(task, e, known)) for task, e in pairs]


def _grown(task: Task, example: Example, known: dict[str, set[str]]) -> Example:
    """Return an example of a part with the labels taught so far as its choices."""
    if not task.part_of:
        return example
    choices = tuple(c for c in example.choices if c in known[task.part_of])
    return example if choices == example.choices else example.model_copy(update={"choices": choices})


def kinds_of(names: Sequence[Hashable]) -> tuple[int, ...]:
    """Return the names as numbers in the order of their first appearance; () if there is one name at most.

    Example:
        >>> kinds_of(["b", "a", "b"]), kinds_of(["a", "a"])
        ((0, 1, 0), ())
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers[name] for name in names) if len(numbers) > 1 else ()


def unique(pairs: Sequence[tuple[str, Example]]) -> tuple[Example, ...]:
    """Return the examples; if two share an id, every id is prefixed with the name beside it."""
    if len({e.id for _, e in pairs}) == len(pairs):
        return tuple(e for _, e in pairs)
    return tuple(e.model_copy(update={"id": f"{name}:{e.id}"}) for name, e in pairs)
