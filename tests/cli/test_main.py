"""What is typed wrongly is told by option and verb, and code that ends the process never looks like success."""

import pytest
import typer

from clbench.cli.main import app, main


@pytest.mark.parametrize(
    ("typed", "code", "named", "verb"),
    [
        ("exam x --items 0", 2, "--items: ", "clbench exam"),
        ("run", 2, "spec is missing", "clbench run"),
        ("gate x", 3, "--baseline is missing", "clbench gate"),
        ("list nothing", 2, "what: 'nothing' is not one of", "clbench list"),
        ("exam --nothing", 2, "--nothing", "clbench exam"),
        ("nothing", 2, "'nothing'", "clbench"),
    ],
)
def test_a_wrong_argument_is_named_with_its_verb(capsys, typed, code, named, verb):
    assert main(typed.split()) == code
    said = capsys.readouterr().err
    assert named in said
    assert said.endswith(f"  to mend: see `{verb} --help`\n")
    assert "Value error" not in said


@pytest.mark.parametrize("code", [0, None, 3])
def test_code_that_ends_the_process_is_an_error(capsys, monkeypatch, code):
    def ends(_name):
        raise SystemExit(code)

    monkeypatch.setattr("clbench.cli.doctor.say_json", ends)
    assert main(["doctor", "--json"]) == 2
    assert f"ended clbench with exit code {code}" in capsys.readouterr().err


def verbs(command, before=()):
    """Return every verb with the groups that it stands in."""
    inside = getattr(command, "commands", {})
    return [v for name, each in inside.items() for v in verbs(each, (*before, name))] if inside else [before]


@pytest.mark.slow
@pytest.mark.parametrize("verb", verbs(typer.main.get_command(app)), ids=" ".join)
def test_help_cuts_no_name_at_80_columns(capsys, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert main([*verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "…" not in said


@pytest.mark.parametrize(
    ("typed", "offered"), [("clbench ex", "exam\nexport"), ("clbench run --micro", "--micro-batch")]
)
def test_the_shell_completes_verbs_and_options(capsys, monkeypatch, typed, offered):
    monkeypatch.setenv("_CLBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setattr("sys.argv", ["clbench"])  # by which the shell's variable is named
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == offered


def test_the_completion_of_a_shell_is_shown(capsys, monkeypatch):
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    assert main(["--show-completion"]) == 0
    said = capsys.readouterr()
    assert "complet" in said.out
    assert said.err == ""
