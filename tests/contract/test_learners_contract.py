import sys
import zipfile
from dataclasses import replace

import pytest

from clbench.core import plugins
from clbench.core.traits import LEVELS
from clbench.learners.replay import Replay
from clbench.testing import check_learner
from clbench.testing.learners import CHECKS
from clbench.training.method import Method
from clbench.training.plugin import trained

pytestmark = pytest.mark.xdist_group("learners")
SFT = plugins.load("learner", "sft", "PLUGIN")
REPLAY = plugins.load("learner", "replay", "PLUGIN")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", plugins.names("learner"))
def test_every_learner_holds_its_contract(name, check):
    (outcome,) = check_learner(name, only=check)
    assert outcome.problem == ""


ON_ENCODERS = [n for n in plugins.names("learner") if "encoder" in plugins.load("learner", n, "PLUGIN").model_families]


@pytest.mark.parametrize("name", ON_ENCODERS)
def test_contract_on_the_encoder(name):
    for check in ("sleep changes nothing", "same seed, same bytes", "stop and resume", "first lesson as declared"):
        (outcome,) = check_learner(name, model="tiny-bert", only=check)
        assert outcome.problem == "", check


class Wrapped:
    """A learner with one planted bug: everything but what a test changes goes to a sound one."""

    def __init__(self, inner, **changes):
        self.inner = inner
        for name, change in changes.items():
            setattr(self, name, lambda *a, _change=change, **k: _change(inner, *a, **k))

    def __getattr__(self, name):
        return getattr(self.inner, name)


def _build(plugin=SFT, method=None, **changes):
    def build(config, model, seed, machine):
        inner = (
            plugin.build(config, model, seed, machine)
            if method is None
            else trained(config, method(), model, seed, machine)
        )
        return Wrapped(inner, **changes)

    return build


def _learns_while_asked(inner, examples, decode):
    answers = inner.respond(examples, decode)
    next(inner.net.module.parameters()).data.add_(1e-4)
    return answers


def _forgets_memory(inner, folder):
    inner.load(folder)
    inner.method.memory = []


class Drifting(Method):
    def consolidate(self, net, lesson, rng):
        import torch

        p = next(net.module.parameters())
        p.data.add_(torch.rand_like(p) * 1e-3)


class Unseeded(Method):
    def consolidate(self, net, lesson, rng):
        import numpy as np

        next(net.module.parameters()).data.add_(float(np.random.default_rng().random()) * 1e-3)


class Hoarding(Method):
    def __init__(self):
        self.all = []

    def consolidate(self, net, lesson, rng):
        self.all += lesson.examples

    def state(self):
        return {"all": self.all}


class Quoting(Hoarding):
    def state(self):
        return {"all": [{"seen": e.prompt[-1].content} for e in self.all]}


class Rigid(Method):
    """Holds weights by shape, as if no label head ever grew."""

    def __init__(self):
        self.anchor = {}

    def loss(self, net, batch, out):
        drifts = [(p - self.anchor[n]).square().sum() for n, p in net.module.named_parameters() if n in self.anchor]
        return out.loss + 0.01 * sum(drifts)

    def consolidate(self, net, lesson, rng):
        self.anchor = {n: p.detach().clone() for n, p in net.module.named_parameters()}

    def state(self):
        return {"anchor": self.anchor} if self.anchor else {}

    def restore(self, state):
        self.anchor = state.get("anchor", {})


def _touches_global_rng(inner, lesson, progress=None):
    import random

    random.random()
    inner.learn(lesson, progress)


def _ignores_progress(inner, lesson, progress=None):
    if progress is not None and list(progress.glob("step-*")):
        inner.training = inner.training.model_copy(update={"epochs": 2})
    inner.learn(lesson, progress)


def _learns_anything(inner, lesson, progress=None):
    open_ = tuple(e.model_copy(update={"eval_only": False}) for e in lesson.examples)
    inner.learn(lesson.model_copy(update={"examples": open_}), progress)


BUGS = {
    "answers in order": (SFT, _build(respond=lambda inner, e, d: inner.respond(sorted(e, key=lambda x: x.id), d))),
    "asking changes nothing": (SFT, _build(respond=_learns_while_asked)),
    "sleep changes nothing": (REPLAY, _build(REPLAY, load=_forgets_memory)),
    "starts as the base model": (
        SFT,
        _build(respond=lambda i, e, d: [a.model_copy(update={"text": "x"}) for a in i.respond(e, d)]),
    ),
    "neutral settings equal sft": (SFT, _build(method=Drifting)),
    "first lesson as declared": (REPLAY, _build(method=Drifting)),
    "same seed, same bytes": (SFT, _build(method=Unseeded)),
    "global random state untouched": (SFT, _build(learn=_touches_global_rng)),
    "kept examples within the budget": (SFT, _build(method=Hoarding)),
    "exam items refused": (SFT, _build(learn=_learns_anything)),
    "stop and resume": (SFT, _build(learn=_ignores_progress)),
    "what it stores is said": (SFT, _build(method=Quoting)),
    "label head that grows": (SFT, _build(method=Rigid)),
    "learning leaves a trace": (SFT, _build(learn=lambda inner, lesson, progress=None: None)),
}


