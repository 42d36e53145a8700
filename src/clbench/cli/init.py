"""`clbench init`: write a commented spec to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clbench.cli.options import Lang, language, say

TEXTS = {
    "en": """\
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
""",
    "zh": """\
# clbench 的一个配方。先试：clbench run {name}.yaml --plan，再去掉 --plan 运行。
name: {name}

# 自带的小模型（clbench list models）、Hugging Face 格式的检查点文件夹，
# 或 Hub 上的模型加 `revision: <40 位十六进制提交号>`。
model: {{name: tiny-llama}}

# 逐轮学习的任务流（clbench list streams）。
stream: worlds

# 每一轮之后都评测、但从不训练的内容：评测或评测套件（clbench list exams）。
exams: [abilities]

# 所有方法共用的训练设置，使各方法的预算相同。
training:
  lr: 1.0e-3       # 大模型的全参数微调宜用 2e-5
  epochs: 6        # 训练遍数
  batch_size: 16

# 以下各项的每个组合是一次运行；相同的部分只做一次。
axes:
  learner: [sft, replay]          # clbench list learners；也可写 {{name: replay, memory: 500}}
  seed: [0]                       # 给方法排名之前，请用三个种子
""",
}
WROTE = {
    "en": "wrote {path}; next: clbench run {path} --plan",
    "zh": "已写入 {path}；下一步：clbench run {path} --plan",
}


def init(
    name: Annotated[str, typer.Argument(help="Name of the run; NAME.yaml is written here.")], lang: Lang = None
) -> None:
    """Write a commented run spec."""
    from clbench.core.errors import SpecError
    from clbench.core.spec import MOST_NAME

    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or len(name.encode()) > MOST_NAME:
        mend = f"at most {MOST_NAME} letters, digits, '.', '_' and '-'"
        raise SpecError(f"{name[:60]!r} is not a valid name", where="NAME", mend=mend)
    path = Path(f"{name}.yaml")
    if path.exists():
        raise SpecError(f"{path} already exists", where="NAME", mend="choose another name, or remove the file")
    path.write_text(TEXTS[language(lang)].format(name=name), encoding="utf-8")
    say(WROTE[language(lang)].format(path=path))
