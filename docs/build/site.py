"""The documentation site: `python -m docs.build.site` lays out its pages in two languages and lets Zensical build them.

`docs/site.yaml` says which pages there are, in which order and under which titles. A page is a file of `docs/`, or one
from elsewhere in the repository. Its Chinese text is the file beside it that ends in `.zh-CN.md`; where there is none,
the English one stands in its place and says so. Links between pages are laid anew and checked, heads included.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from docs.build.pages import METHOD_PAGES, write_pages

LANGS = ("en", "zh")
FOLDERS = {"en": {"TO_EN": "./", "TO_ZH": "./zh/"}, "zh": {"TO_EN": "../", "TO_ZH": "./"}}  # as seen from each language
DRAWN = (".svg", ".png")
PARTS = re.compile(
    r"```.*?^ *```|``[^\n]*?``|`[^`\n]*`|(?P<link>(?P<text>!?\[[^\]]*\])\((?P<to>[^)\s]+)\))", re.M | re.S
)
FENCED = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
HEAD = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)
WRAPPED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n *(?=[\u3000-\u9fff\uff00-\uffef])")
ITEM = re.compile(r"(?:[-*]|\d+\.) ")
SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 {4}.*)*)$", re.M)  # names of one line of a docstring, its text
METHOD = re.compile(r"src/clbench/learners/(\w+)\.py")
ENGLISH_HERE = '!!! note "本页暂无中文版"\n\n    以下为英文原文。\n'
OFF_SITE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]*>""")
# Of the theme: code and tables that are wider than the screen are reached by keyboard, and the page's own link can be
# read. The theme wraps tables once a page is loaded.
CODE = re.compile(r"(<pre[^>]*>(?:<span></span>)?<code)(?=>)")
WORDS = (
    ".md-typeset td code{word-break:normal;overflow-wrap:normal;overflow:visible}"
    ".md-typeset .doc-label,.md-typeset .doc-label code{color:var(--md-default-fg-color);opacity:1}"
)
TABLES = """<script>new MutationObserver(function () {
document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach(function (one) { one.tabIndex = 0; });
}).observe(document.documentElement, { childList: true, subtree: true });</script>"""
STYLE = f"<style>[data-md-color-scheme=default]{{--md-accent-fg-color:#2f3c9e}}{WORDS}</style>{TABLES}</head>"
ALTERNATE = re.compile(r"""(<a href=)"[^"]*"( hreflang="?(en|zh)\b)""")


@dataclass(frozen=True)
class Entry:
    """A page of the site.

    Attributes:
        page: Its path on the site.
        source: The file that it is made of, from the root of the repository.
        titles: Language -> title in the navigation.
    """

    page: str
    source: str
    titles: Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """A part of the navigation."""

    titles: Mapping[str, str]
    entries: tuple[Entry, ...]


@dataclass
class Site:
    """What is laid out for one language.

    Attributes:
        pages: Path on the site -> its Markdown.
        links: Path on the site -> the pages that it leads to.
        drawn: Path on the site -> the file of a figure.
        problems: What is wrong, a line each.
    """

    pages: dict[str, str] = field(default_factory=dict[str, str])
    links: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    drawn: dict[str, str] = field(default_factory=dict[str, str])
    problems: list[str] = field(default_factory=list[str])


# --- what there is ------------------------------------------------------------------------------------------


def read_plan(root: Path) -> tuple[Section, ...]:
    """Return the sections of `docs/site.yaml`; `methods/*` and `adr/*` there stand for the pages of that folder."""
    listed = yaml.safe_load((root / "docs" / "site.yaml").read_text(encoding="utf-8"))
    return tuple(
        Section(_titles(section), tuple(entry for line in section["pages"] for entry in _entries(root, line)))
        for section in listed
    )


def _titles(line: Mapping[str, str]) -> dict[str, str]:
    return {lang: line[lang] for lang in LANGS}


def _entries(root: Path, line: Mapping[str, str]) -> Iterable[Entry]:
    page = line["page"]
    if page == "methods/*":
        return [Entry(p, f"docs/{p}", dict.fromkeys(LANGS, Path(p).stem)) for p in METHOD_PAGES]
    if page == "adr/*":
        names = sorted(path.name for path in (root / "docs" / "adr").glob("*.md"))
        return [Entry(f"adr/{n}", f"docs/adr/{n}", dict.fromkeys(LANGS, _adr(root, n))) for n in names]
    return [Entry(page, line.get("from", f"docs/{page}"), _titles(line))]


def _adr(root: Path, name: str) -> str:
    head = HEAD.search((root / "docs" / "adr" / name).read_text(encoding="utf-8"))
    return head[1] if head else name


# --- laying out ---------------------------------------------------------------------------------------------


def slug(head: str) -> str:
    """Return the anchor of a heading, as GitHub and the site make it.

    Example:
        >>> slug("`--record`"), slug("Labels, and [choices](cards.md)"), slug("指标简述")
        ('--record', 'labels-and-choices', '指标简述')
    """
    plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", head).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page."""
    return {slug(head) for head in HEAD.findall(FENCED.sub("", text))} | set(re.findall(r'<a id="([^"]+)"', text))


