"""The verbs of `clbench context`, against a stub server on this machine."""

import json

import pytest

from clbench.context.log import records
from clbench.core.errors import SpecError
from clbench.testing.stub import Behaviour, Script, Stub, read_script, running
from clbench.testing.stub.script import BLOCK, by_rule, in_public_form
from tests.builders.asked import answered, clbench, read, task, write

OUTCOMES = ("good", "empty", "busy", "prose", "string", "no", "null")
YES = in_public_form(["yes"], 1)
PUBLIC = {
    "r-good": [Behaviour(YES)],
    "r-busy": [Behaviour("busy", 429, "rate_limit")],
    "r-prose": [Behaviour(f"Here it is: {YES} I hope that helps.")],
    "r-string": [Behaviour(in_public_form(["yes"], "1"))],
    "r-no": [Behaviour(in_public_form(["no"], 1))],
    "r-null": [Behaviour(None)],
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def seven(tmp_path):
    rows = [answered(f"t-{name}", "" if name == "empty" else f"r-{name}") for name in OUTCOMES]
    return write(tmp_path / "seven.jsonl", rows)


@pytest.fixture
def data(tmp_path):
    rows = [task(c, n, category=c) for c in "ab" for n in range(3)]
    return write(tmp_path / "CL-bench.jsonl", rows)


def asked(stub, *more):
    return ("--base-url", stub.url, "--api-key", "none", "--retry-delay", 0, *more)


def test_the_seven_rows_as_the_public_script_counts_them_and_as_they_are(seven, tmp_path, capsys):
    with running(Stub(Script(PUBLIC))) as stub:
        code, lines, err = clbench(capsys, "eval", "--input", seven, "--compat", "upstream", *asked(stub))
    assert stub.num_requests == 24
    start = lines.index("📊 Final Statistics:")
    assert lines[start : start + 9] == [
        "📊 Final Statistics:",
        "   Total samples: 4",
        "   Score 0: 1",
        "   Score 1: 2",
        "",
        "📈 Solving Rate: 0.5000 (2/4)",
        "",
        "📂 Scores by context_category:",
        "   A: total=4, score_1=2, score_0=2, rate=0.5000",
    ]
    assert "Corrected rate: 0.4286 (3/7)" in lines
    assert "   2 not judged: the rate lies in [0.4286, 0.7143] (3/7 to 5/7)" in lines
    assert "   The judge's own score disagrees with its statuses in 1 rows; the statuses count" in lines
    assert "   Why: 3 rows without a readable verdict are missing from its denominator" in lines
    assert "   Why: 1 scores are texts, which it counts neither as 0 nor as 1" in lines
    assert code == 3
    assert "2 of 7 rows have no verdict" in err
    written = read(tmp_path / "outputs" / "seven_graded.jsonl")
    names = ["idx", "messages", "model_output", "rubrics", "metadata"]
    assert [list(row) for row in written] == [[*names, "grading_rationale", "requirement_status", "score"]] * 4
    assert [row["score"] for row in written] == [1, 0, "1", 1]


def ours(request):
    """Answer in our form as the seven rows want it."""
    response = json.loads(BLOCK.search(request["messages"][-1]["content"])[2])["response"]
    found = by_rule(request).content
    replies = {
        "r-busy": Behaviour("busy", 429, "rate_limit"),
        "r-prose": Behaviour(f"Here it is: {found} I hope that helps."),
        "r-string": Behaviour(found.replace("true", '"true"')),
        "r-no": Behaviour(found.replace("true", "false")),
        "r-null": Behaviour(None),
    }
    return replies.get(response, Behaviour(found))


def test_the_seven_rows_with_the_default_judge(seven, tmp_path, capsys):
    with running(Stub(Script(otherwise=ours))) as stub:
        code, lines, _ = clbench(capsys, "eval", "--input", seven, *asked(stub, "--max-fail-rate", 0.5))
    assert code == 0
    assert "📈 Solving Rate: 0.4286 (3/7)" in lines
    assert "   2 not judged: the rate lies in [0.4286, 0.7143] (3/7 to 5/7)" in lines
    assert "   States: ok 4, empty 1, judge_error 2" in lines
    rows = read(tmp_path / "outputs" / "seven_graded.jsonl")
    assert [row["score"] for row in rows] == [1, 0, 0, 1, 1, 0, 0]
    assert [row["state"] for row in rows] == ["ok", "empty", "judge_error", "ok", "ok", "ok", "judge_error"]


def test_the_command_lines_of_the_public_scripts(data, tmp_path, capsys, monkeypatch):
    with running(Stub()) as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        code, lines, _ = clbench(capsys, "infer", "--model", "org/m:1", "--input", "CL-bench.jsonl", "--workers", "20")
        assert code == 0
        assert lines[:4] == [
            "📂 Input file: CL-bench.jsonl",
            "📂 Output file: outputs/org_m_1.jsonl",
            "🤖 Model: org/m:1",
            "🔧 Workers: 20",
        ]
        assert "🚀 Starting inference (6 pending)..." in lines
        assert {"   Success: 6", "   Failed: 0", "   Output: outputs/org_m_1.jsonl"} <= set(lines)
        given = ("--input", "outputs/org_m_1.jsonl", "--judge-model", "gpt-5.1", "--reasoning-effort", "low")
        code, lines, _ = clbench(capsys, "eval", *given)
        assert code == 0
        assert "📈 Solving Rate: 1.0000 (6/6)" in lines
        assert "   a: total=3, score_1=3, score_0=0, rate=1.0000" in lines
    (tmp_path / "outputs" / "org_m_1_graded.jsonl").unlink()
    assert {r.get("reasoning_effort") for r in stub.requests} == {None, "low"}
    assert {tuple(r) for r in stub.requests[:6]} == {("model", "messages")}


def test_a_run_resumes_and_pays_for_nothing_twice(data, tmp_path, capsys):
    broken = Script({"Task 2?": [Behaviour("down", 500)]})
    args = ("infer", "--input", data, "--model", "m", "--workers", 3)
    with running(Stub(broken)) as stub:
        code, lines, err = clbench(capsys, *args, *asked(stub))
        assert code == 3
        assert "2 of 6 rows have no answer" in err
        states = [row["state"] for row in read(tmp_path / "outputs" / "m.jsonl")]
        assert states == ["ok", "ok", "infra_error"] * 2
        stub.script, before = Script(), stub.num_requests
        code, lines, _ = clbench(capsys, *args, *asked(stub))
        assert (code, stub.num_requests - before) == (0, 2)
        assert "📌 Found 4 completed, resuming remaining" in lines
        code, lines, _ = clbench(capsys, *args, *asked(stub))
        assert (code, stub.num_requests - before) == (0, 2)
        assert "✅ All samples already processed" in lines


def test_rows_of_two_runs_are_not_mixed(data, capsys):
    with running(Stub()) as stub:
        assert clbench(capsys, "infer", "--input", data, "--output", "o.jsonl", *asked(stub))[0] == 0
        for change in (("--model", "other"), ("--temperature", 1)):
            code, _, err = clbench(capsys, "infer", "--input", data, "--output", "o.jsonl", *change, *asked(stub))
            assert code == 2
            assert "rows of two runs are not mixed" in err
            assert str(change[1]) in err


def test_trials_and_slim_files_and_the_data_set_as_denominator(data, tmp_path, capsys):
    with running(Stub()) as stub:
        args = (
            "infer",
            "--input",
            data,
            "--output",
            "o.jsonl",
            "--trials",
            3,
            "--seed",
            5,
            "--slim",
            "--max-samples",
            4,
        )
        assert clbench(capsys, *args, *asked(stub))[0] == 0
        assert {r["seed"] for r in stub.requests} == {5, 6, 7}
        rows = read(tmp_path / "o.jsonl")
        assert [row["trial"] for row in rows] == [0, 1, 2] * 4
        assert not any("messages" in row or "rubrics" in row for row in rows)
        code, _, err = clbench(capsys, "eval", "--input", "o.jsonl", *asked(stub))
        assert code == 2
        assert "name the data set that was answered with --dataset" in err
        given = ("eval", "--input", "o.jsonl", "--dataset", data, "--max-fail-rate", 0.4)
        code, lines, _ = clbench(capsys, *given, *asked(stub))
    assert code == 0
    assert "📈 Solving Rate: 0.6667 (12/18)" in lines
    assert "   6 not judged: the rate lies in [0.6667, 1.0000] (12/18 to 18/18)" in lines
    assert "   States: ok 12, missing 6" in lines


def test_a_budget_stops_in_a_state_that_goes_on(data, tmp_path, capsys):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"dated": "2026-01-01", "models": {"m": {"input": 1, "cached": 0.1, "output": 10}}}))
    args = ("infer", "--input", data, "--model", "m", "--prices", prices)
    with running(Stub()) as stub:
        code, lines, err = clbench(capsys, *args, "--budget-usd", 0.011, *asked(stub))
        assert code == 2
        assert "the budget is used up" in err
        assert "raise --budget-usd" in err
        assert "Inference stopped; the same command goes on" in lines
        num = stub.num_requests
        assert 0 < num < 6
        assert clbench(capsys, *args, "--budget-usd", 1, *asked(stub))[0] == 0
        assert stub.num_requests == 6
    assert {row["state"] for row in read(tmp_path / "outputs" / "m.jsonl")} == {"ok"}


