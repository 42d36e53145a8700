"""`clbench list` in both languages."""

import re

import pytest

from clbench.cli.listing import LISTERS, line_of
from clbench.cli.main import main
from clbench.core.wording import speak

HAN = re.compile(r"[\u3400-\u9fff]")
pytestmark = pytest.mark.models  # plug-ins are loaded


@pytest.fixture
def chinese():
    speak("zh")
    yield
    speak("en")


@pytest.mark.parametrize("what", LISTERS)
def test_every_shipped_line_is_in_chinese(what, chinese):
    lines = {row["name"]: line_of(what, row) for row in LISTERS[what]()}
    assert len(lines) > 3
    assert [name for name, line in lines.items() if not HAN.search(line)] == []


def test_a_stream_says_what_it_is_made_of(chinese):
    lines = {row["name"]: line_of("streams", row) for row in LISTERS["streams"]()}
    assert lines["long-worlds"].endswith("[50 个生成的世界（事实、规则、规律）]")
    assert lines["order-4"].endswith("[顺序 order-4]")


def test_fields_for_machines_are_in_english(capsys):
    assert main(["list", "streams", "--lang", "zh", "--json"]) == 0
    assert not HAN.search(capsys.readouterr().out)


def test_what_others_say_of_their_plug_ins_stays(chinese):
    assert line_of("learners", {"name": "mine", "about": "It does what I want."}) == "It does what I want."
