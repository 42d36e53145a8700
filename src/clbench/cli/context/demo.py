"""`clbench context demo`: the whole way on generated rows and a stub server, with no network and no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, say
from clbench.core.errors import SpecError
from clbench.core.wording import tr


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the files; it must not exist.")] = Path("clbench-context-demo"),
    contexts: Annotated[int, typer.Option(min=1, help="How many contexts of four tasks each.")] = 10,
    lang: Lang = None,
) -> None:
    """Answer and grade generated rows against a stub server: what the files and figures look like."""
    from clbench.cli.context.evaluate import eval_
    from clbench.cli.context.infer import infer
    from clbench.cli.context.report import report
    from clbench.core.extras import need
    from clbench.testing.stub import Script, Stub, running
    from clbench.testing.stub.made_rows import answered_from_context, made_rows

    need("context", "aiohttp", "the stub server")
    if out.exists():
        raise SpecError(f"{out} is there already", where="--out", mend="name another folder, or delete it")
    out.mkdir(parents=True)
    data, answers, grades = out / "made.jsonl", out / "stub.jsonl", out / "stub_graded.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in made_rows(contexts, 4)), encoding="utf-8")
    with running(Stub(Script(otherwise=answered_from_context), latency=0.05)) as stub:
        infer(model="stub", input_=data, output=answers, base_url=stub.url, workers=8)
        eval_(input_=answers, output=grades, judge_model=["stub-judge"], base_url=stub.url, workers=8, dataset=data)
    page = out / "context.html"
    report(files=[grades], out=page, dataset=data)
    places = {"answers": answers, "grades": grades, "manifest": out / "stub.manifest.json"}
    say(tr("\nAnswers: {answers}\nGrades: {grades}\nWhat was asked of whom: {manifest}", **places))
    again = f"--input {answers} --output {out / 'again.jsonl'} --dataset {data}"
    command = f"clbench context replay {out / 'stub_graded.log.jsonl'} {again}"
    say(tr("The grades again, with no network: {command}", command=command))
