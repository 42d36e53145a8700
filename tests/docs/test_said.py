"""What pages say in words of recorded answers: the ceiling reads what it is graded wrong on."""

import json

import pytest

from tests.builders.places import ROOT


@pytest.mark.parametrize("recipe", ["documents", "methods"])
def test_the_right_document_is_read_where_a_whole_sentence_is_wanted(recipe):
    """`docs/results.md` says so of `world2_rules_en`; where it no longer holds, that page is wrong."""
    found = []
    for path in sorted((ROOT / "results" / recipe).glob("*right_document*.json")):
        items = json.loads(path.read_text(encoding="utf-8"))["examples"]["items"]
        found += [(item["expected"][0], item["answers"]["5"]) for item in items if item["exam"] == "world2_rules_en"]
    assert len(found) >= 9
    assert all(answer["text"] == wanted.rstrip(".").split()[-1] for wanted, answer in found)
    assert all(answer["score"] == 0 for _, answer in found)
