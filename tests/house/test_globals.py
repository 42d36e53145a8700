"""No module keeps what functions write; what a process has once is named here, with the reason."""

import ast

import pytest

from tests.builders.places import SRC

WRITES = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
ONE_IN_A_PROCESS = {
    "cli/guard.py": {"_line"},  # the pipe to the process that waits
    "cli/terminal.py": {"sys"},  # Python's own hook for tracebacks
    "cli/options.py": {"_reached"},  # what Ctrl-C says is kept: it comes at any moment
    "core/events.py": {"warnings"},  # Python's own hook for warnings
    "core/imports.py": {"_claims"},  # modules of users' files, as `sys.modules` has them
    "core/plugins.py": {"sys"},  # modules of users' files
    "core/process.py": {"_first_file", "_home", "os"},  # `os._exit` of this process
    "core/resource_probes.py": {"DEVICE", "EXAM_BATCHES", "HOW", "RESOURCE_PROBES"},  # of the model that is loaded
    "core/wording.py": {"_spoken"},  # the language of the process
    "engine/executors/orders.py": {"_kept"},  # a cluster calls functions, and hands them no object
    "engine/executors/processes.py": {"_worker"},  # a pool does so too
    "engine/shared_learner.py": {"_forgotten"},  # a finaliser has nobody to tell
    "lm_eval/rows.py": {"_held"},  # the harness calls a function by name
    "models/skeleton.py": {"_passed"},  # checkpoints whose files were looked through
    "store/measure.py": {"_open"},  # measurements that run, one within another
    "training/step_memory.py": {"functional"},  # torch's attention, within a block, while memory is planned
    "training/team.py": {"_gone", "_opened"},  # torch has one process group
}


def module_names(tree):
    """Return the names that a module binds, its imports among them."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return found


def only(node):
    return ast.Module(body=[node], type_ignores=[])


def bound_in(function):
    """Return the names that a function binds itself, and does not declare as global."""
    arguments = [*ast.walk(function.args)]
    found = {a.arg for a in arguments if isinstance(a, ast.arg)}
    found |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(function):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(a.asname or a.name).partition(".")[0] for a in node.names}
    return found - {name for n in ast.walk(function) if isinstance(n, ast.Global) for name in n.names}


def changed_by(node, variables):
    """Return the names of objects that a statement, or a call on one of `variables`, changes or binds anew."""
    if isinstance(node, ast.Global):
        return set(node.names)
    places = []
    if isinstance(node, ast.Assign | ast.Delete):
        places = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        places = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
        places = [node.func] if ast.unparse(node.func.value) in variables else []
    parts = [p for place in places for p in (place.elts if isinstance(place, ast.Tuple | ast.List) else [place])]
    return {p.value.id for p in parts if isinstance(p, ast.Subscript | ast.Attribute) and isinstance(p.value, ast.Name)}


def written_globals(text):
    """Return the names of a module that its functions change."""
    tree = ast.parse(text)
    names, found = module_names(tree), set()
    modules = {
        n for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for n in module_names(only(node))
    }
    variables = names - {name for name in modules if not name.isupper()}  # `resume.clear()` calls a module's function
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            own = bound_in(function)
            found |= {n for node in ast.walk(function) for n in changed_by(node, variables) if n in names - own}
    return found


# What a module imports from one that is named above: there it is counted once.
PASSED_ON = {name for names in ONE_IN_A_PROCESS.values() for name in names}


@pytest.mark.slow
def test_no_module_keeps_what_functions_write():
    found = {str(p.relative_to(SRC)): written_globals(p.read_text(encoding="utf-8")) for p in SRC.rglob("*.py")}
    more = {path: names - ONE_IN_A_PROCESS.get(path, set()) - PASSED_ON for path, names in found.items()}
    assert {path: names for path, names in more.items() if names} == {}, "hand it on as an argument"
    here = {name for names in found.values() for name in names}
    assert PASSED_ON - here == set(), "these are gone: take them out of the list"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("_held = {}\ndef f(x):\n    _held[x] = 1", {"_held"}),
        ("_held = []\ndef f(x):\n    _held.append(x)", {"_held"}),
        ("_held: list[int] = []\nasync def f(x):\n    del _held[:]", {"_held"}),
        ("_held = []\ndef f(x):\n    _held[:] = [x]", {"_held"}),
        ("_num = 0\ndef f():\n    global _num\n    _num += 1", {"_num"}),
        ("_one = Some()\nclass A:\n    def f(self):\n        _one.place = 3", {"_one"}),
        ("from a import HOW\ndef f(x):\n    HOW.update(x)", {"HOW"}),
        ("import warnings\ndef f():\n    warnings.showwarning = g", {"warnings"}),
        ("_held = {}\n_held.update(a=1)", set()),
        ("from a import resume\ndef f(x):\n    resume.clear(x)", set()),
        ("held = {}\ndef f(held):\n    held[1] = 2", set()),
        ("held = {}\ndef f():\n    held = {}\n    held[1] = 2", set()),
        ("held = {}\ndef f(x):\n    return held[x]", set()),
    ],
)
def test_a_planted_global_is_found(text, found):
    assert written_globals(text) == found
