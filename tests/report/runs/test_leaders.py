from dataclasses import replace

from clbench.core.matrix import Matrix
from clbench.metrics import all_metrics
from clbench.report.page.html import html_report
from clbench.report.runs.groups import group_runs
from clbench.report.runs.leaders import is_bound, leaders
from clbench.report.runs.unlearnt import unlearnt_sentences
from clbench.report.tables.figure_names import NAMES
from clbench.report.tables.translations import TRANSLATIONS
from tests.builders.reported import ROWS, record

EN = TRANSLATIONS["en"]


def shifted(learner, by, seeds=(0, 1, 2), jitter=0.0):
    """Runs of a learner whose scores of the last row lie `by` above those of sft."""
    rows = ROWS["sft"]
    last = [[*rows[-1]] for _ in seeds]
    for n, row in enumerate(last):
        row[0] += by + jitter * (n - 1)
    return [record(learner, [*rows[:-1], row], seed) for seed, row in zip(seeds, last, strict=True)]


def test_what_is_not_told_apart_from_the_best_leads_with_it_and_a_bound_never_does():
    runs = [
        *shifted("ewc", 0.30, jitter=0.01),
        *shifted("replay", 0.29, jitter=0.02),
        *shifted("sft", 0.0, jitter=0.01),
        *shifted("joint", 0.6),
    ]
    groups = group_runs(runs)
    assert leaders(groups, "average_performance") == {"ewc", "replay"}
    assert [g.label for g in groups if is_bound(g)] == ["joint"]
    page = html_report(runs, "t")
    row = page[page.index('<tr class="bound"><th scope="row">joint') :].partition("</tr>")[0]
    assert 'class="best"' not in row


def test_nothing_leads_where_nothing_is_told_apart_or_nothing_is_known():
    alike = group_runs([*shifted("ewc", 0.10, jitter=0.2), *shifted("sft", 0.0, jitter=-0.2)])
    assert leaders(alike, "average_performance") == frozenset()
    single = group_runs([*shifted("ewc", 0.3, seeds=(0,)), *shifted("sft", 0.0, seeds=(0,))])
    assert leaders(single, "average_performance") == frozenset()
    assert leaders(group_runs(shifted("sft", 0.0)), "average_performance") == frozenset()


def test_counts_that_never_vary_differ_if_they_are_unequal():
    runs = [*shifted("ewc", 0.3), *shifted("sft", 0.0)]
    assert leaders(group_runs(runs), "average_performance") == {"ewc"}


def asked(learner, rows, num=50):
    """A run of which every cell has `num` answers."""
    run = record(learner, rows)
    matrix = run.matrix
    return replace(run, matrix=Matrix(matrix.values, matrix.n * num, matrix.ungraded, matrix.columns))


def test_tasks_that_no_method_learnt_are_the_first_line():
    rows = [[*row] for row in ROWS["sft"]]
    rows[1][0] = 0.36  # guessing is 0.25, its standard error 0.061 over 50 answers
    (said,) = unlearnt_sentences(group_runs([asked("sft", rows)]), EN)
    assert "world_a" in said
    assert "world_b" not in said
    assert not unlearnt_sentences(group_runs([asked("sft", rows, 70)]), EN), "of 70 answers it is above"
    assert not unlearnt_sentences(group_runs([asked("sft", rows), asked("ewc", ROWS["sft"])]), EN)
    assert not unlearnt_sentences(group_runs([asked("frozen", rows)]), EN), "it was never taught"
    page = html_report([asked("sft", rows)], "t")
    assert page.index("Not learnt by any method") < page.index("Highest average performance")


def test_every_figure_has_a_name_in_both_languages():
    assert set(NAMES) == set(all_metrics())
    assert all(english and chinese != english for english, chinese in NAMES.values())


def test_the_head_says_what_was_run():
    runs = shifted("sft", 0.0)
    runs = [
        type(r)(
            r.folder,
            r.spec,
            r.stream,
            r.matrix,
            r.scores,
            r.costs,
            {
                "arguments": ["run", "my recipe.yaml"],
                "cpu": "EPYC",
                "cores": 2,
                "made": "2026-11-28T17:25:47+00:00",
                "packages": {"clbench": "9.9"},
                "git": {"commit": "abcdef123", "dirty": True},
            },
        )
        for r in runs
    ]
    page = html_report(runs, "t")
    for text in (
        "clbench run &#39;my recipe.yaml&#39;",
        "EPYC, cores: 2",
        "2026-11-28",
        "clbench 9.9 (abcdef1+)",
        "seeds: 0, 1, 2",
    ):
        assert text in page, text
    assert "种子：0, 1, 2" in html_report(runs, "t", "zh")
