"""Find the program in a model's answer, whatever form the answer has. Nothing is run here: code is only parsed.

What is read, in this order:

1. Reasoning before the last `</think>`, a byte order mark and the end tokens of chat templates are taken off; line ends
   of every kind are one; `[PYTHON]`, `[CODE]`, `[BEGIN]`, `<code>`, `<answer>` and their ends are fences.
2. An answer that begins with the body of the asked function continues the prompt (HumanEval's own form), up to its end.
3. Fenced blocks (``` or ~~~, three marks or more, indented, quoted by ">", never closed, or with a closing fence
   alone), then the text outside of them: the first piece of code that defines what is asked for wins, and is cut where
   it ceases to be Python. A function without a body of its own (the question, repeated) does not define it. What it
   uses of other pieces (imports, helpers) comes along.
4. Where nothing defines it, the first piece that is a body of the asked function.

Several programs are never tried out: the choice rests on form alone.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from clbench.scoring._settings import clip

MOST_STARTS = 200  # lines at which a program is looked for in one piece of text
FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})(.*)$")
QUOTE = re.compile(r"^[ \t]*>[ \t]?")
ENDS = re.compile(r"<\|(?:im_end|endoftext|eot_id|end|end_of_text|eom_id)\|>|</s>|<end_of_turn>|<｜end▁of▁sentence｜>")
THOUGHT = re.compile(
    r"</(?:seed:)?(?:think|thinking|thought|reasoning)>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|channel\|>final<\|message\|>"
)
THINKS = re.compile(
    r"\s*(?:<(?:seed:)?(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|channel\|>analysis)"
)
_TAG = r"(?:\[/?(?:PYTHON|CODE|BEGIN|ANSWER|DONE)\]|</?(?:code|python|answer)>)"
TAGS = re.compile(rf"^[ \t]*{_TAG}|{_TAG}(?=[ \t]*$)", re.MULTILINE | re.IGNORECASE)
CODE = re.compile(r"^(?:def|class|import|from|async|return|@\w|if|for|while|with|try|\w+[ \t]*=)(?![\w-])")
STARTS = re.compile(r"^[ \t]*(?:def|class|import|from|async|@|\w+[ \t]*(?::[^=\n]+)?=)")
SESSION = re.compile(r"^[ \t]*(?:>>>|\.\.\.:?|In \[\d*\]:)(?: |$)")
Bound = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Demand(NamedTuple):
    """What a question asks of the program.

    Attributes:
        names: The names to define; empty where the question does not say.
        prompt: The beginning that it may continue, ending in a function's head and docstring; may be empty.
        given: What stands in the prompt before that function.
    """

    names: frozenset[str]
    prompt: str
    given: str


# --- parsing ------------------------------------------------------------------------------------------------


def parsed(source: str) -> ast.Module | None:
    """Return the tree of a program that would compile, else None; so too where it is nested too deeply."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in strings
            tree = ast.parse(source)
            compile(source, "program", "exec", dont_inherit=True)  # finds what no tree shows: `return` outside
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree


def _error_line(source: str) -> int | None:
    """Return the line, from 1, at which a text ceases to be Python; 0 where that is unknown, None for a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "program", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, MemoryError, RecursionError):
        return 0
    return None


def leading(lines: Sequence[str]) -> str:
    """Return the longest beginning of some lines that is a program, cut between statements of the top level."""
    while lines:
        source = "\n".join(lines) + "\n"
        if (bad := _error_line(source)) is None:
            return source
        # The statement with the error goes, and all that follows it.
        end = min(bad, len(lines)) - 1
        while end > 0 and (not lines[end].strip() or lines[end][:1] in " \t)]}"):
            end -= 1
        lines = lines[: max(end, 0)]
    return ""


def defined(tree: ast.Module) -> set[str]:
    """Return the names that a program binds at its top level; functions that do nothing are left out."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, Bound):
            names |= set() if _is_stub(node) else {node.name}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {t.id for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(a.asname or a.name).partition(".")[0] for a in node.names}
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            names |= {n.name for n in ast.walk(node) if isinstance(n, Bound)}
    return names


def _is_stub(node: Bound) -> bool:
    """Return whether a function has no body beyond a docstring, `pass`, `...` or a `raise`."""
    if isinstance(node, ast.ClassDef):
        return False
    return all(
        isinstance(part, (ast.Pass, ast.Raise)) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in node.body
    )


# --- pieces of an answer ------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Return an answer without what is not part of its code, with one form of line ends and fences."""
    text = text[max((found.end() for found in THOUGHT.finditer(text)), default=0) :]
    if THINKS.match(text):  # cut off before it came to an answer
        return ""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = clip(ENDS.split(text, maxsplit=1)[0])
    text = TAGS.sub("\n```\n", text)
    return "\n".join(_indented_plainly(line) for line in text.split("\n"))


def _indented_plainly(line: str) -> str:
    """Return a line whose indentation has blanks and tabs alone."""
    body = line.lstrip()
    before = line[: len(line) - len(body)]
    return "".join(c if c in " \t" else " " for c in before if c not in "\u200b\ufeff") + body.lstrip("\u200b\ufeff")


