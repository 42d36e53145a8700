"""A file of another kind where a recipe is wanted: what it is, and where it belongs."""

import pytest

from clbench.core.errors import DataError, SpecError
from clbench.data.tasks.card_file import read_text
from clbench.engine.recipe.recipe import load_recipe, read_values

TASK = "name: a\nsource: {path: a}\nprompt: [{role: user, content: '{q}'}]\ntarget: '{a}'\n"


@pytest.mark.parametrize(
    ("text", "what", "mend"),
    [
        (TASK, "a task's card", "`exams:`"),
        ("name: a\ntasks: [agnews]\n", "a stream's card", "`stream:`"),
        ("name: a\nkind: general\nsource: {ability: reading}\n", "an exam's card", "--exam FILE"),
        ("models: {a: {}}\n", "a recipe of models", "clbench pretrain"),
    ],
)
def test_a_card_is_no_recipe(tmp_path, text, what, mend):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    for read in (load_recipe, read_values):
        with pytest.raises(SpecError, match=f"this is {what}, not a recipe") as told:
            read(path)
        assert mend in told.value.mend
        assert told.value.where == str(path)


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(SpecError, match="a folder, not a recipe"):
        read_values(tmp_path)


@pytest.mark.parametrize(("text", "encoding"), [("name: a", "utf-16"), ("name: a\nabout: 天气怎么样", "gb18030")])
def test_a_card_in_another_encoding_says_which(tmp_path, text, encoding):
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="not UTF-8") as told:
        read_text(path)
    assert told.value.mend.endswith(f"iconv -f {encoding.upper()} -t UTF-8 a.yaml")
