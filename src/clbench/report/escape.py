"""Escape names, questions and answers, which may hold anybody's text, for CSV, LaTeX and Markdown."""

from __future__ import annotations

from clbench.core.plain import plain

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r")
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


def csv_cell(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula: a quote goes before it.

    Example:
        >>> csv_cell("=1+1"), csv_cell("sft")
        ("'=1+1", 'sft')
    """
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def latex(text: str) -> str:
    r"""Return a text without LaTeX commands: special characters are escaped.

    Example:
        >>> latex(r"\input{x} 5%")
        '\\textbackslash{}input\\{x\\} 5\\%'
    """
    return "".join(LATEX.get(c, c) for c in plain(text).replace("\n", " "))


def markdown(text: str) -> str:
    r"""Return a text that Markdown does not take for tags, links, emphasis or a new column.

    Example:
        >>> print(markdown("<b>|x*y"))
        &lt;b&gt;\|x\*y
    """
    text = plain(text).replace("\n", " ").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*[]|#!" else c for c in text)
