"""The language of every verb: an option of each, heard before errors, and forgotten after the command."""

import re
import shlex
import sys

import pytest
import typer

from clbench.cli.main import app, main
from clbench.core.wording import spoken
from tests.builders.child import run_child

VERBS = typer.main.get_command(app).commands
HAN = re.compile(r"[\u3400-\u9fff]")


def test_every_verb_takes_a_language():
    without = [
        name
        for name, verb in VERBS.items()
        if "commands" not in vars(verb) and "--lang" not in {o for p in verb.params for o in p.opts}
    ]
    assert without == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["data", "get", "nosuch"], 2, "没有名为 'nosuch' 的任务、任务流、评测或评测套件"),
        (["data", "get", "worlds-tin"], 2, "是否想写 'worlds-tiny'"),
        (["data", "check", "nosuch.jsonl"], 2, "解决办法："),
        (["show", "nosuch"], 2, "没有名为 'nosuch' 的任务、任务流或评测"),
        (["store", "ls", "--store", "nosuch"], 2, "没有这个存储"),
        (["check", "card", "nosuch"], 2, "解决办法："),
        (["leaderboard", "build", "."], 2, "没有可显示的结果"),
        (["init", "a/b"], 2, "不是有效的名称"),
        pytest.param(["tune", "nosuch"], 2, "没有配方", marks=pytest.mark.models),
    ],
)
def test_what_is_wrong_is_said_in_chinese(words, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_LANG", raising=False)
    assert main([*words, "--lang", "zh"]) == code
    assert says in capsys.readouterr().err
    assert main(words) == code
    assert not HAN.search(capsys.readouterr().err)
    assert spoken() == "en"


def test_the_locale_decides_without_the_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_LANG", raising=False)
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert main(["show", "nosuch"]) == 2
    assert "解决办法：" in capsys.readouterr().err
    monkeypatch.setenv("CLBENCH_LANG", "en")
    assert main(["show", "nosuch"]) == 2
    assert "to mend: " in capsys.readouterr().err


def test_json_is_english_in_every_language(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--json", "--lang", "zh"]) == 0
    assert not HAN.search(capsys.readouterr().out)
    assert main(["doctor", "--lang", "zh"]) == 0
    assert "存储所在磁盘可用" in capsys.readouterr().out


def test_tables_of_data_are_in_chinese(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f'{{"prompt": "What comes after {n}?", "answer": "{n + 1}"}}' for n in range(40)]
    (tmp_path / "q.jsonl").write_text("\n".join([*rows, rows[0]]) + "\n", encoding="utf-8")
    assert main(["data", "check", "q.jsonl", "--lang", "zh"]) == 0
    said = capsys.readouterr().out
    for text in ("读取方式：", "划分", "警告：完全重复的行 (1)", "41 行：0 个错误，1 个警告"):
        assert text in said, text
    assert main(["data", "add", "q.jsonl", "--task", "q", "--lang", "zh"]) == 0
    assert "已检查并上锁" in capsys.readouterr().out
    assert main(["check", "card", "q.yaml", "--lang", "zh"]) == 0
    assert "编号唯一" in capsys.readouterr().out
    assert main(["show", "q.yaml", "1", "--lang", "zh"]) == 0
    assert "[答案]" in capsys.readouterr().out


def test_texts_and_notices_of_one_pipe_stand_in_their_order_each_on_a_line():
    code = "from clbench.cli.options import complain, say, say_json; from clbench.core.events import notice\n"
    code += "say('a plan'); notice('of it'); say_json(1); complain('at the end'); say('last')"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&1 | cat"
    said = run_child(["bash", "-c", command], CLBENCH_LANG="en").stdout
    assert said == "a plan\nnotice: of it\n1\nclbench: at the end\nlast\n"
