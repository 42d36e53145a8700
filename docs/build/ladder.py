"""How many shown facts a model looks up: `python -m docs.build.ladder MODEL ...` prints a table for each model.

Each cell is the share of right answers, in percent, to questions in wordings that training holds / that it does not.
`--items` asks other questions of the same kinds, that many a cell.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example
from clbench.data.exams.exam import open_named
from clbench.data.worlds.abilities import generate
from clbench.data.worlds.ability_lookup import CELLS, FORMS, NUMBERS
from clbench.data.worlds.lexicon import LANGUAGES
from clbench.models.load import load_net

WORDINGS = ("taught", "held-out")
OTHER_SEED = 11  # the exam's card has 7


def ladder(model: str, items: int | None = None) -> Mapping[str, float]:
    """Return cell -> share of right answers of a model.

    Args:
        model: A shipped model's name or a checkpoint folder.
        items: Questions of each cell; None asks those of the exam `mini_context`.
    """
    asked = questions(items)
    net = load_net(ModelSpec(name=model), Machine(device="cpu"))
    right: dict[str, list[bool]] = defaultdict(list)
    for answer, example in zip(net.respond(asked, Decode(kind="label")), asked, strict=True):
        right[example.group or ""].append(answer.text == example.targets[0])
    return {name: sum(found) / len(found) for name, found in right.items()}


def questions(items: int | None) -> Sequence[Example]:
    """Return the exam's questions, or as many as are wanted of each cell."""
    if items is None:
        (exam,) = open_named(["mini_context"], None, None)
        return exam.examples
    return generate("lookup", items * len(CELLS), OTHER_SEED, "exam")


def table(shares: Mapping[str, float]) -> str:
    """Return the ladder as a Markdown table: forms and languages by number of facts, taught / held-out wordings."""
    lines = [f"| shown as | language | {' | '.join(f'{n} facts' if n > 1 else '1 fact' for n in NUMBERS)} |"]
    lines.append("|---|---|" + "---:|" * len(NUMBERS))
    for form in FORMS:
        for lang in LANGUAGES:
            cells = [" / ".join(f"{100 * shares[f'{form} {n} {lang} {w}']:.0f}" for w in WORDINGS) for n in NUMBERS]
            lines.append(f"| {form} | {lang} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the ladders of the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="shipped models or checkpoint folders")
    parser.add_argument("--items", type=int, help="questions of each cell, not those of the exam")
    options = parser.parse_args()
    for model in options.models:
        shares = ladder(model, options.items)
        over_all = 100 * sum(shares.values()) / len(shares)
        sys.stdout.write(f"{model}: {over_all:.1f} % over all\n\n{table(shares)}\n\n")


if __name__ == "__main__":
    main()