@pytest.mark.parametrize("check", BUGS)
def test_planted_bugs_are_caught(check, monkeypatch):
    plugin, build = BUGS[check]
    module = type(sys)("clbench_planted_bug")
    module.PLUGIN = replace(plugin, build=build)
    monkeypatch.setitem(sys.modules, "planted.bug", module)
    monkeypatch.setitem(sys.modules, "planted", type(sys)("planted"))
    (outcome,) = check_learner("planted.bug", only=check)
    assert outcome.problem != ""


@pytest.mark.parametrize("name", plugins.shipped("learner"))
def test_every_shipped_learner_says_what_it_stores(name):
    plugin = plugins.load("learner", name, "PLUGIN")
    assert plugin.stored(plugin.config()) in LEVELS or plugin.elsewhere is not None  # who learnt there may say it


class InPieces(Hoarding):
    def state(self):
        return {"all": [[e.prompt[-1].content.upper()[3:20]] for e in self.all]}


class Answers(Hoarding):
    def state(self):
        return {"all": [t for e in self.all if not e.choices for t in e.targets]}


class Labels(Hoarding):
    def state(self):
        return {"all": [t for e in self.all if e.choices for t in e.targets]}


class CodePoints(Hoarding):
    def state(self):
        return {"all": [[ord(c) for c in e.prompt[-1].content] for e in self.all]}


class Bytes(Hoarding):
    def state(self):
        import torch

        return {"all": torch.tensor(list("".join(e.prompt[-1].content for e in self.all).encode()), dtype=torch.float)}


class Tokens(Hoarding):
    def consolidate(self, net, lesson, rng):
        self.all += [net.batch([e]).ids_BT[0] for e in lesson.examples]

    def state(self):
        import torch

        return {"all": torch.cat(self.all)} if self.all else {}


class InAnswers(Quoting):
    def answer_state(self):
        return super().state()

    def state(self):
        return {}


def zipped(inner, folder):
    inner.save(folder)
    with zipfile.ZipFile(folder / "keeps.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("seen", "\n".join(e.prompt[-1].content for e in inner.method.all))


HIDDEN = {
    "text": _build(method=Quoting),
    "pieces of text": _build(method=InPieces),
    "free answers": _build(method=Answers),
    "code points": _build(method=CodePoints),
    "bytes as floats": _build(method=Bytes),
    "tokens": _build(method=Tokens),
    "what answers depend on": _build(method=InAnswers),
    "a packed file": _build(method=type("Packed", (Hoarding,), {"state": Method.state}), save=zipped),
}


def stores_problem(monkeypatch, build, stores):
    module = type(sys)("clbench_planted_bug")
    module.PLUGIN = replace(SFT, build=build, stores=stores)
    monkeypatch.setitem(sys.modules, "planted.bug", module)
    monkeypatch.setitem(sys.modules, "planted", type(sys)("planted"))
    (outcome,) = check_learner("planted.bug", only="what it stores is said")
    return outcome.problem


@pytest.mark.parametrize("hidden", HIDDEN)
def test_text_of_examples_is_found_wherever_it_hides(hidden, monkeypatch):
    assert 'says stores="none"' in stores_problem(monkeypatch, HIDDEN[hidden], "none")


SAID = [
    ("none", 'stores="none"'),
    ("derived", 'stores="derived"'),
    (None, "nothing"),
    ("may_quote", ""),
    ("examples", ""),
]


@pytest.mark.parametrize(("stores", "said"), SAID)
def test_quoted_text_may_be_owned_up_to(stores, said, monkeypatch):
    found = stores_problem(monkeypatch, HIDDEN["text"], stores)
    assert f"says {said}" in found if said else found == ""


def test_whole_examples_are_more_than_quotes(monkeypatch):
    assert 'says stores="may_quote"' in stores_problem(monkeypatch, _build(method=Hoarding), "may_quote")
    assert stores_problem(monkeypatch, _build(method=Hoarding), "examples") == ""


def test_labels_are_not_text_of_examples(monkeypatch):
    assert stores_problem(monkeypatch, _build(method=Labels), "none") == ""


def test_replay_is_replay():
    assert issubclass(Replay, Method)
