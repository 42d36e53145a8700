"""Own data from file to task: twenty broken files, tasks that are added, refusals that leave nothing behind."""

import gzip
import json
import lzma
import os
import re
import sys
from pathlib import Path

import pytest

from clbench.cli.main import main
from clbench.data.tasks.task import open_task
from clbench.testing import check_card
from tests.builders.child import run_child, run_python
from tests.builders.places import FIXTURES, ROOT

FOLDER = FIXTURES / "broken"
GOOD = [{"prompt": f"What comes after {i}?", "answer": str(i + 1)} for i in range(40)]
LABELLED = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(40)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(rows):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)


def ran(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


BROKEN = {
    "array_row.jsonl": (":2:", "a row is a JSON object, not list"),
    "column_twice.csv": (":1:", "name the columns, each once"),
    "comma_missing.json": (":row 3:", "',' or ']' is missing"),
    "comma_without_quotes.csv": (":4:", "3 values for 2 columns"),
    "cut_off.json": (":row 4:", "character 12 of the row"),
    "cut_off.jsonl": (":4:", "the row is cut off"),
    "empty_answer.jsonl": (":2:", "column 'answer' is empty"),
    "half_a_character.jsonl": (":4:", "half a character (U+D83D) at character 21"),
    "id_twice.jsonl": (":5:", "the id of line 2"),
    "leak": ("test.jsonl:2:", "train.jsonl:3 teaches"),
    "list_answer.jsonl": (":3:", "column 'answer' holds a list"),
    "misspelt_column.jsonl": (":5:", "no column 'prompt'; did you mean 'promt'?"),
    "no_rows.jsonl": (":1:", "holds no row"),
    "not_a_number.jsonl": (":3:", "NaN is not JSON"),
    "null_prompt.jsonl": (":6:", "column 'prompt' is empty"),
    "one_object.json": (":1:", "one array of objects"),
    "quote_not_closed.csv": (":5:", "close every quote"),
    "single_quotes.jsonl": (":3:", "stand in double quotes"),
    "trailing_comma.jsonl": (":5:", "no comma before '}'"),
    "turn_without_content.jsonl": (":2:", "turn 1 has no 'content'"),
    "two_rows_on_a_line.jsonl": (":3:", "one object a line"),
    "unknown_columns.jsonl": (":1:", '--prompt "{question}" --target "{solution}"'),
    "unknown_role.jsonl": (":2:", "did you mean 'assistant'?"),
    "unseen_label": ("test.jsonl:3:", "has the label 'B-like'; did you mean 'b-like'"),
    "user_has_the_last_word.jsonl": (":2:", "no answer to learn"),
}
TEXT = lines(GOOD).encode()
BYTES = {
    "latin_1.jsonl": (TEXT + b'{"prompt": "caf\xe9", "answer": "1"}\n', ":41:", "invalid UTF-8 (byte 15 of the line)"),
    "gbk.jsonl": ('{"prompt": "你好", "answer": "世界"}\n'.encode("gb18030"), ":1:", "iconv -f GB18030 -t UTF-8"),
    "latin_1.csv": (b"prompt,answer\na,b\ncaf\xe9,1\n", ":3:", "invalid UTF-8 (byte 21 of the file)"),
    "utf_16.jsonl": (TEXT.decode().encode("utf-16"), ":1:", "this is UTF-16"),
    "cut.jsonl.gz": (gzip.compress(TEXT)[:-30], ".jsonl.gz:", "ends too early"),
    "cut.jsonl.xz": (lzma.compress(TEXT)[:-30], ".jsonl.xz:", "ends too early"),
    "plain.jsonl.gz": (TEXT, ":1:", "Not a gzipped file"),
    "no.parquet": (b"PAR1 and then nothing PAR1", ":row 1:", "cannot be read"),
}


def one_error(out, err, code, where, what):
    assert code == 2, out
    assert err.count("to mend") == 0  # a finding is a result, on stdout
    assert re.search(r"^1 error, 0 warnings in ", out, flags=re.M), out
    (found,) = re.findall(r"^error: .* \(1\)\n  (.*)\n", out, flags=re.M)
    assert where in found
    assert what in found


def test_every_fixture_is_tested():
    assert {p.name for p in FOLDER.iterdir()} == set(BROKEN)
    assert len(BROKEN) + len(BYTES) >= 20


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gives_one_error_with_its_place(capsys, name):
    code, out, err = ran(capsys, "data", "check", FOLDER / name)
    one_error(out, err, code, f"{FOLDER / name}".removesuffix("/") + ("" if BROKEN[name][0][0] == ":" else "/"), "")
    one_error(out, err, code, *BROKEN[name])


@pytest.mark.parametrize("name", BYTES)
def test_broken_bytes_give_one_error_with_their_place(here, capsys, name):
    data, where, what = BYTES[name]
    (here / name).write_bytes(data)
    code, out, err = ran(capsys, "data", "check", name)
    one_error(out, err, code, where, what)


@pytest.mark.parametrize("name", ["cut_off.jsonl", "leak", "unknown_columns.jsonl"])
def test_nothing_is_added_from_broken_files(here, capsys, name):
    code, out, err = ran(capsys, "data", "add", FOLDER / name, "--task", "mine")
    assert code == 2
    assert "error: " in out
    assert "nothing was written" in err
    assert list(here.iterdir()) == []


def test_warnings_are_errors_if_strict(here, capsys):
    (here / "train.jsonl").write_text(lines([*GOOD, GOOD[0]]))
    code, out, _ = ran(capsys, "data", "check", "train.jsonl")
    assert (code, out.splitlines()[-1]) == (0, "0 errors, 1 warning in 41 rows")
    assert "train.jsonl:41: the same as line 1" in out
    assert ran(capsys, "data", "check", "train.jsonl", "--strict")[0] == 2


def test_json_for_machines(here, capsys):
    (here / "train.jsonl").write_text(lines([*GOOD, {"prompt": "x", "answer": ""}]))
    code, out, err = ran(capsys, "data", "check", "train.jsonl", "--json")
    found = json.loads(out)
    assert code == 2
    assert found["errors"] == 1
    assert found["findings"][0]["first"][0]["where"] == "train.jsonl:41"
    assert found["lengths"][2] == {"split": "train", "of": "prompt", "in": "words", "p50": 4, "p95": 4, "max": 4}
    assert "checking train.jsonl" in err  # a plain line of progress, where there is no terminal


def test_tokens_of_a_model(here, capsys):
    long = {"prompt": " ".join(f"w{i}" for i in range(300)), "answer": "1"}
    (here / "train.jsonl").write_text(lines([*GOOD, long]))
    code, out, _ = ran(capsys, "data", "check", "train.jsonl", "--model", "tiny-llama", "--max-tokens", 128)
    assert code == 0
    assert "tokens of tiny-llama" in out
    assert re.search(r"train\.jsonl:41: [\d,]+ \+ 2 tokens of tiny-llama, and 128 fit: it loses the middle", out)


def test_a_terminal_gets_tables_and_texts_are_no_markup(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    rows = [{"text": f"t {i}", "label": "[red]" if i % 2 else "[/x]"} for i in range(10)]
    (here / "train.jsonl").write_text(lines([*rows, {"text": "t 11", "label": ""}]))
    code, out, _ = ran(capsys, "data", "check", "train.jsonl")
    assert code == 2
    assert "[red]" in out
    assert "[/x]" in out
    assert "train.jsonl:11: column 'label' is empty" in out
    assert "│" in out


ADDED = {
    "one file of labels": (
        {"news.jsonl": LABELLED},
        ["--split", "80/20"],
        {"kind": "classification", "rows": (32, 0, 8), "prompt": "{text}", "target": "{label}"},
    ),
    "three parts": (
        {"news.csv": LABELLED},
        ["--split", "60/20/20", "--seed", "7", "--prompt", "Topic of: {text}"],
        {"kind": "classification", "rows": (24, 8, 8), "prompt": "Topic of: {text}", "target": "{label}"},
    ),
    "given splits": (
        {"train.jsonl": GOOD[:30], "dev.jsonl": GOOD[30:33], "test.jsonl": GOOD[33:]},
        [],
        {"kind": "qa", "rows": (30, 3, 7), "prompt": "{prompt}", "target": "{answer}"},
    ),
    "columns": (
        {"x.json": [{"q": r["prompt"], "a": r["answer"], "other": 1} for r in GOOD]},
        ["--prompt", "Q: {q}", "--target", "{a}", "--metric", "rouge", "--language", "de", "--license", "CC0: yes"],
        {"kind": "qa", "rows": (36, 0, 4), "prompt": "Q: {q}", "target": "{a}"},
    ),
    "repeats are written once": (
        {"train.jsonl": [*GOOD[:20], GOOD[0], GOOD[0]], "test.jsonl": GOOD[20:]},
        [],
        {"kind": "qa", "rows": (20, 0, 20), "prompt": "{prompt}", "target": "{answer}"},
    ),
}


@pytest.mark.parametrize("case", ADDED)
def test_add(here, capsys, case):
    files, options, expected = ADDED[case]
    for name, rows in files.items():
        if name.endswith(".csv"):
            (here / name).write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows))
        else:
            (here / name).write_text(json.dumps(rows) if name.endswith(".json") else lines(rows))
    code, out, _ = ran(capsys, "data", "add", *files, "--task", "mine", *options)
    assert code == 0, out
    assert "next: clbench show mine.yaml 3" in out
    assert {p.name for p in here.iterdir()} == {*files, "mine", "mine.yaml"}
    task = open_task("mine.yaml", None)
    assert (len(task.lesson), len(task.dev), len(task.exam)) == expected["rows"]
    assert task.about["kind"] == expected["kind"]
    card = (here / "mine.yaml").read_text()
    assert f'content: "{expected["prompt"]}"' in card
    assert f'target: "{expected["target"]}"' in card
    assert all(not o.problem for o in check_card("mine.yaml", None))
    assert ran(capsys, "show", "mine.yaml", "1")[0] == 0


