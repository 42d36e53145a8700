"""`clbench view`: reports, runs, leaderboard and progress in the browser, from this machine to this machine."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, language, say, store_folder


def view(
    place: Annotated[
        Path | None, typer.Argument(help="A store, a result, or a folder of results (default: the store).")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 is a free one.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the browser.")] = False,
    lang: Lang = None,
) -> None:
    """Show results in the browser; nothing is changed, and only this machine is answered. Ctrl-C ends it."""
    from clbench.view.pages import Pages
    from clbench.view.server import HOST, serve

    pages = Pages(store_folder(None) if place is None else place, language(lang))
    with serve(pages.find, port) as server:
        address = f"http://{HOST}:{server.server_port}/"
        say(address)
        if not no_open:
            with suppress(Exception):  # without a browser it serves all the same
                webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
