"""`clbench`: verbs are listed here and loaded when they are called, so that `--help` stays fast."""

from __future__ import annotations

import sys
from collections.abc import Sequence

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
    init,
    leaderboard,
    pretrain,
    run,
    show,
    store,
    tune,
    watch,
)
from clbench.core.errors import UserError

JUDGES = ("gate", "watch")
app = typer.Typer(
    name="clbench",
    help="Measure what a language model keeps when it keeps learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
        result = app(args=given, standalone_mode=False)
    except UserError as error:
        sys.stderr.write(f"clbench: {error}\n")
        return mend
    except KeyboardInterrupt:
        sys.stderr.write("clbench: stopped; the same command goes on from here\n")
        return 130
    except Exception as error:
        # typer raises the usage errors of its own click, installed or vendored: told by their names.
        return mend if _usage(error) == 2 else 130
    return result if isinstance(result, int) else 0


def _usage(error: Exception) -> int:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "Abort" in kinds:
        sys.stderr.write("clbench: stopped; the same command goes on from here\n")
        return 130
    if "ClickException" not in kinds:
        raise error
    sys.stderr.write(f"clbench: {_message(error)}\n  to mend: see `clbench --help`\n")
    return 2


def _message(error: Exception) -> str:
    text = str(error) or type(error).__name__
    wrong = text.split("'")[1] if text.startswith("No such command '") else ""
    if wrong:
        from clbench.core.errors import did_you_mean

        names = [str(c.name) for c in app.registered_commands]
        return f"no such command {wrong!r}; {did_you_mean(wrong, names)}"
    near = vars(error).get("possibilities") or []
    return f"{text} Did you mean {' or '.join(sorted(near))}?" if near else text


def entry() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