def test_a_budget_in_money_needs_prices(data, capsys):
    code, _, err = clbench(capsys, "infer", "--input", data, "--budget-usd", 1, "--base-url", "http://127.0.0.1:9/v1")
    assert code == 2
    assert "name a file with --prices" in err


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (Behaviour("bad key", 401), "set OPENAI_API_KEY or --api-key"),
        (Behaviour("no credit", 429, "insufficient_quota"), "add credit"),
        (Behaviour("what model", 404, "model_not_found"), "does not serve that model"),
    ],
)
def test_what_stops_a_run_says_what_to_do_in_one_line(data, capsys, behaviour, says):
    with running(Stub(Script({"": [behaviour]}))) as stub:
        code, _, err = clbench(capsys, "infer", "--input", data, *asked(stub))
    assert code == 2
    assert says in err
    assert stub.num_requests == 3


@pytest.mark.parametrize(("code", "state"), [("context_length_exceeded", "overflow"), ("content_filter", "refused")])
def test_what_concerns_a_row_is_a_state(data, tmp_path, capsys, code, state):
    with running(Stub(Script({"Task 1?": [Behaviour("not this", 400, code)]}))) as stub:
        assert clbench(capsys, "infer", "--input", data, "--model", "m", *asked(stub))[0] == 0
    assert [row["state"] for row in read(tmp_path / "outputs" / "m.jsonl")] == ["ok", state, state] * 2
    assert stub.num_requests == 6


