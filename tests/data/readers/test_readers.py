"""Rows are read to the letter: numbers as written, one value for a key, names of classes, layouts of spreadsheets."""

import datetime
import decimal
import json
import math
from pathlib import Path

import pytest

from clbench.core.errors import DataError
from clbench.core.keys import canonical
from clbench.data.readers import open_rows, remarks, saved, suffix_of
from clbench.data.readers.utf8 import other_encoding
from clbench.data.tasks.columns import as_text


def read(path):
    return [row for _, row in open_rows(path)]


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize(
    "written",
    [
        "0",
        "-0",
        "12",
        "1.10",
        "1e5",
        "1E400",
        "-1e-400",
        "0.1",
        "-0.0",
        "3.0",
        "100000000000000000000000.0",
        "9" * 5000,
    ],
)
def test_numbers_are_shown_as_written(tmp_path, suffix, written):
    path = tmp_path / f"a{suffix}"
    row = f'{{"n": {written}, "deep": [{{"n": {written}}}]}}'
    path.write_text(f"[{row}]" if suffix == ".json" else row)
    (found,) = read(path)
    assert as_text(found["n"]) == as_text(found["deep"][0]["n"]) == written
    if math.isfinite(float(written)) and len(written) < 4000:
        assert found["n"] == json.loads(written)
        assert canonical(found) == canonical(json.loads(row)), "ids of rows stay as they were"


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize(
    "row", ['{"a": 1, "a": 2}', '{"x": {"a": 1, "b": 0, "a": 1}}', '{"x": [{"a": 1}, {"a": [], "a": null}]}']
)
def test_a_key_written_twice_is_an_error_with_its_place(tmp_path, suffix, row):
    path = tmp_path / f"a{suffix}"
    path.write_text(f'[{{"a": 1}}, {row}]' if suffix == ".json" else f'{{"a": 1}}\n\n{row}\n')
    with pytest.raises(DataError, match="two values for the key 'a'") as error:
        read(path)
    assert error.value.where == f"{path}:row 2" if suffix == ".json" else f"{path}:3"


CSV = {
    "sep= line": ("sep=;\r\ntext;label\r\na;b\r\n", [{"text": "a", "label": "b"}], [3]),
    "sep= line in quotes": ('"sep=\t"\ntext\tlabel\na\tb\n', [{"text": "a", "label": "b"}], [3]),
    "semicolons": ('text;label\n"a;b";c\n', [{"text": "a;b", "label": "c"}], [2]),
    "tabs": ("text\tlabel\na, b\tc\n", [{"text": "a, b", "label": "c"}], [2]),
    "commas win": ("text,la;bel\na;b,c\n", [{"text": "a;b", "la;bel": "c"}], [2]),
    "empty rows at the end": ("text,label\na,b\n,\n\n , \n", [{"text": "a", "label": "b"}], [2]),
    "an empty row in the middle is one": (
        "text,label\na,b\n,\nc,d\n",
        [{"text": "a", "label": "b"}, {"text": "", "label": ""}, {"text": "c", "label": "d"}],
        [2, 3, 4],
    ),
    "columns without a name at the end": (
        "text,label,,\na,b,,\nc,d\n",
        [{"text": "a", "label": "b"}, {"text": "c", "label": "d"}],
        [2, 3],
    ),
    "a byte order mark": ("\ufefftext;label\na;b\n", [{"text": "a", "label": "b"}], [2]),
    "a line break in quotes": ('text,label\r\n"a\r\nb",c\r\n', [{"text": "a\r\nb", "label": "c"}], [3]),
}


