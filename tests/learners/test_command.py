"""A command as a learner: what it is handed, what is taken of it, and what becomes of each thing that it does wrong."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from clbench.core.errors import LessonError, SpecError, UserError
from clbench.core.spec import Machine, ModelSpec, RunSpec
from clbench.data.streams.stream import lessons, open_stream
from clbench.engine.resolve import open_learner, resolve
from clbench.learners._shared.left_checkpoint import tokens_of
from clbench.learners._shared.program import last_words, run_program
from clbench.learners.command import NAMES, Config, build, pin_files
from clbench.models import source
from clbench.store.measure import measure
from clbench.testing.learners import CHECKS, QUICK, check_learner
from tests.builders.checkpoints import write_base
from tests.builders.child import environment

pytestmark = pytest.mark.xdist_group("command")
LESSONS = lessons(open_stream("worlds-tiny", None))
# Learns without a library: one number of the weights becomes another, which a float32 may be.
NUDGE = """
import os, shutil, sys
previous, out = sys.argv[1:3]
shutil.copytree(previous, out, dirs_exist_ok=True)
with open(os.path.join(out, "model.safetensors"), "r+b") as file:
    file.seek(-4, 2)
    last = file.read(1)[0]
    file.seek(-4, 2)
    file.write(bytes([(last + 1) % 256]))
"""


def nudge(more=""):
    return shlex.join([sys.executable, "-I", "-c", NUDGE + more, "{previous}", "{out}"])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return source.settled(ModelSpec(name=str(write_base(tmp_path_factory.mktemp("base")))))


def learner(base, learn, **machine):
    return build(Config(learn=learn), base, 7, Machine(device="cpu", **machine))


def weights(folder):
    return (folder / "answers" / "checkpoint" / "model.safetensors").read_bytes()


def test_what_it_is_handed_and_what_is_taken(base, tmp_path):
    look = "\nimport json\nfound = {k: v for k, v in os.environ.items() if k.startswith('CLBENCH_')}"
    look += "\njson.dump(found, open(sys.argv[3], 'w'))"
    look += "\nshutil.copy(os.environ['CLBENCH_LESSON'], out)\nshutil.copy(os.environ['CLBENCH_ABOUT'], out)"
    look += "\nopen(os.environ['CLBENCH_COSTS'], 'w').write('{\"train_tokens\": 5}')"
    seen = tmp_path / "seen.json"
    made = learner(base, f"{nudge(look)} {seen}")
    for number in (1, 2):
        made.learn(LESSONS[number - 1], tmp_path / f"work-{number}")
        made.save(tmp_path / f"state-{number}")
    told = json.loads(seen.read_text())
    assert {name for name in told if name[8:].lower() in NAMES} == {f"CLBENCH_{name.upper()}" for name in NAMES}
    assert (told["CLBENCH_SEED"], told["CLBENCH_NUMBER"]) == ("7", "2")
    kept = tmp_path / "state-2" / "keeps" / "beside"
    rows = [json.loads(line) for line in (kept / "lesson.jsonl").read_text().splitlines()]
    assert [row["messages"][-1] for row in rows] == [
        {"role": "assistant", "content": e.targets[0]} for e in LESSONS[1].examples
    ]
    assert [turn["content"] for turn in rows[0]["messages"][:-1]] == [m.content for m in LESSONS[1].examples[0].prompt]
    checkpoint = tmp_path / "state-2" / "answers" / "checkpoint"
    about = json.loads((checkpoint / "lesson.json").read_text()) if (checkpoint / "lesson.json").exists() else None
    about = about or json.loads((kept / "lesson.json").read_text())
    assert (about["number"], about["seed"], about["examples"], about["task"]) == (2, 7, len(rows), None)
    assert about["previous"] == told["CLBENCH_PREVIOUS"]
    first, second = (weights(tmp_path / f"state-{number}") for number in (1, 2))
    given = (Path(base.name) / "model.safetensors").read_bytes()
    assert first[:-4] == second[:-4] == given[:-4]
    assert [(data[-4] - given[-4]) % 256 for data in (first, second)] == [1, 2], "each goes on from the one before"
    assert json.loads((tmp_path / "state-2" / "counts.json").read_text())["train_tokens"] == 10
    woken = learner(base, nudge())
    woken.load(tmp_path / "state-2")
    woken.save(tmp_path / "again")
    assert weights(tmp_path / "again") == second
    woken.learn(LESSONS[2], tmp_path / "work-3")
    assert (tmp_path / "work-3" / "out" / "lesson.jsonl").exists(), "what lay beside the checkpoint comes again"


SHELL = "bash -c {}"
COPY = 'cp -r "$CLBENCH_PREVIOUS/." "$CLBENCH_OUT"'
REWRITE = "\nimport json\np = os.path.join(out, 'config.json')\nc = json.load(open(p))\n{}\njson.dump(c, open(p, 'w'))"
OTHER = REWRITE.format("c['architectures'] = ['GPT2LMHeadModel']")
SHAPES = REWRITE.format("c['hidden_size'] = 32")
NAN = """
with open(os.path.join(out, 'model.safetensors'), 'r+b') as f:
    f.seek(-4, 2)
    f.write(bytes([0, 0, 192, 127]))
