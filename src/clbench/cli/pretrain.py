"""`clbench pretrain`: train the tiny models from their recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clbench.cli.options import Lang, progress_bars, say
from clbench.core.wording import tr

if TYPE_CHECKING:
    from clbench.core.types import Example
    from clbench.models.pretraining.recipe import Material, Recipe


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe (YAML): `models`, each with its settings.")],
    only: Annotated[str | None, typer.Option(help="Train only this model.")] = None,
    out: Annotated[Path, typer.Option(help="Folder under which checkpoints are written.")] = Path("pretrained"),
    lang: Lang = None,
) -> None:
    """Train the shipped tiny models on generated data; what was interrupted in the same folder goes on."""
    from clbench.core.errors import SpecError, did_you_mean
    from clbench.core.events import report_progress
    from clbench.core.extras import need_models
    from clbench.core.validation import validated
    from clbench.data.tasks.card_file import read_text
    from clbench.data.tasks.card_folder import find_recipe

    need_models("pretraining")
    recipe = find_recipe(recipe)
    from clbench.models.pretraining.pretrain import pretrain as make
    from clbench.models.pretraining.recipe import Recipe

    found: Any = read_text(recipe).values.get("models")
    if not isinstance(found, list):
        raise SpecError(
            "the recipe lists no `models`",
            where=str(recipe),
            mend="see the shipped one: clbench pretrain pretrain-tiny",
        )
    recipes: list[Recipe] = [validated(Recipe, values, "models") for values in found]
    names = [r.name for r in recipes]
    if only is not None and only not in names:
        raise SpecError(f"the recipe has no model {only!r}", where="--only", mend=did_you_mean(only, names))
    for each in recipes:
        if only in (None, each.name):
            with progress_bars():
                record = make(each, _material(each), out / each.name, lambda p: report_progress(replace(p, slot=0)))
            scores = ", ".join(f"{name} {values['score']:.2f}" for name, values in record["scores"].items())
            sizes = {"num": f"{record['parameters']:,}", "seconds": f"{record['wall_s']:.0f}"}
            say(tr("{name}: {num} parameters in {seconds} s; {scores}", name=each.name, scores=scores, **sizes))


def _material(recipe: Recipe) -> Material:
    from clbench.core.types import Decode
    from clbench.data.worlds import abilities
    from clbench.models.pretraining.recipe import Material

    exams = {
        name: (abilities.generate(name, 64, 7, "exam"), Decode(kind=a.kind, max_tokens=24), a.guess_rate)
        for name, a in abilities.ABILITIES.items()
    }

    def of(shares: Mapping[str, float]) -> Callable[[int, int, float, int | None], Sequence[Example]]:
        return lambda seed, num, level, turns: abilities.conversations(seed, num, level, shares, turns)

    return Material(
        sample=of(recipe.shares),
        late=of(recipe.late or recipe.shares),
        lines=abilities.tokenizer_lines(0),
        labels=abilities.closed_answers(lookups="lookup" in recipe.shares),
        exams=exams,
        num_told=abilities.num_told,
    )
