"""The site: its pages, links and languages; and the commands of all pages, which exist, and run or say why not."""

import contextlib
import functools
import io
import re
import shlex
import subprocess

import pytest
import typer
import yaml
from scipy.stats import norm

import clbench as cl
from clbench.cli.main import app, main
from docs.build import site
from docs.build.pages import METHOD_PAGES
from docs.build.reference import REFERENCE_PAGES
from tests.builders.places import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(p.name for p in DOCS.glob("*.md"))
ENDS = (".md", ".zh-CN.md")  # of a page in English, and in Chinese
VERBS = typer.main.get_command(app).commands
ELSEWHERE = {  # page -> the test that runs its commands
    "tutorial-method.md": "tests/docs/test_tutorial.py",
    "own-data.md": "tests/e2e/test_own_data.py",
}
RUN = {"own-exam.md", "own-tuning.md", "weekly.md"}
NOT_RUN = {  # page -> why its commands are not run here; that each exists, with its options, is tested for all pages
    "start.md": "installs the package; the demo takes minutes",
    "comparing.md": "compares runs of a store that the reader made",
    "both-ways.md": "a stub server has to run; tests/docs/test_both_ways.py does",
    "context.md": "asks a model behind an address",
    "context-statistics.md": "grades of the reader; tests/context/test_docs.py",
    "getting-data.md": "fetches from elsewhere; tests/data/test_getting.py does so from a local server",
    "elsewhere.md": "checkpoints and logs of the reader; tests/e2e/test_matrix.py, tests/lm_eval/test_logs.py",
    "gate.md": "a checkpoint of the reader; weekly.md runs the same verbs on a shipped model",
    "grids.md": "takes an hour; tests/cli/test_grid.py does the same on a small grid",
    "large-models.md": "a checkpoint and cards of the reader",
    "leaderboard.md": "a submission of the reader",
    "lm-eval-exams.md": "a checkpoint and rows of the reader",
    "long-context.md": "rows that are not shipped",
    "abilities.md": "takes hours",
    "paper.md": "half a minute of bootstrap; tests/report has each of these formats",
    "store.md": "a store of the reader",
}


def blocks(text, language="bash"):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def commands(text):
    """Return the commands of a page, each a list of words without what the shell does with its output."""
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    found = [re.split(r"\s(?:\|\|?|&&|>)\s", line)[0] for line in lines if line.startswith("clbench ")]
    return [shlex.split(line, comments=True)[1:] for line in found]


