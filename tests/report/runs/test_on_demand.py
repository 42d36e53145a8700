from clbench.report.runs.groups import group_runs
from clbench.report.runs.on_demand import OnDemand
from tests.builders.compared import cells, run


def test_a_value_is_made_once_and_only_if_it_is_read():
    made = []
    found = OnDemand({name: lambda name=name: made.append(name) or name.upper() for name in "ab"})
    assert ("a" in found, "c" in found, len(found), list(found)) == (True, False, 2, ["a", "b"])
    assert made == []
    assert (found["a"], found["a"], found.get("c", "none")) == ("A", "A", "none")
    assert made == ["a"]
    assert dict(found) == {"a": "A", "b": "B"}
    assert made == ["a", "b"]


def test_a_table_of_one_figure_samples_no_other():
    (group,) = group_runs([run("sft", cells(10))])
    assert group.intervals["average_performance"].half > 0
    samples = group.runs[0].figure_samples
    assert list(samples._made) == ["average_performance"]
