"""What the gate shows and what it cannot see: three verdicts, noise, other machines, other templates."""

import json
import math
import shlex
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from scipy import optimize, stats

from clbench.core.baseline import Baseline, differing, read_baseline, write_baseline
from clbench.core.graded import GradedItems
from clbench.core.item_scores import ExamScores
from clbench.core.keys import canonical, digest
from clbench.core.spec import Machine, ModelSpec
from clbench.core.types import ScorerSpec
from clbench.engine.baseline import _together
from clbench.engine.fingerprint import machine_of, parts_of
from clbench.engine.resolve import open_learner
from clbench.models import source
from clbench.report.decide import gate, gate_text
from clbench.stats.gate import Pairs, blind_below, fall_p, judge_exams, pooled, worse_p
from tests.builders.gate import EXAMS, OLD, WORSE, exam, taken


def flipped(lost, gained, num):
    """Give right and wrong answers before and after, with so many that fell and rose."""
    old = np.array([1.0] * lost + [0.0] * gained + [1.0] * (num - lost - gained))
    return old, np.array([0.0] * lost + [1.0] * gained + [1.0] * (num - lost - gained))


def score_p(lost, gained, num, margin):
    """Test "it fell by the margin" by Tango's score statistic, written anew: the likeliest share is searched for."""
    same = num - lost - gained

    def unlikelihood(share):  # of lost ones, when lost - gained = margin in truth
        rates = np.clip([share, share - margin, 1 - 2 * share + margin], 1e-300, 1)
        return -float(np.dot([lost, gained, same], np.log(rates)))

    share = optimize.minimize_scalar(unlikelihood, bounds=(margin, (1 + margin) / 2), options={"xatol": 1e-12}).x
    variance = num * (2 * share - margin - margin**2)
    return float(stats.norm.sf((gained - lost + num * margin) / math.sqrt(variance)))


@pytest.mark.parametrize(("lost", "gained", "num"), [(3, 1, 400), (0, 0, 200), (10, 12, 900), (5, 0, 300), (1, 6, 90)])
def test_not_worse_is_the_score_test_of_the_margin(lost, gained, num):
    old, new = flipped(lost, gained, num)
    if lost + gained:
        assert worse_p(Pairs("x", old, new, None), 0.05) == pytest.approx(score_p(lost, gained, num, 0.05), rel=1e-3)
    assert worse_p(Pairs("x", old, new, None), 0.0) >= 0.5 or gained > lost


def test_what_few_items_cannot_show_is_no_pass():
    """64 items, -7.8 with -17.0 to -1.7, a margin of 2 points."""
    old, new = flipped(7, 2, 64)
    alone = [(f"x{k}", *flipped(0, 0, 64), None) for k in range(7)]
    verdict = judge_exams([("copy", old, new, None), *alone], margin=0.02)[0]
    assert verdict.change.value == pytest.approx(-5 / 64)
    assert (verdict.state, verdict.regressed) == ("not shown", False)
    assert verdict.needed > 64
    (many,) = judge_exams([("same", *flipped(0, 0, 400), None)], margin=0.02)
    (few,) = judge_exams([("same", *flipped(0, 0, 64), None)], margin=0.02)
    assert (many.state, few.state) == ("not worse", "not shown")
    (enough,) = judge_exams([("same", *flipped(0, 0, int(few.needed)), None)], margin=0.02)
    assert enough.state == "not worse", "so many items would do, and do"
    (none,) = judge_exams([("same", *flipped(0, 0, 400), None)], margin=0.0)
    assert (none.state, none.needed) == ("not shown", math.inf)


def test_blindness_is_the_least_that_no_flip_shows():
    for items in (64, 200):
        edge = blind_below(items)
        assert worse_p(Pairs("x", *flipped(0, 0, items), None), edge) == pytest.approx(0.05, rel=1e-3)
    said = "\n".join(gate.blindness(OLD, 0.02))
    assert "programs (80 items:" in said
    assert "--items, --exams" in said
    assert gate.blindness(OLD, 0.2) == []


