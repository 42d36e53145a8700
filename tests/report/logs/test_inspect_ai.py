"""What logs of Inspect hold that its documentation does not show: found in logs of versions 0.3.25 to 0.3.285."""

import json
import struct
import zipfile
import zlib

import pytest

from clbench.core.errors import DataError
from clbench.report.logs import inspect_ai
from clbench.report.logs.as_run import as_run

GRADED = ["C", "I", "C", "C"]


def log_of(grades, scorer="match", model="openai/a", **changes):
    samples = [
        {
            "id": i,
            "epoch": 1,
            "input": f"What is {i}?",
            "target": "A",
            "output": {"choices": [{"message": {"role": "assistant", "content": f"It is {i}"}}]},
            "scores": {scorer: {"value": grade}},
        }
        for i, grade in enumerate(grades)
    ]
    about = {"task": "inspect_evals/arith", "task_version": 1, "model": model, "created": "2026-01-02T00:00:00+00:00"}
    return {"version": 2, "status": "success", "eval": about, "plan": {}, "results": {}, "samples": samples} | changes


def written(folder, log, name="log.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(log))
    return folder


def scores(place, metrics=None):
    (exam,) = inspect_ai.read(place, metrics or {}).exams
    return [item.score for item in exam.items]


def zstd_zip(place, files):
    """Write a zip file whose parts are packed by Zstandard, as newer versions do, by the zip file's own layout."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra `data`)")
    whole, directory = b"", b""
    for name, text in files.items():
        data = pa.Codec("zstd").compress(text.encode(), asbytes=True)
        common = struct.pack(
            "<HHHHHLLLHH", 63, 0, 93, 0, 0x21, zlib.crc32(text.encode()), len(data), len(text.encode()), len(name), 0
        )
        directory += b"PK\x01\x02" + struct.pack("<H", 63) + common + struct.pack("<HHHLL", 0, 0, 0, 0, len(whole))
        directory += name.encode()
        whole += b"PK\x03\x04" + common + name.encode() + data
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), len(whole), 0)
    place.write_bytes(whole + directory + end)


def test_a_log_packed_by_zstandard_is_read(tmp_path):
    log = log_of(GRADED)
    parts = {"header.json": json.dumps({k: v for k, v in log.items() if k != "samples"})}
    parts |= {f"samples/q/{s['id']}_epoch_1.json": json.dumps(s) for s in log["samples"]}
    place = tmp_path / "log.eval"
    zstd_zip(place, parts)
    assert zipfile.ZipFile(place).getinfo("header.json").compress_type == 93
    assert inspect_ai.read(place, {}).exams == inspect_ai.read(written(tmp_path / "text", log), {}).exams
    data = bytearray(place.read_bytes())
    data[place.read_bytes().index(b"samples/q/0") + 40] ^= 1
    place.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        inspect_ai.read(place, {})


def test_values_count_as_in_the_harness(tmp_path):
    said = ["C", "p", "P", "N", "yes", "No", "TRUE", "0.25", 1, "of no kind", float("nan")]
    folder = written(tmp_path, log_of(said))
    by_id = dict(zip(sorted(map(str, range(11))), scores(folder), strict=True))
    found = [by_id[str(i)] for i in range(11)]
    assert found == [1.0, None, 0.5, 0.0, 1.0, 0.0, 1.0, 0.25, 1.0, None, None]


def test_the_answer_of_older_logs_and_the_rate_of_guessing(tmp_path):
    log = log_of(GRADED, "choice")
    for sample in log["samples"]:
        sample["choices"] = ["one", "two", "three", "four"]
    log["samples"][3]["target"] = ["A", "B"]
    items = inspect_ai.read(written(tmp_path, log), {}).exams[0].items
    assert [item.answer for item in items] == [f"It is {i}" for i in range(4)]
    assert [item.guess_rate for item in items] == [0.25, 0.25, 0.25, 0.0], "of several right answers none is guessed"
    (exam,) = inspect_ai.read(written(tmp_path, log_of(GRADED)), {}).exams
    assert {item.guess_rate for item in exam.items} == {0.0}


def test_a_folder_holds_other_files_too(tmp_path):
    written(tmp_path, log_of(GRADED), "2026-01-02T00-00-00+00-00_arith_x.json")
    written(tmp_path, {"eval_set_id": "x"}, "eval-set.json")
    assert sum(scores(tmp_path)) == 3
    with pytest.raises(DataError, match="not a log of Inspect"):
        inspect_ai.read(written(tmp_path / "other", {"a": 1}, "eval-set.json"), {})


def test_a_mean_of_a_part_and_of_a_reducer_is_held_against_what_the_log_states(tmp_path, heard):
    stated = [
        {"name": "match", "scorer": "match", "reducer": "mode", "metrics": {"accuracy": {"value": 0.9}}},
        {"name": "match", "scorer": "match", "reducer": "mean", "metrics": {"accuracy": {"value": 0.75}}},
        {"name": "a", "scorer": "parts", "metrics": {"mean": {"value": 0.9}}},
    ]
    log = log_of(GRADED, results={"scores": stated})
    for sample in log["samples"]:
        sample["scores"]["parts"] = {"value": {"a": 0.5}}
    folder = written(tmp_path, log)
    assert scores(folder) == [1.0, 0.0, 1.0, 1.0]
    with pytest.raises(DataError, match="there is no score"):
        inspect_ai.read(folder, {"arith": "parts.a"})
    assert heard[-1] == "arith is left out: its parts.a (0.9) is not the mean of its items (0.5)"


CUT = {
    "fewer items than were done": ({"results": {"completed_samples": 5}}, "it holds 4 items, and says 5"),
    "no items": ({"samples": []}, "no item is on record"),
    "ended early": ({"status": "cancelled", "samples": None}, "did not finish (status cancelled)"),
}


@pytest.mark.parametrize(("changes", "said"), CUT.values(), ids=CUT.keys())
def test_what_is_cut_off_is_told(changes, said, tmp_path):
    with pytest.raises(DataError) as told:
        inspect_ai.read(written(tmp_path, log_of(GRADED, **changes)), {})
    assert said in str(told.value)


def test_a_run_that_was_killed_left_a_journal_and_no_header(tmp_path):
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as packed:
        packed.writestr("_journal/start.json", "{}")
    with pytest.raises(DataError, match="did not finish"):
        inspect_ai.read(tmp_path / "log.eval", {})


def judged(folder, judge=None, params=None, model="openai/a"):
    log = log_of(GRADED, "model_graded_fact", model)
    if judge:
        log["eval"]["model_roles"] = {"grader": {"model": judge, "config": {}}}
    stated = {"name": "model_graded_fact", "scorer": "model_graded_fact", "params": params or {}, "metrics": {}}
    log["results"] = {"scores": [stated]}
    return inspect_ai.read(written(folder, log), {})


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ({"judge": "a"}, {"judge": "b"}, 'judges {"grader": "a"} and {"grader": "b"}'),
        ({"params": {"model": "a"}}, {"params": {"model": "b"}}, "scorer settings"),
        ({"model": "a"}, {"model": "b"}, 'judges {"grader": "a"} and {"grader": "b"}'),
    ],
    ids=["roles", "settings", "each graded itself"],
)
def test_logs_graded_by_other_models_are_refused(one, two, said, tmp_path):
    with pytest.raises(DataError) as told:
        as_run([judged(tmp_path / "one", **one), judged(tmp_path / "two", **two)], "x")
    assert f"exam arith: {said}" in str(told.value)
    as_run([judged(tmp_path / "a", judge="j", model="a"), judged(tmp_path / "b", judge="j", model="b")], "x")
