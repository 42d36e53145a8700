"""Logs of EvalScope 1.14: messages in place of an input, reports of identities, settings that were taken."""

import json

import pytest
import yaml

from clbench.core.errors import DataError
from clbench.report.logs import evalscope
from clbench.report.logs.as_run import as_run

SCORES = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def log_in(folder, repeats=1, whole=None, direction="higher_is_better", config=None, said="Default"):
    rows = [
        {
            "index": i,
            "target": ["A"],
            "messages": [
                {"id": f"{said}-{i}", "role": "system", "content": "Be brief."},
                {"id": f"{said}+{i}", "role": "user", "content": f"Which? {i // repeats}", "perf_metrics": None},
                {"id": f"{said}*{i}", "role": "assistant", "content": f"{said} {i}"},
            ],
            "sample_score": {
                "score": {
                    "value": {"bleu-1": 0.5, "acc": score},
                    "main_score_name": "acc",
                    "extracted_prediction": f"{said} {i}",
                },
                "sample_id": i,
                "group_id": i // repeats,
            },
        }
        for i, score in enumerate(SCORES)
    ]
    mean = sum(SCORES) / len(SCORES) if whole is None else whole
    part = [{"name": ["default"], "subsets": [{"name": "ex", "score": round(mean, 4)}]}]
    bleu = {"identity": {"name": "bleu", "aggregation": "mean", "dimensions": {"ngram": 1}}, "categories": []}
    acc = {
        "identity": {"name": "accuracy", "aggregation": "mean", "dimensions": {}},
        "categories": part,
        "semantics": {"direction": direction},
    }
    report = {"schema_version": 2, "dataset_name": "general_mcq", "metrics": [bleu, acc]}
    stated = {
        "evalscope_version": "1.14.1",
        "model": "m",
        "repeats": repeats,
        "generation_config": {"batch_size": 4, "temperature": 0.0},
        "resolved_benchmarks": {"general_mcq": {"few_shot_num": 3}},
        "evaluation_identity": {"benchmarks": {"general_mcq": {"evaluation_version": "v1.1"}}},
    }
    for place in ("reviews/m", "reports/m", "configs"):
        (folder / place).mkdir(parents=True)
    (folder / "reviews" / "m" / "general_mcq_ex.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "reports" / "m" / "general_mcq.json").write_text(json.dumps(report))
    (folder / "configs" / "task_config.yaml").write_text(yaml.safe_dump(stated | (config or {})))
    return folder


def test_the_newer_form_is_read(tmp_path, heard):
    log = evalscope.read(log_in(tmp_path), {})
    (exam,) = log.exams
    assert (log.version, log.model, exam.name) == ("1.14.1", "m", "general_mcq_ex")
    assert [item.score for item in exam.items] == SCORES
    assert exam.items[0].question == "Be brief.\nWhich? 0"
    assert (exam.items[0].expected, exam.items[0].answer) == ("A", "Default 0")
    settings = dict(exam.settings)
    assert (settings["examples"], settings["task version"], settings["metric"]) == (3, "v1.1", "acc")
    assert settings["generation"] == '{"temperature": 0.0}', "how fast it was asked changes no answer"
    assert heard == ["general_mcq_ex: acc is taken; --metric general_mcq_ex=METRIC takes another (bleu-1)"]


def test_what_a_model_answered_is_no_part_of_what_it_was_asked(tmp_path):
    logs = [evalscope.read(log_in(tmp_path / said, said=said), {}) for said in ("one", "two")]
    assert as_run(logs, "x").matrix.num_lessons == 1


def test_a_question_that_is_repeated_counts_once(tmp_path, heard):
    (exam,) = evalscope.read(log_in(tmp_path, repeats=2), {}).exams
    assert [item.score for item in exam.items] == [0.5, 1.0, 0.0]
    assert any("up to 2 times" in text for text in heard)


def test_a_mean_that_is_not_that_of_the_report_is_left_out(tmp_path, heard):
    with pytest.raises(DataError, match="no score in it is a mean"):
        evalscope.read(log_in(tmp_path, whole=0.9), {})
    assert heard[-1] == "general_mcq_ex is left out: its acc (0.9) is not the mean of its items (0.5)"
    with pytest.raises(DataError, match="no score in it is a mean"):
        evalscope.read(log_in(tmp_path / "low", direction="lower_is_better"), {})
    assert heard[-1] == "general_mcq_ex is left out: lower values of acc are better"


OTHER = {
    "examples": {"resolved_benchmarks": {"general_mcq": {"few_shot_num": 0}}},
    "task version": {"evaluation_identity": {"benchmarks": {"general_mcq": {"evaluation_version": "v2"}}}},
    "repeats": {"repeats": 2},
    "judges": {"judge": {"models": [{"model_id": "j", "api_key": "secret"}]}},
    "generation": {"generation_config": {"temperature": 1.0}},
}


@pytest.mark.parametrize("setting", OTHER)
def test_other_settings_are_refused(setting, tmp_path):
    logs = [evalscope.read(log_in(tmp_path / n, config=c), {}) for n, c in (("a", None), ("b", OTHER[setting]))]
    with pytest.raises(DataError) as told:
        as_run(logs, "x")
    assert f"exam general_mcq_ex: {setting} " in str(told.value)
    assert "secret" not in str(told.value)
