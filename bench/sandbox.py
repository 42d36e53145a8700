"""All HumanEval and MBPP reference solutions through the sandbox: how many pass, and the mean time of each.

.venv/bin/python bench/sandbox.py DATA
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from clbench.data.tasks.card import Splits, load_task_card
from clbench.data.tasks.task import read_task
from clbench.scoring._sandbox import Limits, run_tests, strongest
from clbench.scoring.code import program_of, trial_of

SETS = (("humaneval", "test"), ("mbpp", "test"), ("mbpp", "train"))

if __name__ == "__main__":
    print("sandbox:", strongest())
    for name, split in SETS:
        card = load_task_card(name).model_copy(update={"splits": Splits(lesson=None, dev=None, exam=split)})
        failed, seconds = [], []
        for example in read_task(card, Path(sys.argv[1])).exam:
            check = json.loads(example.check)
            program, trial = program_of(example.targets[0], check), trial_of(check, example.targets)
            outcome = run_tests(program, trial, Limits())
            seconds.append(outcome.seconds)
            failed += [] if outcome.passed else [(example.id, outcome.note)]
        print(f"{name} {split}: {len(seconds) - len(failed)} of {len(seconds)}, {statistics.fmean(seconds):.3f} s each")
        for row in failed:
            print(*row)
