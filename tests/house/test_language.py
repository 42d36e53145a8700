"""Plain English: forms that docstrings, comments, messages and pages of this project do without."""

import ast
import functools
import io
import re
import tokenize

import pytest

from tests.builders.places import ROOT, SRC

CODE = [*SRC.rglob("*.py"), *(ROOT / "docs" / "build").rglob("*.py")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
# What stands for a sentence that begins with its verb: a docstring says what comes back, "Return ...", "Read ...".
NOUN_FIRST = r"(?:an?|the|what|whether|how|where|which|who|that|this|each|every|all|true|one)\b"
FORMS = {
    "begins with Give": re.compile(r"\Agives?\b(?!\s+(?:up|an?\s+notice|the\s+notice)\b)", re.I),
    "begins without a verb": re.compile(rf"\A{NOUN_FIRST}", re.I),
    "is no": re.compile(
        r"(?<!there )\b(?:is|are|was|were)\s+(?:no|none)\b(?!\s+(?:longer|more|less|fewer|later|earlier))", re.I
    ),
    "chance": re.compile(r"(?<!above )(?<!below )(?<!at )\bchances?\b(?![\s-](?:level|centred))", re.I),
    "round": re.compile(r"\b(?:rounds|(?:a|an|the|one|each|every|last|first|next|this|earlier|later)\s+round)\b", re.I),
}
FIGURES = SRC / "metrics"  # the docstring of a figure is its definition, not what a function does
OF_FUNCTIONS = {"begins with Give", "begins without a verb"}
# How many of each form are still there. A number here may only fall; a form that is gone stays gone.
LEFT = {"is no": 5, "chance": 8, "round": 3}


def nouns(function):
    """Return whether a function reads like a field, so that its docstring is that of a noun."""
    return any(re.search(r"\b(?:\w*property|setter|overload)\b", ast.unparse(d)) for d in function.decorator_list)


@functools.cache
def first_lines(text):
    """Return the docstrings of functions."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [found for f in functions if not nouns(f) and (found := ast.get_docstring(f))]


@functools.cache
def sentences(text):
    """Return the comments of a file and its texts of several words: docstrings, messages, pages."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [t.string for t in tokens if t.type == tokenize.COMMENT]
    constants = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return comments + [c for c in constants if " " in c]


def found_in(form, text, code=True):
    if form in OF_FUNCTIONS:
        return [m for t in first_lines(text) if (m := FORMS[form].search(t))] if code else []
    return [m for t in (sentences(text) if code else [text]) for m in FORMS[form].finditer(t)]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_forms_grow_fewer(form):
    texts = {p: p.read_text(encoding="utf-8") for p in CODE + PAGES if form not in OF_FUNCTIONS or p.parent != FIGURES}
    found = {str(p.relative_to(ROOT)): len(found_in(form, text, p.suffix == ".py")) for p, text in texts.items()}
    most = sorted(((num, path) for path, num in found.items() if num), reverse=True)
    assert sum(found.values()) <= LEFT.get(form, 0), most[:40]


@pytest.mark.parametrize(
    ("form", "text", "num"),
    [
        ("begins with Give", 'def f():\n    """Give the answer."""', 1),
        ("begins with Give", 'class A:\n    def f(self):\n        """Gives the answer."""', 1),
        ("begins with Give", 'def f():\n    """Return what they give."""', 0),
        ("begins with Give", 'def f():\n    """Give up all privileges."""', 0),
        ("begins without a verb", 'def f():\n    """The answer."""', 1),
        ("begins without a verb", 'async def f():\n    """Whether it holds."""', 1),
        ("begins without a verb", '@property\ndef f():\n    """The answer."""', 0),
        ("begins without a verb", 'class A:\n    """A thing."""', 0),
        ("begins without a verb", 'def f():\n    """Return the answer."""', 0),
        ("is no", 'def f():\n    """Return 0 where this is no answer, and 1 where it is none."""', 2),
        ("is no", "x = 1  # what is none stays none", 1),
        ("is no", 'raise UserError(f"{name} is no number")', 1),
        ("is no", "x = 1  # it is not a number, and is no longer asked", 0),
        ("is no", "x = 1  # there is no such file", 0),
        ("chance", "x = 1  # drawn by chance", 1),
        ("chance", "x = 1  # scores above chance", 0),
        ("chance", "chance = 1", 0),
        ("round", "x = 1  # in every round, and over rounds", 2),
        ("round", "x = round(1.5)  # numbers are rounded", 0),
    ],
)
def test_a_planted_form_is_found(form, text, num):
    assert len(found_in(form, text)) == num


@pytest.mark.parametrize("form", sorted(set(FORMS) - OF_FUNCTIONS))
def test_a_planted_form_is_found_on_a_page(form):
    planted = {"is no": "A table is no list.", "chance": "By chance.", "round": "After a round."}
    assert len(found_in(form, planted[form], code=False)) == 1
