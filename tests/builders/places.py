"""Where things lie in this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "clbench"
RECIPES = SRC / "cards" / "recipes"
RESULTS = ROOT / "results"
FIXTURES = ROOT / "tests" / "fixtures"
# Runs of six learners with one seed, made by an older recipe `demo`: the committed results move on, these stay.
RECORDED = FIXTURES / "recorded" / "demo"
GOLDEN = ROOT / "tests" / "golden"