@pytest.mark.parametrize("case", CSV)
def test_layouts_of_spreadsheets(tmp_path, case):
    text, rows, lines = CSV[case]
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    found = list(open_rows(path))
    assert [row for _, row in found] == rows
    assert [int(where.rpartition(":")[2]) for where, _ in found] == lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,label,text\na,b,c\n", "'text' stands twice"),
        ("text,label,\na,b,c\n", "3 values for 2 columns"),
        ("text,,label\na,b,c,d\n", "4 values for 3 columns"),
        ("", "name the columns"),
        (",,\n", "name the columns"),
    ],
)
def test_broken_headers(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read(path)


def test_tsv_has_no_quotes_but_those_of_spreadsheets(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\nsay "hi\tx\n"a ""b"""\ty\n')
    assert read(path) == [{"text": 'say "hi', "label": "x"}, {"text": 'a "b"', "label": "y"}]
    path.write_text('text\tlabel\n"a\nb"\tc\n')
    with pytest.raises(DataError, match="1 values for 2") as error:
        read(path)
    assert "neither a tab nor a line break" in error.value.mend


@pytest.mark.parametrize("suffix", [".csv", ".json", ".jsonl"])
@pytest.mark.parametrize(
    ("encoding", "text", "says"),
    [("gbk", "今天天气", "GB18030"), ("gb18030", "天a", "GB18030"), ("cp1252", "d\u00e9j\u00e0 vu", "Windows-1252")],
)
def test_other_encodings_are_named_with_the_way_out(tmp_path, suffix, encoding, text, says):
    path = tmp_path / f"a{suffix}"
    row = json.dumps({"text": text}, ensure_ascii=False)
    path.write_bytes({".csv": f"text\nplain\n{text}\n", ".json": f"[{row}]", ".jsonl": row}[suffix].encode(encoding))
    with pytest.raises(DataError, match="invalid UTF-8") as error:
        read(path)
    assert f"it reads as {says}: iconv -f {says.upper()} -t UTF-8" in error.value.mend


def test_bytes_of_no_known_encoding_give_no_hint():
    assert other_encoding(b"\x81\x8d\x8f\x90\x9d\xff\xff") == ""


def test_names_of_endings():
    assert suffix_of("A.CSV") == ".csv"
    with pytest.raises(DataError) as error:
        open_rows(Path("sheet.XLSX"))
    assert error.value.mend == "save the sheet as CSV (UTF-8)"


@pytest.fixture(scope="module")
def classes():
    import datasets

    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["World", "Sport"]),
            "tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-X"])),
            "deep": {"kind": datasets.ClassLabel(names=["q", "a"])},
            "spans": datasets.Sequence({"kind": datasets.ClassLabel(names=["q", "a"])}),
        }
    )
    rows = [
        {"text": "a", "label": 1, "tags": [1, 0], "deep": {"kind": 0}, "spans": {"kind": [1]}},
        {"text": "b", "label": 0, "tags": [], "deep": {"kind": 1}, "spans": {"kind": []}},
        {"text": "c", "label": -1, "tags": [0], "deep": {"kind": 1}, "spans": {"kind": []}},
    ]
    return datasets.Dataset.from_list(rows, features=features)


@pytest.mark.parametrize("place", ["saved", "a.parquet"])
def test_classes_bear_their_names(tmp_path, classes, place):
    path = tmp_path / place
    (classes.save_to_disk if place == "saved" else classes.to_parquet)(str(path))
    rows = [row for _, row in (saved.rows(path) if place == "saved" else open_rows(path))]
    assert [as_text(row["label"]) for row in rows] == ["Sport", "World", ""]
    assert [as_text(tag) for tag in rows[0]["tags"]] == ["B-X", "O"]
    assert as_text(rows[0]["deep"]["kind"]) == "q"
    spans = rows[0]["spans"]
    assert as_text(spans["kind"][0] if isinstance(spans, dict) else spans[0]["kind"]) == "a"
    assert rows[0]["label"] == 1, "a number stays a number for who asks for it"


@pytest.mark.parametrize("place", ["saved", "a.parquet"])
@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.0, 1.0, None], ["0", "1", ""]),
        ([0.0, float("nan"), 2.0], ["0", "", "2"]),
        ([0.5, None, 1.0], ["0.5", "", "1.0"]),
        ([1.0, 2.0, 3.0], ["1.0", "2.0", "3.0"]),
        ([None, None, None], ["", "", ""]),
    ],
)
def test_whole_numbers_with_a_gap_stay_whole(tmp_path, place, values, shown):
    import datasets

    path = tmp_path / place
    data = datasets.Dataset.from_dict({"n": values}, features=datasets.Features({"n": datasets.Value("float64")}))
    (data.save_to_disk if place == "saved" else data.to_parquet)(str(path))
    rows = [row for _, row in (saved.rows(path) if place == "saved" else open_rows(path))]
    assert [as_text(row["n"]) for row in rows] == shown
    assert bool(remarks(path)) == (shown[0] == "0"), "told where the values are not those of the file"


def test_dates_and_decimals_are_texts(tmp_path):
    from pyarrow import parquet, table

    path = tmp_path / "a.parquet"
    made = {
        "day": [datetime.date(2024, 2, 29)],
        "at": [datetime.datetime(2024, 2, 29, 1, 2, 3)],
        "price": [decimal.Decimal("1.10")],
        "list": [[{"x": float("nan")}]],
    }
    parquet.write_table(table(made), path)
    (row,) = read(path)
    assert row == {"day": "2024-02-29", "at": "2024-02-29T01:02:03", "price": "1.10", "list": [{"x": None}]}


def test_a_column_that_stands_twice_in_parquet_is_an_error(tmp_path):
    from pyarrow import Table, array, parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(Table.from_arrays([array(["a"]), array(["b"])], names=["text", "text"]), path)
    with pytest.raises(DataError, match="'text' stands twice"):
        read(path)
