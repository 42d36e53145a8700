"""`clbench data get` against a server on this machine: plan, resume, proxy, digests, locks, and what cannot be got."""

import hashlib
import http.server
import json
import shutil
import threading

import pytest

from clbench.cli.main import main
from clbench.core.errors import AbsentError, DataError
from clbench.data import getting
from clbench.data.readers import hub
from clbench.data.tasks.card import CARDS, Card, list_cards, load_exam_card, load_task_card
from clbench.data.tasks.download import download
from clbench.data.tasks.lock import write_lock
from clbench.data.tasks.origins import Origin, OriginFile, origins
from clbench.data.tasks.source import HubSource
from tests.builders.places import ROOT

FILES = {
    "train.jsonl": "".join(json.dumps({"text": f"t{i}", "label": "xy"[i % 2]}) + "\n" for i in range(400)).encode(),
    "test.jsonl": b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n',
}
CARD = """\
name: mine
source: {path: far/mine}
prompt: [{role: user, content: "Topic of: {text}"}]
target: "{label}"
labels: from-data
splits: {lesson: train, dev: null, exam: test}
about: {license: CC-BY-4.0, language: en, kind: classification}
"""


class Serving(http.server.BaseHTTPRequestHandler):
    """A server of FILES; it can cut a reply short, ignore ranges, or send something else."""

    asked = ()  # (path, range) of each request; each test has its own list
    cut: int | None = None
    ranges, wrong = True, False

    def do_GET(self):
        mine = type(self)
        mine.asked.append((self.path, self.headers.get("Range")))
        body = FILES.get(self.path.rpartition("/")[2])
        if body is None:
            self.send_error(404)
            return
        if mine.wrong:
            body = bytes(reversed(body))
        begin = int(self.headers["Range"].split("=")[1].rstrip("-")) if mine.ranges and self.headers["Range"] else 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        self.wfile.write(body[begin : len(body) if mine.cut is None else mine.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    handler = type("Mine", (Serving,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
        handler.url = f"http://127.0.0.1:{found.server_port}"
        yield handler
        found.shutdown()


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A locked card whose folder is pinned, in a folder without its data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    monkeypatch.delenv("CLBENCH_DATA_URL", raising=False)
    (tmp_path / "mine.yaml").write_text(CARD)
    whole = tmp_path / "whole" / "far" / "mine"
    whole.mkdir(parents=True)
    for name, body in FILES.items():
        (whole / name).write_bytes(body)
    write_lock("./mine.yaml", tmp_path / "whole")
    files = {n: OriginFile(bytes=len(b), sha256=hashlib.sha256(b).hexdigest()) for n, b in FILES.items()}
    monkeypatch.setattr(getting, "origins", lambda: {"far/mine": Origin(origin="o/r @ 1 : x", files=files)})
    return "./mine.yaml"


def test_rows_are_planned_got_and_verified_by_the_lock(card, server, tmp_path, capsys):
    assert main(["data", "get", card, "--from", server.url, "--plan"]) == 0
    plan = capsys.readouterr().out
    assert "1 cards below clbench-data/: 0 need nothing, 1 lack" in plan
    assert "CC-BY-4.0" in plan
    assert f"{server.url}/far/mine" in plan
    assert server.asked == []
    assert not (tmp_path / "clbench-data").exists()
    assert main(["data", "get", card, "--from", server.url]) == 0
    said = capsys.readouterr().out
    assert "mine: there; verified by the card's lock" in said
    assert f"export CLBENCH_DATA={tmp_path / 'clbench-data'}" in said
    assert {p.name: p.read_bytes() for p in (tmp_path / "clbench-data/far/mine").iterdir()} == FILES
    server.asked.clear()
    assert main(["data", "get", card, "--from", server.url, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["verified_by"], row["license"]) == ("there", "the card's lock", "CC-BY-4.0")
    assert server.asked == []


def test_a_download_that_was_cut_goes_on_where_it_stopped(card, server, tmp_path, capsys):
    server.cut = 100
    assert main(["data", "get", card, "--from", server.url, "--to", "d"]) == 2
    assert "the same command goes on where this one stopped" in capsys.readouterr().err
    assert len((tmp_path / "d/far/mine/train.jsonl.part").read_bytes()) == 100
    server.cut = None
    assert main(["data", "get", card, "--from", server.url, "--to", "d"]) == 0
    assert ("/far/mine/train.jsonl", "bytes=100-") in server.asked
    assert (tmp_path / "d/far/mine/train.jsonl").read_bytes() == FILES["train.jsonl"]
    assert list(tmp_path.rglob("*.part")) == []


def test_a_server_without_ranges_sends_the_file_anew(server, tmp_path):
    server.ranges = False
    (tmp_path / "train.jsonl.part").write_bytes(b"old rubbish")
    body = FILES["train.jsonl"]
    download(f"{server.url}/train.jsonl", tmp_path / "train.jsonl", OriginFile(bytes=len(body)))
    assert (tmp_path / "train.jsonl").read_bytes() == body


@pytest.mark.parametrize("size", [None, len(FILES["test.jsonl"]), 10])
def test_what_is_not_the_wanted_file_is_not_kept(server, tmp_path, size):
    server.wrong = True
    wanted = OriginFile(bytes=size, sha256=hashlib.sha256(FILES["test.jsonl"]).hexdigest())
    with pytest.raises(DataError, match=r"not the file that is wanted|more than 10 bytes"):
        download(f"{server.url}/test.jsonl", tmp_path / "test.jsonl", wanted)
    assert list(tmp_path.iterdir()) == []


def test_the_proxy_of_the_environment_is_used(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    download("http://data.invalid/x/test.jsonl", tmp_path / "test.jsonl", OriginFile())
    assert server.asked == [("http://data.invalid/x/test.jsonl", None)]


def test_an_address_without_the_files_is_told_and_nothing_is_left(card, server, tmp_path, capsys):
    monkey = {**FILES}
    FILES.clear()
    try:
        assert main(["data", "get", card, "--from", server.url, "--to", "d"]) == 2
    finally:
        FILES.update(monkey)
    said = capsys.readouterr().err
    assert "HTTP Error 404" in said
    assert "rows from o/r @ 1 : x" in said
    assert [p for p in tmp_path.joinpath("d").rglob("*") if p.is_file()] == []


def test_without_an_address_the_files_their_layout_and_their_origin_are_named(card, tmp_path, capsys):
    assert main(["data", "get", card, "--to", "d"]) == 2
    said = capsys.readouterr().err
    assert "mine (CC-BY-4.0): no address is known; it reads d/far/mine/ with train.jsonl, test.jsonl" in said
    assert "rows from o/r @ 1 : x" in said
    assert "--from URL, CLBENCH_DATA_URL" in said


def test_rows_of_ones_own_are_verified_by_the_lock_whatever_their_file(card, tmp_path, capsys):
    folder = tmp_path / "d" / "far" / "mine"
    folder.mkdir(parents=True)
    for name, body in FILES.items():
        (folder / name).write_bytes(body.replace(b'": "', b'":"'))  # the same rows in other bytes
    assert main(["data", "get", card, "--to", "d"]) == 0
    assert "verified by the card's lock" in capsys.readouterr().out
    (folder / "test.jsonl").write_bytes(FILES["test.jsonl"].replace(b'"a"', b'"c"'))
    assert main(["data", "get", card, "--to", "d"]) == 2
    assert "is not what was locked" in capsys.readouterr().err


def test_a_data_set_of_the_hub_is_written_as_json_lines(tmp_path, monkeypatch, capsys):
    rows = [{"text": "a", "label": 0}, {"text": "b", "label": 1}]
    asked = []

    def fake(repo, config, revision, split):
        asked.append((repo, len(revision), split))
        return (("x", row) for row in rows)

    monkeypatch.setattr(hub, "rows", fake)
    wanted = getting.plan_of(load_task_card("imdb"), tmp_path)
    assert (wanted.state, wanted.folder, wanted.source[:16]) == ("to get", "hub/imdb", "stanfordnlp/imdb")
    getting.get(wanted, tmp_path)
    assert asked == [("stanfordnlp/imdb", 40, "test"), ("stanfordnlp/imdb", 40, "train")]
    assert [json.loads(line) for line in (tmp_path / "hub/imdb/test.jsonl").read_text().splitlines()] == rows

    def offline(*_):
        raise AbsentError("cannot be loaded", where="x", mend="check the network")
        yield

    monkeypatch.setattr(hub, "rows", offline)
    monkeypatch.chdir(tmp_path)
    assert main(["data", "get", "imdb", "--to", "none"]) == 2
    assert "it reads none/hub/imdb/ with test.jsonl, train.jsonl" in capsys.readouterr().err


def test_names_stand_for_tasks_streams_exams_and_suites():
    assert [c.name for c in getting.cards_of(["agnews", "agnews"])] == ["agnews"]
    assert "agnews" in {c.name for c in getting.cards_of(["til"])}
    assert {c.name for c in getting.cards_of(["general"])} >= {"mmlu", "gsm8k", "humaneval"}
    with pytest.raises(DataError, match="did you mean"):
        getting.cards_of(["agnew"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("get", "what data?"),
        ("get agnews --from ftp://x", "is not an address"),
        ("check x.jsonl --to d", "check does not get data"),
        ("get agnews --to file", "is a file, not a folder"),
    ],
)
def test_wrong_words_are_refused(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(["data", *words.split()]) == 2
    assert says in capsys.readouterr().err


@pytest.fixture(scope="module")
def found():
    """What is wanted of every shipped card that reads rows below the data root, with the card."""
    shipped = [load_task_card(name) for name in list_cards("tasks")]
    shipped += [load_exam_card(name) for name in list_cards("exams")]
    return [(c, w) for c in shipped if (w := getting.plan_of(c, ROOT / "no-such-folder")).folder]


@pytest.mark.slow
def test_every_shipped_card_has_a_source_in_reach_or_says_where_its_rows_come_from(found):
    assert len(found) > 140, "else this counts nothing"
    sources = {c.name: getting._sources(c) for c, _ in found}
    pinned = {n for n, all_ in sources.items() if any(isinstance(s, HubSource) and s.revision for s in all_)}
    without = [card.name for card, wanted in found if card.name not in pinned and not (wanted.origin and wanted.files)]
    assert without == []
    unpinned = [c for c, w in found if isinstance(c, Card) and any(f.sha256 is None for _, f in w.files)]
    assert [card.name for card in unpinned if not card.unverified] == []


@pytest.mark.slow
def test_the_files_that_are_listed_are_those_that_cards_read(found):
    by_folder = {}
    for card, wanted in found:
        if wanted.files:
            splits = set(getting._splits(card))
            assert {name.partition(".")[0] for name, _ in wanted.files} == splits, card.name
            by_folder[wanted.folder] = wanted
    assert set(by_folder) == set(origins()), "a folder that no card reads"
    assert (CARDS / "origins.yaml").is_file()


def test_an_exam_without_a_lock_is_verified_by_the_digests_of_its_files(data_root, tmp_path):
    card = load_exam_card("gsm8k")
    assert getting.verify(getting.plan_of(card, data_root), data_root) == "sha256 of its files"
    shutil.copytree(data_root / "probes" / "gsm8k", tmp_path / "probes" / "gsm8k")
    with (tmp_path / "probes" / "gsm8k" / "test.jsonl.xz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="not the file that the card was written for"):
        getting.verify(getting.plan_of(card, tmp_path), tmp_path)


def test_the_listed_digests_are_those_of_the_files_here(data_root):
    for folder, origin in origins().items():
        for name, file in origin.files.items():
            path = data_root / folder / name
            if path.is_file() and file.sha256:
                body = path.read_bytes()
                assert (len(body), hashlib.sha256(body).hexdigest()) == (file.bytes, file.sha256), path
