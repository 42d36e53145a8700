"""The check of a user's own data: forms, formats, findings, lengths."""

import gzip
import json
import lzma
import random
import tracemalloc
from array import array
from collections import Counter
from pathlib import Path

import pytest

from clbench.core.errors import DataError, SpecError
from clbench.core.events import progress_listener
from clbench.core.keys import normal_text
from clbench.data.intake.audit import audit
from clbench.data.intake.files import Source, sources, split_of
from clbench.data.intake.findings import FIRST, KINDS
from clbench.data.intake.form import form_of
from clbench.data.intake.report import as_values, percentiles, plain, written
from clbench.data.intake.rows import IMBALANCE
from clbench.data.intake.task import Wish, divided, shares_of
from clbench.data.intake.text import Words, flaws, num_words
from clbench.data.readers import json as json_reader
from clbench.data.readers import open_rows
from clbench.data.tasks.template import parse

PAIRS = [{"prompt": f"What comes after {i}?", "answer": str(i + 1)} for i in range(8)]
LABELLED = [{"text": f"text {i} 文字", "label": "ab"[i % 2]} for i in range(8)]
TURNS = [
    {"messages": [{"role": "user", "content": p["prompt"]}, {"role": "assistant", "content": p["answer"]}]}
    for p in PAIRS
]
FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".json", ".csv", ".parquet", "")


def write(path, rows):
    text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    if path.suffix == ".csv":
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(rows), path)
    elif path.suffix == "":
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(str(path))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        pack = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(text.encode()))
    return path


def checked(*paths, most=512, **settings):
    return audit(sources(paths, []), Words(most), **settings)


def kinds(found):
    return dict(found.findings.counts)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("rows", "form"),
    [(PAIRS, "prompt and answer"), (LABELLED, "text and label"), (TURNS, "messages")],
    ids=["pairs", "labels", "turns"],
)
def test_every_form_in_every_format(tmp_path, suffix, rows, form):
    if suffix == ".csv" and rows is TURNS:
        pytest.skip("CSV has no lists")
    found = checked(write(tmp_path / f"train{suffix}", rows))
    assert found.form.name == form
    assert kinds(found) == {}
    part = found.parts["train"]
    assert (part.seen, len(part)) == (8, 8)
    assert len(set(part.prompts)) == 8
    same = checked(write(tmp_path / "again.jsonl", rows)).main
    assert (part.prompts, part.answers, part.wholes, part.units) == (
        same.prompts,
        same.answers,
        same.wholes,
        same.units,
    )


def test_columns_by_template(tmp_path):
    rows = [{"q": f"why {i}", "hint": i, "a": i % 2 == 0} for i in range(6)]
    path = write(tmp_path / "x.jsonl", rows)
    found = checked(path, prompt="{q}? ({hint})", target="{a}")
    assert kinds(found) == {}
    assert found.shape.labels == {"false": 3, "true": 3}
    assert kinds(checked(path)) == {"form": 1}
    for prompt in ("{q", "no column"):
        with pytest.raises(SpecError, match=r"q|no column"):
            checked(path, prompt=prompt, target="{a}")
    assert kinds(checked(path, prompt="{qq}", target="{a}")) == {"column": 6}
    with pytest.raises(SpecError, match="own prompts"):
        form_of(TURNS, "{q}", None)


def test_one_template_may_replace_half_of_a_known_form(tmp_path):
    found = checked(write(tmp_path / "x.jsonl", LABELLED), prompt="Topic of {{it}}: {text}")
    assert written(found.form.prompt) == "Topic of {{it}}: {text}"
    assert written(found.form.target) == "{label}"
    assert parse(written(found.form.prompt)) == found.form.prompt


def test_names_tell_the_split():
    names = {"news-dev.jsonl": "validation", "train-00001.parquet": "train", "Test.csv": "test", "contest.json": None}
    assert {name: split_of(Path(name)) for name in names} == names