"""
HALF = "\nos.truncate(os.path.join(out, 'model.safetensors'), 5000)"
LONE = """
shutil.move(out, out + '-x')
shutil.copytree(out + '-x', out + '/checkpoint-9')
"""
FAULTS = {
    "exit 1": (SHELL.format(shlex.quote("echo begun; echo the tail >&2; exit 1")), "exit code 1: begun | the tail"),
    "kill -9": (SHELL.format(shlex.quote("echo x; kill -9 $$")), "ended by signal 9, as when memory runs out: x"),
    "silent": (SHELL.format("'exit 3'"), "exit code 3: it said nothing"),
    "no output": (SHELL.format("true"), "it ended well and left nothing in"),
    "writes elsewhere": (SHELL.format(shlex.quote('cp -r "$CLBENCH_PREVIOUS" "$CLBENCH_OUT-mine"')), "left nothing in"),
    "rubbish": (SHELL.format(shlex.quote('echo hello > "$CLBENCH_OUT/notes.txt"')), "holds no config.json"),
    "half a checkpoint": (nudge(HALF), "what it left cannot be used"),
    "other architecture": (nudge(OTHER), "it is a GPT2LMHeadModel, and a LlamaForCausalLM was handed over"),
    "other shapes": (nudge(SHAPES), "do not fit config.json"),
    "NaN weights": (nudge(NAN), "NaN or infinite values"),
    "only a middle": (nudge(LONE), "checkpoint-9"),
    "changes the lesson": (SHELL.format(shlex.quote(f'{COPY}; echo >> "$CLBENCH_LESSON"')), "it changed"),
    "changes the checkpoint": (SHELL.format(shlex.quote(f'{COPY}; rm "$CLBENCH_PREVIOUS/config.json"')), "it removed"),
    "adds to the input": (SHELL.format(shlex.quote(f'{COPY}; touch "$CLBENCH_PREVIOUS/x"')), "it added"),
    "runs for ever": (SHELL.format(shlex.quote("echo step 7; sleep 600")), "ended after 3 seconds: step 7"),
    "ignores being ended": (SHELL.format(shlex.quote("trap '' TERM; echo step 8; sleep 3.6")), "ended after 3 seconds"),
}


@pytest.mark.parametrize(("learn", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_told_and_nothing_is_lost(base, tmp_path, learn, said):
    good = learner(base, nudge())
    good.learn(LESSONS[0], tmp_path / "work-1")
    good.save(tmp_path / "state-1")
    before = {p: p.read_bytes() for p in (tmp_path / "state-1").rglob("*") if p.is_file()}
    given = {p: p.read_bytes() for p in Path(base.name).iterdir()}
    limited = 4.0 if "ended after" in said else None
    bad = learner(base, learn, limit_s=limited)
    bad.load(tmp_path / "state-1")
    with pytest.raises(UserError) as told:
        bad.learn(LESSONS[1], tmp_path / "work-2")
    assert said in str(told.value)
    assert told.value.where.startswith("lesson 2, ")
    assert told.value.mend
    assert {p: p.read_bytes() for p in (tmp_path / "state-1").rglob("*") if p.is_file()} == before
    assert {p: p.read_bytes() for p in Path(base.name).iterdir()} == given
    again = learner(base, nudge())
    again.load(tmp_path / "state-1")
    again.learn(LESSONS[1], tmp_path / "work-2")
    again.save(tmp_path / "state-2")
    assert (weights(tmp_path / "state-2")[-4] - weights(tmp_path / "state-1")[-4]) % 256 == 1, (
        "what failed left nothing"
    )


ADAPT = """
import sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
base = AutoModelForCausalLM.from_pretrained(sys.argv[1])
model = get_peft_model(base, LoraConfig(target_modules=["q_proj"]))
for name, value in model.named_parameters():
    if "lora_B" in name:
        torch.nn.init.constant_(value.data, 0.01)
