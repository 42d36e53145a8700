"""Files as other people have them: what their names say of a split, what programs write around the values."""

import json

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError, SpecError
from clbench.core.language import codes
from clbench.data.intake.audit import audit
from clbench.data.intake.files import Source, sources, split_of, walk
from clbench.data.intake.task import refuse_language
from clbench.data.intake.text import Words
from clbench.data.readers import open_rows
from clbench.data.readers.utf8 import other_encoding
from clbench.data.tasks.task import open_task

ROWS = [{"prompt": f"What comes after {i}?", "answer": str(i + 1)} for i in range(12)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def checked(path, **more):
    return audit(sources([path], []), Words(512), **more)


def added(folder, rows, *more):
    """Add rows as a task and return what was written, by split."""
    path = write(folder / "rows.jsonl", rows)
    assert main(["data", "add", str(path), "--task", "mine", "--out", str(folder), *more]) == 0
    files = {s: folder / "mine" / f"{s}.jsonl" for s in ("train", "test")}
    return {s: [json.loads(line) for line in p.read_text("utf-8").splitlines()] for s, p in files.items()}


# --- splits -------------------------------------------------------------------------------------------------

NAMES = {
    "test": "test TEST testset TestSet test_A testA tests testing test-data testdata public_test mmlu.test held-out "
    "held_out heldout holdout evaluation evals exams 测试 测试集 數據_測試集 评测集 test2 test-00000-of-00001 "
    "tst tst2013.en devtest newstest2014 testa testB",
    "validation": "dev devset dev-matched valset validation_set Development 验证集 驗證集 开发集",
    "train": "train trainset TrainData training_split train-00001-of-00002 训练集 訓練集",
    None: "contest latest protest コンテスト devices value evaluator trainer news 题目 data exact",
}


@pytest.mark.parametrize(("split", "name"), [(split, n) for split, names in NAMES.items() for n in names.split()])
def test_the_split_that_a_name_says(tmp_path, split, name):
    assert split_of(tmp_path / f"{name}.jsonl") == split


def test_a_folder_says_the_split_of_a_file_without_a_name(tmp_path):
    assert [split_of(tmp_path / "test" / n) for n in ("0000.parquet", "part-0.jsonl", "news.csv")] == [
        "test",
        "test",
        None,
    ]
    assert split_of(tmp_path / "latest" / "0000.parquet") is None


@pytest.mark.parametrize("name", ["TestSet", "测试集", "held-out"])
def test_rows_of_a_test_split_are_never_taught(tmp_path, name):
    path = write(tmp_path / f"{name}.jsonl", ROWS)
    assert main(["data", "add", str(path), "--task", "mine", "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == ["test.jsonl"]


# --- CSV and TSV --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=;;", "sep=; ", "sep = ;", "sep=;;;;"])
def test_the_line_of_a_spreadsheet_that_names_the_delimiter(tmp_path, line):
    (tmp_path / "a.csv").write_text(f"{line}\r\nprompt;answer\r\nq, one;1\r\n", encoding="utf-8")
    assert [row for _, row in open_rows(tmp_path / "a.csv")] == [{"prompt": "q, one", "answer": "1"}]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a" or "b"', '"a" or "b"'),
        ('"a ""b"" c"', 'a "b" c'),
        ('"He said ""hi"""', 'He said "hi"'),
        ('"only"', "only"),
        ('""', ""),
        ('"', '"'),
        ('5" x 7"', '5" x 7"'),
        ('"x', '"x'),
    ],
)
def test_quotes_of_tsv_are_taken_off_only_where_a_spreadsheet_put_them(tmp_path, written, value):
    (tmp_path / "a.tsv").write_text(f"prompt\tanswer\n{written}\t1\n", encoding="utf-8")
    assert [row["prompt"] for _, row in open_rows(tmp_path / "a.tsv")] == [value]


# --- what is no data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "pointer of Git LFS"),
        ("a.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "pointer of Git LFS"),
        ("a.json", "<!DOCTYPE html><html>404</html>", "web page"),
        ("a.csv", "\n<html><body>Sign in</body></html>", "web page"),
        ("a.jsonl", json.dumps(ROWS, indent=1), "one array"),
        ("a.jsonl", json.dumps(ROWS), "one array"),
    ],
)
def test_another_kind_of_file_is_recognised(tmp_path, name, text, says):
    (tmp_path / name).write_text(text, encoding="utf-8")
    (found,) = [row for _, row in walk(Source(tmp_path / name, "all"), lambda _: None)]
    assert isinstance(found, DataError)
    assert says in found.what
    assert found.mend


@pytest.mark.parametrize(
    ("encoding", "text", "named"),
    [
        ("gb18030", "天气怎么样,很好", "GB18030"),
        ("gb18030", "问题,答案", "GB18030"),
        ("big5", "臺北在哪裡", "BIG5"),
        ("big5", "電腦壞了怎麼辦", "BIG5"),
        ("shift_jis", "天気はどうですか,良いです", "SHIFT_JIS"),
        ("cp1252", "Ängström und Öl", "Windows-1252"),
    ],
)
def test_the_encoding_that_a_line_has(encoding, text, named):
    assert other_encoding(text.encode(encoding), "a.csv").startswith(f"it reads as {named}: iconv -f {named.upper()} ")


def test_where_a_line_has_several_encodings_all_are_named():
    assert "EUC-KR" in other_encoding("서울은 한국의 수도입니다".encode("euc-kr"))


# --- columns ------------------------------------------------------------------------------------------------


