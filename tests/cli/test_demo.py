"""The demo as it ships: what it shows, and that it is what the committed results say."""

import gzip
import re
from importlib import resources

import pytest

from clbench.cli.main import main
from clbench.report.runs.load import load_runs
from tests.builders.places import ROOT

PLACE = resources.files("clbench") / "cards" / "demo"


@pytest.mark.parametrize(("lang", "said"), [("en", "to make it yourself"), ("zh", "自己运行")])
def test_it_shows_a_table_and_writes_a_page(tmp_path, capsys, lang, said):
    assert main(["demo", "--replay", "--out", str(tmp_path / "new"), "--lang", lang]) == 0
    shown = capsys.readouterr().out
    assert said in shown
    page = (tmp_path / "new" / "demo.html").read_text(encoding="utf-8")
    assert f'<html lang="{lang}"' in page
    assert "http-equiv" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page), "it asks for nothing elsewhere"


def test_the_table_is_that_of_the_committed_results():
    text = (PLACE / "summary.en.txt").read_text(encoding="utf-8")
    scores = {}
    for run in load_runs([ROOT / "results" / "demo"]):
        label = re.sub(r"^demo-(.+)-s\d-\w+$", r"\1", run.name)
        scores.setdefault(label, []).append(run.scores["average_performance"])
    for label, values in scores.items():
        if "sft" not in label:
            assert re.search(rf"^\s+{label} +{100 * sum(values) / len(values):.1f} ", text, flags=re.M), label
    pages = [gzip.decompress((PLACE / f"report.{lang}.html.gz").read_bytes()) for lang in ("en", "zh")]
    assert all(page.rstrip().endswith(b"</html>") for page in pages)
    assert sum(len(file.read_bytes()) for file in PLACE.iterdir()) < 200_000


@pytest.mark.models
def test_without_replay_it_runs_the_recipe(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr("clbench.cli.run.make", lambda recipe, *rest: called.append(recipe.name))
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert called == ["demo"]