model.save_pretrained(sys.argv[2])
"""


def test_an_adapter_is_merged_into_what_was_handed_over(base, tmp_path):
    script = tmp_path / "adapt.py"
    script.write_text(ADAPT)
    made = learner(base, f"{sys.executable} {script} {{previous}} {{out}}")
    made.learn(LESSONS[0], tmp_path / "work")
    made.save(tmp_path / "state")
    names = {p.name for p in (tmp_path / "state" / "answers" / "checkpoint").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not {"adapter_config.json", "adapter_model.safetensors"} & names
    import torch
    from safetensors.torch import load_file

    now = load_file(tmp_path / "state" / "answers" / "checkpoint" / "model.safetensors")
    was = load_file(Path(base.name) / "model.safetensors")
    moved = {name for name in now if not torch.equal(now[name], was[name])}
    assert moved
    assert all("q_proj" in name for name in moved)


def test_what_was_finished_is_not_run_again(base, tmp_path, heard):
    runs = tmp_path / "runs.txt"
    count = nudge(f"\nopen({str(runs)!r}, 'a').write('x')\nimport time\ntime.sleep(0.3)")
    learner(base, count).learn(LESSONS[0], tmp_path / "work")  # and clbench is killed before the state is written
    again = learner(base, count)
    with measure() as cost:
        again.learn(LESSONS[0], tmp_path / "work")
    assert runs.read_text() == "x"
    assert cost["wall_s"] > 0.3, "the time of the first run is its cost"
    assert "it is not run again" in heard[-1]
    (tmp_path / "work" / "out" / "config.json").write_text("{}")  # what it had left was changed
    learner(base, count).learn(LESSONS[0], tmp_path / "work")
    assert runs.read_text() == "xx"
    learner(base, count + " ").learn(LESSONS[1], tmp_path / "work")
    assert runs.read_text() == "xxx", "another lesson is another one"


HOLD = """
import time
x = bytearray(60_000_000)
t = time.process_time()
while time.process_time() - t < 0.3:
    pass
