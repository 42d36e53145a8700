"""Forged submissions: each is named; a true one passes, also where some of its cells are asked again."""

import json
import os
import shutil
import sys
import zipfile

import numpy as np
import pytest
import yaml

from clbench.cli.main import main
from clbench.core.item_scores import ItemScores
from clbench.core.keys import key
from clbench.core.spec import Machine, RunSpec
from clbench.data.exams import exam as exams
from clbench.engine.recipe.recipe import load_recipe
from clbench.engine.run import run as run_recipe
from clbench.metrics import compute
from clbench.report.runs.load import load_runs, read_runs
from clbench.report.runs.record import record_runs
from clbench.store import origin
from clbench.store.store import Store
from tests.builders.places import RESULTS

pytestmark = pytest.mark.xdist_group("runs")
RECIPE = """\
name: honest
model: {name: tiny-llama}
stream: worlds-tiny
exams: [mini_arithmetic]
learner: {name: sft}
training: {lr: 1.0e-3, epochs: 2, batch_size: 8, decay: constant}
metrics: [average_performance, forgetting, bwt]
budget: {items: 8}
"""


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    (folder / "true.yaml").write_text(RECIPE, encoding="utf-8")
    machine = Machine(store=folder / "store", device="cpu")
    with pytest.MonkeyPatch.context() as patch:  # a checkout that is being worked on would not be ranked
        patch.setattr(origin, "git_revision", lambda: {"commit": "c" * 40, "dirty": False})
        origin._unchanging.cache_clear()
        (result,) = run_recipe(load_recipe(folder / "true.yaml"), Store(machine.store), machine).folders
    origin._unchanging.cache_clear()
    return result


def change(name, edit):
    def apply(folder):
        path = folder / name
        reads = yaml.safe_load if name.endswith(".yaml") else json.loads
        value = reads(path.read_text(encoding="utf-8"))
        edit(value)
        text = yaml.safe_dump(value, sort_keys=False) if name.endswith(".yaml") else json.dumps(value)
        path.write_text(text, encoding="utf-8")

    return apply


def sheet(value, place=0):
    return value["exams"][place]


def renamed_scorer(name):
    return change("items.json", lambda v: sheet(v)["scorer"].update(name=name))


def as_forged(item, sheets):
    """Let an item in full say what its forged score needs."""
    sheet = sheets.named(item["exam"])
    for step, said in item["answers"].items():
        score = sheet.rows[int(step)].values()[sheet.ids.index(item["id"])]
        said.update(score=None if np.isnan(score) else score, text=item["expected"][0] if score else "#")


def consistent(folder, flip):
    """Change items and make everything that follows from them anew: matrix, figures, keys of the grades."""
    (record,) = load_runs([folder])
    sheets = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    matrix = json.loads((folder / "matrix.json").read_text(encoding="utf-8"))
    flip(sheets["exams"])
    made = ItemScores.model_validate(sheets)
    for place, each in enumerate(made.exams):
        for step, row in each.rows.items():
            matrix["values"][step][place] = float(np.nanmean(row.values()))
            matrix["n"][step][place] = int((~np.isnan(row.values())).sum())
            matrix["ungraded"][step][place] = int(np.isnan(row.values()).sum())
    for name, value in (("items.json", sheets), ("matrix.json", matrix)):
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    change("examples.json", lambda v: [as_forged(item, made) for item in v["items"]])(folder)
    from clbench.core.matrix import Matrix

    scores = compute(record.spec.metrics, Matrix.from_json(matrix), record.costs, {})
    known = {n: None if np.isnan(v) else v for n, v in scores.items()}
    (folder / "scores.json").write_text(json.dumps(known), encoding="utf-8")


def all_right(sheets):
    for row in sheets[0]["rows"].values():
        row["scores"] = "1" * 8


def declined(sheets):
    for step in ("2", "3"):
        sheets[0]["rows"][step]["scores"] = sheets[0]["rows"][step]["scores"].replace("0", "-")