def test_replay_makes_the_graded_file_again(seven, tmp_path, capsys):
    with running(Stub(Script(otherwise=ours))) as stub:
        clbench(capsys, "eval", "--input", seven, "--output", "g.jsonl", *asked(stub))
        stub.script = Script(PUBLIC)
        clbench(capsys, "eval", "--input", seven, "--output", "c.jsonl", "--compat", "upstream", *asked(stub))
    for name in ("g", "c"):
        code, _, _ = clbench(capsys, "replay", f"{name}.log.jsonl", "--input", seven, "--output", f"{name}2.jsonl")
        assert code == 0
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (tmp_path / f"{name}2.jsonl").read_bytes()
    assert (tmp_path / "c.corrected.jsonl").read_bytes() == (tmp_path / "c2.corrected.jsonl").read_bytes()


def test_a_cache_serves_another_run(data, tmp_path, capsys):
    counts = []
    with running(Stub()) as stub:
        for output in ("o1.jsonl", "o2.jsonl"):
            args = ("infer", "--input", data, "--output", output, "--cache", "kept")
            assert clbench(capsys, *args, *asked(stub))[0] == 0
            args = ("eval", "--input", output, "--output", f"g-{output}", "--cache", "kept")
            assert clbench(capsys, *args, *asked(stub))[0] == 0
            counts.append(stub.num_requests)
    assert counts[0] == counts[1] > 6
    assert [r["model_output"] for r in read(tmp_path / "o1.jsonl")] == [
        r["model_output"] for r in read(tmp_path / "o2.jsonl")
    ]


def test_judges_without_a_network(tmp_path, capsys):
    rubric = {"rubric_criteria": "It is 42.", "exact": ["42"]}
    path = write(tmp_path / "a.jsonl", [answered("a", "42", rubrics=[rubric]), answered("b", "41", rubrics=[rubric])])
    code, lines, _ = clbench(capsys, "eval", "--input", path, "--judge", "exact", "--output", "e.jsonl")
    assert code == 0
    assert "📈 Solving Rate: 0.5000 (1/2)" in lines
    human = ("eval", "--input", path, "--judge", "human:s.csv", "--output", "h.jsonl")
    code, lines, _ = clbench(capsys, *human)
    assert code == 0
    assert "Wrote 2 lines to label" in lines[-1]
    sheet = tmp_path / "s.csv"
    sheet.write_text(sheet.read_text().replace("42,\n", "42,yes\n").replace("41,\n", "41,no\n").replace("\r", ""))
    text = sheet.read_text().replace("42,\r\n", "42,yes\r\n").replace("41,\r\n", "41,no\r\n")
    sheet.write_text(text)
    code, lines, _ = clbench(capsys, *human)
    assert "📈 Solving Rate: 0.5000 (1/2)" in lines


