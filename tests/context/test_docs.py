"""The page on statistics: its commands exist, with their options, and every verb of it has an example."""

import re

import typer

from clbench.cli.main import app, main
from tests.builders.places import ROOT

PAGE = (ROOT / "docs" / "context-statistics.md").read_text(encoding="utf-8")
VERBS = {"stats", "compare", "calibrate", "agree", "audit", "verify"}


def test_every_command_exists_and_every_verb_has_an_example():
    verbs = typer.main.get_command(app).commands["context"].commands
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.S)
    lines = [line.split() for block in blocks for line in block.splitlines()]
    assert {verb for _, _, verb, *_ in lines} == VERBS
    for clbench, context, verb, *rest in lines:
        assert (clbench, context) == ("clbench", "context")
        options = {o for p in verbs[verb].params for o in p.opts}
        assert {r for r in rest if r.startswith("--")} <= options


def test_the_numbers_of_the_page_are_right():
    assert round(100 * (1 - 0.98**16)) == 28
    assert round(300 / 7, 1) == 42.9
    assert round(500 / 7, 1) == 71.4


def test_the_group_alone_shows_its_help(capsys):
    assert main(["context"]) == 0
    told = capsys.readouterr()
    assert "calibrate" in told.out
    assert told.err == ""


def test_mistakes_name_the_whole_command(capsys):
    assert main(["context", "stat"]) == 2
    assert "did you mean 'stats'" in capsys.readouterr().err
    assert main(["context", "stats"]) == 2
    assert "see `clbench context stats --help`" in capsys.readouterr().err