def other_mark(v):
    sheet(v)["rows"]["2"]["grades_key"] = "0" * 32


def linked(path, folder):
    other = folder.parent.parent / "elsewhere.json"
    path.rename(other)
    path.symlink_to(other)


def bomb(folder):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    (folder / "spec.yaml").write_text("\n".join(lines), encoding="utf-8")


def deep(folder):
    (folder / "items.json").write_text("[" * 100_000 + "]" * 100_000, encoding="utf-8")


FORGED = {
    "a scorer that is a module": (renamed_scorer("venv.__main__"), "not known here"),
    "a scorer that ends the process": (renamed_scorer("antigravity"), "not known here"),
    "a scorer that is easier": (renamed_scorer("rouge"), "graded by rouge, by the card"),
    "an older version of the scorer": (change("items.json", lambda v: sheet(v).update(version=0)), "version 0"),
    "easier questions": (
        change("items.json", lambda v: sheet(v)["rows"]["0"].update(questions="f")),
        "other questions",
    ),
    "other items": (change("items.json", lambda v: sheet(v)["ids"].__setitem__(0, "exam-of-mine")), "other items"),
    "a guess rate": (change("matrix.json", lambda v: v["columns"][1].update(guess_rate=0.0)), "guess_rate is 0.0"),
    "an ability": (change("matrix.json", lambda v: v["columns"][-1].update(ability="code")), "ability is 'code'"),
    "answers of another model in row 0": (
        change("items.json", lambda v: sheet(v)["rows"]["0"].update(answers_key="0" * 32)),
        "not those of the untouched model",
    ),
    "a key of grades": (change("items.json", other_mark), "does not follow"),
    "one answer, two grades": (
        change("items.json", lambda v: sheet(v)["rows"]["1"].update(answers_key=sheet(v)["rows"]["2"]["answers_key"])),
        "other grades elsewhere",
    ),
    "a learner that nobody knows": (change("spec.yaml", lambda v: v["learner"].update(name="magic")), "'magic'"),
    "a seed": (change("spec.yaml", lambda v: v.update(seed=4)), "does not hold its key"),
    "a stream that is shorter": (change("stream.json", lambda v: v["lessons"].pop()), "lessons"),
    "fewer examples": (change("stream.json", lambda v: v["lessons"][0].update(examples=1)), "lessons are not those"),
    "tasks that were told": (change("stream.json", lambda v: v.update(task_ids="given")), "task_ids are not those"),
    "an exam that the spec does not ask for": (
        change("spec.yaml", lambda v: v.update(exams=[])),
        "the columns are not those that the spec asks for",
    ),
    "time": (
        change("costs.json", lambda v: v.update(train_s=3e-9, train_s_by_lesson=[1e-9] * 3)),
        "than the machine",
    ),
    "time of an answer": (
        change("costs.json", lambda v: v.update(exam_latency_s=[1e-9])),
        "more than any machine",
    ),
    "negative time": (change("costs.json", lambda v: v.update(exam_s=-1.0)), "exam_s has -1.0"),
    "memory": (change("costs.json", lambda v: v.update(peak_memory_bytes=7)), "does not hold the model"),
    "answers": (change("costs.json", lambda v: v.update(exam_answers=3)), "3 answers, the matrix has"),
    "examples used": (change("costs.json", lambda v: v.update(examples_used=3)), "3 examples used"),
    "stages that were never made": (
        change("provenance.json", lambda v: v["stages"][0].update(made=v["stages"][0]["made"] + 1)),
        "stages, where",
    ),
    "a commit that its stages do not have": (
        change("provenance.json", lambda v: v.update(git={"commit": "a" * 40, "dirty": False})),
        "its git is not that of its stages",
    ),
    "packages that its stages do not have": (
        change("provenance.json", lambda v: v["packages"].update(torch="9.9")),
        "its packages is not that of its stages",
    ),
    "a time to come": (
        change("provenance.json", lambda v: v.update(made="9999-01-01T00:00:00+00:00")),
        "not a time in the past",
    ),
    "another model under the name": (
        change("provenance.json", lambda v: v["model"].update(identity="0" * 64)),
        "the model is not the shipped tiny-llama",
    ),
    "what is kept of users' data": (
        change("provenance.json", lambda v: v["learner"].update(stores="examples")),
        "sft: stores is 'none'",
    ),
    "the family of a learner": (
        change("provenance.json", lambda v: v["learner"].update(family="replay")),
        "sft: family is 'bounds'",
    ),
    "whether a learner must be told the task": (
        change("provenance.json", lambda v: v["learner"].update(needs_task_ids=True)),
        "sft: needs_task_ids is False",
    ),
    "whether a learner uses boundaries": (
        change("provenance.json", lambda v: v["learner"].update(uses_boundaries=True)),
        "sft: uses_boundaries is False",
    ),
    "traits that are left out": (
        change("provenance.json", lambda v: v["learner"].pop("family")),
        "what is said of sft is not version, family",
    ),
    "a machine without end": (change("provenance.json", lambda v: v.update(cores=10**6)), "so many cores"),
    "a setting that there is not": (change("spec.yaml", lambda v: v["learner"].update(magic=1)), "learner.magic"),
    "a part that nobody knows": (
        change("spec.yaml", lambda v: v.update(learner={"name": "combine", "parts": [{"name": "venv.__main__"}]})),
        "'venv.__main__' is not known here",
    ),
    "groups of items": (change("items.json", lambda v: sheet(v).update(groups=["x"] * 8)), "groups of items"),
    "the digest of the questions": (change("items.json", lambda v: sheet(v).update(digest="0" * 64)), "the digest of"),
    "the guess rate of a row": (
        change("items.json", lambda v: sheet(v)["rows"]["2"].update(guess_rate=0.9)),
        "row 2: its guess rate",
    ),
    "guess rates of items": (
        change("items.json", lambda v: sheet(v).update(guess_rates=[0.9] * 8)),
        "guess rates of its items",
    ),
    "lengths for others": (change("items.json", lambda v: sheet(v).update(lengths=[1])), "1 lengths for 8 items"),
    "places that are none": (
        change("items.json", lambda v: sheet(v)["rows"]["2"].update(declined=[-1])),
        "are not places in order",
    ),
    "an answer that does not earn its score": (
        change("examples.json", lambda v: [s.update(text="#") for i in v["items"] for s in i["answers"].values()]),
        "its answer has another score",
    ),
    "what was expected": (change("examples.json", lambda v: v["items"][0].update(expected=["x"])), "is not the card's"),
    "items in full left out": (change("examples.json", lambda v: v["items"].pop()), "its hash chooses"),
    "time of exams": (change("costs.json", lambda v: v.update(exam_s=0.0)), "its cells took"),
    "no time at all": (change("costs.json", lambda v: v.update(exam_latency_s=[])), "has 0 values"),
    "time that is no number": (
        lambda f: (f / "costs.json").write_text(
            (f / "costs.json").read_text(encoding="utf-8").replace('"exam_s":', '"exam_s":NaN,"was":'),
            encoding="utf-8",
        ),
        "CANNOT BE READ|no number that was measured",
    ),
    "bytes of the stream": (change("costs.json", lambda v: v.update(stream_bytes=10**9)), "bytes of the stream"),
    "values for other lessons": (
        change("costs.json", lambda v: v["kept_bytes_by_lesson"].append(0)),
        "4 values for 3",
    ),
    "prices": (change("costs.json", lambda v: v.update(prices={"machine_hour": 0.0})), "stand in none"),
    "tokens without a gradient": (
        change("costs.json", lambda v: v.update(forward_tokens=10**9)),
        "without a gradient",
    ),
    "likeness of tasks": (
        change("stream.json", lambda v: v["similarity"][0].__setitem__(1, 0.5)),
        "similarity of tasks",
    ),
    "dropped examples": (change("stream.json", lambda v: v.update(dropped={"x": 1})), "dropped are not those"),
    "half a count": (change("matrix.json", lambda v: v["n"][1].__setitem__(0, 8.9)), "not a count"),
    "a score in words": (change("scores.json", lambda v: v.update(bwt="0.5")), "not a number"),
    "a number beyond all": (change("scores.json", lambda v: v.update(bwt=10**400)), "CANNOT BE READ"),
    "scores in letters": (
        change("items.json", lambda v: sheet(v)["rows"]["1"].update(scores="xxxxxxxx")),
        "CANNOT BE READ",
    ),
    "a spec without a learner": (change("spec.yaml", lambda v: v.update(learner={})), "names no learner"),
    "provenance of odd types": (change("provenance.json", lambda v: v.update(arguments=5)), "arguments is not what"),
    "a provenance that is a list": (lambda f: (f / "provenance.json").write_text("[]"), "not a mapping"),
    "a link": (lambda f: linked(f / "costs.json", f), "is a link"),
    "a pipe": (lambda f: ((f / "costs.json").unlink(), os.mkfifo(f / "costs.json")), "is not a file"),
    "declined items": (lambda f: consistent(f, declined), "declared ungraded"),
    "a ragged matrix": (change("matrix.json", lambda v: v["values"][1].pop()), "CANNOT BE READ"),
    "odd types": (change("matrix.json", lambda v: v["values"].__setitem__(1, {"a": []})), "CANNOT BE READ"),
    "a matrix that is a number": (lambda f: (f / "matrix.json").write_text("7"), "CANNOT BE READ"),
    "a YAML bomb": (bomb, "aliases (*name) are not allowed|anchors (&name) are not allowed"),
    "deep JSON": (deep, "CANNOT BE READ"),
    "bytes that are no text": (lambda f: (f / "items.json").write_bytes(b"\xff\xfe\x00"), "CANNOT BE READ"),
    "a missing file": (lambda f: (f / "costs.json").unlink(), "costs.json is missing"),
}


