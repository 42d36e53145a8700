"""Tasks of several sizes, and cards that ask for everything at once of them."""

from clbench.core.keys import digest
from clbench.core.types import Decode, Example, Message, ScorerSpec, Task

SIZES = {"p": (4, 21), "q": (6, 30), "r": (1, 9), "s": (2, 14), "t": (3, 12)}  # labels (1 is free text), examples


def make(name):
    num, size = SIZES[name]
    labels = tuple(f"{name}{i}" for i in range(num))

    def split(part, size):
        return tuple(
            Example(
                id=f"{name}-{part}-{i}",
                prompt=(Message(role="user", content=f"{name} {part} {i}"),),
                targets=(labels[i % num],),
                choices=labels if num > 1 else (),
            )
            for i in range(size)
        )

    return Task(
        name=name,
        lesson=split("lesson", size),
        dev=split("dev", num),
        exam=split("exam", 2 * num),
        labels=labels if num > 1 else (),
        decode=Decode(kind="label" if num > 1 else "text"),
        scorer=ScorerSpec(name="label" if num > 1 else "exact"),
        about={"kind": "classification" if num > 1 else "generation", "domain": name, "language": "en"},
        digest=digest(name),
    )


POOL = {name: make(name) for name in SIZES}

EVERYTHING = [
    {
        "classes": {"p": 2, "q": {"first": 3, "each": 1}},
        "order": order,
        "per_lesson": 2,
        "base": 1,
        "blur": 0.3,
        "recur": {"every": 2, "fresh": True},
        "labels_per_class": 4,
        "balance": True,
        "seed": 3,
    }
    for order in ({"seed": 1}, "easy-first", "similar-first", {"interleave": 2})
]