def test_a_row_may_lack_other_answers(tmp_path):
    rows = [{**r, "also": [f"{i} or so"]} if i % 3 == 0 else {**r, "also": None} for i, r in enumerate(ROWS)]
    for row in rows[1::3]:
        del row["also"]
    written = added(tmp_path, rows, "--accept", "also", "--labels", "none")
    found = {r["answer"]: r["also"] for part in written.values() for r in part}
    assert found == {str(i + 1): [f"{i} or so"] if i % 3 == 0 else [] for i in range(12)}
    for row in rows:
        row.pop("also", None)
    assert checked(write(tmp_path / "none.jsonl", rows), accept=["also"]).findings.counts == {"column": 12}


CARD = """\
name: mine
source: {path: mine}
prompt: [{role: user, content: "{q}"}]
target: "{a}"
%s
splits: {lesson: null, dev: null, exam: test}
scorer: {name: %s}
about: {license: own, language: en, kind: qa}
"""


def test_a_card_takes_rows_without_other_answers(tmp_path):
    also = [["b", 3, 1.5], None, "", "c", []]
    write(tmp_path / "mine" / "test.jsonl", [{"q": f"q{i}", "a": "a", "also": x} for i, x in enumerate(also)])
    (tmp_path / "mine.yaml").write_text(CARD % ('accept: "{also}"', "exact"), encoding="utf-8")
    found = {e.prompt[0].content: e.targets for e in open_task(str(tmp_path / "mine.yaml"), None).exam}
    assert [found[f"q{i}"] for i in range(5)] == [("a", "b", "3", "1.5"), ("a",), ("a",), ("a", "c"), ("a",)]


def test_choices_may_be_numbers(tmp_path):
    text = '{"q": "q", "a": 1.10, "o": [1.10, 2, "three"]}\n'
    write(tmp_path / "mine" / "test.jsonl", [])
    (tmp_path / "mine" / "test.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(CARD % ('choices: "{o}"', "label"), encoding="utf-8")
    (found,) = open_task(str(tmp_path / "mine.yaml"), None).exam
    assert (found.choices, found.targets) == (("1.10", "2", "three"), ("1.10",))


@pytest.mark.parametrize("rest", [{"answers": ["a {i}", "b"]}, {"messages": None}])
def test_a_column_that_the_task_makes_replaces_no_other_in_silence(tmp_path, capsys, rest):
    turns = [{"role": "user", "content": "q {i}"}, {"role": "assistant", "content": "a {i}"}]
    row = json.dumps({"question": "q {i}", "answer": "why {i}"} | ({"messages": turns} if "messages" in rest else rest))
    written = added(tmp_path, [json.loads(row.replace("{i}", str(i))) for i in range(12)])
    assert {r["answer"] for part in written.values() for r in part} == {f"a {i}" for i in range(12)}
    assert "column 'answer' of the files is left out" in capsys.readouterr().err


def test_what_belongs_to_the_question_and_is_not_asked_is_noted(tmp_path):
    row = {"instruction": "Do it", "input": "", "output": "Done", "system": "Be short", "history": [["a", "b"]]}
    found = checked(write(tmp_path / "a.jsonl", [{**row, "instruction": f"Do {i}"} for i in range(9)]))
    assert [f.what for f in found.findings.first["unread"]] == ["column 'system'", "column 'history'"]
    rows = [{**row, "instruction": f"Do {i}", "system": "", "history": []} for i in range(9)]
    assert "unread" not in checked(write(tmp_path / "b.jsonl", rows)).findings.counts


def test_one_answer_to_everything_is_no_set_of_labels(tmp_path):
    path = write(tmp_path / "test.jsonl", [{"text": f"t {i}", "label": "yes"} for i in range(9)])
    found = checked(path)
    assert (found.shape.kind, found.shape.labels, found.findings.counts) == ("qa", {}, {"single": 1})
    assert main(["data", "add", str(path), "--task", "mine", "--out", str(tmp_path)]) == 0
    with pytest.raises(SpecError, match="one label is not a set"):
        checked(path, labels="from-data")


@pytest.mark.parametrize("name", ["en", "zh-CN", "German", "中文", "en+zh", "code", None])
def test_languages_that_are_known(name):
    refuse_language(name)
    assert name in ("code", None) or codes(name)


def test_a_language_that_nobody_knows_is_refused(tmp_path, capsys):
    path = write(tmp_path / "a.jsonl", ROWS)
    add = ["data", "add", str(path), "--task", "mine", "--out", str(tmp_path), "--language", "klingon"]
    assert main(add) == 2
    assert "--language: 'klingon' is not a language" in capsys.readouterr().err
    assert not (tmp_path / "mine.yaml").exists()


# --- Parquet and saved data sets ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["parquet", "saved"])
def test_decimals_of_few_bits_are_shown_as_they_were_written(tmp_path, place):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"a": datasets.Value("float32"), "b": datasets.Value("float64")})
    values = [0.1, 2.5, 1e-7, None, 3.0]
    made = datasets.Dataset.from_dict({"a": values, "b": values}, features=features)
    if place == "parquet":
        made.to_parquet(tmp_path / "rows.parquet")
    else:
        made.save_to_disk(tmp_path / "rows")
    source = Source(tmp_path / ("rows.parquet" if place == "parquet" else "rows"), "all")
    rows = [row for _, row in walk(source, lambda _: None)]
    texts = [{name: getattr(v, "text", None if v is None else str(v)) for name, v in row.items()} for row in rows]
    assert [t["a"] for t in texts] == [t["b"] for t in texts] == ["0.1", "2.5", "1e-07", None, "3.0"]


def test_a_saved_split_without_rows_is_said(tmp_path):
    datasets = pytest.importorskip("datasets")
    whole = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]})
    datasets.DatasetDict({"train": whole, "test": whole.select([])}).save_to_disk(tmp_path / "saved")
    found = checked(tmp_path / "saved")
    assert found.findings.first["broken"][0].what.startswith("the saved data set holds no rows")