def test_the_order_of_rows_makes_no_other_task(here, capsys):
    for name, rows in (("a", LABELLED), ("b", LABELLED[::-1])):
        (here / name).mkdir()
        (here / "rows.jsonl").write_text(lines(rows))
        assert ran(capsys, "data", "add", "rows.jsonl", "--task", "mine", "--out", name)[0] == 0
    assert (here / "a" / "mine.yaml").read_text() == (here / "b" / "mine.yaml").read_text()


def turns(*said):
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return {"messages": [{"role": roles[text[0]], "content": text[2:]} for text in said]}


def test_conversations_of_one_shape_keep_their_turns(here, capsys):
    rows = [turns("s:Be brief.", f"u:What is {i}?", f"a:It is {i}.") for i in range(20)]
    (here / "chat.jsonl").write_text(lines(rows))
    assert ran(capsys, "data", "add", "chat.jsonl", "--task", "chat", "--labels", "none")[0] == 0
    example = open_task("chat.yaml", None).lesson[0]
    assert [m.role for m in example.prompt] == ["system", "user"]
    assert example.prompt[0].content == "Be brief."
    assert example.targets[0] == f"It is {example.prompt[1].content[8:-1]}."


def test_conversations_of_many_shapes_become_one_text(here, capsys):
    rows = [turns(f"u:What is {i}?", f"a:It is {i}.") for i in range(20)]
    rows += [turns(f"u:Hello {i}", "a:Yes?", f"u:What is {i}?", f"a:It was {i}.") for i in range(20)]
    (here / "chat.jsonl").write_text(lines(rows))
    assert ran(capsys, "data", "add", "chat.jsonl", "--task", "chat", "--labels", "none")[0] == 0
    prompts = [e.prompt[0].content for e in open_task("chat.yaml", None).lesson]
    assert any(p.startswith("user: Hello ") and "\nassistant: Yes?\nuser: What is " in p for p in prompts)
    assert any(re.fullmatch(r"What is \d+\?", p) for p in prompts)


