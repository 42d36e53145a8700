"""Work that cannot fit is refused before anything of it is made, in the words of a plan."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from clbench.cli.main import main
from clbench.core.errors import SpecError, StoreError
from clbench.core.events import notice_listener
from clbench.core.spec import Machine
from clbench.engine import fitting
from clbench.engine.fit import Fit
from clbench.engine.inputs import Inputs
from clbench.engine.memory import Need

GB = 10**9
NEED = Need("sft", "m", "float32", *[0] * 15, per_weight=16.0)
TWO = """\
name: two
stream: worlds-tiny
budget: {items: 2}
training: {epochs: 1, batch_size: 8}
metrics: [average_performance]
axes: {learner: [frozen, sft]}
"""


def fit_of(peaks, room, disk=0, free=GB, workers=1):
    """Return what needs of these peaks are told on a device; those beyond it and its margin have advice."""
    needs = tuple(replace(NEED, learner=f"l{i}", peak=peak) for i, peak in enumerate(peaks))
    advice = {f"l{i} on m (float32)": ("less",) for i, peak in enumerate(peaks) if room and peak > 1.15 * room}
    return Fit(needs, "a card", room, sum(sorted(peaks)[-workers:]), disk, free, advice)


@pytest.fixture
def said():
    found = []
    token = notice_listener.set(found.append)
    yield found
    notice_listener.reset(token)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (fit_of([12 * GB], 10 * GB), r"a card has 10.0 GB, and l0 on m \(float32\) takes 12.0 GB"),
        (fit_of([7 * GB, 6 * GB], 10 * GB, workers=2), "the workers side by side take 13.0 GB"),
        (fit_of([GB], None, disk=2 * GB), "the disk has 1.000 GB free, and 2.000 GB are to be written"),
    ],
)
def test_what_is_beyond_the_margin_is_refused(found, words, said):
    with pytest.raises(SpecError, match=words) as refused:
        found.check()
    assert "--anyway" in refused.value.mend
    assert not said


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (fit_of([11 * GB], 10 * GB), "planned are: l0 on m (float32) 11.0 GB; a plan may be off by 15%"),
        (fit_of([6 * GB, 5 * GB], 10 * GB, workers=2), "planned are: all of them side by side 11.0 GB"),
        (fit_of([GB], None, disk=GB + 1000), "the disk has 1.000 GB free"),
        (fit_of([10 * GB], 10 * GB), ""),
        (fit_of([10 * GB], None), ""),
    ],
)
def test_what_is_within_it_is_said(found, words, said):
    found.check()
    assert len(said) == (1 if words else 0)
    assert words in "".join(said)


def refusal(err):
    """Return the lines that say what does not fit, without what stands before them on the first."""
    lines = err.splitlines()
    start = max(i for i, line in enumerate(lines) if "memory: an accelerator has" in line)
    return [lines[start][lines[start].index("memory: ") :], *lines[start + 1 :]]


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.xdist_group("memory")
def test_a_run_that_cannot_fit_ends_before_it_begins_and_the_others_are_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(TWO)
    arguments = ["run", "two.yaml", "--store", "s", "--workers", "1", "--memory", "20MB"]
    assert main([*arguments, "--plan"]) == 2
    err = capsys.readouterr().err
    planned = refusal(err)
    assert "low-rank adapters on" not in err, "what is said of the short models that a plan looks at"
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "1 of 2 runs could not be made: memory: an accelerator has 20.0 MB, and sft on tiny-llama" in err
    assert refusal(err) == planned
    assert "learner lora takes" in err
    assert [p.name.rsplit("-", 1)[0] for p in Path("s/runs").iterdir()] == ["two-frozen"]
    assert not list(Path("s").glob("**/weights.safetensors"))
    arguments[-1] = "1MB"  # all that the frozen model has to do lies in the store
    assert main([*arguments, "--set", "axes.learner=[frozen]"]) == 0
    capsys.readouterr()
    assert main(arguments) == 2
    assert len(list(Path("s/runs").iterdir())) == 1
    assert "nothing tried fits" in capsys.readouterr().err


class Made:
    """A run whose states are all to be learnt, and what a plan says of it."""

    def __init__(self, peak, learner):
        self.peak = peak
        self.spec = SimpleNamespace(model=SimpleNamespace(name="m"), learner_label=learner, learner={"name": learner})
        self.trajectory = SimpleNamespace(keys=(id(self),))


@pytest.fixture
def grid(monkeypatch, tmp_path):
    """Let `fitting` see runs of two settings of one learner and one of another, on a device of 10 GB."""
    runs = [Made(20 * GB, "sft"), Made(5 * GB, "sft"), Made(None, "odd"), StoreError("broken")]
    by_spec = {id(run.spec): run for run in runs[:3]}

    class Needs:
        machine = Machine(store=tmp_path)

        def of(self, spec, how=None):
            peak = by_spec[id(spec)].peak
            if peak is None:
                raise ZeroDivisionError("of a model's own code")
            return replace(NEED, learner=spec.learner_label, peak=peak, asked=GB, trained=1)

    monkeypatch.setattr(fitting, "Run", Made)
    monkeypatch.setattr(fitting, "worth_a_look", lambda *_: True)
    units = {run: SimpleNamespace(key=id(run), spec=run.spec, weight=1) for run in runs[:3]}
    monkeypatch.setattr(fitting, "plan", lambda chosen: [units[run] for run in chosen])
    monkeypatch.setattr(fitting, "answers_missing", lambda *_: None)
    room = SimpleNamespace(name="a card", bytes=10 * GB, card=True, devices=1)
    monkeypatch.setattr(fitting, "open_needs", lambda *_: (Needs(), room))
    monkeypatch.setattr("clbench.engine.fit._others", lambda *_: [])
    monkeypatch.setattr("clbench.engine.fit._among_cards", lambda *_: [])
    return runs


def test_each_run_of_a_grid_is_held_by_itself(grid, said):
    large, small, odd, broken = fitting.fitting(grid, None, Inputs(None), Machine())
    assert "sft on m (float32) takes 20.0 GB" in str(large)
    assert small is grid[1], "other settings of the same learner may fit"
    assert odd is grid[2], "what cannot be planned may run"
    assert broken is grid[3]
    assert said == ["the memory of odd on m cannot be planned: ZeroDivisionError: of a model's own code"]


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.xdist_group("memory")
def test_exams_that_cannot_fit_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["tiny-llama", "--exam", "mini_arithmetic", "--items", "2", "--store", "s", "--memory", "1MB"]
    for verb in ("exam", "baseline"):
        assert main([verb, *arguments]) == 2
        assert "memory: an accelerator has 1.0 MB, and exams on tiny-llama (float32) takes" in capsys.readouterr().err
        assert not Path("s/ask").exists()
    assert main(["exam", *arguments, "--anyway"]) == 0
    assert main(["exam", *arguments]) == 0, "what is in the store is not asked again"
