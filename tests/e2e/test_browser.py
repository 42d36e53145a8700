"""The report in a real browser: what stands on the page, nothing on the console, nothing from the network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clbench.report.html import write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from test_report import RUNS  # the runs that the page's own tests are made of

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=2000"
).split()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: install the package chromium to see the report tested")
def test_report_in_a_browser(tmp_path):
    page = write_report(RUNS, tmp_path, "browser")
    found = subprocess.run(
        [BROWSER, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stdout.count('<svg class="heat"') == 4  # three methods, and how alike the tasks are
    assert found.stdout.count('<svg class="curve"') == 3
    assert found.stdout.count("<table>") == 3
    assert found.stdout.count('<table class="rounds">') == 1
    assert found.stdout.count("rounds kept") == 1
    assert "CONSOLE" not in found.stderr
