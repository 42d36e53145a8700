"""Graded rows of context learning, made up: no text of a public data set is in them."""

import json
import random


def task_row(task, context="c0", rubrics=3, turn=1, category="Rules", sub="Games"):
    """A row of a data set: the later turns of a context extend the earlier ones."""
    messages = [{"role": "system", "content": f"You know the world {context}."}]
    for number in range(1, turn + 1):
        messages.append({"role": "user", "content": f"Document of {context}. Question {number} of {context}?"})
        if number < turn:
            messages.append(
                {"role": "assistant", "content": f"The reference answer {number} of world {context} is long."}
            )
    return {
        "messages": messages,
        "rubrics": [f"The response should name thing {n} of task {task} in full." for n in range(rubrics)],
        "metadata": {"task_id": task, "context_id": context, "context_category": category, "sub_category": sub},
    }


def graded_row(row, statuses, answer=None, **extra):
    """A row as the public script grades it; statuses "yyn" are yes, yes, no."""
    status = [{"y": "yes", "n": "no"}.get(s, s) for s in statuses]
    text = f"An answer of its own to {row['metadata']['task_id']}." if answer is None else answer
    score = int(bool(status) and all(s == "yes" for s in status) and len(status) == len(row["rubrics"]))
    graded = {"grading_rationale": "because", "requirement_status": status, "score": score}
    return {"idx": row["metadata"]["task_id"], **row, "model_output": text, **graded} | extra


def write(path, rows):
    """Write rows as JSON Lines; a string is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def data_set(contexts=10, each=3, rubrics=3):
    """Rows of a data set with sequential tasks."""
    return [
        task_row(f"t{c}-{n}", f"c{c}", rubrics, turn=n + 1, category="Rules" if c % 2 else "Laws")
        for c in range(contexts)
        for n in range(each)
    ]


def answers(rows, rate, seed=0, **extra):
    """Graded rows of a system that meets each rubric at this rate."""
    rng = random.Random(seed)
    return [
        graded_row(
            row,
            ["yes" if rng.random() < rate else "no" for _ in row["rubrics"]],
            answer=f"Answer {seed} to {row['metadata']['task_id']}: {rng.random()}",
            **extra,
        )
        for row in rows
    ]
