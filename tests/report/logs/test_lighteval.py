"""Logs of lighteval 0.13: versions and decoding where it now writes them, and what was said of choices."""

import json

import pytest

from clbench.report.logs import lighteval

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra `data`)")
DATE = "2026-01-02T10-00-00.000001"
CHOICES = [" river", " stone", " cloud"]


def log_in(folder, metric="acc", lengths=((-1.0, -0.5, -2.0), (-3.0, -4.0, -0.1))):
    import pyarrow as pa

    rows = [
        {
            "doc": {"query": f"Which? {i}", "choices": CHOICES, "gold_index": 1, "id": str(i), "instruction": None},
            "metric": {metric: float(i == 0)},
            "model_response": {"text": [], "logprobs": list(nats)},
        }
        for i, nats in enumerate(lengths)
    ]
    config = {"model_name": "org/m", "generation_parameters": {"temperature": 0, "top_p": None}}
    stated = {
        "config_general": {"lighteval_sha": "?", "model_config": config},
        "results": {"words|2": {metric: 0.5}, "all": {metric: 0.5}},
        "versions": {},
        "config_tasks": {"words|2": {"version": 7}},
    }
    for kind in ("results", f"details/org/m/{DATE}"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / "results" / f"results_{DATE}.json").write_text(json.dumps(stated))
    pq.write_table(pa.Table.from_pylist(rows), folder / f"details/org/m/{DATE}" / f"details_words|2_{DATE}.parquet")
    return folder


def test_what_moved_to_other_places_is_found(tmp_path):
    log = lighteval.read(log_in(tmp_path), {})
    (exam,) = log.exams
    settings = {"metric": "acc", "task version": 7, "examples": "2", "generation": '{"temperature": 0}'}
    assert (exam.name, dict(exam.settings)) == ("words", settings)
    assert (log.model, log.version, log.made) == ("org/m", "", "2026-01-02T10:00:00.000001")


@pytest.mark.parametrize(("metric", "said"), [("acc", [" stone", " cloud"]), ("acc_norm", ["", ""])])
def test_of_choices_the_most_likely_is_the_answer_where_the_metric_takes_it(metric, said, tmp_path):
    (exam,) = lighteval.read(log_in(tmp_path, metric), {}).exams
    assert [item.answer for item in exam.items] == said
    assert {item.expected for item in exam.items} == {" stone"}
