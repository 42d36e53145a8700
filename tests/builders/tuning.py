"""A tuning recipe of two tiny generated tasks and two learners, and what it must stay apart from."""

import yaml

TUNE = """\
name: small
stream: {stream}
reported: [reported.yaml]
training: {{epochs: 1, batch_size: 8}}
budget: {{policy: seen, items: 6}}
widen: 1
learners:
  sft: {{lr: [1.0e-3, 5.0e-4, 2.0e-3]}}
  ewc: {{lr: [1.0e-3, 5.0e-4, 2.0e-3], strength: [1.0], fisher_examples: 4}}
"""
WORLD = "{{kind: {kind}, form: classification, language: en, seed: {seed}, items: 12, classes: 3, wordings: 1}}"
REPORTED = "name: told\nstream: {stream}\naxes: {{learner: [sft, ewc], seed: [0]}}\n"


def card(folder, name, *tasks):
    """Write the card of a stream, and return its path."""
    (folder / f"{name}.yaml").write_text(
        yaml.safe_dump({"name": name, "tasks": list(tasks), "about": {"license": "own"}})
    )
    return str(folder / f"{name}.yaml")


def task(folder, name, seed, kind="facts"):
    """Write the card of a generated task, and return its name."""
    text = f"name: {name}\nsource: {{world: {WORLD.format(kind=kind, seed=seed)}}}\nabout: {{license: own}}\n"
    (folder / f"{name}.yaml").write_text(text)
    return name


def write_tuning(folder):
    """Write the stream `mine` of the tasks `one` and `two`, `tune.yaml` on it, and `reported.yaml`."""
    stream = card(folder, "mine", task(folder, "one", 901), task(folder, "two", 902, "laws"))
    (folder / "tune.yaml").write_text(TUNE.format(stream=stream))
    (folder / "reported.yaml").write_text(REPORTED.format(stream="worlds-tiny"))


def change(folder, old, new):
    """Change a text in `tune.yaml`, which must be there, and return the file's path."""
    path = folder / "tune.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path
