"""Runs as folders of eight files: what a store holds, and what records of clbench 0.1 are."""

import math

import yaml

from clbench.core.keys import canonical


def as_folder(run, folder):
    folder.mkdir(parents=True)
    scores = {name: None if math.isnan(value) else value for name, value in run.scores.items() if name in run.recorded}
    files = {
        "spec.yaml": yaml.safe_dump(run.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
        "stream.json": canonical(run.stream),
        "matrix.json": canonical(run.matrix.to_json()),
        "items.json": canonical(run.item_scores),
        "examples.json": canonical(run.example_items),
        "scores.json": canonical(scores),
        "costs.json": canonical(run.costs),
        "provenance.json": canonical(run.provenance),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
