"""Context-learning rows as tests need them, and the command line in this process."""

import json

from clbench.cli.main import main


def task(context, number, *, rubrics=("The response should be polite.",), category="A", size=40):
    """Return a row of a data set: the n-th task of a context continues the conversation of the one before."""
    messages = [{"role": "system", "content": f"You know {context}."}]
    messages += [{"role": "user", "content": f"{context} says much. " * size + "Task 0?"}]
    for n in range(1, number + 1):
        messages += [{"role": "assistant", "content": f"Answer {n - 1}."}, {"role": "user", "content": f"Task {n}?"}]
    ids = {"task_id": f"{context}-{number}", "context_id": context}
    return {
        "messages": messages,
        "rubrics": list(rubrics),
        "metadata": {**ids, "context_category": category, "sub_category": "s"},
    }


def answered(name, text, *, rubrics=("The response should be polite.",), **fields):
    """Return an answer of a data set with one task in each context."""
    row = task(name, 0, rubrics=rubrics, size=1)
    found = {"idx": row["metadata"]["task_id"], "messages": row["messages"], "model_output": text}
    return {**found, "rubrics": row["rubrics"], "metadata": row["metadata"], **fields}


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def clbench(capsys, *arguments):
    """Run `clbench context ...`; return exit code, the lines without their times, and what stands on stderr."""
    code = main(["context", *map(str, arguments)])
    said = capsys.readouterr()
    lines = [line.partition("] ")[2] if line.startswith("[20") else line for line in said.out.splitlines()]
    return code, lines, said.err
