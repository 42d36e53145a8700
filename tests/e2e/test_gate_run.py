"""The gate on a real model before and after a damaging fine-tune; compare and watch on real runs."""

import json
import xml.etree.ElementTree as ET

import pytest

from clbench.cli.main import main
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.engine.resolve import open_learner

pytestmark = pytest.mark.xdist_group("gate")


def saved(net, folder):
    net.module.save_pretrained(folder)
    net.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, a baseline of tiny-llama on three abilities, and a checkpoint that was taught to say 0 to sums."""
    folder = tmp_path_factory.mktemp("gate")
    plugin, config = open_learner({"name": "sft", "lr": 2e-3, "epochs": 6, "batch_size": 16})
    learner = plugin.build(config, ModelSpec(name="tiny-llama"), 0, Machine(device="cpu"))
    saved(learner.net, folder / "before")
    asked = [(a, b) for a in range(11) for b in range(10 - a)]
    examples = tuple(
        Example(id=f"{a}+{b}", prompt=(Message(role="user", content=f"{a} + {b} ="),), targets=("0",)) for a, b in asked
    )
    learner.learn(Lesson(step=1, examples=examples, digest="damage"))
    saved(learner.net, folder / "after")
    exams = ["--exams", "mini_arithmetic", "--exams", "mini_recall", "--exams", "mini_chinese"]
    base = [*exams, "-o", str(folder / "base.json"), "--store", str(folder / "store")]
    assert main(["baseline", str(folder / "before"), *base]) == 0
    return folder


def gate(place, model, *more):
    return main(
        ["gate", str(place / model), "--baseline", str(place / "base.json"), "--store", str(place / "store"), *more]
    )


def test_an_unchanged_model_passes(place, capsys):
    assert gate(place, "before") == 0
    assert "no regression in 3 exams; this is the very model of the baseline" in capsys.readouterr().out


def test_a_damaged_model_is_stopped_and_the_right_exam_named(place, capsys):
    junit, markdown = place / "r.xml", place / "r.md"
    assert gate(place, "after", "--max-drop", "2pp", "--junit", str(junit), "--markdown", str(markdown)) == 2
    said = capsys.readouterr().out
    tree = ET.parse(junit).getroot()
    failed = [c.attrib["name"] for c in tree.findall("testcase") if c.find("failure") is not None]
    assert "mini_arithmetic" in failed
    assert int(tree.attrib["failures"]) == len(failed)
    assert "mini_arithmetic: worst items" in said
    assert "now: 0" in said
    assert "abilities: [arithmetic" in said
    assert "| mini_arithmetic |" in markdown.read_text()
    assert gate(place, "after", "--max-drop", "100pp") == 0


def test_margins_and_json(place, capsys, tmp_path):
    margins = tmp_path / "gate.yaml"
    margins.write_text("mini_arithmetic: 100pp\nmini_recall: 100pp\nChinese: 100pp\n")
    assert gate(place, "after", "--margins", str(margins), "--json") == 0
    assert json.loads(capsys.readouterr().out)["regressed"] == []
    margins.write_text("mini_aritmetic: 5pp\n")
    assert gate(place, "after", "--margins", str(margins)) == 3
    assert "did you mean 'mini_arithmetic'" in capsys.readouterr().err


def test_an_edited_baseline_is_refused(place, capsys, tmp_path):
    value = json.loads((place / "base.json").read_text())
    value["exams"][0]["sheet"]["rows"]["0"]["scores"] = "0" * 64
    (tmp_path / "edited.json").write_text(json.dumps(value))
    arguments = [
        "gate",
        str(place / "before"),
        "--baseline",
        str(tmp_path / "edited.json"),
        "--store",
        str(place / "store"),
    ]
    assert main(arguments) == 3
    assert "the baseline was edited" in capsys.readouterr().err


def test_a_missing_checkpoint_is_exit_3(place, capsys):
    assert gate(place, "nowhere") == 3
    assert "to mend" in capsys.readouterr().err


def test_checkpoints_that_passed_are_watched(place, capsys):
    assert main(["watch", str(place / "store"), "--out", str(place / "watch")]) == 0
    said = capsys.readouterr().out
    assert "mini_arithmetic" in said
    assert "too few rounds" in said
    assert (place / "watch" / "watch.html").is_file()


RECIPE = """\
name: pair
model: {name: tiny-llama}
stream: worlds-tiny
exams: [mini_arithmetic]
training: {lr: 2.0e-3, epochs: 4, batch_size: 8}
budget: {items: 20}
axes: {learner: [frozen, sft, {name: replay, memory: 100}]}
"""


def test_compare_advise_and_leaderboard_on_real_runs(tmp_path, capsys):
    (tmp_path / "pair.yaml").write_text(RECIPE)
    store = str(tmp_path / "store")
    assert (
        main(["run", str(tmp_path / "pair.yaml"), "--store", store, "--out", str(tmp_path / "r"), "--workers", "1"])
        == 0
    )
    sft = next((tmp_path / "store" / "runs").glob("pair-sft-*"))
    frozen = next((tmp_path / "store" / "runs").glob("pair-frozen-*"))
    capsys.readouterr()
    assert main(["compare", str(frozen), str(sft), "--items", "1", "--out", str(tmp_path / "c")]) == 0
    said = capsys.readouterr().out
    assert "learner.name: frozen -> sft" in said
    assert "gained by pair-sft" in said
    assert "expected: " in said
    assert 'id="compared"' in (tmp_path / "c" / "report.html").read_text()
    assert main(["compare", store, "--against", "sft", "--json"]) == 0
    assert {c["two"] for c in json.loads(capsys.readouterr().out)} == {"frozen", "replay"}
    assert main(["advise", store, "--no-stored-data"]) == 0
    said = capsys.readouterr().out
    assert "Recommended: sft" in said
    assert "excluded: replay: it stores users' examples" in said
    assert main(["leaderboard", "verify", store]) == 0
    assert capsys.readouterr().out.count("every figure follows from its records") == 3
    assert main(["compare", str(sft)]) == 2
    assert "one side only" in capsys.readouterr().err
