"""`clbench`: verbs are listed here and loaded when they are called, so that `--help` stays fast."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from clbench.cli import (
    advise,
    check,
    compare,
    data,
    doctor,
    exam,
    gate,
    gather,
    guard,
    init,
    leaderboard,
    pretrain,
    run,
    show,
    store,
    terminal,
    tune,
    watch,
)
from clbench.cli.options import complain, say, stopped_text
from clbench.core.errors import UserError
from clbench.core.extras import explained
from clbench.core.notice import quiet_libraries
from clbench.core.process import staying

JUDGES = ("gate", "watch")
STOPPED, CUT_OFF = 130, 141  # by Ctrl-C; by a reader that wants no more, as `| head`
app = typer.Typer(
    name="clbench",
    help="Measure what a language model keeps when it keeps learning.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which clbench this is.")] = False,
) -> None:
    """Measure what a language model keeps when it keeps learning."""
    if version:
        from importlib.metadata import PackageNotFoundError
        from importlib.metadata import version as installed

        try:
            say(f"clbench {installed('clbench')}")
        except PackageNotFoundError:
            say("clbench, of a folder that is not installed")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())


app.command("run")(run.run)
app.command("exam")(exam.exam)
app.command("report")(gather.report)
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code: 0 done, 2 something the user can mend, 1 our bug, 130 stopped.

    Verbs that judge say with 2 what they found, so with them 3 is what the user can mend.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    mend = 3 if given[:1] and given[0] in JUDGES else 2
    try:
        with staying():
            result = app(args=given, standalone_mode=False)
    except SystemExit as error:  # of code that is not ours: what it leaves is no result, whatever its code says
        if isinstance(error.__context__, BrokenPipeError):  # click makes an exit of it
            raise error.__context__ from None
        what = f"something that it called ended clbench with exit code {error.code}, and gave no result"
        mend_it = "look for an exit in the file that is named as a learner, and in plug-ins; what is finished is kept"
        return _refused(UserError(what, mend=mend_it), mend)
    except UserError as error:
        return _refused(error, mend)
    except KeyboardInterrupt:
        result = STOPPED
    except BrokenPipeError:
        raise
    except Exception as error:
        told = _told(error)
        if told is not None:
            return _refused(told, mend)
        # typer raises the usage errors of its own click, installed or vendored: told by their names.
        return mend if _usage(error) == 2 else STOPPED
    if result == STOPPED:
        complain(stopped_text())
    return result if isinstance(result, int) else 0


def _refused(error: UserError, code: int) -> int:
    complain(str(error))
    return code


def _told(error: Exception) -> UserError | None:
    """Give what a user can mend of an error that no room has put into words: a missing extra, a path, the disk."""
    if isinstance(error, ImportError):
        return explained(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some space, or write elsewhere; what the store holds is kept, and the same command goes on"
        return UserError("the disk is full", where=_named(error), mend=mend)
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        mend = "raise the limit of your account or batch job, or write elsewhere"
        return UserError("a file would be larger than the system allows (ulimit -f)", where=_named(error), mend=mend)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        mend = "check that the path is right, that it can be read or written, and that the disk is not full"
        return UserError(error.strerror[:1].lower() + error.strerror[1:], where=_named(error), mend=mend)
    return None


def _named(error: OSError) -> str:
    found = error.filename
    return os.fsdecode(found) if isinstance(found, (str, bytes)) else "" if found is None else str(found)


def _usage(error: Exception) -> int:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "Abort" in kinds:
        complain(stopped_text())
        return STOPPED
    if "ClickException" not in kinds:
        raise error
    verb = vars(error).get("cmd")
    whole = "clbench" if verb is None or verb.name in (None, app.info.name) else f"clbench {verb.name}"
    complain(f"{_message(error)}\n  to mend: see `{whole} --help`")
    return 2


def _message(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if (param := vars(error).get("param")) is not None:
        name = next((opt for opt in param.opts if opt.startswith("--")), param.opts[0])
        # "Value error" is pydantic's, by which typer reads values.
        text = f"{name} is missing" if text.startswith("Missing ") else f"{name}: {text.removeprefix('Value error, ')}"
    wrong = text.split("'")[1] if text.startswith("No such command '") else ""
    if wrong:
        from clbench.core.errors import did_you_mean

        names = [str(c.name) for c in app.registered_commands]
        return f"no such command {wrong!r}; {did_you_mean(wrong, names)}"
    near = vars(error).get("possibilities") or []
    return f"{text} Did you mean {' or '.join(sorted(near))}?" if near else text


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def entry() -> None:
    """Entry point of the installed command."""
    terminal.prepare(sys.argv[1:])
    quiet_libraries()
    signal.signal(signal.SIGTERM, _stop)  # a batch system's end is a stop as Ctrl-C is
    guard.watch(broken=3 if sys.argv[1:2] and sys.argv[1] in JUDGES else 2)
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = CUT_OFF
    except BaseException:
        guard.told(1)
        raise
    sys.exit(guard.told(code))
