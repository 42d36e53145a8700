"""Texts of strangers (names, questions, answers) for places that would take part of them as commands."""

from __future__ import annotations

import unicodedata

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Marks that turn the direction of writing (Unicode Standard Annex 9), with which a text can show what it is not.
DIRECTION = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "–": "--",
}


def plain(text: str) -> str:
    r"""Make control characters and marks that turn the direction of writing visible; line ends stay.

    A terminal would obey escape sequences, and a reader would be misled by text that runs backwards.

    Example:
        >>> plain("a\x1b[31mred\u202e")
        'a\\x1b[31mred\\u202e'
    """
    return "".join(_named(c) if _hidden(c) else c for c in text)


def _hidden(c: str) -> bool:
    return c in DIRECTION or (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t")


def _named(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" if ord(c) < 65536 else f"\\U{ord(c):08x}"


def csv_cell(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula: a quote goes before it.

    Example:
        >>> csv_cell("=1+1"), csv_cell("sft")
        ("'=1+1", 'sft')
    """
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def latex(text: str) -> str:
    r"""Escape what LaTeX would read as a command.

    Example:
        >>> latex(r"\input{x} 5%")
        '\\textbackslash{}input\\{x\\} 5\\%'
    """
    return "".join(LATEX.get(c, c) for c in plain(text).replace("\n", " "))


def markdown(text: str) -> str:
    r"""Keep Markdown from taking a text for tags, links, emphasis or a new column.

    Example:
        >>> print(markdown("<b>|x*y"))
        &lt;b&gt;\|x\*y
    """
    text = plain(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*[]|#!" else c for c in text)