time.sleep(4)
"""


def test_time_and_memory_are_those_of_all_its_processes(tmp_path):
    both = f"{shlex.join([sys.executable, '-I', '-c', HOLD])} & {shlex.join([sys.executable, '-I', '-c', HOLD])}; wait"
    ended = run_program(["bash", "-c", both], {}, tmp_path / "said.txt", None, "x")
    assert ended.code == 0
    assert ended.cpu_s >= 0.6
    assert ended.wall_s >= 4
    assert ended.peak_memory_bytes > 60_000_000
    if sys.platform == "linux":
        assert ended.peak_memory_bytes > 120_000_000, "both together"
    alone = run_program(["true"], {}, tmp_path / "said.txt", None, "x")
    assert alone.peak_memory_bytes < 50_000_000, "not ours"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_nothing_of_it_is_left(tmp_path):
    leaves = f"setsid sleep 987 & echo $! > {tmp_path}/pid; sleep 1.5"
    run_program(["bash", "-c", leaves], {}, tmp_path / "said.txt", None, "x")
    assert _ends(int((tmp_path / "pid").read_text())), "also what has left its group"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_it_ends_with_us(tmp_path):
    sleeps = f"echo $$ > {tmp_path}/pid; sleep 987"
    code = "from pathlib import Path\nfrom clbench.learners._shared.program import run_program\n"
    code += f"run_program(['bash', '-c', {sleeps!r}], {{}}, Path({str(tmp_path / 'said')!r}), None, 'x')"
    ours = subprocess.Popen([sys.executable, "-c", code], env=environment())
    for _ in range(600):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.1)
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    assert _ends(int((tmp_path / "pid").read_text()))


def _ends(process):
    for _ in range(100):
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_the_last_words_are_one_line_of_the_last(tmp_path):
    said = tmp_path / "said.txt"
    said.write_bytes(b"first\n" * 9000 + b"\xff bad\n 10%\r 20%\r\n\n  Error:   no\n")
    assert last_words(said) == "first | first | � bad | 10% | 20% | Error: no"
    assert last_words(tmp_path / "none") == "it said nothing"


def spec(base, **learner):
    return RunSpec(name="x", model=base, learner={"name": "command", **learner}, stream="worlds-tiny")


def test_what_it_reads_is_pinned(base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("1")
    Path("conf.yaml").write_text("1")
    Path("lib").mkdir()
    (tmp_path / "lib" / "a.py").write_text("1")
    learn = f"{sys.executable} train.py --config=conf.yaml {{lesson}}"
    first = resolve(spec(base, learn=learn, files=["lib"]))
    assert [name.partition("@")[0] for name in first.learner["files"]] == ["conf.yaml", "lib", "train.py"]
    assert resolve(first).key == first.key
    (tmp_path / "lib" / "a.py").write_text("2")
    assert resolve(spec(base, learn=learn, files=["lib"])).key != first.key
    with pytest.raises(UserError, match="lib is not what it was"):
        resolve(first)
    assert resolve(spec(base, learn=learn)).told_settings == {"learn": f"learn={learn[:60]}"}


REFUSED = {
    "no command": ({"learn": ""}, "it has no command"),
    "no program": ({"learn": "no-such-program {out}"}, "there is no program 'no-such-program'"),
    "no file": ({"learn": "true", "files": ["nowhere.py"]}, "there is no file 'nowhere.py'"),
    "open quotes": ({"learn": "true 'x"}, "cannot be read"),
    "unknown place": ({"learn": "true {outt}"}, "did you mean 'out'"),
}


@pytest.mark.parametrize(("settings", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused_before_anything_is_spent(base, settings, said):
    with pytest.raises(UserError) as told:
        resolve(spec(base, **settings))
    assert said in str(told.value)


def test_braces_of_others_stay(base, tmp_path):
    odd = '{"a": 1} ${HOME} {A}'
    copy = shlex.quote('cp -r "$CLBENCH_PREVIOUS/." "$CLBENCH_OUT"; echo "$0" > "$CLBENCH_OUT/said.txt"')
    made = learner(base, f"bash -c {copy} {shlex.quote(odd)}")
    made.learn(LESSONS[0], tmp_path / "work")
    assert (tmp_path / "work" / "out" / "said.txt").read_text().strip() == odd


def test_bases_that_cannot_be_handed_over(base):
    for change, said in (({"adapter": "qlora"}, "four bits"), ({"trust_code": "0" * 32}, "code of its own")):
        with pytest.raises(SpecError, match=said):
            pin_files(Config(learn="true"), base.model_copy(update=change))
    with pytest.raises(SpecError, match="one process"):
        build(Config(learn="true"), base, 0, Machine(processes=2))


def test_tokens_as_trainers_count_them(tmp_path):
    assert tokens_of(tmp_path, tmp_path / "costs.json") is None
    (tmp_path / "checkpoint-9").mkdir()
    (tmp_path / "checkpoint-10").mkdir()
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text('{"num_input_tokens_seen": 3}')
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text(
        '{"num_input_tokens_seen": 0, "log_history": [{"num_tokens": 4.0}, {"num_tokens": 8.0}, {"train_loss": 1}]}'
    )
    assert tokens_of(tmp_path, tmp_path / "costs.json") == 8
    (tmp_path / "costs.json").write_text('{"train_tokens": 2}')
    assert tokens_of(tmp_path, tmp_path / "costs.json") == 2
    for rubbish in ("[]", '{"train_tokens": -1}', '{"train_tokens": true}', "{", '{"train_tokens": "9"}'):
        (tmp_path / "costs.json").write_text(rubbish)
        assert tokens_of(tmp_path, tmp_path / "costs.json") == 8


# Of the contract that every learner holds: what does not ask about settings of training, with a command that learns.
HELD = ("asking changes nothing", "sleep changes nothing", "same seed, same bytes", "global random state untouched")


@pytest.mark.parametrize("check", HELD)
def test_the_contract_with_a_command_that_learns(monkeypatch, check):
    assert check in CHECKS
    monkeypatch.setitem(QUICK, "learn", nudge())
    (outcome,) = check_learner("command", only=check)
    assert (outcome.problem, outcome.skipped) == ("", "")


def test_traits_say_that_nothing_bounds_it():
    plugin, config = open_learner({"name": "command", "learn": "true"})
    assert plugin.traits(config).record()["unbounded"] is True
    assert "unbounded" not in open_learner({"name": "sft"})[0].traits(None).record()
    with pytest.raises(SpecError, match="unbounded is 'yes'"):
        replace(plugin, unbounded="yes")


def test_an_interrupted_lesson_begins_anew(base, tmp_path):
    half = learner(base, SHELL.format(shlex.quote('echo 1 > "$CLBENCH_OUT/half.bin"; exit 1')))
    with pytest.raises(LessonError):
        half.learn(LESSONS[0], tmp_path / "work")
    assert (tmp_path / "work" / "said.txt").exists(), "its words outlive it"
    made = learner(base, nudge())
    made.learn(LESSONS[0], tmp_path / "work")
    assert not (tmp_path / "work" / "out" / "half.bin").exists()
    shutil.rmtree(tmp_path / "work")
