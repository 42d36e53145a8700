"""Whatever several processes make, find, break and clean in whatever order: a record is never lost."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clbench.core.keys import key
from clbench.store.gc import collect
from clbench.store.index import Index
from clbench.store.store import Store

RECORDS = ("ask", "mark", "effective")
KINDS = st.sampled_from(("state", *RECORDS))
NAMES = st.integers(0, 3)
PROCESSES = st.integers(0, 1)
FILES = {"state": "weights", "ask": "answers.jsonl", "mark": "grades.jsonl", "effective": "effective.json"}


class InterruptedWorkError(Exception):
    """Stands for whatever goes wrong while a stage is made."""


class StoreMachine(RuleBasedStateMachine):
    """Two `Store` objects on one folder stand for two processes, each with its own memory of what it verified."""

    @initialize()
    def open(self):
        self.home = TemporaryDirectory()
        self.told = []
        self.stores = [Store(Path(self.home.name) / "store", self.told.append) for _ in range(2)]
        self.made = {}
        self.num_broken = 0

    def teardown(self):
        if hasattr(self, "home"):
            self.home.cleanup()

    @staticmethod
    def content(kind, name):
        return f"{kind} {name} " * 5

    def make(self, kind, name, rival=None, fails=False):
        def write(folder):
            (folder / FILES[kind]).write_text(self.content(kind, name))
            if rival is not None:
                self.once(rival, kind, name)
            if fails:
                raise InterruptedWorkError

        return write

    def once(self, process, kind, name, **how):
        # States form a chain, so that gc has something to drop.
        why = {"parent": key("state", name=name - 1), "step": name}
        where = key(kind, name=name)
        folder = self.stores[process].once(kind, where, self.make(kind, name, **how), why)
        assert (folder / FILES[kind]).read_text() == self.content(kind, name)
        self.made[kind, name] = where

    @rule(process=PROCESSES, kind=KINDS, name=NAMES)
    def makes(self, process, kind, name):
        self.once(process, kind, name)

    @rule(process=PROCESSES, kind=KINDS, name=NAMES)
    def makes_beside_a_rival(self, process, kind, name):
        self.once(process, kind, name, rival=1 - process)

    @rule(process=PROCESSES, kind=KINDS, name=NAMES)
    def is_interrupted(self, process, kind, name):
        try:
            self.once(process, kind, name, fails=True)
        except InterruptedWorkError:
            assert (kind, name) not in self.made

    @rule(process=PROCESSES, kind=KINDS, name=NAMES)
    def finds(self, process, kind, name):
        found = self.stores[process].find(kind, key(kind, name=name))
        assert (found is not None) == ((kind, name) in self.made)
        if found is not None:
            assert (found / FILES[kind]).read_text() == self.content(kind, name)

    @rule(process=PROCESSES, keep=st.sets(st.sampled_from(("last", "branch"))), dry_run=st.booleans())
    def cleans(self, process, keep, dry_run):
        store = self.stores[process]
        collect(store, keep, dry_run=dry_run)
        there = {where for kind, where, _ in store.stages() if kind == "state"}
        gone = [place for place, where in self.made.items() if place[0] == "state" and where not in there]
        assert not (dry_run and gone)
        for place in gone:
            del self.made[place]

    @rule(process=PROCESSES, kind=KINDS, name=NAMES, data=st.binary(max_size=60))
    def is_damaged(self, process, kind, name, data):
        path = self.stores[0].place(kind, key(kind, name=name)) / FILES[kind]
        if (kind, name) not in self.made or path.read_bytes() == data:
            return
        path.write_bytes(data)
        self.num_broken += 1
        assert self.stores[process].find(kind, key(kind, name=name)) is None
        del self.made[kind, name]

    @invariant()
    def every_record_stands(self):
        for (kind, _), where in self.made.items():
            assert (self.stores[0].place(kind, where) / "stage.json").is_file()

    @invariant()
    def nothing_is_deleted_that_is_broken(self):
        broken = self.stores[0].folder / "broken"
        assert len(list(broken.iterdir()) if broken.exists() else []) == self.num_broken == len(self.told)

    @invariant()
    def no_draft_is_left(self):
        drafts = self.stores[0].folder / "drafts"
        assert not drafts.exists() or not list(drafts.iterdir())

    @rule(process=PROCESSES)
    def lists(self, process):
        assert {r.key for r in Index(self.stores[process]).rows()} == set(self.made.values())


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
