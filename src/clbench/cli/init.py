"""`clbench init`: write a commented spec to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import say

TEXT = """\
# A run of clbench. Try it:  clbench run {name}.yaml --plan   then without --plan.
name: {name}

# A shipped tiny model (clbench list models), a checkpoint folder in Hugging Face format,
# or a Hub id with `revision: <40-hex commit>`.
model: {{name: tiny-llama}}

# What is learnt, one task after another (clbench list streams).
stream: worlds

# What is examined after every lesson and never taught: exams or suites (clbench list exams).
exams: [abilities]

# Training settings that all methods share, so that they are compared with equal budgets.
training:
  lr: 1.0e-3       # 2e-5 suits full fine-tuning of large models
  epochs: 6
  batch_size: 16

# Every combination of these is one run. Work that runs share is done once.
axes:
  learner: [sft, replay]          # clbench list learners; or {{name: replay, memory: 500}}
  seed: [0]                       # use three seeds before you rank methods
"""


def init(name: Annotated[str, typer.Argument(help="Name of the run; NAME.yaml is written here.")]) -> None:
    """Write a commented run spec."""
    from clbench.core.errors import SpecError
    from clbench.core.spec import MOST_NAME

    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(name.encode()) > MOST_NAME:
        mend = f"at most {MOST_NAME} letters, digits, '.', '_' and '-'"
        raise SpecError(f"{name[:60]!r} is not a valid name", where="NAME", mend=mend)
    path = Path(f"{name}.yaml")
    if path.exists():
        raise SpecError(f"{path} already exists", where="NAME", mend="choose another name, or remove the file")
    path.write_text(TEXT.format(name=name), encoding="utf-8")
    say(f"wrote {path}; next: clbench run {path} --plan")
