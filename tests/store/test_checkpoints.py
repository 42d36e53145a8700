"""What `clbench exam` keeps in the store: one file a checkpoint, to which further exams are added."""

from clbench.core.baseline import read_baseline
from clbench.core.events import notice_listener
from clbench.store.checkpoints import keep_checkpoint
from tests.builders.gate import baseline


def test_further_exams_are_added_and_the_last_result_counts(tmp_path):
    path = keep_checkpoint(tmp_path, baseline("out/old", sums=70))
    assert keep_checkpoint(tmp_path, baseline("out/old", programs=50)) == path
    found = read_baseline(path)
    assert [e.scores.exam for e in found.exams] == ["sums", "programs"]
    keep_checkpoint(tmp_path, baseline("out/old", sums=60))
    assert [e.scores.rows[0].values().sum() for e in read_baseline(path).exams] == [60, 50]


def test_nothing_is_written_where_the_same_is_said(tmp_path):
    path = keep_checkpoint(tmp_path, baseline("old", sums=70, programs=50))
    path.chmod(0o400)
    before = path.stat().st_mtime_ns
    assert keep_checkpoint(tmp_path, baseline("old", sums=70)) == path
    assert path.stat().st_mtime_ns == before


def test_other_weights_or_fewer_items_have_a_file_of_their_own(tmp_path):
    first = baseline("x/old", sums=70)
    files = {
        keep_checkpoint(tmp_path, each)
        for each in (first, first.model_copy(update={"identity": "b"}), first.model_copy(update={"items": 5}))
    }
    assert len(files) == 3
    assert all(f.name.startswith("old-") and f.parent == tmp_path / "checkpoints" for f in files)


def test_a_broken_file_is_replaced_and_that_is_said(tmp_path):
    path = keep_checkpoint(tmp_path, baseline("old", sums=70))
    path.write_text("{}")
    said = []
    token = notice_listener.set(said.append)
    try:
        keep_checkpoint(tmp_path, baseline("old", sums=70))
    finally:
        notice_listener.reset(token)
    assert "is replaced" in said[0]
    assert len(read_baseline(path).exams) == 1


def test_a_name_cannot_lead_out_of_the_store(tmp_path):
    path = keep_checkpoint(tmp_path, baseline("a/../..", sums=70))
    assert path.parent == tmp_path / "checkpoints"