def lay_out(root: Path, lang: str, made: Mapping[str, str] | None = None) -> Site:
    """Return the pages of a language with their links laid anew, and what is wrong with them.

    Args:
        root: The repository.
        lang: "en" or "zh".
        made: File -> text of pages that are made from the code; what is not in it is read from the disk.
    """
    entries = [entry for section in read_plan(root) for entry in section.entries]
    desk = _Desk(root, {entry.source: entry.page for entry in entries}, made or {})
    for entry in entries:
        source = _source(root, entry, lang)
        if (text := desk.read(source)) is None:
            desk.site.problems.append(f"docs/site.yaml: there is no file {source}")
        else:
            desk.texts[entry.page] = source, text
    for page, (source, text) in desk.texts.items():
        body = text if lang == "en" or source.endswith(".zh-CN.md") else _announced(text)
        desk.site.links.setdefault(page, set())
        desk.site.pages[page] = _spaced(PARTS.sub(partial(desk.link, page, source), body))
    return desk.site


@dataclass
class _Desk:
    """Where the pages of one language are laid out.

    Attributes:
        root: The repository.
        pages: English file -> page.
        made: File -> text of what is not on the disk.
        texts: Page -> its file, and the text of that.
        site: What comes out.
    """

    root: Path
    pages: Mapping[str, str]
    made: Mapping[str, str]
    texts: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    site: Site = field(default_factory=Site)

    def read(self, source: str) -> str | None:
        """Return the text of a file; None if there is none."""
        path = self.root / source
        return self.made.get(source) or (path.read_text(encoding="utf-8") if path.is_file() else None)

    def link(self, page: str, source: str, found: re.Match[str]) -> str:
        """Return a link of a page as it is on the site, or code as it stands."""
        if found["link"] is None or re.match(r"[a-z]+:", found["to"]):
            return found[0]
        path = found["to"].partition("#")[0]
        target = _target(source, path) if path else source.replace(".zh-CN.md", ".md")
        if (method := METHOD.fullmatch(target)) and f"docs/methods/{method[1]}.md" in self.pages:
            target = f"docs/methods/{method[1]}.md"
        if target in self.pages:
            to = self.pages[target]
            return f"{found['text']}({self._place(page, to, self._anchor(source, to, found['to']))})"
        if target.endswith(DRAWN) and (self.root / target).is_file():
            return f"{found['text']}({_relative(page, self.site.drawn.setdefault(target, Path(target).name))})"
        if (self.root / target).exists():  # not a page of the site
            plain = found["text"].strip("![]")
            return plain if plain.strip("`") == target else f"{plain} (`{target}`)"
        self.site.problems.append(f"{source}: {found['to']} leads nowhere")
        return found[0]

    def _anchor(self, source: str, to: str, link: str) -> str:
        """Return the heading of a link; "" where it leads to an English one and the page is in Chinese here."""
        anchor = link.partition("#")[2]
        if not anchor or to not in self.texts or anchor in anchors(self.texts[to][1]):
            return anchor
        english = self.read(self.texts[to][0].replace(".zh-CN.md", ".md")) or ""
        if anchor not in anchors(english):
            self.site.problems.append(f"{source}: {link}: there is no such heading")
        return ""

    def _place(self, page: str, to: str, anchor: str) -> str:
        if to == page and anchor:
            return f"#{anchor}"
        self.site.links.setdefault(page, set()).update({to} - {page})
        return _relative(page, to) + (f"#{anchor}" if anchor else "")


def _target(source: str, path: str) -> str:
    """Return the file of a link, from the root of the repository, and in English."""
    return os.path.normpath(PurePosixPath(source).parent / path).replace(".zh-CN.md", ".md")


def _source(root: Path, entry: Entry, lang: str) -> str:
    chinese = entry.source.removesuffix(".md") + ".zh-CN.md"
    return chinese if lang == "zh" and (root / chinese).is_file() else entry.source


def _announced(text: str) -> str:
    """Return an English page with a note behind its title that says so in Chinese."""
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{ENGLISH_HERE}\n{rest}" if title.startswith("# ") else f"{ENGLISH_HERE}\n{text}"


def _relative(page: str, to: str) -> str:
    return os.path.relpath(to, PurePosixPath(page).parent)


def _spaced(text: str) -> str:
    """Return a text with an empty line before each list, and no line break between Chinese characters.

    GitHub does without the first; a browser shows the second as a blank.
    """
    lines = WRAPPED.sub("", text).split("\n")
    out = lines[:1]
    fenced = lines[0].startswith("```")
    for before, line in pairwise(lines):
        begins = ITEM.match(line) and before.strip() and not ITEM.match(before) and not before.startswith((" ", "\t"))
        if begins and not fenced:
            out.append("")
        if line.lstrip().startswith("```"):
            fenced = not fenced
        out.append(line)
    return "\n".join(out)