def unknown(words, verbs=VERBS):
    """Return what a command names that does not exist: its verb, or options of it."""
    verb, *rest = words
    if verb.startswith("-"):
        return []
    if verb not in verbs:
        return [verb]
    if "commands" in vars(verbs[verb]) and rest:
        return unknown(rest, verbs[verb].commands)
    options = {o for p in verbs[verb].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    return [r for r in (w.partition("=")[0] for w in rest) if r.startswith("--") and r not in options]


# --- pages and links ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    """What `make docs` makes; of the pages of methods, whose links have a test of their own, the heads."""
    methods = {f"docs/{name}": f"# {name}\n" for name in METHOD_PAGES}
    return methods | {f"docs/{name}": page() for name, page in REFERENCE_PAGES.items()}


@pytest.mark.parametrize("lang", site.LANGS)
def test_every_link_leads_somewhere_and_every_page_is_two_clicks_away(made, lang):
    laid = site.lay_out(ROOT, lang, made)
    assert laid.problems == []
    assert site.far_pages(laid) == []
    assert not any("src/clbench/learners" in to for page in laid.links.values() for to in page)


def test_every_page_stands_in_the_navigation_once():
    listed = [e.source for s in site.read_plan(ROOT) for e in s.entries]
    assert len(listed) == len(set(listed))
    english = {f"docs/{name}" for name in PAGES if not name.endswith(".zh-CN.md")}
    assert english - set(listed) == set()


def test_every_chinese_page_has_an_english_one_and_the_same_commands():
    for name in (n for n in PAGES if n.endswith(".zh-CN.md")):
        english = DOCS / name.replace(".zh-CN", "")
        assert english.is_file()
        there, here = (p.read_text(encoding="utf-8") for p in (english, DOCS / name))
        assert commands(here) == commands(there), name
        assert blocks(here, "python") == blocks(there, "python"), name


def test_every_chinese_page_has_all_parts_of_the_english_one():
    """Headings, code blocks and tables: a part that is added to one is added to the other."""

    def parts(path):
        text = path.read_text(encoding="utf-8")
        plain = site.FENCED.sub("", text)
        rules = re.findall(r"^ *\|(?:[-: ]+\|)+ *$", plain, flags=re.M)  # the line below a table's heads
        return {
            "headings": [len(mark) for mark in re.findall(r"^(#{1,6}) ", plain, flags=re.M)],
            "blocks": re.findall(r"^ *```(\w+)\n", text, flags=re.M),
            "tables": len(rules),
        }

    for path in DOCS.glob("*.zh-CN.md"):
        assert parts(path) == parts(DOCS / path.name.replace(".zh-CN", "")), path.name


def test_chinese_pages_beside_made_ones_have_their_figures():
    """`make docs` writes the English pages from the code; what it changes there is missed here."""
    heads = [re.findall(r"^### .*", (DOCS / f"metrics{end}").read_text(encoding="utf-8"), flags=re.M) for end in ENDS]
    assert heads[0] == heads[1]
    rows = [
        [re.findall(r"\[`(\w+)`\].*?((?: \d[^|]* [xB](?:|[kMG]B) \|)+)", line) for line in text.splitlines()]
        for text in ((DOCS / f"methods{end}").read_text(encoding="utf-8") for end in ENDS)
    ]
    costs = [[line for line in found if line] for found in rows]
    assert len(costs[0]) > 20
    assert costs[0] == costs[1]
    settings = [
        re.findall(r"^\| `(\w+)` \| (`\S+`)", (DOCS / f"methods{end}").read_text(encoding="utf-8"), flags=re.M)
        for end in ENDS
    ]
    assert settings[0] == settings[1]


def test_the_chinese_readme_says_what_the_english_one_says():
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert blocks(chinese, "python") == blocks(english, "python")
    assert [words for words in commands(english) if words not in commands(chinese)] == []
    heads, others = (len(site.HEAD.findall(site.FENCED.sub("", text))) for text in (english, chinese))
    assert heads == others
    targets = [set(re.findall(r"\]\((docs/[\w./-]+|[A-Z]+\.\w+)", t.replace(".zh-CN", ""))) for t in (english, chinese)]
    assert targets[0] - targets[1] - {"README.md"} == set()


def test_chinese_pages_use_chinese_punctuation():
    for path in (ROOT / "README.zh-CN.md", *DOCS.glob("*.zh-CN.md")):
        text = site.PARTS.sub("", path.read_text(encoding="utf-8"))
        assert re.findall(r"[\u4e00-\u9fff][,;:!?()]|[,;:!?()][\u4e00-\u9fff]", text) == [], path.name


PLAN = "- {en: Start, zh: 入门, pages: [{page: index.md, en: Home, zh: 首页}, {page: b.md, en: B, zh: 乙}%s]}\n"


def planted(root, index, more="", **pages):
    (root / "docs").mkdir()
    (root / "docs" / "site.yaml").write_text(PLAN % more, encoding="utf-8")
    for name, text in {"index": index, "b": "# B\n\n## A head\n", **pages}.items():
        (root / "docs" / f"{name}.md").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[x](none.md)", "docs/index.md: none.md leads nowhere"),
        ("[x](b.md#nothing)", "docs/index.md: b.md#nothing: there is no such heading"),
        ("[x](#nothing)", "docs/index.md: #nothing: there is no such heading"),
        ("![x](none.svg)", "docs/index.md: none.svg leads nowhere"),
        ("[x](b.md#a-head) `[x](none.md)`\n\n```\n[x](none.md)\n```", ""),
        ("[x](https://example.org) [`y`](../src) [z](mailto:a@b.c)", ""),
    ],
)
def test_a_planted_broken_link_is_found(tmp_path, link, problem):
    (tmp_path / "src").mkdir()
    laid = site.lay_out(planted(tmp_path, f"# A\n\n## Here\n\n{link}\n"), "en")
    assert laid.problems == ([problem] if problem else [])


def test_a_page_that_is_far_or_missing_is_found(tmp_path):
    more = ", {page: c.md, en: C, zh: 丙}, {page: d.md, en: D, zh: 丁}, {page: e.md, en: E, zh: 戊}"
    root = planted(tmp_path, "# A\n\n[B](b.md)\n", more, b="# B\n\n[C](c.md)\n", c="# C\n\n[D](d.md)\n", d="# D\n")
    laid = site.lay_out(root, "en")
    assert site.far_pages(laid) == ["d.md"]
    assert laid.problems == ["docs/site.yaml: there is no file docs/e.md"]


