"""A damaged record says which of its files and parts is wrong, and how to mend it."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from clbench.core.errors import DataError
from clbench.report.runs.load import read_runs
from tests.builders.places import RECORDED

DEMO = RECORDED


def told(change):
    """Return a damage that changes what the JSON of a run says."""

    def damage(record, _items):
        parts = json.loads(record.read_text())
        change(parts)
        record.write_text(json.dumps(parts))

    return damage


def flipped(record, items):
    """Change a byte of the scores of the run."""
    known = pq.read_metadata(items)
    groups = [known.row_group(i) for i in range(known.num_row_groups)]
    (own,) = (group for group in groups if group.column(0).statistics.min == record.stem)
    scores = own.column(known.schema.names.index("score"))
    data = bytearray(items.read_bytes())
    data[scores.data_page_offset + scores.total_compressed_size // 2] ^= 255
    items.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda record, items: items.unlink(), "items.parquet is missing"),
        (lambda record, items: items.write_bytes(items.read_bytes()[:2000]), "items.parquet is damaged: Parquet magic"),
        (flipped, "items.parquet is damaged: .*CRC"),
        (lambda record, items: pq.write_table(pq.read_table(items).drop(["run"]), items), "has other columns than run"),
        (lambda record, items: record.write_bytes(b"\xef\xbb\xbf" + record.read_bytes()), "not JSON in UTF-8: .*BOM"),
        (lambda record, items: record.write_text(record.read_text()[:5000]), "not JSON in UTF-8: Expecting"),
        (told(lambda parts: parts["spec"].pop("stream")), "spec: stream: Field required"),
        (told(lambda parts: parts.update(costs=None)), "costs: Input should be a valid dictionary"),
        (told(lambda parts: parts["costs"].update(more=1)), "costs: more: Extra inputs"),
        (told(lambda parts: parts.update(matrix=None)), "does not have the form that clbench writes"),
        (told(lambda parts: parts["exams"][0].pop("rows")), "there is no 'rows'"),
        (told(lambda parts: parts.update(provenance=None)), "provenance: this is not a mapping"),
        (told(lambda parts: parts.pop("costs")), "does not hold spec, stream"),
        (told(lambda parts: parts.update(items="0")), "their digest is another"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, damage, said):
    (whole,) = DEMO.glob("demo-sft-*.json")
    record, items = (tmp_path / name for name in (whole.name, "items.parquet"))
    shutil.copy(whole, record)
    shutil.copy(DEMO / "items.parquet", items)
    damage(record, items)
    with pytest.raises(DataError, match=said) as found:
        read_runs([record])
    assert found.value.mend.startswith("take `<run>.json` and items.parquet")