class Piece(NamedTuple):
    """A part of an answer: what stands in a fenced block, or between two."""

    text: str
    fenced: bool


def pieces(text: str) -> list[Piece]:
    """Cut a text at its fences, in order; empty pieces are left out.

    A line that begins with as many marks as opened the block closes it, unless it is indented as code is; one with more
    behind the marks opens the next. Marks at the end of a line of code close too.
    """
    found: list[Piece] = []
    lines: list[str] = []
    fence: re.Match[str] | None = None
    quoted = False
    for raw in text.split("\n"):
        line = QUOTE.sub("", raw, count=1) if quoted or (fence is None and FENCE.match(QUOTE.sub("", raw))) else raw
        new = FENCE.match(line)
        if new and (fence is None or (new[2].startswith(fence[2]) and len(new[1]) <= len(fence[1]) + 3)):
            found.append(_piece(lines, fence))
            opens = fence is None or bool(new[3].strip())
            fence, quoted = (new, line != raw) if opens else (None, False)
            lines = [code] if opens and (code := _code_of_info(new[3], new[2][0])) else []
            continue
        mark = fence[2] if fence else "```"
        ends = line.rstrip().endswith(mark) and line.count(mark) == 1 and line.strip() != mark
        lines.append(line.rstrip().removesuffix(mark) if ends else line)
        if ends:
            found.append(_piece(lines, fence))
            lines, fence, quoted = [], None, False
    return [piece for piece in [*found, _piece(lines, fence)] if piece.text.strip()]


def _piece(lines: Sequence[str], fence: re.Match[str] | None) -> Piece:
    return Piece("\n".join(lines) if fence is None else _block(lines, fence[1]), fence is not None)


def _block(lines: Sequence[str], indent: str) -> str:
    """Return a block without the indentation of its fence."""
    width = len(indent.expandtabs(4))
    return "\n".join(_less(line, width) for line in lines)


def _less(line: str, width: int) -> str:
    done = 0
    while width > 0 and done < len(line) and line[done] in " \t":
        width -= 4 if line[done] == "\t" else 1
        done += 1
    return line[done:]


def _code_of_info(info: str, mark: str) -> str:
    """Return code that stands on the line of its fence; what else stands there names a language."""
    info = info.strip().rstrip(mark)
    if CODE.match(info):
        return info
    after = info.partition(" ")[2].strip()
    return after if CODE.match(after) else ""


def _sessions(piece: str) -> str:
    """Return the lines that were typed at a prompt (`>>>`, `In [1]:`), without it; empty where there are none."""
    lines = [SESSION.sub("", line) for line in piece.split("\n") if SESSION.match(line)]
    return "\n".join(lines)


# --- choosing -----------------------------------------------------------------------------------------------


def _programs(piece: str) -> Iterator[str]:
    """Yield the programs that a piece of text may be, the likeliest first."""
    forms = [textwrap.dedent(piece), piece.expandtabs(4), piece.replace("\u00a0", " "), _sessions(piece)]
    for form in dict.fromkeys(form for form in forms if form.strip()):
        lines = form.split("\n")
        done = 0
        for start in [0, *(i for i, line in enumerate(lines) if i and STARTS.match(line))][:MOST_STARTS]:
            if start >= done and (program := leading(_block_at(lines, start))):
                done = start + program.count("\n")  # what stands inside of a program does not begin another one
                yield program
    for span in re.findall(r"`{1,3}([^`\n]+)`", piece):
        yield leading([span])


def _block_at(lines: Sequence[str], start: int) -> list[str]:
    """Return the lines from one on, to the first that is indented less (prose around code in Markdown), dedented."""
    width = len(lines[start]) - len(lines[start].lstrip())
    ends = (i for i in range(start, len(lines)) if lines[i][:width].strip())
    return textwrap.dedent("\n".join(lines[start : next(ends, len(lines)) if width else len(lines)])).split("\n")


def _defining(piece: str, names: frozenset[str]) -> tuple[int, str]:
    """Return (how many of the names it defines, the program) of the first program in a piece that defines most."""
    best, found = 0, ""
    for program in _programs(piece):
        tree = parsed(program)
        if tree is None or not tree.body:
            continue
        have = len(names & defined(tree)) if names else int(bool(defined(tree)))
        if have > best:
            best, found = have, program
        if best == max(len(names), 1):
            break
    return best, found