def test_sources_in_order_of_use(tmp_path):
    for name in ("test", "validation", "train"):
        write(tmp_path / f"{name}.jsonl", PAIRS)
    write(tmp_path / "odd.csv", PAIRS)
    found = sources(
        [tmp_path / "test.jsonl"], [f"train={tmp_path / 'odd.csv'}", f"dev={tmp_path / 'validation.jsonl'}"]
    )
    assert [(s.split, s.path.name) for s in found] == [
        ("train", "odd.csv"),
        ("validation", "validation.jsonl"),
        ("test", "test.jsonl"),
    ]
    assert [s.split for s in sources([tmp_path / "odd.csv"], [])] == ["all"]
    assert len(sources([tmp_path], [])) == 4
    for files, named, said in (
        ([], [], "no file"),
        ([tmp_path / "nowhere.csv"], [], "no file"),
        ([], ["train"], "does not name a split"),
        ([tmp_path / "odd.csv"], [f"train={tmp_path / 'odd.csv'}"], "named twice"),
    ):
        with pytest.raises(SpecError, match=said):
            sources(files, named)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SpecError, match=r"no reader knows.*\n.*\.parquet"):
        sources([tmp_path / "notes.txt"], [])


def test_it_goes_on_after_the_first_and_counts_all(tmp_path):
    lines = [json.dumps(r) for r in PAIRS]
    broken = ["{", '{"prompt": "x", "answer": ""}', '{"prompt": "x"}', '{"prompt": [], "answer": "x"}', "3"]
    (tmp_path / "x.jsonl").write_text("\n".join(lines + broken * 20) + "\n", encoding="utf-8")
    found = checked(tmp_path / "x.jsonl")
    assert kinds(found) == {"broken": 40, "empty": 20, "column": 20, "type": 20}
    assert all(len(first) == FIRST for first in found.findings.first.values())
    assert [f.where.rpartition(":")[2] for f in found.findings.first["empty"]] == ["10", "15", "20", "25", "30"]
    assert (found.main.seen, len(found.main)) == (108, 8)
    assert found.findings.number("error") == 100
    assert "and 15 more" in plain(found)
    assert as_values(found)["errors"] == 100


def test_hand_worked_repeats_and_leaks(tmp_path):
    train = [
        ("One?", "1"),
        ("Two?", "2"),
        ("One?", "1"),  # 3: exactly line 1
        ("ONE? ", "1"),  # 4: line 1 but for case and blanks
        ("two?", "II"),  # 5: line 2's prompt with another answer
        ("Ｏne?", "1"),  # 6: line 1 in full width
    ]
    test = [("Three?", "3"), ("TWO?", "2"), ("one?", "1")]
    for name, rows in (("train", train), ("test", test), ("validation", [("Three?", "3")])):
        write(tmp_path / f"{name}.jsonl", [{"prompt": p, "answer": a} for p, a in rows])
    found = checked(tmp_path, labels="none")
    assert kinds(found) == {"exact": 1, "near": 2, "two": 1, "leak": 2, "overlap": 1}
    lines = {k: [int(f.where.rpartition(":")[2]) for f in first] for k, first in found.findings.first.items()}
    assert lines == {"exact": [3], "near": [4, 6], "two": [5], "leak": [2, 3], "overlap": [1]}
    assert found.findings.first["exact"][0].what.endswith("line 1")
    assert "train.jsonl:2 teaches" in found.findings.first["leak"][0].what


@pytest.mark.parametrize("seed", range(5))
def test_repeats_and_leaks_equal_a_naive_count(tmp_path, seed):
    rng = random.Random(seed)
    prompts, answers = ["a", "A", "b ", "b", "c", "ｃ", "d", "e"], ["1", "2", " 2", "x", "X"]

    def rows(num):
        return [{"prompt": rng.choice(prompts), "answer": rng.choice(answers)} for _ in range(num)]

    train, test = rows(40), rows(6)
    write(tmp_path / "train.jsonl", train)
    write(tmp_path / "test.jsonl", test)
    expected = Counter()
    for split in (train, test):
        for i, row in enumerate(split):
            before = split[:i]
            prompt, answer = normal_text(row["prompt"]), normal_text(row["answer"])
            first = next((r for r in before if normal_text(r["prompt"]) == prompt), None)
            if row in before:
                expected["exact"] += 1
            elif first is not None:
                expected["near" if normal_text(first["answer"]) == answer else "two"] += 1
    taught = {normal_text(r["prompt"]) for r in train}
    expected["leak"] = sum(normal_text(r["prompt"]) in taught for r in test)
    assert kinds(checked(tmp_path, labels="none")) == {k: n for k, n in expected.items() if n}


