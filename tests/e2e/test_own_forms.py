"""Forms that people's files have: what each is read as, what is left as given, and the way in where it is refused."""

import json

import pytest

from clbench.cli.main import main
from clbench.core.errors import DataError
from clbench.core.events import notice_listener
from clbench.data.exams.exam import open_named
from clbench.data.tasks.task import open_task
from clbench.testing import check_card

N = range(20)
GOOD = [{"prompt": f"What comes after {i}?", "answer": str(i + 1)} for i in N]
LABELLED = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in N]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def ran(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


def report(capsys, *arguments):
    code, out, _ = ran(capsys, "data", "check", *arguments, "--json")
    found = json.loads(out)
    return code, found, {f["kind"]: f for f in found["findings"]}


def said_by(*turns):
    return [{"from": who, "value": what} for who, what in turns]


FORMS = {
    "ShareGPT": (
        [{"conversations": said_by(("human", f"q {i}"), ("gpt", f"a {i}"))} for i in N],
        ((("user", "q 0"),), ("a 0",)),
    ),
    "ShareGPT with a system column": (
        [{"system": "Be brief.", "conversations": said_by(("human", f"q {i}"), ("gpt", f"a {i}"))} for i in N],
        ((("system", "Be brief."), ("user", "q 0")), ("a 0",)),
    ),
    "messages in parts": (
        [
            {
                "messages": [
                    {"role": "developer", "content": "Be brief."},
                    {"role": "user", "content": [{"type": "text", "text": f"q {i}"}, {"type": "text", "text": "now"}]},
                    {"role": "assistant", "content": f"a {i}"},
                ]
            }
            for i in N
        ],
        ((("system", "Be brief."), ("user", "q 0\nnow")), ("a 0",)),
    ),
    "SQuAD": (
        [{"context": f"c {i}", "question": "who?", "answers": {"text": [f"a {i}", f"the a {i}", f"a {i}"]}} for i in N],
        ((("user", "c 0\n\nwho?"),), ("a 0", "the a 0")),
    ),
    "answers as a list": (
        [{"question": f"q {i}", "answers": [f"a {i}", f"the a {i}"]} for i in N],
        ((("user", "q 0"),), ("a 0", "the a 0")),
    ),
    "Alpaca": (
        [{"instruction": f"q {i}", "input": "on x" if i % 2 else "", "output": f"a {i}"} for i in N],
        ((("user", "q 0"),), ("a 0",)),
    ),
    "Alpaca without the column in some rows": (
        [{"instruction": f"q {i}", **({"input": "on x"} if i % 2 else {}), "output": f"a {i}"} for i in N],
        ((("user", "q 0"),), ("a 0",)),
    ),
    "pairs": (
        [{"prompt": f"q {i}", "chosen": f"a {i}", "rejected": f"b {i}"} for i in N],
        ((("user", "q 0"),), ("a 0",)),
    ),
    "pairs of conversations": (
        [
            {
                "prompt": f"q {i}",
                "chosen": [{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": f"a {i}"}],
                "rejected": [],
            }
            for i in N
        ],
        ((("user", "q 0"),), ("a 0",)),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_known_forms_become_tasks(here, capsys, form):
    rows, (prompt, targets) = FORMS[form]
    put(here / "rows.jsonl", rows)
    code, found, _ = report(capsys, "rows.jsonl")
    assert (code, found["errors"], found["warnings"]) == (0, 0, 0)
    assert ran(capsys, "data", "add", "rows.jsonl", "--task", "mine", "--labels", "none")[0] == 0
    task = open_task("mine.yaml", None)
    examples = {e.targets: tuple((m.role, m.content) for m in e.prompt) for e in (*task.lesson, *task.exam)}
    assert examples[targets] == prompt
    assert len(examples) == len(N)


@pytest.mark.parametrize(
    ("row", "options", "kind", "says", "mend"),
    [
        ({"q": "a", "o": ["x"], "a": "b"}, ["--prompt", "{q} {o}", "--target", "{a}"], "type", "a list", "`columns:`"),
        ({"question": "a", "options": ["x"], "answer": 1}, [], "form", "not a known form", "`choices:`"),
        ({"question": "a", "answers": {"text": []}}, [], "empty", "column 'answers' is empty", ""),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, [], "type", "type 'image_url'", ""),
        ({"conversations": said_by(("human", "a"), ("robot", "b"))}, [], "turns", "role 'robot'", "bot"),
        ({"conversations": said_by(("gpt", "a"), ("human", "b"))}, [], "turns", "the user's", ""),
        ({"question": "a", "answers": ["b", "\ud83d"]}, [], "surrogate", "in the accepted answer: half", ""),
        ({"prompt": "a", "answer": "\u200b\ufeff"}, [], "empty", "column 'answer' is empty", ""),
    ],
)
def test_what_is_no_known_form_says_the_way_in(here, capsys, row, options, kind, says, mend):
    put(here / "rows.jsonl", [row])
    code, _, kinds = report(capsys, "rows.jsonl", *options)
    assert code == 2
    first = kinds[kind]["first"][0]
    assert first["where"] == "rows.jsonl:1"
    assert says in first["what"]
    assert mend in first["mend"]


def test_line_breaks_in_templates_and_empty_columns_are_noted(here, capsys):
    put(here / "a.jsonl", [{"q": f"say {i}", "x": f"of {i}" if i % 2 else "", "a": f"r{i}"} for i in N])
    asked = ["--prompt", r"{q}\n{x}\\n", "--target", "{a}"]
    code, found, kinds = report(capsys, "a.jsonl", *asked)
    assert (code, found["errors"], found["warnings"], found["notes"]) == (0, 0, 0, 11)
    assert kinds["blank"]["count"] == 10
    assert kinds["escape"]["first"][0]["where"] == "--prompt"
    assert ran(capsys, "data", "add", "a.jsonl", *asked, "--task", "mine")[0] == 0
    task = open_task("mine.yaml", None)
    prompts = {e.prompt[0].content for e in (*task.lesson, *task.exam)}
    assert {"say 0\n\\n", "say 1\nof 1\\n"} <= prompts
    empty = [{"q": "", "x": "", "a": "r"}]
    put(here / "b.jsonl", empty)
    assert report(capsys, "b.jsonl", *asked)[2]["empty"]["first"][0]["what"] == "column 'q' is empty"


def test_labels_of_several_types_and_numbers_in_several_ways_are_warned_of(here, capsys):
    put(
        here / "a.jsonl",
        [{"text": f"t {i}", "label": [1, "1", 1.0, True, 0, "0", 0.0, False][i % 8]} for i in range(40)],
    )
    code, found, kinds = report(capsys, "a.jsonl")
    assert code == 0
    assert kinds["mixed"]["count"] == 30, "ten whole numbers are the commonest, with ten texts"
    assert kinds["variants"]["count"] == 2
    assert set(found["task"]["labels"]) == {"0", "1", "0.0", "1.0", "false", "true"}
    (here / "b.csv").write_text("text,label\n" + "".join(f"t {i},{['01', '1', 'nan', ''][i % 4]}\n" for i in range(40)))
    kinds = report(capsys, "b.csv")[2]
    assert (kinds["variants"]["count"], kinds["missing"]["count"], kinds["empty"]["count"]) == (1, 10, 10)
    (here / "c.csv").write_text("text,label\n" + "".join(f"t {i},{['0.0', '1.0', ''][i % 3]}\n" for i in range(30)))
    assert "'0.0' and all other answers" in report(capsys, "c.csv")[2]["upcast"]["first"][0]["what"]


@pytest.mark.parametrize("pair", [("pos", "pos\u200b"), ("café", "cafe\u0301"), ("a b", "a\u00a0b")])
def test_labels_that_are_one_are_warned_of_and_not_added(here, capsys, pair):
    put(here / "a.jsonl", [{"text": f"t {i}", "label": [*pair, "other"][i % 3]} for i in range(30)])
    code, found, kinds = report(capsys, "a.jsonl")
    assert (code, kinds["folded"]["count"], len(found["task"]["labels"])) == (0, 10, 2)
    assert kinds["folded"]["first"][0]["where"] == "a.jsonl:2"
    code, _, err = ran(capsys, "data", "add", "a.jsonl", "--task", "mine")
    assert code == 2
    assert "a.jsonl:2" in err
    assert {p.name for p in here.iterdir()} == {"a.jsonl"}


def test_labels_that_differ_in_case_are_each_taught(here, capsys):
    rows = [{"text": f"t {i}", "label": ["mW", "MW"][i in (7, 13)]} for i in N]
    for seed in range(6):
        put(here / "a.jsonl", rows)
        assert ran(capsys, "data", "add", "a.jsonl", "--task", f"mine{seed}", "--seed", seed)[0] == 0
        task = open_task(f"mine{seed}.yaml", None)
        assert {e.targets[0] for e in task.lesson} == set(task.labels) == {"mW", "MW"}


def test_invisible_characters_hide_no_leak(here, capsys):
    put(here / "train.jsonl", GOOD)
    put(
        here / "test.jsonl",
        [{**r, "prompt": f"\ufeff{r['prompt'][:6]}\u200b\u00ad{r['prompt'][6:]}"} for r in GOOD[:5]],
    )
    code, _, kinds = report(capsys, "train.jsonl", "test.jsonl")
    assert (code, kinds["leak"]["count"]) == (2, 5)


GIVEN = {
    "a file of test rows": (["test.jsonl"], (0, 0, 20), "test.jsonl is the test split"),
    "a split given": (["--split", "test=bank.jsonl"], (0, 0, 20), "bank.jsonl is the test split"),
    "test and validation": (["test.jsonl", "--split", "dev=bank.jsonl"], (0, 20, 20), ""),
    "a division asked for": (["test.jsonl", "--split", "80/20"], (16, 0, 4), "divided into train and test by 80/20"),
    "a file of train rows": (["train.jsonl"], (18, 0, 2), "divided into train and test by 90/10"),
    "a file of no split": (["bank.jsonl"], (18, 0, 2), ""),
}


@pytest.mark.parametrize("rows", [GOOD, LABELLED])
@pytest.mark.parametrize("case", GIVEN)
def test_given_splits_stay_as_given(here, capsys, case, rows):
    arguments, sizes, says = GIVEN[case]
    for name in ("test", "bank", "train"):
        put(
            here / f"{name}.jsonl",
            [{k: f"{v} {name}" if k in ("prompt", "text") else v for k, v in r.items()} for r in rows],
        )
    code, _, err = ran(capsys, "data", "add", *arguments, "--task", "mine")
    assert code == 0, err
    assert says in err
    task = open_task("mine.yaml", None)
    assert (len(task.lesson), len(task.dev), len(task.exam)) == sizes
    assert not any(o.problem for o in check_card("mine.yaml", None))
    assert task.labels == (("a", "b") if rows is LABELLED else ())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dev.jsonl"], "only a split named validation"),
        (["--split", "train=dev.jsonl"], "only a split named train"),
        (["--split", "test=dev.jsonl", "--split", "90/10"], "none is divided"),
        (["--split", "train=train.jsonl", "--split", "dev=dev.jsonl"], "the splits are train, validation"),
    ],
)
def test_splits_that_make_no_task_are_refused(here, capsys, arguments, says):
    put(here / "dev.jsonl", GOOD)
    put(here / "train.jsonl", GOOD)
    code, _, err = ran(capsys, "data", "add", *arguments, "--task", "mine")
    assert code == 2
    assert says in err
    assert {p.name for p in here.iterdir()} == {"dev.jsonl", "train.jsonl"}


def test_a_task_s_card_is_an_exam(here, capsys):
    put(here / "test.jsonl", LABELLED)
    assert ran(capsys, "data", "add", "test.jsonl", "--task", "my-qa")[0] == 0
    by_path, by_name = (open_named([name], None, None)[0] for name in ("my-qa.yaml", "my-qa"))
    assert by_path == by_name
    assert (by_path.name, by_path.kind, len(by_path.examples), by_path.guess_rate) == ("my-qa", "general", 20, 0.5)
    assert all(e.eval_only for e in by_path.examples)
    assert (
        open_named(["world_facts_labels_en"], 5, None)[0].guess_rate
        == open_task("world_facts_labels_en", None).guess_rate
    )
    with pytest.raises(DataError, match="there is no exam or suite"):
        open_named(["my-qb"], None, None)


def test_further_answers_and_other_columns_are_kept(here, capsys):
    rows = [{"q": f"q {i}", "a": f"a {i}", "more": [f"b {i}", f"a {i}"], "one": f"c {i}", "n": 1.5} for i in N]
    put(here / "rows.jsonl", rows)
    asked = ["rows.jsonl", "--prompt", "{q}", "--target", "{a}"]
    assert ran(capsys, "data", "add", *asked, "--accept", "more", "--task", "x")[0] == 0
    assert ran(capsys, "data", "add", *asked, "--accept", "more", "--accept", "one", "--task", "y")[0] == 0
    assert ran(capsys, "data", "add", *asked, "--task", "z")[0] == 0
    targets = [{e.targets for e in open_task(f"{name}.yaml", None).lesson} for name in "xyz"]
    number = next(iter(targets[2]))[0].removeprefix("a ")
    assert (f"a {number}", f"b {number}") in targets[0]
    assert (f"a {number}", f"b {number}", f"c {number}") in targets[1]
    kept = json.loads((here / "z" / "train.jsonl").read_text().splitlines()[0])
    assert set(kept) == {"q", "a", "more", "one", "n"}
    card = (here / "z.yaml").read_text().replace('target: "{a}"\n', 'target: "{a}"\naccept: "{one}"\n')
    (here / "z.yaml").write_text(card)
    assert ran(capsys, "check", "card", "z.yaml", "--lock")[0] == 0
    code, _, kinds = report(capsys, *asked, "--accept", "mere")
    assert (code, kinds["column"]["count"]) == (2, 20)
    assert "did you mean 'more'" in kinds["column"]["first"][0]["mend"]


def test_what_json_cannot_hold_is_left_out_and_told(here, capsys):
    from pyarrow import parquet, table

    made = {"prompt": [r["prompt"] for r in GOOD], "answer": [r["answer"] for r in GOOD], "raw": [b"\xff"] * 20}
    parquet.write_table(table(made), here / "rows.parquet")
    code, _, err = ran(capsys, "data", "add", "rows.parquet", "--task", "mine")
    assert code == 0
    assert "column 'raw' holds what JSON cannot in 20 rows" in err
    assert len(open_task("mine.yaml", None).exam) == 2


def test_a_suite_goes_on_without_what_cannot_be_asked(here, capsys, monkeypatch):
    from clbench.data.exams import exam

    put(here / "test.jsonl", LABELLED)
    for name in ("good", "foreign", "absent"):
        assert ran(capsys, "data", "add", "test.jsonl", "--task", name)[0] == 0
    cards = [exam.named(f"{name}.yaml")[0] for name in ("good", "foreign", "absent")]
    put(here / "foreign" / "test.jsonl", LABELLED[:4])
    (here / "absent" / "test.jsonl").unlink()
    monkeypatch.setattr(exam, "named", lambda name: cards if name == "suite" else cards[1:2])
    said = []
    token = notice_listener.set(said.append)
    try:
        assert [e.name for e in open_named(["suite"], None, None)] == ["good"]
        with pytest.raises(DataError, match="'foreign' is not what was locked: exam 4, lock says 20"):
            open_named(["foreign"], None, None)
    finally:
        notice_listener.reset(token)
    assert any("without exam 'foreign'" in text and "not what was locked" in text for text in said)
    assert any("without exam 'absent'" in text and "there is no file test" in text for text in said)


def test_a_subject_with_too_few_examples_is_left_out_by_name(here):
    from clbench.data.exams.lm_eval_exam import _shared_out
    from clbench.data.tasks.card import ExamCard

    source = {"harness": "t_{s}", "fewshot": 3, "rows": {"path": "rows"}, "splits": {"test": "test", "dev": "dev"}}
    card = ExamCard.model_validate({"name": "x", "source": source}, context={"path": here / "x.yaml"})
    (here / "rows").mkdir()
    put(here / "rows" / "test.jsonl", [{"s": "ab"[i % 2], "q": i} for i in N])
    put(here / "rows" / "dev.jsonl", [{"s": "aaab"[i % 4], "q": 100 + i} for i in range(4)])
    said = []
    token = notice_listener.set(said.append)
    try:
        assert list(_shared_out(card, card.source, None, None)) == ["t_a"]
    finally:
        notice_listener.reset(token)
    assert said == ["exam 'x' goes on without t_b (1 of 3 examples, 10 questions)"]
    put(here / "rows" / "dev.jsonl", [{"s": "a", "q": 100}])
    with pytest.raises(DataError, match="too few rows to take examples from"):
        _shared_out(card, card.source, None, None)
