"""`clbench`: the list of verbs. Each verb imports what it needs when it is called, so that `--help` stays fast."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from clbench.cli import (
    advise,
    check,
    compare,
    data,
    demo,
    doctor,
    exam,
    export,
    gate,
    gather,
    grid,
    guard,
    import_,
    init,
    leaderboard,
    matrix,
    pretrain,
    run,
    show,
    store,
    terminal,
    tune,
    view,
    watch,
)
from clbench.cli.context import app as context_learning
from clbench.cli.options import complain, language, say, stopped_text
from clbench.core.errors import UserError
from clbench.core.events import quiet_libraries
from clbench.core.process import leave, staying
from clbench.core.system_errors import as_user_error
from clbench.core.wording import speak

JUDGES = (("gate",), ("watch",), ("context", "verify"))
STOPPED, CUT_OFF = 130, 141  # by Ctrl-C; by a reader that closes the pipe, such as `| head`
app = typer.Typer(
    name="clbench",
    help="Measure what a language model keeps when it keeps learning.",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Measure what a language model keeps when it keeps learning."""
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            say(f"clbench {installed('clbench')}")
        except PackageNotFoundError:
            say("clbench, from a folder that is not installed")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("matrix")(matrix.matrix)
app.command("exam")(exam.exam)
app.command("export")(export.export)
app.command("import")(import_.import_)
app.command("report")(gather.report)
app.command("view")(view.view)
app.command("compare")(compare.compare)
app.command("baseline")(gate.baseline)
app.command("gate")(gate.gate)
app.command("watch")(watch.watch)
app.command("advise")(advise.advise)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("list")(show.list_)
app.command("show")(show.show)
app.command("check")(check.check)
app.command("data")(data.data)
app.command("pretrain")(pretrain.pretrain)
app.command("store")(store.store)
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
app.command("tune")(tune.tune)
app.add_typer(grid.app)
app.add_typer(context_learning.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 the user can mend it, 1 a bug of ours, 130 stopped.

    Verbs that judge use 2 for what they found, so for them 3 means that the user can mend it.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    mend = _mend_code(given)
    speak(language(None))  # until a verb is told otherwise
    try:
        with staying():
            result = app(args=given, standalone_mode=False, obj=given)
    except SystemExit as error:  # from code that is not ours: there is no result, whatever its exit code says
        if isinstance(error.__context__, BrokenPipeError):  # click turns it into an exit
            raise error.__context__ from None
        if "_CLBENCH_COMPLETE" in os.environ or given[:1] in (["--show-completion"], ["--install-completion"]):
            return int(error.code or 0)  # typer ends the process itself when it completes a command line
        what = f"code that was called ended clbench with exit code {error.code}, and there is no result"
        mend_it = "look for an exit in the learner's file and in plug-ins; finished work is kept"
        return _refused(UserError(what, mend=mend_it), mend)
    except UserError as error:
        return _refused(error, mend)
    except KeyboardInterrupt:
        result = STOPPED
    except BrokenPipeError:
        raise
    except Exception as error:
        known = as_user_error(error)
        if known is not None:
            return _refused(known, mend)
        # typer raises the usage errors of its own click, installed or vendored: recognised by their names.
        code = _usage(error)
        return mend if code == 2 else code
    if result == STOPPED:
        complain(stopped_text())
    return result if isinstance(result, int) else 0


def _mend_code(given: Sequence[str]) -> int:
    return 3 if any(tuple(given[: len(verb)]) == verb for verb in JUDGES) else 2


def _refused(error: UserError, code: int) -> int:
    complain(str(error))
    return code


def _usage(error: Exception) -> int:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "Abort" in kinds:
        complain(stopped_text())
        return STOPPED
    if "ClickException" not in kinds:
        raise error
    if "NoArgsIsHelpError" in kinds:  # the help of a group has been printed
        return 0
    complain(f"{_message(error)}\n  to mend: see `{_command(vars(error).get('ctx'))} --help`")
    return 2


def _command(context: Any) -> str:
    """Return a command with the groups that it stands in."""
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return " ".join(["clbench", *names])


def _message(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if (param := vars(error).get("param")) is not None:
        name = next((opt for opt in param.opts if opt.startswith("--")), param.opts[0])
        # "Value error" comes from pydantic, with which typer reads values.
        text = f"{name} is missing" if text.startswith("Missing ") else f"{name}: {text.removeprefix('Value error, ')}"
    wrong = text.split("'")[1] if text.startswith("No such command '") else ""
    if wrong:
        from clbench.core.errors import did_you_mean

        names = [str(name) for name in vars(error)["ctx"].command.commands]
        return f"no such command {wrong!r}; {did_you_mean(wrong, names)}"
    near = vars(error).get("possibilities") or []
    return f"{text} Did you mean {' or '.join(sorted(near))}?" if near else text


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def entry() -> None:
    """Run the installed command."""
    terminal.prepare(sys.argv[1:])
    quiet_libraries()
    signal.signal(signal.SIGTERM, _stop)  # a batch system ends a job with it: the same as Ctrl-C
    guard.watch(broken=_mend_code(sys.argv[1:]))
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CUT_OFF
    except BaseException:
        guard.report_code(1)
        raise
    guard.report_code(code)
    if code and "MASTER_ADDR" in os.environ:
        # A rank that has failed would wait, while Python ends, for what it has sent to the others.
        sys.stderr.flush()
        leave(code)
    sys.exit(code)