def test_estimate_and_export(data, tmp_path, capsys):
    prices = tmp_path / "p.json"
    prices.write_text(json.dumps({"models": {"gpt-5.1": {"input": 1, "output": 10}}}))
    assert clbench(capsys, "estimate", "--input", data, "--prices", prices)[1][0].endswith("USD")
    with running(Stub()) as stub:
        clbench(capsys, "infer", "--input", data, "--model", "m", *asked(stub))
        clbench(
            capsys,
            "infer",
            "--input",
            data,
            "--model",
            "m",
            "--output",
            "c.jsonl",
            "--compat",
            "upstream",
            *asked(stub),
        )
    given = ("export", "--input", "outputs/m.jsonl", "--output", "full.jsonl")
    assert clbench(capsys, *given)[0] == 0
    assert (tmp_path / "full.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
    code, _, err = clbench(capsys, *given, "--format", "slim")
    assert code == 2
    assert "--dataset" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("infer",), "there is no key"),
        (("infer", "--base-url", "ftp://x"), "is not an address"),
        (("infer", "--base-url", "http://127.0.0.1:9", "--input", "none.jsonl"), "no such file"),
        (("eval", "--input", "x", "--judge", "me"), "is not a judge"),
        (("eval", "--input", "x", "--judge-mode", "some"), "is not a mode"),
        (("eval", "--input", "x", "--judge-sees", "all"), "cannot be shown"),
        (("eval", "--input", "x", "--judge", "exact", "--output", "x"), "is read, too, and would be lost"),
        (("infer", "--input", "x", "--output", "x"), "is read, too, and would be lost"),
        (("eval", "--input", "x", "--compat", "upstream", "--votes", "3"), "has one way to ask"),
        (("eval", "--input", "x", "--compat", "upstream", "--judge", "exact"), "has one way to ask"),
        (("replay", "none.log.jsonl", "--input", "x", "--output", "y"), "no such log"),
        (("eval",), "--input"),
        (("nothing",), "clbench context --help"),
    ],
)
def test_what_a_user_can_mend(arguments, says, tmp_path, capsys):
    (tmp_path / "x").write_text(json.dumps(answered("a", "b")) + "\n")
    code, _, err = clbench(capsys, *arguments)
    assert code == 2
    assert says in err


def test_answers_of_the_public_script_are_taken_over(data, tmp_path, capsys, heard):
    (tmp_path / "outputs").mkdir()
    row = {"idx": "a-0", **task("a", 0, category="a"), "model_output": "kept"}
    nothing = {"idx": "a-1", **task("a", 1, category="a"), "model_output": None}
    write(tmp_path / "outputs" / "m.jsonl", [row, nothing])
    with running(Stub()) as stub:
        assert clbench(capsys, "infer", "--input", data, "--model", "m", *asked(stub))[0] == 0
    assert stub.num_requests == 5
    assert read(tmp_path / "outputs" / "m.jsonl")[0]["model_output"] == "kept"
    assert len(read(tmp_path / "outputs" / "m.jsonl.before")) == 2


@pytest.mark.parametrize("more", [(), ("--compat", "upstream")])
def test_grades_of_the_public_script_are_taken_over(tmp_path, capsys, more):
    rows = [answered(c, f"r-{c}", rubrics=("one", "two")) for c in "abcd"]
    answers, output = write(tmp_path / "a.jsonl", rows), tmp_path / "g.jsonl"
    names = ("grading_rationale", "requirement_status", "score")
    grades = [("why", ["yes", "yes"], "1"), ("why", ["yes"], 1), ("why", ["yes", "no"], 1)]
    done = [{**row, **dict(zip(names, grade, strict=True))} for row, grade in zip(rows, grades, strict=False)]
    done[2]["model_output"] = "another answer"
    write(output, done)
    before = output.read_bytes()
    with running(Stub()) as stub:
        given = ("eval", "--input", answers, "--output", output, *more)
        code, lines, _ = clbench(capsys, *given, *asked(stub))
    assert (code, stub.num_requests) == (0, 3)
    assert "📌 Found 1 completed, resuming remaining" in lines
    assert (tmp_path / "g.jsonl.before").read_bytes() == before
    first = read(output)[0]
    assert (first["requirement_status"], first["score"]) == (["yes", "yes"], "1" if more else 1)