def copied(honest, tmp_path, name=None):
    return shutil.copytree(honest, tmp_path / "submitted" / (name or honest.name))


def test_records_of_learners_before_their_traits_pass_and_other_words_are_told(honest, tmp_path, capsys):
    folder = copied(honest, tmp_path)
    change("provenance.json", lambda v: v.update(learner={"version": v["learner"]["version"], "stores": "none"}))(
        folder
    )
    assert main(["leaderboard", "verify", str(folder)]) == 0, capsys.readouterr().out
    change("provenance.json", lambda v: v.pop("learner"))(folder)
    assert main(["leaderboard", "verify", str(folder)]) == 0, capsys.readouterr().out
    before = copied(honest, tmp_path / "before")
    change("provenance.json", lambda v: v["learner"].pop("uses_boundaries"))(before)
    assert main(["leaderboard", "verify", str(before)]) == 0, capsys.readouterr().out
    worded = copied(honest, tmp_path / "worded")
    change("provenance.json", lambda v: v["learner"].update(about="The best of all."))(worded)
    assert main(["leaderboard", "verify", str(worded)]) == 0
    assert "sft: its about is worded otherwise here" in capsys.readouterr().out


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_result_is_named_and_stops_no_other(honest, tmp_path, capsys, what):
    forge, says = FORGED[what]
    forge(copied(honest, tmp_path))
    copied(honest, tmp_path / "submitted", f"other-{honest.name}")
    modules = set(sys.modules)
    assert main(["leaderboard", "verify", str(tmp_path / "submitted")]) == 2
    said = capsys.readouterr().out
    assert any(text in said for text in says.split("|")), said
    assert not {"venv.__main__", "antigravity"} & (set(sys.modules) - modules)


