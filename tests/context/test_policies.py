"""What of a context is shown: how rows are taken apart, and what the model is asked under each policy."""

import math
import re

import pytest

from clbench.context.policies import PASSAGE, Policy, parts_of, passages, policy_of, retrieved, visible_messages
from clbench.core.errors import SpecError
from clbench.data.streams.similarity import words
from clbench.testing.stub import Stub, running
from tests.builders.asked import clbench, read, write

DOCUMENT = "\n\n".join(f"Item {n} costs {n * 7} coins. {'Filler words stand here. ' * 20}" for n in range(30))
FIRST, SECOND = "What does item 12 cost?", "And item 25?"
ONE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": f"{DOCUMENT}\n\n{FIRST}"},
]
TWO = [*ONE, {"role": "assistant", "content": "84 coins."}, {"role": "user", "content": SECOND}]


def test_a_conversation_is_taken_apart():
    one, two = parts_of(ONE), parts_of(TWO)
    assert (one.document, one.first, one.task, one.guessed) == (DOCUMENT.strip(), FIRST, FIRST, True)
    assert (two.document, two.first, two.task) == (DOCUMENT.strip(), FIRST, SECOND)
    life = parts_of([{"role": "user", "content": "Chats.\n\nMore.<|TASK|>\nWho?\n\nAnswer."}])
    assert (life.document, life.first, life.guessed) == ("Chats.\n\nMore.", "Who?\n\nAnswer.", False)
    assert parts_of([{"role": "user", "content": "one line"}]).document == ""
    assert parts_of([]).task == ""


def texts(messages):
    return [(m["role"], m["content"]) for m in messages]


def test_each_policy_shows_what_it_says():
    assert visible_messages(Policy(), TWO) == TWO
    assert texts(visible_messages(Policy("none"), TWO)) == [("user", SECOND)]
    assert texts(visible_messages(Policy("none"), ONE)) == [("user", FIRST)]
    assert texts(visible_messages(Policy("last-turn"), TWO)) == [("system", "Be brief."), ("user", SECOND)]
    assert visible_messages(Policy("last-turn"), ONE) == ONE
    system, page, *later = texts(visible_messages(Policy("rag", 1), TWO))
    assert (system[1], later) == ("Be brief.", [("assistant", "84 coins."), ("user", SECOND)])
    assert "Item 25 costs 175 coins." in page[1]
    assert page[1].endswith(FIRST)
    assert page[1].count("costs") == 1
    noted = texts(visible_messages(Policy("notes"), TWO, "12: 84; 25: 175"))
    assert noted[1] == ("user", f"Notes on a document:\n\n12: 84; 25: 175\n\n{FIRST}")


def test_retrieval_ranks_by_bm25_as_its_formula_says():
    pieces = passages(DOCUMENT)
    bags = [words(piece) for piece in pieces]
    mean = sum(map(len, bags)) / len(bags)

    def score(bag):
        total = 0.0
        for word in set(words(FIRST)):
            holding = sum(word in other for other in bags)
            tf = bag.count(word)
            idf = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
            total += idf * tf / (tf + 1.2 * (1 - 0.75 + 0.75 * len(bag) / mean)) if tf else 0.0
        return round(total, 6)

    ranked = sorted(range(len(pieces)), key=lambda k: (-score(bags[k]), k))
    assert retrieved(DOCUMENT, FIRST, 3) == [pieces[k] for k in sorted(ranked[:3])]


def test_passages_lose_no_word_and_are_not_too_long():
    for text in (DOCUMENT, "x" * 3500, "word " * 900, "一句话。" * 700, "line\n" * 600, ""):
        found = passages(text)
        assert "".join("".join(found).split()) == "".join(text.split())
        assert all(0 < len(piece) <= PASSAGE for piece in found)


@pytest.mark.parametrize("text", ["all", "rag:0", "rag:x", "notes:3", "", "rag:-1"])
def test_what_is_not_a_policy_is_refused(text):
    with pytest.raises(SpecError, match="is not a policy"):
        policy_of(text)


def rows_of_two():
    ids = [{"task_id": f"a-{n}", "context_id": "a", "context_category": "A", "sub_category": "s"} for n in range(2)]
    return [{"messages": m, "rubrics": ["r"], "metadata": i} for m, i in zip((ONE, TWO), ids, strict=True)]


def asked_of(stub):
    return [request["messages"][-1]["content"] for request in stub.requests]


def test_notes_are_taken_once_for_a_document_and_paid_once(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "d.jsonl", rows_of_two())
    with running(Stub()) as stub:
        args = ("infer", "--input", data, "--model", "m", "--base-url", stub.url, "--workers", 4)
        code, _, err = clbench(capsys, *args, "--trials", 2, "--context-policy", "notes")
        assert code == 0
        assert "in 2 of 2 rows nothing marks where the context ends" in err
        notes = [text for text in asked_of(stub) if text.startswith("Here is a document.")]
        assert (len(notes), len(stub.requests)) == (2, 6), "one for each trial, and four answers"
        log = tmp_path / "outputs" / "m.log.jsonl"
        kept = [line for line in log.read_text().splitlines() if '"event": "answer"' not in line]
        log.write_text("\n".join(kept[:-1]) + "\n")  # as if it was killed after the notes
        before = stub.num_requests
        assert clbench(capsys, *args, "--trials", 2, "--context-policy", "notes")[0] == 0
        assert stub.num_requests - before == 4, "the notes are in the log"
        code, _, err = clbench(capsys, *args, "--trials", 2)
        assert code == 2
        assert "context_policy" in err
    rows = read(tmp_path / "outputs" / "m.jsonl")
    assert {row["context_policy"] for row in rows} == {"notes"}
    assert [row["messages"] for row in rows] == [ONE, ONE, TWO, TWO], "rows keep the data set's messages"


def test_notes_that_fail_leave_the_row_without_an_answer(tmp_path, capsys, monkeypatch):
    from clbench.testing.stub import Behaviour, Script

    monkeypatch.chdir(tmp_path)
    data = write(tmp_path / "d.jsonl", rows_of_two())
    script = Script({"Here is a document.": [Behaviour("too long", 400, "context_length_exceeded")]})
    with running(Stub(script)) as stub:
        args = ("--input", data, "--model", "m", "--base-url", stub.url, "--context-policy", "notes")
        assert clbench(capsys, "infer", *args)[0] == 0
    rows = read(tmp_path / "outputs" / "m.jsonl")
    assert [row["state"] for row in rows] == ["overflow"] * 2
    assert all(re.match("its notes are overflow: HTTP 400", row["error"]) for row in rows)
