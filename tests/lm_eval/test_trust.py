"""What a card, or a row, says of an lm_eval task is data: the harness would run templates, functions and includes."""

import json

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.lm_eval import trust

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed (extra `abilities`)")
pytestmark = [pytest.mark.xdist_group("harness"), pytest.mark.filterwarnings("ignore")]

HOSTILE = [
    {"include": "/tmp/evil.yaml"},
    {"include": None},
    {"class": "os.path"},
    {"unsafe_code": None},
    {"doc_to_text": "{{ cycler.__init__.__globals__.os.getpid() }}"},
    {"description": "{% for x in range(10**9) %}{% endfor %}"},
    {"dataset_path": "json"},
    {"dataset_kwargs": {"data_files": "/etc/passwd"}},
    {"custom_dataset": "os.system"},
    {"metric_list": [{"metric": "owner/evil", "hf_evaluate": True}]},
    {"filter_list": []},
    {"process_results": "evil"},
    {"fewshot_config": {"doc_to_text": "{{ x }}"}},
    {"fewshot_config": "first_n"},
    {"fewshot_config": {"sampler": "../evil"}},
    {"training_split": "../evil"},
    {"num_fewshot": "{{ x }}"},
    {"generation_kwargs": {"until": [{"a": 1}]}},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_a_change_that_would_run_or_open_something_is_refused(changes):
    with pytest.raises(DataError, match=f"changes: {next(iter(changes))} may not be set"):
        trust.check_changes(changes, "here")


def test_plain_changes_pass():
    trust.check_changes(
        {
            "fewshot_config": {"sampler": "first_n", "split": "train"},
            "process_docs": None,
            "training_split": "train",
            "num_fewshot": 5,
            "description": "Answer.\n\n",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 10, "do_sample": False},
        },
        "here",
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    doc = {"id": "1", "question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"}
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\ndef f(doc): return 'x'\n")
    (tmp_path / "evil.yaml").write_text("task: arc_easy\ndoc_to_text: !function evil.f\n")
    (tmp_path / "rows").mkdir()
    return tmp_path, doc


def test_an_exam_card_runs_nothing(here, capsys):
    folder, doc = here
    (folder / "rows" / "test.jsonl").write_text(json.dumps(doc) + "\n")
    (folder / "mine.yaml").write_text(
        "name: mine\nability: knowledge\nsource: {harness: arc_easy, fewshot: 0, rows: {path: rows}, "
        f"splits: {{test: test}}, changes: {{include: {folder / 'evil.yaml'}}}}}\n"
    )
    assert main(["exam", "tiny-llama", "--exam", "mine.yaml", "--store", "store"]) == 2
    assert "changes: include may not be set" in capsys.readouterr().err
    assert not (folder / "it-ran").exists()


def test_a_row_runs_nothing(here, capsys):
    folder, doc = here
    check = {"task": "arc_easy", "changes": {"include": str(folder / "evil.yaml")}, "splits": ["test"], "doc": doc}
    for split in ("train", "test"):
        rows = [json.dumps({"q": f"{split} {i}", "a": "x", "c": json.dumps(check)}) + "\n" for i in range(3)]
        (folder / "rows" / f"{split}.jsonl").write_text("".join(rows))
    (folder / "mine.yaml").write_text(
        'name: mine\nsource: {path: rows}\nprompt: [{role: user, content: "{q}"}]\ntarget: "{a}"\ncheck: "{c}"\n'
        "scorer: {name: harness}\nsplits: {lesson: train, dev: null, exam: test}\n"
        "about: {license: own, language: en, kind: qa}\n"
    )
    assert main(["check", "card", "mine.yaml"]) == 2
    assert "include may not be set" in "".join(capsys.readouterr())
    assert not (folder / "it-ran").exists()


@pytest.mark.parametrize("name", ["humaneval", "mbpp", "cruxeval_input", "humaneval_instruct"])
def test_a_stock_task_that_runs_answers_is_refused(name, capsys):
    assert main(["exam", "tiny-llama", "--exam", f"harness:{name}"]) == 2
    assert "runs programs that a model wrote in clbench's own process" in capsys.readouterr().err


def test_a_stock_task_of_no_name_is_one_line(capsys):
    assert main(["exam", "tiny-llama", "--exam", "harness:../x"]) == 2
    assert "harness:../x: name" in capsys.readouterr().err
