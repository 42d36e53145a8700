"""How many shown facts a model looks up: `python -m docs.build.ladder MODEL ...` prints a table for each model.

Each cell is the share of right answers, in percent, to questions in wordings that training holds / that it does not.
`--items` asks other questions of the same kinds, that many a cell. `--record` puts the counts into `bench/ladder.json`,
of which `make docs` makes the tables of the pages.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Decode, Example
from clbench.data.exams.exam import open_named
from clbench.data.worlds.abilities import generate
from clbench.data.worlds.ability_lookup import CELLS, FORMS, NUMBERS
from clbench.data.worlds.lexicon import LANGUAGES

WORDINGS = ("taught", "held-out")
OTHER_SEED = 11  # the exam's card has 7
RECORDED = Path("bench") / "ladder.json"
PAGES = {"docs/abilities.md": "en", "docs/abilities.zh-CN.md": "zh"}
PLACE = re.compile(r"(<!-- ladder: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEADS = {
    "en": "{model}, {share:.1f} % over all, {items} questions a cell:",
    "zh": "{model}，总计 {share:.1f} %，每格 {items} 题：",
}


def ladder(model: str, items: int | None = None) -> Mapping[str, Sequence[bool]]:
    """Return cell -> whether each answer of a model is right.

    Args:
        model: A shipped model's name or a checkpoint folder.
        items: Questions of each cell; None asks those of the exam `mini_context`.
    """
    from clbench.models.load import load_net  # torch, which pages that are made from the record do not need

    asked = questions(items)
    net = load_net(ModelSpec(name=model), Machine(device="cpu"))
    right: dict[str, list[bool]] = defaultdict(list)
    for answer, example in zip(net.respond(asked, Decode(kind="label")), asked, strict=True):
        right[example.group or ""].append(answer.text == example.targets[0])
    return right


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


def with_ladders(text: str, recorded: Path, lang: str) -> str:
    """Fill every place `<!-- ladder: MODEL --> ... <!-- end -->` of a page from what was recorded.

    Args:
        text: Markdown.
        recorded: A file that `--record` wrote.
        lang: "en" or "zh".

    Raises:
        KeyError: A model has no record.
    """
    known = json.loads(recorded.read_text(encoding="utf-8"))

    def fill(place: re.Match[str]) -> str:
        found = known[place[2]]
        shares = {cell: right / found["items"] for cell, right in found["right"].items()}
        share = 100 * sum(shares.values()) / len(shares)
        head = HEADS[lang].format(model=place[2], share=share, items=found["items"])
        return f"{place[1]}\n{head}\n\n{table(shares)}\n\n{place[3]}"

    return PLACE.sub(fill, text)


def fill_ladders(root: Path) -> list[Path]:
    """Rewrite the ladders of both pages below `root`, and return their paths."""
    for name, lang in PAGES.items():
        page = root / name
        page.write_text(with_ladders(page.read_text(encoding="utf-8"), root / RECORDED, lang), encoding="utf-8")
    return [root / name for name in PAGES]


def record(model: str, right: Mapping[str, Sequence[bool]], place: Path) -> None:
    """Put a model's counts of right answers into a file, in place of those that it holds of this model."""
    known = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    known[model] = {"items": min(map(len, right.values())), "right": {cell: sum(all_) for cell, all_ in right.items()}}
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in sorted(known.items())]
    place.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    """Print the ladders of the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="shipped models or checkpoint folders")
    parser.add_argument("--items", type=int, help="questions of each cell, not those of the exam")
    parser.add_argument("--record", action="store_true", help=f"into {RECORDED}")
    options = parser.parse_args()
    for model in options.models:
        right = ladder(model, options.items)
        if options.record:
            record(model, right, RECORDED)
        shares = {cell: sum(found) / len(found) for cell, found in right.items()}
        over_all = 100 * sum(shares.values()) / len(shares)
        sys.stdout.write(f"{model}: {over_all:.1f} % over all\n\n{table(shares)}\n\n")


if __name__ == "__main__":
    main()