def test_a_page_without_chinese_says_so_and_links_between_languages_are_mended(tmp_path):
    root = planted(
        tmp_path,
        "# A\n\n[B](b.md#a-head)\n",
        **{"b.zh-CN": "# 乙\n\n## 标题\n\n[甲](index.md) [乙](b.zh-CN.md#标题)\n"},
    )
    laid = site.lay_out(root, "zh")
    assert laid.problems == []
    assert laid.pages["index.md"].startswith("# A\n\n!!! note")
    assert "[B](b.md)" in laid.pages["index.md"]  # that heading is in Chinese there
    assert laid.pages["b.md"].endswith("[甲](index.md) [乙](#标题)\n")


def test_a_link_to_a_file_that_is_not_a_page_names_the_file(tmp_path):
    (tmp_path / "x.py").write_text("")
    laid = site.lay_out(planted(tmp_path, "# A\n\n[`x.py`](../x.py) [this](../x.py) [B](b.md)\n"), "en")
    assert laid.pages["index.md"].endswith("`x.py` this (`x.py`) [B](b.md)\n")


def test_code_is_reached_by_keyboard_and_the_page_s_own_link_can_be_read(tmp_path):
    page = tmp_path / "a.html"
    page.write_text("<head></head><code>x</code><pre><span></span><code>y</code></pre>", encoding="utf-8")
    assert site.polish(tmp_path) == []
    assert page.read_text(encoding="utf-8") == (
        f'<head>{site.STYLE}<code>x</code><pre><span></span><code tabindex="0">y</code></pre>'
    )


def test_names_that_share_a_line_of_a_docstring_get_one_each():
    told = "Do.\n\n    Args:\n        a, b: One\n            two.\n        c: x\n    "
    code = f'def f(\n    self, a: int\n):\n    """{told}"""\n'
    made = site._named_singly(code)
    assert "        a: One\n            two.\n        b: One\n            two.\n        c: x\n" in made
    assert made.startswith("def f(\n    self, a: int\n)")


def test_words_are_found_in_pages_that_are_opened_as_files(tmp_path):
    for place in (tmp_path, tmp_path / "zh"):
        place.mkdir(exist_ok=True)
        (place / "search.json").write_text('{"items": ["忘"]}', encoding="utf-8")
    assert site.polish(tmp_path) == []
    for place in (tmp_path, tmp_path / "zh"):
        assert (place / "search.js").read_text(encoding="utf-8") == 'var __index = {"items": ["忘"]};'


def test_lists_are_told_from_paragraphs():
    assert site._spaced("Two:\n- a\n  b\n- c\n\n```\nx\n- y\n```\n").split("\n") == [
        *("Two:", "", "- a", "  b", "- c", "", "```", "x", "- y", "```", "")
    ]


def test_lines_of_chinese_are_joined():
    assert site._spaced("一，\n  二\n\n三\nfour\n- 五\n") == "一，二\n\n三\nfour\n\n- 五\n"


@pytest.mark.parametrize("lang", site.LANGS)
def test_the_settings_name_every_page_and_nothing_is_left_open(lang):
    text = site._settings(ROOT, lang)
    assert not re.search(r"LANG|TO_", text)
    nav = yaml.safe_load(text.replace("!!python/object/apply:pymdownx.slugs.slugify", ""))["nav"]
    listed = [page for section in nav for pages in section.values() for entry in pages for page in entry.values()]
    assert listed == [e.page for s in site.read_plan(ROOT) for e in s.entries]
    assert f"language: {lang}" in text


def test_a_request_off_the_machine_is_found_and_languages_lead_to_the_same_page(tmp_path):
    pages = {"a/b.html": '<script src="https://x.org/y.js"></script>', "zh/a/b.html": '<a href="https://x.org">x</a>'}
    choice = '<a href="../" hreflang="en">English</a><a href="./zh/" hreflang="zh">中文</a>'
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text + choice, encoding="utf-8")
    (problem,) = site.polish(tmp_path)
    assert problem.endswith('<script src="https://x.org/y.js">')
    english, chinese = ((tmp_path / name).read_text(encoding="utf-8") for name in pages)
    assert '<a href="b.html" hreflang="en">' in english
    assert '<a href="../zh/a/b.html" hreflang="zh">' in english
    assert '<a href="../../a/b.html" hreflang="en">' in chinese
    assert '<a href="b.html" hreflang="zh">' in chinese