def test_ids_and_chinese_and_room_for_answers(here, capsys):
    rows = [{"id": f"q{i}", "prompt": f"第{i}个问题是什么？", "answer": "答" * 50 + str(i)} for i in range(20)]
    (here / "qa.jsonl").write_text(lines(rows))
    assert ran(capsys, "data", "add", "qa.jsonl", "--task", "wenda")[0] == 0
    task = open_task("wenda.yaml", None)
    assert {e.id for e in (*task.lesson, *task.exam)} == {f"q{i}" for i in range(20)}
    assert task.about["language"] == "zh"
    assert task.decode.max_tokens == 56
    assert '"答' in (here / "wenda" / "train.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("scorer", "prompt", "answer", "options", "language", "settings", "told"),
    [
        ("bleu", "请把第{}句话写完整。", "今天我们一起去第{}号公园散步。", (), "zh", {"tokenize": "zh"}, 1),
        ("squad", "请把第{}句话写完整。", "今天我们一起去第{}号公园散步。", (), "zh", {"language": "zh"}, 1),
        ("bleu", "Translate: park {}", "今天我们一起去第{}号公园散步。", (), "en+zh", {"tokenize": "zh"}, 1),
        ("bleu", "{}番目の文は？", "きょうは{}番の公園へ行きました。", (), "ja", {"tokenize": "char"}, 1),
        ("bleu", "Translate: 公园 {}", "今天我们去第{}号公园。", ("--language", "en"), "en", {}, 1),
        ("numeric", "Was kostet Nummer {}?", "{},50 €", ("--language", "de"), "de", {"language": "de"}, 0),
        ("numeric", "Was kostet Nummer {}?", "{},50 €", (), "en", {}, 2),
        ("rouge", "请把第{}句话写完整。", "今天我们一起去第{}号公园散步。", (), "zh", {}, 0),
    ],
)
def test_the_scorer_follows_the_language(here, capsys, scorer, prompt, answer, options, language, settings, told):
    rows = [{"prompt": prompt.format(i), "answer": answer.format(i)} for i in range(20)]
    (here / "rows.jsonl").write_text(lines(rows), encoding="utf-8")
    code, _, err = ran(capsys, "data", "add", "rows.jsonl", "--task", "mine", "--scorer", scorer, *options)
    assert code == 0
    assert err.count("notice: ") == told  # of a guess, and of a pair that does not fit
    task = open_task("mine.yaml", None)
    assert task.about["language"] == language
    assert task.scorer.settings == settings


