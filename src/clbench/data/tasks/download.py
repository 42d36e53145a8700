"""Get one file from an address: resumed where an earlier try was cut short, verified, and put in its place whole."""

from __future__ import annotations

import http
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from clbench.core.errors import AbsentError, DataError, said_of
from clbench.core.events import Progress, notice, report_progress
from clbench.core.keys import file_digest
from clbench.data.tasks.fetch import BLOCK, MOST_BYTES, PATIENCE_S, SLOWEST, WebOnly
from clbench.data.tasks.origins import OriginFile

PART = ".part"  # ending of a file that is not whole yet
AGAIN = "the same command goes on where this one stopped"


def download(url: str, path: Path, wanted: OriginFile) -> None:
    """Get a file, over the proxy that `http_proxy`, `https_proxy` and `no_proxy` name.

    Args:
        url: http or https address.
        path: Where the file is put; beside it lies `NAME.part` until it is whole.
        wanted: Its size and digest.

    Raises:
        AbsentError: The address cannot be reached, or sends too slowly; what has come is kept.
        DataError: What comes is not the file that is wanted; nothing of it is kept.
    """
    part = path.with_name(path.name + PART)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = part.stat().st_size if part.is_file() else 0
    if wanted.bytes is None or begun < wanted.bytes:
        try:
            _receive(url, part, begun, wanted)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            if isinstance(error, urllib.error.HTTPError):  # it holds the connection
                error.close()
                if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # what is there is not its beginning
                    part.unlink(missing_ok=True)
            what = f"{url} cannot be downloaded: {said_of(error)}"
            raise AbsentError(what, where=str(path), mend=f"check the network; {AGAIN}") from None
    _verify(part, wanted, url)
    part.replace(path)


def _receive(url: str, part: Path, begun: int, wanted: OriginFile) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={begun}-"} if begun else {})
    most, since = wanted.bytes or MOST_BYTES, time.monotonic()
    with urllib.request.build_opener(WebOnly).open(request, timeout=PATIENCE_S) as reply:
        goes_on = begun > 0 and reply.status == 206 and _begins_at(reply.headers.get("Content-Range"), begun)
        done = begun if goes_on else 0
        if goes_on:
            notice(f"{part.name.removesuffix(PART)} goes on after {begun:,} bytes")
        with part.open("ab" if goes_on else "wb") as file:
            while block := reply.read1(BLOCK):
                done += len(block)
                spent = time.monotonic() - since
                if done > most:
                    file.close()
                    part.unlink()
                    raise DataError(
                        f"{url} has more than {most:,} bytes", where=str(part), mend="is the address right?"
                    )
                if spent > PATIENCE_S and done - begun < spent * SLOWEST:
                    slow = f"{url} sends {(done - begun) / spent:,.0f} bytes a second"
                    raise AbsentError(slow, where=str(part), mend=AGAIN)
                file.write(block)
                report_progress(Progress(f"downloading {url.rpartition('/')[2]}", done, max(wanted.bytes or 0, done)))


def _begins_at(content_range: str | None, place: int) -> bool:
    """Return whether a reply holds the file from a place on: "bytes 100-199/200" from 100 on."""
    return (content_range or "").replace("=", " ").startswith(f"bytes {place}-")


def _verify(part: Path, wanted: OriginFile, url: str) -> None:
    size = part.stat().st_size
    if wanted.bytes is not None and size < wanted.bytes:
        what = f"{url} ended after {size:,} of {wanted.bytes:,} bytes"
        raise AbsentError(what, where=str(part), mend=AGAIN)
    if wanted.sha256 is None or (have := file_digest(part)) == wanted.sha256:
        return
    part.unlink()
    what = f"{url} is not the file that is wanted: sha256 {have}, not {wanted.sha256}"
    raise DataError(what, where=str(part), mend="name another address with --from; what came was deleted")