def test_a_true_result_passes_and_its_cells_agree_when_asked_again(honest, tmp_path, capsys):
    folder = copied(honest, tmp_path)
    store = ["--store", str(tmp_path / "store")]
    assert main(["leaderboard", "verify", str(folder), "--rerun", "3", *store]) == 0
    said = capsys.readouterr().out
    assert said.count("asked again, 8 of 8 items agree") == 3
    assert "Not verified for any result: that this model" in said


def test_a_forgery_that_fits_together_is_seen_only_by_asking_again(honest, tmp_path, capsys):
    folder = copied(honest, tmp_path)
    consistent(folder, all_right)
    assert main(["leaderboard", "verify", str(folder)]) == 0
    store = ["--store", str(tmp_path / "store")]
    assert main(["leaderboard", "verify", str(folder), "--rerun", "16", *store]) == 2
    assert "items agree" in capsys.readouterr().out


KINDS = {
    "in-context": ("tiny-llama", "worlds-tiny", "{name: retrieval, num: 4}"),
    "encoder": ("tiny-bert", "worlds-labels", "{name: replay, epochs: 1, lr: 1.0e-3}"),
}
EDITS = [
    *(("spec.yaml", path, value) for path, value in [("seed", 7), ("learner.name", "sft"), ("budget.items", 7)]),
    *(("stream.json", path, value) for path, value in [("name", "x"), ("questions.0", 1), ("lessons.1.labels", 99)]),
    *(("matrix.json", path, value) for path, value in [("values.1.0", 0.99), ("n.2.1", 7), ("columns.0.size", 7)]),
    *(("items.json", f"exams.0.{path}", value) for path, value in [("ids.1", "x"), ("version", 9), ("exam", "x")]),
    *(
        ("items.json", f"exams.1.rows.2.{path}", value)
        for path, value in [("scores", "1" * 8), ("answers_key", "0" * 32)]
    ),
    *(("scores.json", path, 0.99) for path in ("average_performance", "bwt")),
    *(("costs.json", path, 10**7) for path in ("train_s", "kept_bytes", "exam_answers", "buffer_examples_by_lesson.0")),
    *(("costs.json", path, 10**7) for path in ("stream_bytes", "exam_s", "state_bytes", "buffer_bytes_by_lesson.1")),
    ("provenance.json", "learner.stores", "none"),
    ("provenance.json", "model.identity", "0" * 64),
    ("examples.json", "items.0.expected.0", "x"),
    ("examples.json", "items.0.question", "x"),
]