def test_everything_that_matters_is_recorded(data, tmp_path, capsys):
    with running(Stub()) as stub:
        _, lines, _ = clbench(capsys, "infer", "--input", data, "--model", "m", *asked(stub))
    first = next(record for _, record in records(tmp_path / "outputs" / "m.log.jsonl"))
    assert first["event"] == "manifest"
    manifest = json.loads((tmp_path / "outputs" / "m.manifest.json").read_text())
    assert {"dataset", "params", "tool", "started", "at", "states"} <= set(manifest)
    assert manifest["spent"]["prompt"] == stub.usage["prompt"]
    assert any(line.startswith("   Seconds: median") for line in lines)
    assert "none" not in json.dumps(manifest["params"]["base_url"])
    row = read(tmp_path / "outputs" / "m.jsonl")[1]
    assert row["usage"]["cached"] > 0, "the first of a context is asked alone, so that its sibling finds it cached"
    assert {"finish_reason", "served_model", "latency_s", "attempts", "trial", "state"} <= set(row)


def test_without_the_extra_it_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("clbench.core.extras.absent", lambda modules: [m for m in modules if m == "aiohttp"])
    write(tmp_path / "CL-bench.jsonl", [task("a", 0)])
    code, _, err = clbench(capsys, "infer", "--base-url", "http://127.0.0.1:9")
    assert code == 2
    assert err.endswith('to mend: pip install "clbench[context]"\n')
    assert sorted(p.name for p in tmp_path.iterdir()) == ["CL-bench.jsonl"]


def test_a_prompt_is_read_from_a_copy_of_the_public_script(seven, tmp_path, capsys):
    script = tmp_path / "eval.py"
    script.write_text('def f(rubrics_text, model_output):\n    return f"Grade {rubrics_text} of {model_output}"\n')
    with running(Stub(Script(PUBLIC))) as stub:
        given = ("eval", "--input", seven, "--judge-prompt", script, "--output", "g.jsonl")
        assert clbench(capsys, *given, *asked(stub))[0] == 2
        clbench(capsys, *given, "--compat", "upstream", *asked(stub))
    assert stub.requests[0]["messages"][0]["content"] == "Grade 1. The response should be polite. of r-good"


def test_a_group_alone_shows_its_help(capsys):
    code, lines, err = clbench(capsys)
    assert (code, err) == (0, "")
    assert any("infer" in line for line in lines)


def test_answers_to_other_tasks_are_told_and_do_not_count(seven, data, capsys, heard):
    with running(Stub(Script(otherwise=ours))) as stub:
        given = ("eval", "--input", seven, "--dataset", data, "--output", "g.jsonl", "--max-fail-rate", 1)
        _, lines, err = clbench(capsys, *given, *asked(stub))
    assert "States: missing 6" in "\n".join(lines)
    assert "7 answers are to tasks that the data set lacks" in err + "".join(heard)
    assert stub.num_requests == 0, "what does not count is not paid for"


def test_verdicts_are_scripted_in_a_file(tmp_path, capsys):
    rows = [answered("a", "r-a", rubrics=("one\nline more", "two")), answered("b", "r-b", rubrics=("one", "two"))]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": {"r-a": [{"verdicts": ["yes"]}], "r-b": [{"verdicts": ["yes", "no"]}]}}))
    with running(Stub(read_script(script))) as stub:
        given = ("eval", "--input", write(tmp_path / "a.jsonl", rows))
        for more in ((), ("--compat", "upstream")):
            _, lines, _ = clbench(capsys, *given, "--output", f"g{len(more)}.jsonl", *more, *asked(stub))
            assert "📈 Solving Rate: 0.5000 (1/2)" in lines
            assert "   Rubrics met: 0.7500 (3/4)" in lines
    script.write_text('{"rules": {"a": [{"statu": 429}]}}')
    with pytest.raises(SpecError, match="is not a script"):
        read_script(script)


def test_the_demonstration_and_its_replay(tmp_path, capsys):
    code, lines, _ = clbench(capsys, "demo")
    assert code == 0
    assert "   Total samples: 40" in lines
    rate = next(line for line in lines if "Solving Rate" in line)
    assert 0.4 < float(rate.split()[3]) < 0.95
    command = next(line for line in lines if "clbench context replay" in line).partition("clbench context ")[2]
    code, again, _ = clbench(capsys, *command.split())
    assert code == 0
    assert rate in again
    folder = tmp_path / "clbench-context-demo"
    assert (folder / "again.jsonl").read_bytes() == (folder / "stub_graded.jsonl").read_bytes()
    code, _, err = clbench(capsys, "demo")
    assert code == 2
    assert "is there already" in err