def far_pages(site: Site, most: int = 2) -> list[str]:
    """Return the pages that nobody reaches from the first one by so many links in the texts."""
    reached = near = {"index.md"}
    for _ in range(most):
        near = set[str]().union(*(site.links.get(page, set()) for page in near))
        reached = reached | near
    return sorted(site.pages.keys() - reached)


# --- building -----------------------------------------------------------------------------------------------


def write_site(root: Path, folder: Path) -> list[str]:
    """Write the pages and the settings of every language into a folder; return what is wrong with them."""
    problems: list[str] = []
    shutil.rmtree(folder, ignore_errors=True)
    _write_sources(root / "src" / "clbench", folder / "src" / "clbench")
    for lang in LANGS:
        site = lay_out(root, lang)
        problems += [f"{lang}: {problem}" for problem in site.problems]
        problems += [f"{lang}: {page}: more than two links from index.md" for page in far_pages(site)]
        for page, text in site.pages.items():
            _write(folder / lang / "docs" / page, text)
        for source, page in site.drawn.items():
            _write(folder / lang / "docs" / page, (root / source).read_text(encoding="utf-8"))
        _write(folder / lang / "mkdocs.yml", _settings(root, lang))
    return problems


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_sources(source: Path, folder: Path) -> None:
    """Copy the package for the reference of public names.

    mkdocstrings reads `Examples:`, and we write `Example:`; of names that share a line, each gets one of its own.
    """
    for path in source.rglob("*.py"):
        text = re.sub(r"(?m)^( +)Example:$", r"\1Examples:", path.read_text(encoding="utf-8"))
        _write(folder / path.relative_to(source), _named_singly(text))


def _named_singly(text: str) -> str:
    """Return Python source in whose docstrings names that share a line have one each, with the same text."""
    lines = text.split("\n")
    rooms = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.ClassDef, ast.FunctionDef, ast.Module))]
    told = [room.body[0] for room in rooms if ast.get_docstring(room)]
    for found in sorted(told, key=lambda n: -n.lineno):
        part = slice(found.lineno - 1, found.end_lineno)
        one = SHARED.sub(lambda m: "\n".join(f"{m[1]}{n}: {m[3]}" for n in m[2].split(", ")), "\n".join(lines[part]))
        lines[part] = one.split("\n")
    return "\n".join(lines)


def _settings(root: Path, lang: str) -> str:
    """Return Zensical's settings: those of docs/build/site.yaml, and the navigation."""
    text = (root / "docs" / "build" / "site.yaml").read_text(encoding="utf-8")
    nav: list[dict[str, Any]] = [
        {section.titles[lang]: [{entry.titles[lang]: entry.page} for entry in section.entries]}
        for section in read_plan(root)
    ]
    for word, value in {"LANG": lang, **FOLDERS[lang]}.items():
        text = text.replace(word, value)
    return text + yaml.safe_dump({"nav": nav}, allow_unicode=True, sort_keys=False)


def polish(site: Path) -> list[str]:
    """Mend what the theme leaves open, and return what a page would fetch from elsewhere.

    The choice of languages leads to the same page, code and tables can be scrolled by keyboard, the page's own link
    can be read. Beside each index of words lies the same as a script, for pages that are opened as files.
    """
    problems: list[str] = []
    for index in site.rglob("search.json"):
        script = f"var __index = {index.read_text(encoding='utf-8')};"
        index.with_suffix(".js").write_text(script, encoding="utf-8")
    for path in sorted(site.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if found := OFF_SITE.search(text):
            problems.append(f"{path}: {found[0]}")
        here = path.relative_to(site)
        plain = here.relative_to("zh") if here.parts[0] == "zh" else here
        to = {lang: os.path.relpath(site / folder / plain, path.parent) for lang, folder in (("en", ""), ("zh", "zh"))}
        text = CODE.sub(r'\1 tabindex="0"', text).replace("</head>", STYLE, 1)
        path.write_text(ALTERNATE.sub(lambda m, t=to: f'{m[1]}"{t[m[3]]}"{m[2]}', text), encoding="utf-8")
    return problems


def build(root: Path, folder: Path, out: Path) -> int:
    """Write the pages, let Zensical build them, and return the exit code: 0 only where nothing at all is wrong."""
    os.chdir(root)  # what was measured is read from here
    write_pages(root / "docs")
    problems = write_site(root, folder)
    shutil.rmtree(out, ignore_errors=True)
    for lang, place in (("en", out), ("zh", out / "zh")):
        if problems:
            break
        settings = str(folder / lang / "mkdocs.yml")
        made = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "-f", settings], check=False)
        if made.returncode:
            return made.returncode
        shutil.copytree(folder / lang / "site", place)
    problems += polish(out) if out.is_dir() else []
    last = f"{len(problems)} problems" if problems else str(out / "index.html")
    sys.stdout.write("\n".join([*problems, last]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    here = Path.cwd()
    sys.exit(build(here, here / ".site", here / "docs-site"))
