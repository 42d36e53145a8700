import json
import math
import re

import pytest

from clbench.core.errors import DataError
from clbench.core.matrix import Matrix
from clbench.report.drawings.figures import heat_map, ramp
from clbench.report.escape import latex
from clbench.report.page.html import html_report, write_report
from clbench.report.page.stream_page import similarity_map, similarity_table
from clbench.report.runs.groups import group_runs
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.tables.exports import to_csv, to_json, to_latex, to_markdown, to_rows
from clbench.report.tables.summary import summary_text
from clbench.report.tables.table import printed
from clbench.report.tables.translations import TRANSLATIONS
from clbench.report.tables.words import word
from tests.builders.reported import COLUMNS, OUTLINE, ROWS, RUNS, folder_of, record


def test_runs_are_sorted_by_average_performance_and_bounds_are_computed():
    groups = group_runs(RUNS)
    assert [g.label for g in groups] == ["joint", "sft", "frozen"]
    sft = groups[1]
    assert sft.scores["gap_to_joint"] == pytest.approx(0.9 - 0.6)
    assert sft.scores["normalised_ap"] == pytest.approx((0.6 - 0.15) / (0.9 - 0.15))


def test_seeds_are_grouped_with_their_spread():
    other = [[v if v < 0.8 else 1.0 for v in row] for row in ROWS["sft"]]
    (group,) = group_runs([record("sft", ROWS["sft"], 0), record("sft", other, 1)])
    assert len(group.runs) == 2
    assert group.scores["average_performance"] == pytest.approx((0.6 + 0.65) / 2)
    t_of_one_degree = 12.7062
    low, high = group.intervals["average_performance"]
    assert low == pytest.approx(0.625 - t_of_one_degree * 0.025, rel=1e-4)
    assert high == pytest.approx(0.625 + t_of_one_degree * 0.025, rel=1e-4)
    assert "±" in summary_text(group.runs)
    assert "2" in html_report(group.runs, "t")


def test_one_run_is_called_one_run():
    assert "one run each" in summary_text(RUNS)
    assert "One run each" in html_report(RUNS, "t")


def test_page_is_self_contained_and_escapes_hostile_names():
    evil = '"><script>alert(1)</script>'
    columns = [COLUMNS[0].model_copy(update={"name": evil}), *COLUMNS[1:]]
    run = record("sft", ROWS["sft"])
    outline = OUTLINE.model_copy(update={"tasks": (evil, "world_b"), "missing": (evil,)})
    rows = Matrix.of(ROWS["sft"], columns)
    hostile = RunRecord(None, run.spec, outline, rows, run.scores, run.costs, {"cpu": evil, "x": "</pre>"})
    page = html_report([hostile], evil)
    assert "<script" not in page
    assert not re.findall(r"src\s*=", page)
    assert all(target.startswith("#") for target in re.findall(r'href\s*=\s*"([^"]*)', page))
    assert "@import" not in page
    assert "url(http" not in page


def test_page_says_what_was_found_with_its_numbers():
    page = html_report(RUNS, "t")
    assert "Highest average performance after the last lesson, in percent: sft, 60.0" in page
    assert "Bounds, not methods: joint 90.0" in page
    assert "Most forgetting of the tasks taught, in points: sft, 60.0" in page
    assert "mini_code: 70.0 points" in page


def test_both_languages_are_whole():
    assert TRANSLATIONS["en"].keys() == TRANSLATIONS["zh"].keys()
    fields = {k: set(re.findall(r"{(\w+)}", v)) for k, v in TRANSLATIONS["en"].items()}
    assert fields == {k: set(re.findall(r"{(\w+)}", v)) for k, v in TRANSLATIONS["zh"].items()}
    assert "遗忘" in html_report(RUNS, "t", "zh")


def test_words_of_cards_are_in_the_language_of_the_page():
    zh, en = TRANSLATIONS["zh"], TRANSLATIONS["en"]
    assert (word("long context", zh), word("long context", en), word("mine", zh)) == (
        "长上下文",
        "long context",
        "mine",
    )
    page = html_report(RUNS, "t", "zh")
    assert "<td>code</td>" not in page
    assert not re.search(r"\d to \d", re.sub(r"<script.*?</script>|<pre.*?</pre>", "", page, flags=re.S))


