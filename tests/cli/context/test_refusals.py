"""What a provider refuses, in every verb that asks: one line that says what happened and what to do."""

import pytest

from clbench.testing.stub import Behaviour, Script, Stub, running
from tests.builders.asked import answered, clbench, task, write

RUBRICS = ("It is polite.",)
STOPS = {
    "a bad key": (Behaviour("bad key", 401), "set OPENAI_API_KEY or --api-key"),
    "no credit": (Behaviour("Insufficient Balance", 402), "add credit or raise the limit"),
    "an unknown model": (Behaviour("Model Not Exist", 400), "it does not serve that model"),
}
ROWS = {
    "a context that is too long": (Behaviour("prompt is too long", 400), "overflow", "with a longer context"),
    "a filter": (Behaviour("Content Exists Risk", 400), "refused", "the provider refuses this prompt"),
}


@pytest.fixture
def files(tmp_path):
    data = write(tmp_path / "d.jsonl", [task(c, 0, rubrics=RUBRICS) for c in "abcd"])
    answers = write(tmp_path / "a.jsonl", [answered(c, "x", rubrics=RUBRICS) for c in "abcd"])
    failed = [{**answered(c, "x", rubrics=RUBRICS), "requirement_status": ["no"], "score": 0} for c in "abcd"]
    graded = write(tmp_path / "g.jsonl", failed)
    return {
        "infer": ["--input", data, "--output", tmp_path / "o.jsonl"],
        "eval": ["--input", answers, "--output", tmp_path / "e.jsonl"],
        "errors": [graded, "--output", tmp_path / "c.jsonl"],
        "attack": ["--answers", 3],
    }


def asked(behaviour, capsys, verb, given):
    with running(Stub(Script({"": [behaviour]}))) as stub:
        address = ("--base-url", stub.url, "--api-key", "none", "--retry-delay", 0)
        return *clbench(capsys, verb, *given, *address), stub.num_requests


@pytest.mark.parametrize("verb", ["infer", "eval", "errors", "attack"])
@pytest.mark.parametrize("kind", STOPS)
def test_what_any_request_would_meet_stops_the_run(files, capsys, verb, kind):
    behaviour, mend = STOPS[kind]
    code, lines, err, num = asked(behaviour, capsys, verb, files[verb])
    assert (code, err.count("\n  to mend: ")) == (2, 1)
    assert "the provider refuses (HTTP " in err
    assert mend in err
    assert "Traceback" not in err + "".join(lines)
    assert num <= 4, "three, and one of the second prompt of `attack`"


@pytest.mark.parametrize("kind", ROWS)
def test_what_concerns_a_row_is_told_with_its_reason(files, capsys, kind):
    behaviour, state, mend = ROWS[kind]
    code, lines, _, num = asked(behaviour, capsys, "infer", files["infer"])
    assert (code, num) == (0, 4)
    assert f"   States: {state} 4" in lines
    for verb, what in (("eval", "verdict"), ("errors", "class")):
        code, lines, err, num = asked(behaviour, capsys, verb, files[verb])
        assert (code, num) == (3, 4)
        assert f"4 of 4 rows have no {what}" in err
        (why,) = [line for line in lines if line.startswith("     4: HTTP 400, ")]
        assert mend in why
