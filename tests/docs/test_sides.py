"""The sides that pages compare in the committed results are there under the names that pages give them."""

import itertools
import re
import shlex

import pytest

from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import load_runs
from tests.builders.places import ROOT

COMMANDS = sorted(
    {
        command
        for page in (ROOT / "docs").glob("*.md")
        for command in re.findall(r"^clbench compare (results/.*)$", page.read_text(encoding="utf-8"), re.M)
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_side_that_a_page_names_is_there(command):
    words = shlex.split(command)
    named, streams = (
        {word for option, word in itertools.pairwise(words) if option in options}
        for options in (("--against", "--only"), ("--stream",))
    )
    runs = [run for run in load_runs([ROOT / words[0]]) if run.spec.stream in streams or not streams]
    assert named <= {group.label for group in group_runs(runs)}


def test_pages_name_sides():
    assert any("--only" in command for command in COMMANDS)
