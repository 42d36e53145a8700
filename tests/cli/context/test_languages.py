"""Verbs of `clbench context` in Chinese: tables and lines are, names of files, codes, CSV and public lines are not."""

import re

import pytest

from clbench.cli.main import main
from clbench.context import audit, verify, versions
from clbench.core.wording import catalogue, speak
from tests.builders.asked import clbench
from tests.builders.context_rows import answers, data_set, write

DATA = data_set(contexts=4, each=3)
WORDS = re.compile(r"(?<![\w./:'-])[a-z]{3,} [a-z]{2,}")  # two English words in a row


@pytest.fixture(autouse=True)
def english_again():
    yield
    speak("en")


@pytest.fixture
def files(tmp_path):
    for name, rate in (("a", 0.9), ("b", 0.6)):
        rows = [{**row, "trial": t, "judge": f"judge-{name}"} for t in (0, 1) for row in answers(DATA, rate, seed=t)]
        rows[0] |= {"requirement_status": ["yes", "perhaps", "yes"]}
        rows[1] |= {"state": "truncated"}
        write(tmp_path / f"{name}_graded.jsonl", rows)
    one = answers(DATA, 0.9)
    write(tmp_path / "one_graded.jsonl", one)
    lines = "".join(f"{row['idx']},1,yes\n{row['idx']},2,no\n" for row in one)
    (tmp_path / "labels.csv").write_text(f"task_id,rubric_index,label\n{lines}", encoding="utf-8")
    write(tmp_path / "old.jsonl", [{**row, "rubrics": ["Another."]} for row in DATA[1:]])
    return write(tmp_path / "data.jsonl", DATA).parent


COMMANDS = {
    "stats": ["a_graded.jsonl", "--dataset", "data.jsonl"],
    "compare": ["a_graded.jsonl", "b_graded.jsonl", "--power", "--force"],
    "verify": ["a_graded.jsonl", "--dataset", "data.jsonl"],
    "audit": ["data.jsonl", "--graded", "one_graded.jsonl"],
    "agree": ["a_graded.jsonl", "a_graded.jsonl"],
    "calibrate": ["one_graded.jsonl", "labels.csv"],
    "estimate": ["--input", "data.jsonl"],
}


@pytest.mark.parametrize("verb", COMMANDS)
def test_tables_are_in_chinese(files, capsys, monkeypatch, verb):
    monkeypatch.chdir(files)
    given = COMMANDS[verb]
    english = clbench(capsys, verb, *given)
    code, lines, _ = clbench(capsys, verb, *given, "--lang", "zh")
    assert (code, len(lines)) == (english[0], len(english[1]))
    assert sum(bool(re.search(r"[\u3400-\u9fff]", line)) for line in lines) > len(lines) / 4
    assert not [line for line in lines if WORDS.search(line)]
    if verb != "estimate":
        assert (
            clbench(capsys, verb, *given, "--lang", "zh", "--format", "csv")[1]
            == (clbench(capsys, verb, *given, "--lang", "en", "--format", "csv")[1])
        )


def test_versions_are_compared_in_chinese(files, capsys):
    code, lines, _ = clbench(capsys, "audit", files / "data.jsonl", "--before", files / "old.jsonl", "--lang", "zh")
    assert code == 0
    assert any(line.startswith("新任务：1（旧版本的评分没有它）") for line in lines)


@pytest.mark.parametrize("meanings", [audit.MEANINGS, verify.MEANINGS, versions.MEANINGS])
def test_every_kind_of_finding_has_chinese(meanings):
    assert not [text for pair in meanings.items() for text in pair if text not in catalogue()["texts"]]


def test_lines_of_the_public_scripts_are_the_same_in_every_language(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setenv("CLBENCH_LANG", "zh_CN.UTF-8")
    code, lines, err = clbench(capsys, "eval", "--input", "one_graded.jsonl", "--judge", "exact")
    assert code == 3
    assert {"🎯 Evaluation Task", "   Total samples: 12", "📈 Solving Rate: 0.0000 (0/12)"} <= set(lines)
    assert "   状态：judge_error 12" in lines
    assert "12 行中有 12 行没有裁决（100.0% > 5.0%）" in err


def test_a_file_that_cannot_be_read_is_told_in_chinese(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('[{"idx": "a"}]')
    assert main(["context", "stats", str(tmp_path / "a.jsonl"), "--lang", "zh"]) == 2
    err = capsys.readouterr().err
    assert "a.jsonl:1：文件是一个 JSON 列表，而不是 JSON Lines\n  解决办法：请每行写一个对象：jq -c" in err