@pytest.fixture(scope="module", params=KINDS)
def of_a_kind(request, tmp_path_factory):
    model, stream, learner = KINDS[request.param]
    folder = tmp_path_factory.mktemp("kinds")
    text = f"name: k\nmodel: {model}\nstream: {stream}\nlearner: {learner}\nbudget: {{items: 8, policy: seen}}\n"
    (folder / "true.yaml").write_text(text, encoding="utf-8")
    machine = Machine(store=folder / "store", device="cpu")
    (result,) = run_recipe(load_recipe(folder / "true.yaml"), Store(machine.store), machine).folders
    return result


def test_results_of_other_kinds_pass_and_every_edit_of_one_field_is_named(of_a_kind, tmp_path, capsys):
    assert main(["leaderboard", "verify", str(of_a_kind)]) == 0, capsys.readouterr().out
    for number, (name, path, value) in enumerate(EDITS):
        *parents, last = path.split(".")

        def edit(whole, parents=parents, last=last, value=value):
            for part in parents:
                whole = whole[int(part) if isinstance(whole, list) else part]
            whole[int(last) if isinstance(whole, list) else last] = value

        folder = copied(of_a_kind, tmp_path / str(number))
        change(name, edit)(folder)
        assert main(["leaderboard", "verify", str(folder)]) == 2, (name, path)


def test_one_seed_under_two_names_is_seen(honest, tmp_path, capsys):
    copied(honest, tmp_path)
    spec = yaml.safe_load((honest / "spec.yaml").read_text(encoding="utf-8"))
    again = RunSpec.model_validate({**spec, "name": "again"})
    folder = copied(honest, tmp_path, f"again-{again.key[:8]}")
    change("spec.yaml", lambda v: v.update(name="again"))(folder)
    assert main(["leaderboard", "verify", str(tmp_path / "submitted")]) == 2
    assert "one seed under several names" in capsys.readouterr().out