def test_cells_that_were_not_due_are_hatched_and_never_zero():
    drawn = heat_map(Matrix.of([[0.1, None, 0.2], [0.9, None, 0.3]], COLUMNS), "R", TRANSLATIONS["en"])
    assert drawn.count("not due") == 2
    assert drawn.count("url(#hatch)") == 2
    assert drawn.count('stroke="#D55E00"') == 1


def test_ink_contrasts_with_its_cell():
    assert ramp(0.0)[1] == "#fff"
    assert ramp(1.0)[1] == "#111"


def test_numbers_are_printed_in_their_unit():
    assert printed(0.5, "score") == "50.0"
    assert printed(1234567, "bytes") == "1.2 MB"
    assert printed(0.0123, "seconds") == "12.3 ms"
    assert printed(math.nan, "count") == "–"


def test_exports():
    lines = to_csv(RUNS).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("run,learner,model,stream,seed,average_performance")
    assert json.loads(to_json(RUNS))[0]["spec"]["stream"] == "worlds"
    table = to_latex(RUNS)
    assert r"\toprule" in table
    assert table.count(r"\\") == 4
    assert latex("a_b & 50%") == r"a\_b \& 50\%"
    rows = to_rows(RUNS).splitlines()
    assert rows[2] == "| guessing | guess rate | 25.0 | 0.0 |"
    assert rows[3] == "| untouched model | before all lessons | 20.0 | 10.0 |"
    assert "| sft | after its lesson | 90.0 | 90.0 |" in rows
    assert "| sft | after the last lesson | 30.0 | 90.0 |" in rows
    table = to_markdown(RUNS).splitlines()
    assert table[2].startswith("| joint |")


def test_results_are_read_back(tmp_path):
    folders = [folder_of(tmp_path / "runs", run) for run in RUNS]
    assert [r.spec for r in load_runs(folders)] == [r.spec for r in RUNS]
    assert len(load_runs([tmp_path])) == 3
    page = write_report(load_runs([tmp_path]), tmp_path / "out", "t")
    assert {p.name for p in page.parent.iterdir()} == {
        "report.html",
        "summary.csv",
        "summary.json",
        "summary.tex",
        "summary.md",
        "summary.rows.md",
        "summary.methods.md",
        "summary.items.md",
    }
    assert write_report(load_runs([tmp_path / "runs"]), tmp_path / "new" / "page.html", "t").is_file()
    assert (tmp_path / "new" / "summary.csv").is_file()


@pytest.mark.parametrize(
    "damage", ["spec.yaml", "stream.json", "matrix.json", "items.json", "scores.json", "costs.json"]
)
def test_broken_results_are_named(tmp_path, damage):
    folder = folder_of(tmp_path, RUNS[0])
    (folder / damage).write_text("{ broken")
    with pytest.raises(DataError, match=r"the result is broken|malformed YAML"):
        load_runs([folder])
    (folder / damage).unlink()
    with pytest.raises(DataError, match=r"is missing|no result here"):
        load_runs([folder])


def test_the_stream_is_drawn():
    page = html_report(RUNS, "t")
    assert "The stream: worlds" in page
    assert "Not available here, skipped: world_c." in page
    assert "world_a 3" in page
    assert "world_a and world_b: 0.25" in page


def test_a_map_of_too_many_tasks_is_left_out():
    many = OUTLINE.model_copy(update={"tasks": tuple(f"t{i}" for i in range(31))})
    assert similarity_map(many, "x") == ""
    assert similarity_table(many, TRANSLATIONS["en"]) is None


def test_a_drawing_stands_alone_as_a_file():
    import xml.etree.ElementTree as ET

    from clbench.report.drawings.figures import standing_alone

    text = standing_alone({"a<b": [0.1, 0.2], "c": [0.5, math.nan]}, 'la"bel', ["64", "128"])
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")][-2:] == ["a<b", "c"]