# --- commands and numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_commands_of_a_page_exist_with_their_options(name):
    for words in commands((DOCS / name).read_text(encoding="utf-8")):
        assert unknown(words) == [], words


def test_a_planted_command_is_found():
    text = "```bash\nclbench runn demo\nclbench run demo --plann | head\nclbench context stat x  # --no\n```\n"
    assert [unknown(words) for words in commands(text)] == [["runn"], ["--plann"], ["stat"]]


def test_every_page_with_commands_runs_them_or_says_why_not():
    english = [name for name in PAGES if not name.endswith(".zh-CN.md")]
    having = {name for name in english if commands((DOCS / name).read_text(encoding="utf-8"))}
    assert having - RUN - NOT_RUN.keys() - ELSEWHERE.keys() == set()
    assert (NOT_RUN.keys() | RUN | ELSEWHERE.keys()) - having == set(), "these have no commands"
    assert not RUN & (NOT_RUN.keys() | ELSEWHERE.keys())


def ran(text):
    """Run the commands of a page in this process and the shell's lines between them; return the exit codes."""
    codes, shell = [], []
    for line in "".join(blocks(text)).splitlines():
        if not line.startswith("clbench "):
            shell.append(line)
            continue
        subprocess.run(["bash", "-euc", "\n".join(shell)], check=True)
        shell.clear()
        (words,) = commands(f"```bash\n{line}\n```\n")
        with contextlib.redirect_stdout(io.StringIO()):
            codes.append(main(words))
    assert shell == []
    return codes


@pytest.mark.slow
@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "codes"),
    [("own-exam.md", [0] * 5), ("own-tuning.md", [0] * 3), ("weekly.md", [0, 0, 4])],
)
def test_commands_of_a_page_run(name, codes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / name).read_text(encoding="utf-8")
    assert ran(text.replace("--items 200", "--items 10")) == codes  # fewer questions: the same commands


@pytest.mark.slow
def test_python_of_the_pages_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cl, "load", functools.cache(cl.load))  # both read the same results: once
    found = {}
    for name in ("notebooks.md", "paper.md"):
        (code,) = blocks((DOCS / name).read_text(encoding="utf-8"), "python")
        exec(code, found)
    assert found["best"].index[0] == "joint"
    assert (found["lost"] >= 0).all()
    assert list(found["forgetting"].index) == list(range(len(found["forgetting"])))
    assert found["against"]["replay"] > found["against"]["lora"]


@pytest.mark.parametrize("name", ["weekly.md", "weekly.zh-CN.md"])
def test_the_workflow_is_sound(name):
    (text,) = blocks((DOCS / name).read_text(encoding="utf-8"), "yaml")
    (job,) = yaml.safe_load(text)["jobs"].values()
    lines = [step["run"] for step in job["steps"] if "run" in step]
    given = commands("```bash\n" + "\n".join(lines) + "\n```\n")
    assert [words[0] for words in given] == ["gate", "watch"]
    assert all(unknown(words) == [] for words in given)
    gate = given[0]
    for option in ("--junit", "--markdown"):  # what is made is what is kept
        assert gate[gate.index(option) + 1] in job["steps"][-1]["with"]["path"].split()


@pytest.mark.parametrize("name", ["troubleshooting.md", "troubleshooting.zh-CN.md"])
def test_messages_that_are_explained_are_those_of_the_code(name):
    said = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py"))
    rows = re.findall(r"^\| (.*?) \|", (DOCS / name).read_text(encoding="utf-8"), flags=re.M)
    quoted = [
        q for row in rows for q in re.findall(r"`([^`]+)`", row) if " " in q and not q.startswith(("clbench", "--"))
    ]
    assert len(quoted) == 9
    for message in quoted:
        for part in re.split(r"\.\.\.|, which is|needs torch", message):
            assert part.strip() in said, message


@pytest.mark.parametrize("name", ["seeds.md", "seeds.zh-CN.md"])
def test_the_table_of_items_is_right(name):
    text = (DOCS / name).read_text(encoding="utf-8").partition("<!-- items")[2].partition("<!-- end")[0]
    rows = [list(map(float, re.findall(r"[\d.]+", line))) for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == 5
    for num, *losses in rows:
        for exams, loss in zip((1, 3, 8), losses, strict=True):
            squared = norm.isf(0.05 / (exams + (exams > 1))) ** 2  # with several exams there is a row of them all
            assert round(100 * squared / (num + squared), 1) == loss