def test_ids_are_unique_within_a_split(tmp_path):
    rows = [{"id": i, **PAIRS[i]} for i in range(4)]
    write(tmp_path / "train.jsonl", [*rows, {"id": 2, "prompt": "x", "answer": "y"}])
    write(tmp_path / "test.jsonl", [{"id": 0, "prompt": "z", "answer": "1"}])
    found = checked(tmp_path)
    assert kinds(found) == {"id": 1}
    assert found.findings.first["id"][0][:2] == (f"{tmp_path / 'train.jsonl'}:5", "the id of line 3")


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        (("1234567", "1234568"), 0),  # six digits were compared
        (("123456789012345678901", "123456789012345678902"), 0),
        (("0.5", "5e-1"), 1),
        (("100000", "1e5"), 1),
        ((".5", "0.50"), 1),
        (("0", "-0.0"), 1),
    ],
)
def test_numbers_that_are_one_label_written_in_two_ways(tmp_path, labels, alike):
    write(tmp_path / "train.jsonl", [{"text": f"t {i}", "label": labels[i % 2]} for i in range(20)])
    assert kinds(checked(tmp_path / "train.jsonl")) == ({"variants": alike} if alike else {})


def test_labels(tmp_path):
    common = round(IMBALANCE) * 2
    rows = [{"text": f"t {i}", "label": "yes"} for i in range(common)]
    rows += [{"text": "u 1", "label": "no"}, {"text": "u 2", "label": "no"}]
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "test.jsonl", [{"text": f"v {i}", "label": x} for i, x in enumerate(["yes", "maybe", "maybe"])])
    found = checked(tmp_path)
    assert found.shape.kind == "classification"
    assert found.shape.labels == {"yes": common, "no": 2}
    assert kinds(found) == {"unseen": 2}  # 10 to 1 is just no imbalance
    write(tmp_path / "train.jsonl", [*rows, {"text": "t x", "label": "yes"}, {"text": "u 3", "label": "NO"}])
    found = checked(tmp_path)
    assert kinds(found) == {"imbalance": 1, "variants": 1, "unseen": 2}
    write(tmp_path / "train.jsonl", rows[:5])
    assert kinds(checked(tmp_path / "train.jsonl")) == {"single": 1}


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        (LABELLED, "classification"),
        ([{"prompt": f"p{i}", "answer": "yes no".split()[i % 2]} for i in range(6)], "classification"),
        (PAIRS, "qa"),
        ([{"prompt": f"p{i}", "answer": f"{i} " + "word " * 30} for i in range(6)], "generation"),
        ([{"text": f"p{i}", "label": f"{i}"} for i in range(6)], "qa"),
    ],
)
def test_kind_of_task(tmp_path, rows, kind):
    path = write(tmp_path / "x.jsonl", rows)
    assert checked(path).shape.kind == kind
    if kind == "classification":
        assert checked(path, labels="none").shape.kind == "qa"
    assert checked(path, labels="from-data").shape.kind == "classification" if kind != "generation" else True


def test_long_answers_are_no_labels(tmp_path):
    path = write(tmp_path / "x.jsonl", [{"text": f"p{i}", "label": "word " * 30} for i in range(6)])
    with pytest.raises(SpecError, match="cannot be labels"):
        checked(path, labels="from-data")


CLEAN = [
    "Ça a été à São Paulo",
    "naïve café, ÂME, «Größe» £5",
    "两个字，三个。",
    "Ѐ привет — «да»",
    "🙂 é",
    "a\tb\nc",
    "À Â Ã Ä",
]


@pytest.mark.parametrize("text", CLEAN)
def test_clean_texts_have_no_flaws(text):
    assert flaws(text) == []


@pytest.mark.parametrize("text", ["café", "“quoted” – dash", "你好，世界", "Größe", "привет", "🙂"])
@pytest.mark.parametrize("wrong", ["cp1252", "latin-1"])
def test_text_encoded_twice_is_found(text, wrong):
    twice = "".join(
        bytes([b]).decode(wrong, errors="ignore") or bytes([b]).decode("latin-1") for b in text.encode("utf-8")
    )
    assert "twice" in [kind for kind, _ in flaws(twice)]