def test_a_bound_that_is_told_the_answers_has_a_row_0_of_its_own(tmp_path, capsys):
    (path, *_) = sorted((RESULTS / "methods").glob("*right_document*.json"))
    record_runs(read_runs([path]), tmp_path / "one")
    assert main(["leaderboard", "verify", str(tmp_path / "one")]) == 0, capsys.readouterr().out


def test_two_recipes_may_have_a_run_in_common(honest, tmp_path, capsys):
    spec = yaml.safe_load((honest / "spec.yaml").read_text(encoding="utf-8"))
    again = RunSpec.model_validate({**spec, "name": "again"})
    copied(honest, tmp_path / "one")
    folder = copied(honest, tmp_path / "two", f"again-{again.key[:8]}")
    change("spec.yaml", lambda v: v.update(name="again"))(folder)
    assert main(["leaderboard", "verify", str(tmp_path)]) == 0, capsys.readouterr().out


def test_answers_of_one_seed_under_another_are_seen(honest, tmp_path, capsys):
    copied(honest, tmp_path)
    spec = yaml.safe_load((honest / "spec.yaml").read_text(encoding="utf-8"))
    other = RunSpec.model_validate({**spec, "seed": 1})
    change("spec.yaml", lambda v: v.update(seed=1))(copied(honest, tmp_path, f"honest-{other.key[:8]}"))
    assert main(["leaderboard", "verify", str(tmp_path / "submitted")]) == 2
    assert capsys.readouterr().out.count("has answers of seed") == 2