def _bodies(piece: str, *, anywhere: bool) -> Iterator[str]:
    """Yield the ways in which a piece may be, or hold, the body of a function, without indentation of its own."""
    lines = piece.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines:
        return
    if not lines[0][:1].isspace():
        # All of it has lost its indentation; prose may follow after a blank line.
        for end in [len(lines), *[i for i, line in enumerate(lines) if not line.strip()][:-10:-1]]:
            yield "\n".join(lines[:end])
        # Its first line alone has, and that may have opened a block.
        deeper = next((line for line in lines[1:] if line.strip()), "")
        first = deeper[: len(deeper) - len(deeper.lstrip())] or "    "
        for lost in dict.fromkeys((first, first[: len(first) // 2])):
            yield from _indented_beginnings([lost + lines[0], *lines[1:]])
    for start in [i for i, line in enumerate(lines) if line[:1].isspace() and line.strip()][:MOST_STARTS]:
        if start == 0 or (anywhere and not lines[start - 1][:1].isspace()):
            yield from _indented_beginnings(lines[start:])


def _indented_beginnings(lines: Sequence[str]) -> Iterator[str]:
    """Yield beginnings that end before a line without indentation; a string may have such lines within."""
    ends = [i for i, line in enumerate(lines) if line.strip() and not line[:1].isspace()]
    for end in [*ends[:10], len(lines)]:
        body = lines[:end]
        first = body[0][: len(body[0]) - len(body[0].lstrip())] if body else ""
        yield "\n".join(line.removeprefix(first) for line in body)


def _continued(piece: str, asked: Demand, *, returns: bool, anywhere: bool = True) -> str:
    """Return the prompt with a body found in a piece; empty where the piece has no body.

    Args:
        piece: Text that may be, or begin with, a body.
        asked: Its prompt is continued.
        returns: The body must return, yield or raise: without that, much prose could pass for a body.
        anywhere: Text may stand before the body.
    """
    head = asked.prompt.rstrip("\n") + "\n"
    last = next((line for line in reversed(head.split("\n")) if line.strip()), "")
    indent = last[: len(last) - len(last.lstrip())] or "    "
    for body in _bodies(piece, anywhere=anywhere):
        program = head + textwrap.indent(body, indent) + "\n"
        tree = parsed(program)
        if tree is None or not isinstance(function := tree.body[-1], (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if function.name in asked.names and not _is_stub(function) and (_returns(function) or not returns):
            return program
    return ""


def _returns(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function returns, yields or raises by itself."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)
    return False


def _supplied(program: str, others: Iterable[str], given: str) -> str:
    """Return imports, helpers and constants that a program uses and lacks, taken from other pieces of the answer."""
    supplies: dict[str, str] = {}
    for other in others:
        tree = next((tree for part in _programs(other) if (tree := parsed(part)) and tree.body), None)
        for node in tree.body if tree else ():
            if _can_be_lent(node):
                names = defined(ast.Module(body=[node], type_ignores=[]))
                supplies.update(dict.fromkeys(names - supplies.keys(), ast.unparse(node)))
    found: list[str] = []
    while missing := sorted(_unbound("\n".join([*found, given, program])) & supplies.keys()):
        found.insert(0, supplies.pop(missing[0]))
    return "".join(f"{part}\n" for part in dict.fromkeys(found))


def _can_be_lent(node: ast.stmt) -> bool:
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return node.value is not None and not any(isinstance(n, (ast.Call, ast.Name)) for n in ast.walk(node.value))
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom))


def _unbound(source: str) -> set[str]:
    """Return the global names that a program reads and does not bind."""
    tree = parsed(source)
    if tree is None:
        return set()
    read: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in strings
        todo = [symtable.symtable(source, "program", "exec")]
    while todo:
        table = todo.pop()
        read |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
        todo += table.get_children()
    return read - defined(tree) - set(vars(builtins))


def _without_words(program: str) -> str:
    """Return a program without prose that happens to be Python: top-level expressions that can only fail."""
    tree = parsed(program)
    lines = program.split("\n")
    for node in reversed(tree.body if tree else []):
        idle = isinstance(node, ast.Expr) and not any(isinstance(n, (ast.Call, ast.Await)) for n in ast.walk(node))
        if idle and isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            lines[node.lineno - 1 : node.end_lineno] = []
    return "\n".join(lines)


def _with_given(program: str, given: str) -> str:
    """Return a program with what the question gives put before it; imports from `__future__` come first of all."""
    future = re.findall(r"^from __future__ import [^\n]+\n?", program, re.MULTILINE)
    for line in future:
        program = program.replace(line, "", 1)
    return "".join(future) + given + program


def found_program(text: str, asked: Demand) -> str:
    """Return the program in an answer, by the rule at the top of this module; empty if it has no program."""
    parts = pieces(plain(text))
    continues = bool(asked.prompt and parts and not parts[0].fenced)
    if continues and (program := _continued(parts[0].text, asked, returns=True, anywhere=False)):
        return program
    candidates = [part.text for part in sorted(parts, key=lambda part: not part.fenced)]
    scored = [_defining(piece, asked.names) for piece in candidates]
    if most := max((have for have, _ in scored), default=0):
        place = next(i for i, (have, _) in enumerate(scored) if have == most)
        program = _without_words(scored[place][1])
        lent = _supplied(program, candidates[:place] + candidates[place + 1 :], asked.given)
        return _with_given(lent + program, asked.given)
    for returns in (True, False):
        for piece in candidates if asked.prompt else ():
            if program := _continued(piece, asked, returns=returns):
                return program
    return _with_given(max(candidates, key=len, default=""), asked.given) if candidates else ""