def test_blindness_counts_groups_and_not_their_items():
    """Ten groups of eight that stand and fall together show as little as ten items do: what the gate then says."""
    groups = tuple(str(i // 8) for i in range(80))
    sheet = OLD.exams[0].scores.model_copy(update={"groups": groups})
    grouped = OLD.model_copy(update={"exams": (OLD.exams[0].model_copy(update={"scores": sheet}),)})
    said = "\n".join(gate.blindness(grouped, 0.1))
    edge = blind_below(10)
    assert f"sums (80 items in 10 groups: {100 * edge:.1f})" in said
    assert "in as many groups where items belong together" in said
    assert worse_p(Pairs("x", *flipped(0, 0, 80), groups), edge) == pytest.approx(0.05, rel=1e-2)
    assert gate.blindness(grouped, edge + 0.01) == []


@pytest.mark.slow
def test_a_fall_of_the_margin_is_rarely_called_not_worse():
    rng, wrong, alarms = np.random.default_rng(5), 0, 0
    for _ in range(150):
        exams = []
        for k in range(4):
            turn = rng.random(300)  # 7 or 2 % are lost, 2 % gained, the rest are as they were
            lost, gained = turn < (0.07 if k % 2 else 0.02), turn > 0.98
            exams.append((str(k), np.where(gained, 0.0, 1.0), np.where(lost, 0.0, 1.0), None))
        found = judge_exams(exams, margin=0.05)
        wrong += any(v.state == "not worse" for v in found[1::2])
        alarms += any(v.regressed for v in found[::2])
    assert wrong / 150 <= 0.09
    assert alarms / 150 <= 0.09


def test_all_exams_together_see_what_none_sees_alone():
    exams = [Pairs(f"x{k}", *flipped(6, 1, 100), None) for k in range(8)]
    whole, margin = pooled(exams, [0.02] * 8)
    found = judge_exams([*exams, whole], margin=0.02)
    assert [v.state for v in found[:8]] == ["not shown"] * 8
    assert found[8].regressed
    assert (found[8].lost, found[8].gained, found[8].change.items, margin) == (48, 8, 800, 0.02)
    assert pooled(exams[:1], [0.02]) is None
    grouped = [e._replace(groups=[i // 10 for i in range(100)]) for e in exams]
    assert len(set(pooled([*grouped, exams[0]._replace(exam="alone")], [0.02] * 9)[0].groups)) == 8 * 10 + 100


# --- noise ----------------------------------------------------------------------------------------------------------


def noisy(rng, base, rate):
    """Ask a model once more: so many of its answers turn, right or wrong."""
    return np.where(rng.random(len(base)) < rate, 1 - base, base)


def again(rows, name="sums"):
    """Give a baseline with the answers of row 0 and of the same model asked again."""
    texts = ["".join("01"[int(v)] for v in row) for row in rows]
    sheet = ExamScores(
        exam=name,
        digest=f"digest of {name}",
        scorer=ScorerSpec(name="label"),
        version=1,
        ids=tuple(map(str, range(len(rows[0])))),
        rows={k: GradedItems(questions="q", answers_key="a", grades_key="m", scores=t) for k, t in enumerate(texts)},
    )
    one = taken(name, 1).model_copy(update={"scores": sheet, "answers": ("",) * len(rows[0])})
    return Baseline(model=ModelSpec(), identity="a", names=(name,), items=None, exams=(one,))


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.slow
def test_a_noisy_instrument_makes_no_regression(repeats):
    """The file of the baseline has no noise; here 5 % of answers turn whenever the same model is asked."""
    rng, called, without = np.random.default_rng(repeats), 0, 0
    asked = exam("sums").model_copy(update={"examples": tuple(exam("sums").examples[0] for _ in range(300))})
    for _ in range(200):
        base = (rng.random(300) < 0.9).astype(float)
        now = again([noisy(rng, base, 0.05)])
        told = gate.gate_report(
            again([base, *(noisy(rng, base, 0.05) for _ in range(repeats))]), now, (asked,), 0.02, {}
        )
        called += bool(told.regressed)
        without += bool(gate.gate_report(again([base]), now, (asked,), 0.02, {}).regressed)
    assert called / 200 <= 0.05 + 0.035
    assert without / 200 > 0.3, "which is why it is measured"
    assert "asked again here" in gate_text.as_table(told)
    assert gate_text.as_json(told)["exams"][0]["noise"]["flips"] == pytest.approx(0.07, abs=0.05)


def test_one_new_ask_is_mcnemars_test_and_more_are_counted_out():
    rng = np.random.default_rng(2)
    old, new = (rng.random((1, 60)) < 0.7).astype(float), (rng.random(60) < 0.6).astype(float)
    gained, lost = int((new > old[0]).sum()), int((new < old[0]).sum())
    mid = stats.binom.cdf(gained - 1, gained + lost, 0.5) + stats.binom.pmf(gained, gained + lost, 0.5) / 2
    assert fall_p(old, new) == pytest.approx(mid)
    old, new = (rng.random((3, 6)) < 0.6).astype(float), np.array([0.0, 0, 1, 0, 0, 1])
    every = np.vstack([old, new])
    sums = np.zeros(1)
    for item in every.T:  # all ways in which the new answer may be any of the four
        sums = (sums[:, None] + item[None]).ravel()
    assert fall_p(old, new) == pytest.approx((sums < new.sum()).mean() + (sums == new.sum()).mean() / 2)


def test_another_machine_widens_the_margin_or_is_measured():
    here, there = {"device": "cpu", "torch": "2"}, {"device": "cuda", "torch": "2"}
    old, new = OLD.model_copy(update={"machine": here}), WORSE.model_copy(update={"machine": there})
    report = gate.gate_report(old, new, EXAMS, 0.02, {})
    assert report.machine == (("device", "cpu", "cuda"),)
    assert [v.margin for v in report.all] == pytest.approx([0.03] * 3)
    text = gate_text.as_table(report)
    assert "another machine: device: cpu, here cuda" in text
    assert "widened by 1 points" in text
    same = gate.gate_report(old, new.model_copy(update={"machine": here}), EXAMS, 0.02, {})
    assert (same.machine, same.widened) == ((), 0.0)
    assert gate.gate_report(OLD, new, EXAMS, 0.02, {}).widened == 0.0, "an old file does not tell"
    measured = gate.gate_report(again([[1] * 80, [1] * 80]).model_copy(update={"machine": here}), new, EXAMS, 0.02, {})
    assert measured.widened == 0.0


# --- what else differs ------------------------------------------------------------------------------------------------


def test_another_template_is_told_first_and_training_is_no_repair(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "chat_template.jinja").write_text("x")
    update = {"model": ModelSpec(name=str(tmp_path / "old")), "parts": {"chat template": "abc", "tokenizer": "t"}}
    old = OLD.model_copy(update=update)
    update = {"model": ModelSpec(name=str(tmp_path / "new")), "parts": {"chat template": "none", "tokenizer": "t"}}
    report = gate.gate_report(old, WORSE.model_copy(update=update), EXAMS, 0.02, {})
    text = gate_text.as_table(report)
    assert text.startswith("differs from the baseline: chat template: abc, now none")
    assert "clbench run RECIPE.yaml" not in text
    assert f"cp {tmp_path / 'old' / 'chat_template.jinja'} {tmp_path / 'new' / 'chat_template.jinja'}" in text
    assert "chat template: abc, now none" in gate_text.as_markdown(report)
    assert "chat template: abc, now none" in gate_text.as_junit(report)
    assert gate_text.as_json(report)["differs"] == [{"what": "chat template", "before": "abc", "now": "none"}]
    assert "are not known (format 2)" in gate_text.as_table(gate.gate_report(OLD, WORSE, EXAMS, 0.02, {}))


def test_the_very_weights_with_another_template_are_not_the_very_model():
    same = OLD.model_copy(update={"parts": {"chat template": "abc"}})
    other = OLD.model_copy(update={"parts": {"chat template": "none"}})
    assert gate.gate_report(same, same, EXAMS, 0.02, {}).same
    assert not gate.gate_report(same, other, EXAMS, 0.02, {}).same
    assert [v.state for v in gate.gate_report(same, same, EXAMS, 0.02, {}).all] == ["not worse"] * 3
    assert [v.state for v in gate.gate_report(same, other, EXAMS, 0.02, {}).all] == ["not shown"] * 3


def test_what_has_no_effect_is_told_and_stands_in_no_way():
    parts = {"generation settings": "none", "weights saved in": "float32"}
    other = {"generation settings": "repetition_penalty 1.3", "weights saved in": "bfloat16"}
    old, new = OLD.model_copy(update={"parts": parts}), WORSE.model_copy(update={"parts": other})
    text = gate_text.as_table(gate.gate_report(old, new, EXAMS, 0.02, {}))
    assert "generation settings: none, now repetition_penalty 1.3 (no effect here)" in text
    assert "clbench run RECIPE.yaml" in text
    assert gate.gate_report(old, OLD.model_copy(update={"parts": other}), EXAMS, 0.02, {}).same


def test_questions_that_were_cut_are_told():
    rows = {0: OLD.exams[0].scores.rows[0].model_copy(update={"cuts": (7, 900, 2)})}
    sheet = OLD.exams[0].scores.model_copy(update={"rows": rows})
    new = OLD.model_copy(update={"exams": (OLD.exams[0].model_copy(update={"scores": sheet}), OLD.exams[1])})
    report = gate.gate_report(OLD, new, EXAMS, 0.02, {})
    assert "sums: questions cut because they did not fit: 0 in the baseline, 7 now" in gate_text.as_table(report)
    assert gate_text.as_json(report)["exams"][0]["cut"] == {"before": 0, "now": 7}


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(source.locate(ModelSpec(name="tiny-llama")), folder)
    return folder


def told(folder, change):
    """Give what parts of a checkpoint differ after a change."""
    before = parts_of(ModelSpec(name=str(folder)))
    change()
    return [name for name, _, _ in differing(before, parts_of(ModelSpec(name=str(folder))))]


def edited(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        ("generation_config.json", {"repetition_penalty": 1.3}, ["generation settings"]),
        ("generation_config.json", {"repetition_penalty": 1.0, "temperature": 1.0, "transformers_version": "9"}, []),
        ("generation_config.json", {"eos_token_id": [2, 7]}, ["end tokens"]),
        ("config.json", {"repetition_penalty": 1.3}, ["generation settings"]),
        ("config.json", {"architectures": ["MistralForCausalLM"]}, ["model class"]),
        ("config.json", {"max_position_embeddings": 64}, ["positions"]),
        ("tokenizer_config.json", {"eos_token": "<|user|>"}, ["special tokens"]),
        ("tokenizer_config.json", {"eos_token": {"content": "<|end|>"}, "model_max_length": 7}, []),
        ("tokenizer.json", {"padding": {"strategy": "BatchLongest"}, "truncation": None}, []),
        ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}, ["tokenizer"]),
    ],
)
@pytest.mark.models
def test_parts_of_a_checkpoint(checkpoint, file, values, expected):
    assert told(checkpoint, lambda: edited(checkpoint / file, **values)) == expected


@pytest.mark.models
def test_a_template_is_the_same_in_either_file(checkpoint):
    template = (checkpoint / "chat_template.jinja").read_text()
    assert told(checkpoint, (checkpoint / "chat_template.jinja").unlink) == ["chat template"]
    before = parts_of(ModelSpec(name="tiny-llama"))
    edited(checkpoint / "tokenizer_config.json", chat_template=template)
    moved = differing(before, parts_of(ModelSpec(name=str(checkpoint))))
    assert moved == []
    named = [{"name": "default", "template": template}, {"name": "tools", "template": "x"}]
    edited(checkpoint / "tokenizer_config.json", chat_template=named)
    assert [n for n, _, _ in differing(before, parts_of(ModelSpec(name=str(checkpoint))))] == ["chat template"]
    (checkpoint / "generation_config.json").write_text("{ broken")
    assert "generation settings" in [n for n, _, _ in differing(before, parts_of(ModelSpec(name=str(checkpoint))))]


def test_a_machine_says_what_may_change_an_answer():
    found = machine_of(Machine(device="cpu"), ModelSpec())
    assert found["device"] == "cpu"
    assert {"cpu", "threads", "precision", "torch", "transformers"} <= set(found)
    assert "exam batch" in machine_of(Machine(device="cpu"), ModelSpec(dtype="bfloat16"))
    assert machine_of(Machine(device="cuda:1"), ModelSpec())["device"] == "cuda"


def test_answers_of_another_machine_are_told_of(capsys):
    here, there = {"device": "cpu", "torch": "2"}, {"device": "cuda", "torch": "2"}
    assert _together([here, here]) == here
    assert capsys.readouterr().err == ""
    assert _together([here, there, here]) == {"device": "cpu and cuda", "torch": "2"}
    assert "given on another machine than this one (device cpu and cuda)" in capsys.readouterr().err


# --- files ------------------------------------------------------------------------------------------------------------


def test_equal_content_has_an_equal_seal_whenever_it_was_made(tmp_path):
    one, two = (OLD.model_copy(update={"made": m}).sealed() for m in ("2026-01-01", "2026-02-02"))
    assert one.seal == two.seal
    assert one.seal != OLD.model_copy(update={"machine": {"device": "cuda"}}).sealed().seal
    write_baseline(tmp_path / "b.json", one)
    assert read_baseline(tmp_path / "b.json").made == "2026-01-01"


def test_a_baseline_of_format_1_is_still_read(tmp_path):
    """Written as the first format was: no parts, no machine, the time under the seal."""
    value = json.loads(canonical(OLD)) | {"format": 1, "made": "2025-05-05T00:00:00+00:00", "seal": ""}
    assert not {"parts", "machine"} & set(value)
    value["seal"] = digest(value)
    path = tmp_path / "b.json"
    path.write_text(json.dumps(value))
    old = read_baseline(path)
    report = gate.gate_report(old, WORSE, EXAMS, 0.02, {})
    assert report.differs == ()
    assert "not known (format 1)" in gate_text.as_table(report)
    assert "clbench run RECIPE.yaml" in gate_text.as_table(report)
    path.write_text(json.dumps(value | {"made": "2026"}))
    with pytest.raises(Exception, match="was edited"):
        read_baseline(path)


# --- texts ------------------------------------------------------------------------------------------------------------


def test_strict_fails_what_is_not_shown():
    other = OLD.model_copy(update={"identity": "other"})
    report = gate.gate_report(OLD, other, EXAMS, 0.02, {})
    strict = replace(report, strict=True)
    assert (len(report.failed), len(strict.failed)) == (0, 3)
    for each, failures, skipped in ((report, "0", "3"), (strict, "3", "0")):
        tree = ElementTree.fromstring(gate_text.as_junit(each))
        assert (tree.attrib["failures"], tree.attrib["skipped"]) == (failures, skipped)
    text = gate_text.as_table(report)
    assert "no regression shown in 2 exams; 0 not worse by more than the margin, 2 not shown" in text
    assert "it has 80 items and needs" in " ".join(text.split())
    assert gate_text.as_json(report)["not_shown"] == ["sums", "programs", "all exams"]
    assert "not shown" in gate_text.as_markdown(report)
    assert f"| all exams | {100 * 140 / 160:.1f} |" in gate_text.as_markdown(report)


def test_an_exam_with_a_rule_of_its_own_is_judged_by_it():
    """Micro F1 rises from 0 to 57 while the mean of the items falls: empty answers to empty questions were "right"."""
    empty, full = (1.0, (0.0, 0.0, 0.0)), (0.0, (0.0, 0.0, 4.0))
    before = [empty] * 50 + [full] * 30
    after = [(0.0, (0.0, 1.0, 0.0))] * 50 + [(1.0, (4.0, 4.0, 4.0))] * 30

    def side(items, identity):
        row = GradedItems(
            questions="q",
            answers_key="a",
            grades_key="m",
            scores=tuple(s for s, _ in items),
            parts=tuple(p for _, p in items),
        )
        sheet = taken("ner", 1).scores.model_copy(update={"scorer": ScorerSpec(name="entity_f1"), "rows": {0: row}})
        one = taken("ner", 1).model_copy(update={"scores": sheet})
        return Baseline(model=ModelSpec(name=identity), identity=identity, names=("ner",), items=None, exams=(one,))

    old, new = side(before, "a"), side(after, "b")
    up = gate.gate_report(old, new, (exam("ner"),), 0.02, {})
    (verdict,) = up.verdicts
    assert (verdict.old, verdict.new) == pytest.approx((0.0, 2 * 120 / (120 + 170)))
    assert not verdict.regressed
    assert verdict.lost == 50
    (down,) = gate.gate_report(new, old, (exam("ner"),), 0.02, {}).verdicts
    assert down.regressed
    assert down.p < 0.001
    assert gate.scores_of(new) == pytest.approx({"ner": 240 / 290})


def test_items_marked_at_one_time_only_are_counted():
    rows = {0: GradedItems(questions="q", answers_key="a", grades_key="m", scores="1" * 70 + "-" * 10)}
    sheet = taken("sums", 70).scores.model_copy(update={"rows": rows})
    new = OLD.model_copy(update={"exams": (OLD.exams[0].model_copy(update={"scores": sheet}), OLD.exams[1])})
    report = gate.gate_report(OLD, new, EXAMS, 0.02, {})
    assert report.verdicts[0].missed == 10
    assert "graded only once: 10 items" in " ".join(gate_text.as_table(report).split())


def test_the_repair_names_learners_that_take_these_settings():
    found = [line for line in gate.repair(gate.gate_report(OLD, WORSE, EXAMS, 0.02, {})) if line.startswith("  ")]
    assert len(found) == 3
    for line in found:
        setting = shlex.split(line)[-1]
        name, _, value = setting.partition("=")
        assert name == "learner"
        open_learner(yaml.safe_load(value))