def test_an_added_task_stands_in_a_stream(here, capsys):
    (here / "news.jsonl").write_text(lines(LABELLED))
    assert ran(capsys, "data", "add", "news.jsonl", "--task", "news")[0] == 0
    (here / "my-stream.yaml").write_text("name: my-stream\ntasks: [news, world_facts_labels_en]\n")
    (here / "my-run.yaml").write_text(
        "name: my-run\nmodel: {name: tiny-llama}\nstream: my-stream.yaml\nlearner: {name: sft, epochs: 1}\n"
    )
    code, out, err = ran(capsys, "run", "my-run.yaml", "--plan")
    assert code == 0, err
    assert "news" in out + err or "lesson" in out


REFUSED = {
    "no name": (["rows.jsonl"], "--task"),
    "no file": (["--task", "mine"], "no file is named"),
    "bad name": (["rows.jsonl", "--task", "a/b"], "is not a valid name"),
    "shipped name": (["rows.jsonl", "--task", "agnews"], "shipped card's name"),
    "card is there": (["rows.jsonl", "--task", "taken"], "taken.yaml is there already"),
    "folder is there": (["rows.jsonl", "--task", "full"], "full is there already"),
    "unknown scorer": (["rows.jsonl", "--task", "mine", "--scorer", "exakt"], "did you mean 'exact'"),
    "bad division": (["rows.jsonl", "--task", "mine", "--split", "90/0"], "not a division"),
    "two divisions": (["rows.jsonl", "--task", "mine", "--split", "90/10", "--split", "1/1"], "does not name a file"),
    "splits and a division": (["train.csv", "test.csv", "--task", "mine", "--split", "90/10"], "none is divided"),
    "no test": (["train.csv", "dev.csv", "--task", "mine"], "a task has train and test"),
    "unknown splits": (["few.jsonl", "train.csv", "--task", "mine"], "the splits are few, train"),
    "out is a file": (["rows.jsonl", "--task", "mine", "--out", "rows.jsonl"], "is a file"),
    "label outside train": (["train.csv", "test.csv", "--task", "mine", "--labels", "from-data"], "nothing was"),
    "too few rows": (["few.jsonl", "--task", "mine"], "too few to divide"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_refusals_leave_nothing_behind(here, capsys, mistake):
    (here / "rows.jsonl").write_text(lines(LABELLED))
    (here / "few.jsonl").write_text(lines(GOOD[:1]))
    (here / "train.csv").write_text("prompt,answer\n" + "".join(f"a{i},x{i % 2}\n" for i in range(8)))
    (here / "dev.csv").write_text("prompt,answer\nb,x1\n")
    (here / "test.csv").write_text("prompt,answer\nc,x7\n")
    (here / "taken.yaml").write_text("")
    (here / "full").mkdir()
    before = sorted(p.name for p in here.iterdir())
    arguments, said = REFUSED[mistake]
    code, _, err = ran(capsys, "data", "add", *arguments)
    assert code == 2
    assert said in err
    assert sorted(p.name for p in here.iterdir()) == before


def test_check_makes_no_task(here, capsys):
    (here / "rows.jsonl").write_text(lines(GOOD))
    for options in (["--task", "x"], ["--split", "90/10"]):
        code, _, err = ran(capsys, "data", "check", "rows.jsonl", *options)
        assert code == 2
        assert options[0] in err


FULL = """
import resource, sys
from clbench.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
sys.exit(main(["data", "add", "rows.jsonl", "--task", "mine", "--out", "new"]))
"""


def test_a_full_disk_is_told_and_leaves_nothing(here):
    rows = [{"prompt": f"What comes after {i}?", "answer": str(i + 1)} for i in range(3000)]
    (here / "rows.jsonl").write_text(lines(rows))
    done = run_python(FULL, cwd=here, ends=2)
    assert "new: the task cannot be written: File too large" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in here.iterdir()] == ["rows.jsonl"]


def test_a_task_whose_card_fails_is_not_kept(here, capsys, monkeypatch):
    from clbench import testing

    monkeypatch.setattr(testing, "check_card", lambda *_, **__: [testing.Outcome("oracle scores 1", "it does not")])
    (here / "rows.jsonl").write_text(lines(GOOD))
    code, _, err = ran(capsys, "data", "add", "rows.jsonl", "--task", "mine")
    assert code == 2
    assert "fails 'oracle scores 1': it does not" in err
    assert [p.name for p in here.iterdir()] == ["rows.jsonl"]


MILLION = """
import json, sys, time
from pathlib import Path
from clbench.cli.main import main
started = time.monotonic()
code = main(["data", "check", "million.jsonl", "--json"])
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0])  # kB; unlike ru_maxrss it does not count the parent of the fork
sys.stderr.write(f"\\n{code} {peak} {time.monotonic() - started:.1f}\\n")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_million_rows_in_bounded_memory(here, capsys):
    num = 1_000_000
    with (here / "million.jsonl").open("w") as file:
        for i in range(num):
            file.write(f'{{"prompt": "What is the number after {i} in the list?", "answer": "It is {i + 1}."}}\n')
        file.write('{"prompt": "What is the number after 7 in the list?", "answer": "It is 8."}\n{"prompt": 1}\n')
    done = run_python(MILLION, cwd=here)
    code, peak, spent = done.stderr.splitlines()[-1].split()
    with capsys.disabled():
        sys.stdout.write(f"\n1,000,002 rows: peak {int(peak) / 1024:.0f} MiB, {spent} s\n")
    found = json.loads(done.stdout)
    assert code == "2"
    assert found["splits"]["all"] == {"files": ["million.jsonl"], "rows": num + 2, "usable": num + 1}
    places = {f["kind"]: f["first"][0]["where"] for f in found["findings"]}
    assert places == {"exact": f"million.jsonl:{num + 1}", "column": f"million.jsonl:{num + 2}"}
    assert int(peak) * 1024 < 500e6
    assert re.search(r"checking million\.jsonl: \d+ of \d+ after \d+ s, about \d+ s left", done.stderr)


def test_the_page_s_commands_run(here):
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    commands = re.findall(r"```bash\n(.*?)```", page, flags=re.S)
    assert len(commands) >= 3
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run_child(["bash", "-e", "-c", "\n".join(commands)], cwd=here, PATH=path)
    printed = re.search(r"```yaml\n(.*?)```", page, flags=re.S)
    card = (here / "questions.yaml").read_text(encoding="utf-8")
    assert printed.group(1) == card, "the page shows another card than the commands write"
