"""Where things lie in this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "clbench"
RECIPES = SRC / "cards" / "recipes"
RESULTS = ROOT / "results"
FIXTURES = ROOT / "tests" / "fixtures"
GOLDEN = ROOT / "tests" / "golden"
