"""The gate on a real model before and after a damaging fine-tune; compare and watch on real runs."""

import json
import shlex
import shutil
import xml.etree.ElementTree as ET

import pytest

from clbench.cli.gate import _alike
from clbench.cli.main import main
from clbench.core.errors import SpecError
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import Example, Lesson, Message
from clbench.engine.resolve import open_learner

pytestmark = pytest.mark.xdist_group("gate")
EXAMS = ("arithmetic", "recall", "chinese")
ASKED = [word for name in EXAMS for word in ("--exams", f"mini_{name}")]


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
    learner.learn(Lesson(number=1, examples=examples, digest="damage"))
    saved(learner.net, folder / "after")
    base = [*ASKED, "-o", str(folder / "base.json"), "--store", str(folder / "store")]
    assert main(["baseline", str(folder / "before"), *base]) == 0
    return folder


def gate(place, model, *more):
    return main(
        ["gate", str(place / model), "--baseline", str(place / "base.json"), "--store", str(place / "store"), *more]
    )


def test_an_unchanged_model_passes(place, capsys):
    assert gate(place, "before", "--strict") == 0
    said = capsys.readouterr().out
    assert "no regression shown in 3 exams; 3 not worse by more than the margin, 0 not shown" in said
    assert "this is the model of the baseline itself" in said


def test_a_checkpoint_is_asked_as_the_baseline_s_model_but_for_its_own_adapter(heard):
    """An adapter that the baseline's model was made of would be merged into the checkpoint, which has another."""
    old = ModelSpec(name="a", adapter="one@0123456789abcdef", dtype="bfloat16", max_tokens=64)
    with pytest.raises(SpecError, match=r"adapter one@0123456789abcdef was merged into the baseline's model"):
        _alike(old, {})
    for own in ("two", "ignore", None):
        assert _alike(old, {"adapter": own}) == old.model_dump() | {"adapter": own}
    assert heard == []
    assert _alike(old.model_copy(update={"adapter": "use"}), {"max_tokens": 32})["adapter"] == "use"
    assert heard == ["max_tokens is 32, and the baseline's model was asked with 64"]


def test_a_baseline_is_not_replaced_in_silence_and_its_seal_is_of_its_content(place, capsys):
    again = ["baseline", str(place / "before"), *ASKED, "--store", str(place / "store"), "-o", str(place / "base.json")]
    before = json.loads((place / "base.json").read_text())["seal"]
    assert main(again) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*again, "--force"]) == 0
    said = capsys.readouterr().out
    assert f"seal: {before}" in said
    assert "these exams cannot show a loss below 2 points" in said
    assert main([*again, "--force", "--max-drop", "20pp"]) == 0
    assert "cannot show" not in capsys.readouterr().out


def test_repeats_ask_really_and_nothing_of_them_is_kept(place, capsys, monkeypatch):
    from clbench.models.causal import Causal

    asked, respond = [], Causal.respond

    def turned(net, examples, decode):
        """Answer nine questions otherwise while the baseline's model is asked again, not afterwards."""
        asked.append(len(examples))
        answers = respond(net, examples, decode)
        return [a.model_copy(update={"text": "0"}) if k < 9 and len(asked) <= 6 else a for k, a in enumerate(answers)]

    monkeypatch.setattr(Causal, "respond", turned)
    held = sorted(p.name for p in (place / "store" / "ask").glob("??/*"))
    assert gate(place, "before", "--repeat", "2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert asked == [64] * 9, "three exams: twice the baseline's model, and once the checkpoint, though it is the same"
    assert found["exams"][0]["noise"]["asks"] == 2
    assert found["exams"][0]["noise"]["shift"] < 0
    assert found["exams"][0]["before"] < found["exams"][0]["now"]
    assert sorted(p.name for p in (place / "store" / "ask").glob("??/*")) == held
    assert gate(place, "before", "--repeat", "1", "--unchanged", str(place / "after")) == 3
    assert "is not the model of the baseline" in capsys.readouterr().err
    assert gate(place, "before", "--unchanged", str(place / "after")) == 3


def test_what_is_not_shown_passes_but_for_strict(place, capsys, tmp_path):
    folder = tmp_path / "saved-again"
    shutil.copytree(place / "before", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"note": "another file, the same model"}))
    assert gate(place, "../" * 20 + str(folder)) == 0
    assert "0 not worse by more than the margin, 3 not shown" in capsys.readouterr().out
    assert gate(place, "../" * 20 + str(folder), "--strict") == 2
    capsys.readouterr()
    assert gate(place, "../" * 20 + str(folder), "--strict", "--max-drop", "20pp", "--json") == 0
    assert json.loads(capsys.readouterr().out)["not_worse"] == [*(f"mini_{n}" for n in EXAMS), "all exams"]


def test_a_missing_template_is_told_and_training_is_not_proposed(place, capsys, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(place / "before", folder)
    (folder / "chat_template.jinja").unlink()
    assert gate(place, "../" * 20 + str(folder)) == 2
    said = capsys.readouterr().out
    assert said.startswith("differs from the baseline: chat template: ")
    assert "now none" in said
    assert "clbench run RECIPE.yaml" not in said
    command = next(line for line in said.splitlines() if line.startswith("  cp "))
    shutil.copyfile(*shlex.split(command)[1:])
    assert gate(place, "../" * 20 + str(folder)) == 0
    assert "this is the model of the baseline itself" in capsys.readouterr().out


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
    value["exams"][0]["scores"]["rows"]["0"]["scores"] = "0" * 64
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
    assert main(["watch", str(place / "store"), "--out", str(place / "watch")]) in (2, 4)
    said = capsys.readouterr().out
    assert "mini_arithmetic" in said
    assert "not watched" in said
    assert (place / "watch" / "watch.html").is_file()


RECIPE = """\
name: pair
model: {name: tiny-llama}
stream: worlds-tiny
exams: [mini_arithmetic]
training: {lr: 2.0e-3, epochs: 4, batch_size: 8, decay: constant}
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
    assert "excluded: replay: it keeps users' examples" in said
    assert main(["leaderboard", "verify", store]) == 0
    assert capsys.readouterr().out.count("every figure follows from its records") == 3
    assert main(["compare", str(sft)]) == 2
    assert "only one side" in capsys.readouterr().err
