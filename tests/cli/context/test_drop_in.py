"""In place of the public scripts: their whole command lines, and files that are theirs byte for byte.

What they would write is made here a second time from their rules, and not by the code of the package.
"""

import json

import pytest

from clbench.testing.stub import Behaviour, Script, Stub, running
from clbench.testing.stub.script import in_public_form
from tests.builders.asked import clbench, task, write

PROSE = f"Here it is: {in_public_form(['yes'], 1)}"
VERDICTS = {  # by answer
    "答案一": in_public_form(["yes", "no"], 0, "理由"),
    "fenced": f"```json\n{in_public_form(['yes'], 1)}\n```",
    "prose": PROSE,
    "text score": in_public_form(["yes"], "1"),
    "no rationale": json.dumps({"Overall Score": 1}),
    "bare": "1",
}
QUESTIONS = [f"Q{n}?" for n in range(len(VERDICTS) + 1)]
ANSWERS = dict(zip(QUESTIONS, [*VERDICTS, ""], strict=True))


def public_infer(rows):
    """Write a line for each row, as the script does: whatever the model said, and the row's own fields."""
    for row in rows:
        answer = ANSWERS[row["messages"][-1]["content"]]
        made = {"idx": row["metadata"]["task_id"], "messages": row["messages"], "model_output": answer}
        yield json.dumps({**made, "rubrics": row["rubrics"], "metadata": row["metadata"]}, ensure_ascii=False) + "\n"


def public_eval(lines):
    """Write a line for each row whose verdict the script can read; with one worker a bare value would end it."""
    for line in lines:
        row = json.loads(line)
        if not row["model_output"].strip():
            found = {
                "grading_rationale": "No model output (counted as score 0)",
                "requirement_status": [],
                "score": 0,
            }
        else:
            text = VERDICTS[row["model_output"]].strip().removeprefix("```json").removesuffix("```").strip()
            try:
                verdict = json.loads(text)
            except ValueError:
                continue
            if not isinstance(verdict, dict):
                continue
            found = {
                "grading_rationale": verdict.get("Grading Rationale", ""),
                "requirement_status": verdict.get("List of Requirement Satisfaction Status", []),
                "score": verdict["Overall Score"],
            }
        yield json.dumps({**row, "idx": row["metadata"]["task_id"], **found}, ensure_ascii=False) + "\n"


def reply(body):
    text = body["messages"][-1]["content"]
    answer = ANSWERS.get(text)
    if answer is None:
        answer = next(verdict for said, verdict in VERDICTS.items() if said in text)
    return Behaviour(answer)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    for n, question in enumerate(QUESTIONS):
        row = task(f"上下文{n}", 0, category="类别", size=2)
        row["messages"][-1]["content"] = question
        made.append(row)
    write(tmp_path / "CL-bench.jsonl", made)
    return made


def test_files_are_those_of_the_scripts_byte_for_byte(rows, tmp_path, capsys):
    with running(Stub(Script(otherwise=reply))) as stub:
        shared = ("--base-url", stub.url, "--api-key", "none", "--workers", 1)
        infer = ("--model", "m", "--input", "CL-bench.jsonl", "--output", "x.jsonl", "--max-samples", 99)
        code, _, _ = clbench(capsys, "infer", *infer, *shared, "--retry-delay", 0, "--compat", "upstream")
        assert code == 0
        answers = list(public_infer(rows))
        assert (tmp_path / "x.jsonl").read_text(encoding="utf-8") == "".join(answers)
        judge = ("--judge-model", "gpt-5.1", "--max-retries", 3, "--reasoning-effort", "low", "--compat", "upstream")
        code, lines, _ = clbench(
            capsys, "eval", "--input", "x.jsonl", *judge, *shared, "--max-fail-rate", 1, "--retry-delay", 0
        )
        assert code == 0
    wanted = list(public_eval(answers))
    graded = (tmp_path / "outputs" / "x_graded.jsonl").read_text(encoding="utf-8")
    assert graded == "".join(wanted)
    assert len(wanted) == 5
    scores = [json.loads(line)["score"] for line in wanted]
    solved = sum(score == 1 for score in scores)
    assert f"📈 Solving Rate: {solved / 5:.4f} ({solved}/5)" in lines
    assert "   3 not judged: the rate lies in [0.4286, 0.8571] (3/7 to 6/7)" in lines


def test_a_run_without_a_key_is_no_success(rows, capsys, monkeypatch):
    """The scripts log the missing key and end with 0, so that nothing that calls them sees it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for verb in ("infer", "eval"):
        code, _, err = clbench(capsys, verb, "--input", "CL-bench.jsonl")
        assert code == 2
        assert "there is no key" in err