def test_other_flaws():
    assert flaws("a\x00b") == [("control", "a control character (U+0000) at character 2")]
    assert [k for k, _ in flaws("a\ufffdb\ufeffc")] == ["replaced", "bom"]
    assert flaws("x\ud83d")[0] == ("surrogate", "half a character (U+D83D) at character 2")
    assert flaws("caf\u00c3\u00a9")[0][1] == "'Ã©' at character 4 looks like 'é', encoded twice"


def test_flaws_are_warned_of_with_their_place(tmp_path):
    rows = [*PAIRS[:3], {"prompt": "caf\u00c3\u00a9 4?", "answer": "a\x07"}]
    path = write(tmp_path / "x.jsonl", rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = checked(path)
    assert kinds(found) == {"bom": 1, "twice": 1, "control": 1}
    assert found.findings.first["twice"][0].where == f"{path}:4"
    assert found.findings.first["control"][0].what.startswith("in the answer")
    assert found.findings.number("error") == 0
    assert len(found.main) == 4


def test_an_id_that_cannot_be_written_is_no_crash(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "\\ud83d", "prompt": "p", "answer": "a"}\n')
    assert kinds(checked(tmp_path / "x.jsonl")) == {"surrogate": 1}


def test_words():
    assert [num_words(t) for t in ("", "one", " two  words ", "三个字", "mixed 两字!", "日本 and 한국")] == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_percentiles_are_nearest_rank():
    rng = random.Random(0)
    for size in (1, 2, 19, 20, 21, 100):
        values = [rng.randrange(1000) for _ in range(size)]
        ranked = sorted(values)
        expected = (*(ranked[-(-size * q // 100) - 1] for q in (50, 95)), ranked[-1])
        assert percentiles(array("I", values)) == expected


def test_rows_that_are_cut(tmp_path):
    prompt = " ".join(f"w{i}" for i in range(30))
    write(tmp_path / "x.jsonl", [*PAIRS, {"prompt": prompt, "answer": "a b"}, {"prompt": "p", "answer": prompt}])
    found = checked(tmp_path / "x.jsonl", most=20)
    assert kinds(found) == {"long": 2}
    first, second = (f.what for f in found.findings.first["long"])
    # 20 words, of which the answer takes 2: the first 9 and the last 9 of the prompt stay.
    assert first.startswith("30 + 2 words, and 20 fit")
    gone = " ".join(f"w{i}" for i in range(9, 21))
    assert f"the middle of the prompt, '{gone}'" in first
    assert f"the end of the answer, '{' '.join(f'w{i}' for i in range(10, 30))}'" in second
    assert kinds(checked(tmp_path / "x.jsonl", most=32)) == {}


def test_the_start_and_the_end_of_a_long_loss(tmp_path):
    prompt = " ".join(f"w{i}" for i in range(200))
    found = checked(write(tmp_path / "x.jsonl", [{"prompt": prompt, "answer": "a"}]), most=11)
    assert "characters from 'w5 w6 w7" in found.findings.first["long"][0].what
    assert "w193 w194'" in found.findings.first["long"][0].what


def test_progress_ends_once_and_never_goes_back(tmp_path):
    rows = [{"prompt": f"p {i}", "answer": str(i)} for i in range(3000)]
    for name in ("train.jsonl.xz", "test.csv", "validation.json"):
        write(tmp_path / name, rows)
    seen = []
    token = progress_listener.set(seen.append)
    try:
        checked(tmp_path)
    finally:
        progress_listener.reset(token)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert [p.done == p.total for p in seen].count(True) == 1
    assert seen[-1].done == seen[-1].total == sum(p.stat().st_size for p in tmp_path.iterdir())
    assert len(seen) > 20
    assert {p.slot for p in seen} == {0}


def test_where_of_formats(tmp_path):
    for name, expected in (("a.jsonl.gz", ":3"), ("a.csv", ":3"), ("a.json", ":row 3"), ("a.parquet", ":row 3")):
        assert Source(tmp_path / name, "x").where(3) == f"{tmp_path / name}{expected}"


def test_json_rows_do_not_depend_on_chunks(tmp_path, monkeypatch):
    rows = [{"a": 'x\\"y\n文é😀', "b": [1, -2.5e10, True, None, {"c": "\u2028"}]}, {"é": ""}, {"n": 123456}]
    for text in (json.dumps(rows) + "  \n", json.dumps(rows, ensure_ascii=False, indent=2)):
        (tmp_path / "x.json").write_text(text, encoding="utf-8")
        for size in range(1, 60):
            monkeypatch.setattr(json_reader, "CHUNK", size)
            assert [row for _, row in open_rows(tmp_path / "x.json")] == rows


def test_a_broken_json_row_does_not_pull_in_the_rest(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1 "b": 2},' + '{"a": 1},' * 3_000_000 + "{}]")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"row 1: broken JSON: .*character 9 of the row"):
            list(open_rows(path))
        assert tracemalloc.get_traced_memory()[1] < 12 * json_reader.CHUNK
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 24 * json_reader.CHUNK


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_line_of_bytes_that_are_no_text(tmp_path, suffix):
    rows = [{"prompt": f"p {i}", "answer": str(i)} for i in range(5000)]
    path = write(tmp_path / f"x{suffix}", rows)
    lines = path.read_bytes().replace(b"}, {", b"},\n{").splitlines(keepends=True)
    lines[4321] = lines[4321].replace(b"p ", b"p\xff")
    path.write_bytes(b"".join(lines))
    at = b"".join(lines).index(b"\xff")
    found = checked(path)
    assert kinds(found)["bytes"] == 1
    assert found.findings.first["bytes"][0][:2] == (
        f"{path}:4322",
        f"invalid UTF-8 (byte {at} of the file); nothing after this was read",
    )


def test_every_kind_has_words():
    assert all(kind.title and (kind.mend or name == "form" or kind.severity == "note") for name, kind in KINDS.items())


ROWS = [{"text": f"text {i % 90}", "label": f"label {i % 9}"} for i in range(100)]


def held(path, wish, repair=True):
    found = checked(path)
    return divided(found.main, wish, repair=repair), found.main


@pytest.mark.parametrize("shares", [(90, 10), (80, 10, 10), (1, 1)])
def test_division_survives_row_order_and_keeps_equal_prompts_together(tmp_path, shares):
    wish = Wish("x", shares, 3)
    first, part = held(write(tmp_path / "a.jsonl", ROWS), wish)
    again, _ = held(write(tmp_path / "b.jsonl", random.Random(1).sample(ROWS, len(ROWS))), wish)
    assert first == again
    other, _ = held(tmp_path / "a.jsonl", Wish("x", shares, 4))
    assert other != first
    counts = Counter(first.values())
    whole = sum(shares)
    assert abs(counts["test"] - 90 * shares[-1] / whole) <= 1
    taught = {a for p, a in zip(part.prompts, part.answers, strict=True) if p not in first}
    assert taught == set(part.answers)


def test_division_teaches_every_label(tmp_path):
    rows = [{"text": f"t {i}", "label": "ab"[i % 2]} for i in range(30)]
    rows += [{"text": f"rare {i}", "label": f"r{i // 2}"} for i in range(20)]
    path = write(tmp_path / "x.jsonl", rows)
    without = 0
    for seed in range(10):
        chosen, part = held(path, Wish("x", (1, 1), seed))
        answers = dict(zip(part.prompts, part.answers, strict=True))
        assert {answers[p] for p in answers if p not in chosen} == set(part.answers)
        loose, _ = held(path, Wish("x", (1, 1), seed), repair=False)
        without += {answers[p] for p in answers if p not in loose} != set(part.answers)
    assert without > 5  # the repair is what does it


def test_too_few_rows_to_divide(tmp_path):
    path = write(tmp_path / "x.jsonl", [{"prompt": "p", "answer": "a"}, {"prompt": "P", "answer": "a"}])
    with pytest.raises(DataError, match="1 different prompts are too few"):
        held(path, Wish("x"), repair=False)


@pytest.mark.parametrize("text", ["90", "90/0", "a/b", "1/2/3/4", "90/-10", "50/²"])
def test_no_division(text):
    with pytest.raises(SpecError, match="not a division"):
        shares_of(text)


def test_without_a_model_nothing_is_said_to_be_cut(tmp_path):
    path = write(tmp_path / "x.jsonl", [{"prompt": f"{'word ' * 2000}{i}", "answer": str(i)} for i in range(3)])
    found = checked(path, most=None)
    assert "long" not in kinds(found)
    assert "how long a row may be is not known here" in plain(found)
    assert as_values(found)["max_tokens"] is None
    assert "of which 512 fit" in plain(checked(path))
