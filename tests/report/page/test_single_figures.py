"""Single figures for a paper: sizes on paper, text that stands alone, files, and what is refused."""

import functools
import importlib.util
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from clbench.cli.main import main
from clbench.core import extras
from clbench.report.drawings.paper import PAGE_MM, figure_bytes, paper_figure
from clbench.report.page.single_figures import FIGURES, single_figures
from clbench.report.runs.groups import group_runs
from clbench.report.tables.translations import TRANSLATIONS
from tests.builders.compared import cells, run, written
from tests.builders.reported import RUNS

SVG = "{http://www.w3.org/2000/svg}"
EN = TRANSLATIONS["en"]


def measured(text):
    """Return (width in mm, height in mm, text in points, root) of an SVG file by its own attributes."""
    root = ET.fromstring(text)
    width, height = (float(root.get(name).removesuffix("mm")) for name in ("width", "height"))
    box = list(map(float, root.get("viewBox").split()))
    assert width / height == pytest.approx(box[2] / box[3], rel=0.01)
    (size,) = re.findall(r"text\{font-size:(\d+)px", text)
    return width, height, float(size) * width / box[2] / 25.4 * 72, root


@functools.cache
def groups():
    return group_runs(
        [run(name, cells(kept), seed) for name, kept in (("sft", 10), ("replay", 45), ("ewc", 30)) for seed in (0, 1)]
    )


@pytest.mark.parametrize("name", ["matrix", "curves", "tradeoff", "spread", "profile", "ranks", "items"])
def test_figures_fit_a_page_and_most_a_column(name):
    figures = single_figures(groups(), name, EN)
    assert figures
    assert len({figure.name for figure in figures}) == len(figures)
    for figure in figures:
        width, height, points, root = measured(figure.svg())
        assert width <= PAGE_MM
        assert points == pytest.approx(7.0, abs=0.1) or width == PAGE_MM
        assert (width, height, points) == pytest.approx((figure.width_mm, figure.height_mm, figure.text_pt), abs=0.01)
        if name in ("curves", "tradeoff", "matrix"):
            assert width <= 84.1, "a column of two"
        assert root.find(f"{SVG}title").text == figure.caption
        assert not re.search(r"var\(|https?://(?!www.w3.org/2000/svg)", figure.svg()), "nothing from outside"


def test_curves_have_a_legend_of_every_method_and_one_line_for_each():
    figures = {figure.name: figure for figure in single_figures(groups(), "curves", EN)}
    assert sorted(figures) == ["curves-facts", "curves-mathematics", "curves-rules"]
    root = ET.fromstring(figures["curves-facts"].svg())
    assert len(root.findall(f".//{SVG}polyline")) == 3
    legend = [each.text for each in root.iter(f"{SVG}text") if each.get("class") == "legend"]
    assert sorted(legend) == ["ewc", "replay", "sft"]


def test_a_legend_takes_as_many_lines_as_its_names_need():
    drawing = '<svg viewBox="0 0 300 100"></svg>'
    short, long_ = (paper_figure("a", "a", drawing, [name] * 4) for name in ("x", "a name of thirty-one characters!"))
    places = [
        {re.search(r",(\d+)", each.get("transform"))[1] for each in ET.fromstring(f.svg()).iter(f"{SVG}g") if len(each)}
        for f in (short, long_)
    ]
    assert long_.height - short.height == 15 * 3
    assert len(places[1]) - len(places[0]) == 3


def test_names_are_escaped_and_files_cannot_lead_elsewhere():
    evil = "../../<b>&\u202e"
    made = run("sft", cells(10))
    (figure,) = single_figures([replace(group_runs([made])[0], label=evil)], "matrix", EN)
    assert "/" not in figure.name
    assert not figure.name.startswith(".")
    ET.fromstring(figure.svg())
    assert "\u202e" not in figure.svg()


def test_the_command_writes_files_and_says_their_sizes(tmp_path, capsys):
    for name, kept in (("sft", 10), ("replay", 45)):
        made = run(name, cells(kept))
        written(tmp_path / "r" / made.spec.name, made)
    out = tmp_path / "figs"
    given = ["report", str(tmp_path / "r"), "--format", "svg", "--out", str(out)]
    assert main([*given, "--figure", "tradeoff", "--figure", "retention"]) == 0
    told = capsys.readouterr()
    assert sorted(p.name for p in out.iterdir()) == ["tradeoff-stability.svg"], "nothing was trained"
    assert "tradeoff-stability.svg: 84 x 7" in told.out
    assert "text of 7.0 pt" in told.out
    assert "--figure retention: these runs have nothing to draw of it" in told.err
    assert main([*given, "--figure", "retention"]) == 2
    assert main([*given, "--figure", "matrx"]) == 2
    assert "matrix" in capsys.readouterr().err
    assert main([*given[:-1], str(tmp_path / "a.svg")]) == 2
    assert "single figures are several files" in capsys.readouterr().err
    assert main([*given[:2], "--figure", "matrix"]) == 2
    assert "--format html has no single figures" in capsys.readouterr().err


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extras, "_is_here", lambda name: False)
    made = run("sft", cells(10))
    written(tmp_path / "r" / made.spec.name, made)
    assert main(["report", str(tmp_path / "r"), "--format", "pdf", "--out", str(tmp_path / "f")]) == 2
    said = capsys.readouterr().err
    due = (
        'clbench: a figure as PDF needs vl_convert, which is not installed\n  to mend: pip install "clbench[figures]"\n'
    )
    assert said.endswith(due)
    assert not (tmp_path / "f").exists()


@pytest.mark.skipif(importlib.util.find_spec("vl_convert") is None, reason='needs pip install "clbench[figures]"')
def test_pdf_and_png_have_the_size_of_the_svg():
    figure = single_figures(group_runs(RUNS), "tradeoff", EN)[0]
    found = re.search(rb"MediaBox *\[0 0 ([\d.]+) ([\d.]+)\]", figure_bytes(figure, "pdf"))
    assert float(found[1]) / 72 * 25.4 == pytest.approx(figure.width_mm, abs=0.1)
    picture = figure_bytes(figure, "png")
    assert picture.startswith(b"\x89PNG")
    assert int.from_bytes(picture[16:20], "big") == pytest.approx(figure.width_mm / 25.4 * 300, abs=2)


def test_every_figure_of_the_help_exists():
    from clbench.cli.gather import FIGURES_HELP

    assert set(re.findall(r"[a-z]+", FIGURES_HELP.partition(": ")[2])) >= set(FIGURES)
