"""Finished runs as a Python user has them: tables, matrices, comparisons and the report."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.core.errors import SpecError, did_you_mean
from clbench.core.extras import need
from clbench.core.system_errors import as_user_errors, user_path
from clbench.report.decide.compare import Comparison, compare
from clbench.report.decide.compare_text import comparison_text
from clbench.report.drawings.paper import PaperFigure
from clbench.report.page.html import write_report
from clbench.report.page.single_figures import FIGURES, single_figures
from clbench.report.runs.groups import Group, group_runs, interval_of, samples_in
from clbench.report.runs.item_changes import item_changes
from clbench.report.runs.load import RunRecord, load_runs
from clbench.report.tables.figure_tables import figure_tables
from clbench.report.tables.summary import summary_text
from clbench.report.tables.translations import TRANSLATIONS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PrintedComparison:
    """A comparison of two methods, which prints as `clbench compare` does.

    Attributes:
        comparison: Its figures, exams and flipped items.
    """

    comparison: Comparison

    def __str__(self) -> str:
        """Return the comparison as text."""
        return comparison_text(self.comparison, 2)

    __repr__ = __str__


@dataclass(frozen=True)
class Drawings:
    """Drawings of finished runs, which a notebook shows one below the other.

    Attributes:
        figures: Each with its caption, and as SVG text by `svg()`.
    """

    figures: tuple[PaperFigure, ...]

    def save(self, folder: Path | str) -> list[Path]:
        """Write each as an SVG file into a folder, which is made if it is missing; return the files.

        Raises:
            SpecError: `folder` is not a path.
        """
        place = user_path(folder, "folder", "name a folder")
        with as_user_errors():
            place.mkdir(parents=True, exist_ok=True)
            files = [place / f"{figure.name}.svg" for figure in self.figures]
            for file, figure in zip(files, self.figures, strict=True):
                file.write_text(figure.svg(), encoding="utf-8")
        return files

    def __repr__(self) -> str:
        """Return the captions."""
        return "\n".join(figure.caption for figure in self.figures) or "nothing to draw"

    def _repr_html_(self) -> str:
        """Return the drawings for a notebook: inline SVG, which asks for nothing elsewhere."""
        shown = [f"<figure>{f.svg('')}<figcaption>{html.escape(f.caption)}</figcaption></figure>" for f in self.figures]
        return "".join(shown) or "nothing to draw"


class Runs(Sequence[RunRecord]):
    """Finished runs, in the order in which they were asked for; a notebook shows them as a table.

    Attributes:
        folders: Their result folders.
    """

    def __init__(self, folders: Sequence[Path | str]) -> None:
        """Represent the results in these folders, a list of paths; they are read when they are first needed.

        Raises:
            SpecError: This is not a list of paths.
        """
        if not isinstance(folders, (list, tuple)):
            mend = "cl.load(FOLDER, ANOTHER) reads results; Runs takes a list of their folders"
            raise SpecError(f"{folders!r:.60} is not a list of folders", where="folders", mend=mend)
        with as_user_errors():  # a later chdir changes nothing
            self.folders = tuple(
                user_path(folder, "folders", "name folders of results").absolute() for folder in folders
            )

    @cached_property
    def records(self) -> tuple[RunRecord, ...]:
        """The runs as they are on record; a duplicate is counted once.

        Raises:
            DataError: A file is missing or broken.
        """
        return tuple(load_runs(self.folders)) if self.folders else ()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The methods: runs that differ only in their seed, best average performance first."""
        return tuple(group_runs(self.records))

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.records)

    def __iter__(self) -> Iterator[RunRecord]:
        """Walk the runs."""
        return iter(self.records)

    def __getitem__(self, index: int) -> RunRecord:  # pyright: ignore[reportIncompatibleMethodOverride]  # a slice of runs would be a tuple
        """Return one run."""
        return self.records[index]

    def to_frame(self) -> pd.DataFrame:
        """Return every figure of every run, tidy: run, learner, seed, figure, value, low, high.

        `run` is the name of the record, which is another for every run: the recipe's name and the key's beginning.

        `low` and `high` are the ends of the 95 % interval over the items of the exams; NaN where items do not matter.

        Raises:
            ExtraError: pandas is not installed.
        """
        need("data", "pandas", "a table of figures")
        import pandas

        rows: list[tuple[object, ...]] = []
        for run in self.records:
            for name, value in run.scores.items():
                ends = interval_of(name, [value], samples_in(name, [run]))
                rows.append((run.name, run.spec.learner_label, run.spec.seed, name, value, ends.low, ends.high))
        return pandas.DataFrame(rows, columns=["run", "learner", "seed", "figure", "value", "low", "high"])

    def item_changes(self) -> pd.DataFrame:
        """Return what every run forgot and gained item by item, of every task and ability, in shares of its items.

        Columns: run, learner, seed, exam, kind, since (lesson), items; then forgotten and gained, each corrected for
        guessing with the ends of its 95 % interval, and as counted. NaN where scores lie between right and wrong.

        Raises:
            ExtraError: pandas is not installed.
        """
        need("data", "pandas", "a table of items")
        import pandas

        rows: list[tuple[object, ...]] = []
        for run in self.records:
            for change in item_changes([run]):
                cells: list[float] = []
                for share, raw in ((change.forgotten, change.forgotten_raw), (change.gained, change.gained_raw)):
                    cells += [share.value, share.low, share.high, raw.value]
                of_run = (run.name, run.spec.learner_label, run.spec.seed)
                rows.append((*of_run, change.name, change.kind, change.since, change.items, *cells))
        heads = ["run", "learner", "seed", "exam", "kind", "since", "items"]
        for name in ("forgotten", "gained"):
            heads += [name, f"{name}_low", f"{name}_high", f"{name}_raw"]
        return pandas.DataFrame(rows, columns=heads)

    def matrix(self, method: str) -> pd.DataFrame:
        """Return R of a method, the mean over its seeds: rows are lessons 0..T, columns exams, scores in [0, 1].

        Args:
            method: Its label in the table ("replay"), or the name of a run, with or without the end of its key.

        Raises:
            SpecError: There is no such method or run, or several runs bear the name.
            ExtraError: pandas is not installed.
        """
        need("data", "pandas", "a table of figures")
        import pandas

        labels = [group.label for group in self.groups]
        named = [] if method in labels else [r for r in self.records if method in (r.name, r.spec.name)]
        if len(named) > 1:
            names = ", ".join(r.name for r in named[:5])
            raise SpecError(f"{len(named)} runs are named {method!r}", mend=f"take one of them: {names}")
        matrix = named[0].matrix if named else self._group(method).mean
        lessons = pandas.RangeIndex(matrix.num_lessons + 1, name="lesson")
        return pandas.DataFrame(matrix.values, index=lessons, columns=list(matrix.exams))

    def plot(self, what: str = "tradeoff", method: str | None = None, lang: str = "en") -> Drawings:
        """Draw these runs as the report does: inline SVG in a notebook, files by `.save(folder)`.

        Args:
            what: "matrix", "curves", "tradeoff", or another figure of `clbench report --figure`.
            method: The label of one method; None draws all.
            lang: "en" or "zh".

        Raises:
            SpecError: There are no runs, or no such drawing, method or language.
        """
        if not isinstance(what, str) or what not in FIGURES:  # pyright: ignore[reportUnnecessaryIsInstance]  # of a user
            raise SpecError(f"there is no drawing {what!r:.80}", where="what", mend=did_you_mean(str(what), FIGURES))
        if not isinstance(lang, str) or lang not in TRANSLATIONS:  # pyright: ignore[reportUnnecessaryIsInstance]  # same
            raise SpecError(f"there are no texts in {lang!r}", where="lang", mend=did_you_mean(str(lang), TRANSLATIONS))
        if not self.records:
            raise SpecError("there are no runs to draw", mend="load some: cl.load(FOLDER)")
        groups = self.groups if method is None else (self._group(method),)
        return Drawings(tuple(single_figures(groups, what, TRANSLATIONS[lang])))

    def compare(self, one: str, two: str) -> PrintedComparison:
        """Compare two methods item by item: differences with intervals and p-values, and the items that flipped.

        Raises:
            SpecError: There is no such method.
        """
        return PrintedComparison(compare(self._group(one), self._group(two)))

    def report(self, path: Path | str, lang: str = "en") -> Path:
        """Write the HTML report ("en" or "zh"); `path` is a folder, or a file that ends in .html.

        Raises:
            SpecError: There are no runs, or no such language.
        """
        place = user_path(path, "path", "name a folder or a .html file")
        if not isinstance(lang, str) or lang not in TRANSLATIONS:  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            raise SpecError(f"there is no report in {lang!r}", where="lang", mend=did_you_mean(str(lang), TRANSLATIONS))
        if not self.records:
            raise SpecError("there are no runs to report", mend="load some: cl.load(FOLDER)")
        with as_user_errors():
            return write_report(self.records, place, "clbench", lang)

    def __repr__(self) -> str:
        """Return the table of methods as text."""
        return summary_text(self.records) if self.records else "no runs"

    def _repr_html_(self) -> str:
        """Return the table of methods for a notebook."""
        if not self.records:
            return "no runs"
        parts: list[str] = []
        for table in figure_tables(self.records):
            title = f"<caption>{html.escape(table.title)}</caption>" if table.title else ""
            head = "".join(f"<th>{html.escape(text)}</th>" for text in table.header)
            body = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in table.rows)
            rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            parts.append(f"<table>{title}{rows}</table><p>{html.escape(table.note)}</p>")
        return "".join(parts)

    def _group(self, label: str) -> Group:
        for group in self.groups:
            if group.label == label:
                return group
        labels = [group.label for group in self.groups]
        raise SpecError(f"there is no method {label!r:.80} among these runs", mend=did_you_mean(str(label), labels))