def test_nothing_of_a_stranger_is_opened_or_run(honest, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    (tmp_path / "evil.yaml").write_text("name: evil\ntasks: [x]\n", encoding="utf-8")
    hostile = [("stream", "evil.yaml"), ("learner", {"name": "evil.py:M"}), ("exams", ["./evil.yaml"])]
    hostile += [("exams", ["evil"]), ("exams", ["harness:evil"]), ("learner", {"name": "venv.__main__"})]
    hostile += [("learner", {"name": "combine", "parts": [{"name": name}]}) for name in ("evil.py:M", "venv.__main__")]
    opened, named = set(), exams.named
    monkeypatch.setattr(exams, "named", lambda name: opened.add(name) or named(name))
    modules = set(sys.modules)
    for place, (field, value) in enumerate(hostile):
        folder = copied(honest, tmp_path / f"s{place}")
        spec = {**yaml.safe_load((folder / "spec.yaml").read_text(encoding="utf-8")), field: value}
        change("spec.yaml", lambda v, s=spec: v.update(s))(folder)
        folder = folder.rename(folder.parent / f"honest-{RunSpec.model_validate(spec).key[:8]}")
        main(["leaderboard", "verify", str(folder), "--rerun", "1"])
        assert main(["leaderboard", "build", str(folder), "-o", str(tmp_path / "site")]) == 0
        assert "venv.__main__" not in set(sys.modules) - modules, value
    assert opened == {"mini_arithmetic"}
    assert not (tmp_path / "clbench-store").exists()


def zipped(path, write, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        write(archive)
    return path


def test_archives_are_bounded(tmp_path, capsys):
    many = zipped(tmp_path / "many.zip", lambda a: [a.writestr(f"r/{i}", "") for i in range(20_001)])
    secret = zipped(tmp_path / "secret.zip", lambda a: a.writestr("r/spec.yaml", "x"))
    data = bytearray(secret.read_bytes())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        place = data.index(mark) + (6 if mark.endswith(b"\x04") else 8)
        data[place] |= 1
    secret.write_bytes(data)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 nothing")
    assert main(["leaderboard", "verify", str(many), str(secret), str(broken)]) == 2
    said = capsys.readouterr().out
    for text in ("20,001 files", "encrypted", "not a valid .zip"):
        assert text in said


def test_odd_archives_stop_no_other(honest, tmp_path, capsys):
    def whole(archive):
        for file in honest.iterdir():
            archive.write(file, f"r/{honest.name}/{file.name}")

    odd = {
        "long.zip": lambda a: a.writestr("r/" + "n" * 300, ""),
        "both.zip": lambda a: (a.writestr("r", ""), a.writestr("r/x", "")),
        "twice.zip": lambda a: (whole(a), a.writestr(f"r/./{honest.name}/costs.json", "{}")),
        "out.zip": lambda a: a.writestr("../x", ""),
        "root.zip": lambda a: a.writestr("/x", ""),
        "inner.zip": lambda a: a.write(zipped(tmp_path / "result.zip", whole), "result.zip"),
    }
    paths = [zipped(tmp_path / name, write) for name, write in odd.items()]
    broken = zipped(tmp_path / "lzma.zip", whole, zipfile.ZIP_LZMA)
    data = bytearray(broken.read_bytes())
    data[120:4000] = bytes(3880)
    broken.write_bytes(data)
    good = zipped(tmp_path / "good.zip", whole)
    assert main(["leaderboard", "verify", *map(str, [*paths, broken, good])]) == 2
    said = capsys.readouterr().out
    assert said.count("CANNOT BE READ") == len(paths) + 1
    assert f"{honest.name}: every figure follows" in said


def test_a_result_is_told_by_its_folder_also_from_within(honest, monkeypatch, capsys):
    monkeypatch.chdir(honest)
    assert main(["leaderboard", "verify", "."]) == 0
    assert f"{honest.name}: every figure follows" in capsys.readouterr().out


def test_an_edited_seed_does_not_take_the_others_out_of_the_ranking(honest, tmp_path, capsys):
    copied(honest, tmp_path)
    spec = yaml.safe_load((honest / "spec.yaml").read_text(encoding="utf-8"))
    forged = copied(honest, tmp_path, f"honest-{RunSpec.model_validate({**spec, 'seed': 5}).key[:8]}")
    change("spec.yaml", lambda v: v.update(seed=5))(forged)
    change("matrix.json", lambda v: v["values"][3].__setitem__(0, 0.99))(forged)
    rows_of = lambda v: [row for each in v["exams"] for row in each["rows"].values()]  # noqa: E731
    change("items.json", lambda v: [row.update(answers_key="0" * 32) for row in rows_of(v)])(forged)
    other = shutil.copytree(forged, tmp_path / "submitted" / "other" / "runs" / forged.name)
    site = tmp_path / "site"
    paths = [str(tmp_path / "submitted"), str(other.parent.parent)]
    assert main(["leaderboard", "build", *paths, "-o", str(site)]) == 0
    rows = json.loads((site / "leaderboard.json").read_text(encoding="utf-8"))
    assert sorted(str(row["rank"]) for row in rows) == ["1", "None"]
    assert [row["seeds"] for row in rows if row["rank"] == 1] == [[0]]
    assert len(list((site / "pages").iterdir())) == len({row["id"] for row in rows}) == 2


def test_a_site_is_not_written_over_something_else(honest, tmp_path):
    (tmp_path / "store" / "runs").mkdir(parents=True)
    (tmp_path / "store" / "runs" / "mine").write_text("x", encoding="utf-8")
    assert main(["leaderboard", "build", str(honest), "-o", str(tmp_path / "store")]) == 2
    assert (tmp_path / "store" / "runs" / "mine").exists()


def test_a_bad_submission_never_stops_the_board(honest, tmp_path, capsys):
    deep(copied(honest, tmp_path))
    copied(honest, tmp_path, f"good-{honest.name.rsplit('-', 1)[1]}")
    assert main(["leaderboard", "build", str(tmp_path / "submitted"), "-o", str(tmp_path / "site")]) == 0
    said = capsys.readouterr()
    assert "1 rows of 1 runs" in said.out and "is left out" in said.err


def test_the_keys_of_a_true_result_are_those_of_its_answers(honest):
    (record,) = load_runs([honest])
    for each in record.item_scores.exams:
        for row in each.rows.values():
            assert row.grades_key == key(
                "mark", ask=row.answers_key, scorer=each.scorer, version=each.version, judge=None
            )
