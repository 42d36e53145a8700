"""`clbench context stub`: a server that answers like a provider, for dry runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, say
from clbench.core.wording import tr


def stub(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8808,
    latency: Annotated[float, typer.Option(min=0, help="Median seconds before a reply.")] = 0.2,
    rpm: Annotated[float | None, typer.Option(min=1, help="Requests a minute; more get a 429.")] = None,
    script: Annotated[Path | None, typer.Option(help="JSON file of scripted replies; see docs/context.md.")] = None,
    lang: Lang = None,
) -> None:
    """Serve an OpenAI-compatible stub on this machine until Ctrl-C: it answers, judges, and fails as scripted."""
    import threading

    from clbench.testing.stub import Script, Stub, read_script, running
    from clbench.testing.stub.made_rows import answered_from_context

    chosen = Script(otherwise=answered_from_context) if script is None else read_script(script)
    with running(Stub(chosen, latency, rpm, keep_requests=False), port=port) as server:
        say(
            tr(
                "stub server: {command} ...; Ctrl-C ends it",
                command=f"clbench context infer --base-url {server.url} --api-key none",
            )
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            say(tr("{num} requests, tokens: {usage}", num=server.num_requests, usage=server.usage))
