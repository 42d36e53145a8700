"""The sides that pages compare in the committed results are there under the names that pages give them."""

import itertools
import re
import shlex

import pytest

import clbench as cl
from tests.builders.places import ROOT

COMMANDS = sorted(
    {
        command
        for page in (ROOT / "docs").glob("*.md")
        for command in re.findall(r"^clbench compare (results/.*)$", page.read_text(encoding="utf-8"), re.M)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_side_that_a_page_names_is_there(command):
    words = shlex.split(command)
    named = {word for option, word in itertools.pairwise(words) if option in ("--against", "--only")}
    assert named <= {group.label for group in cl.load(ROOT / words[0]).groups}


def test_pages_name_sides():
    assert any("--only" in command for command in COMMANDS)
