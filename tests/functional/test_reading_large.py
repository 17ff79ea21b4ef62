"""Ten thousand results of one column cost little memory, in one answer or in pages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TEST_KEY

COUNT = 10_000
MOST_KB = 60_000


@pytest.mark.parametrize(("page_size", "requests"), [(0, 1), (100, 100)])
def test_a_column_of_ten_thousand_is_read_in_little_memory(
    database_url: str, tmp_path: Path, page_size: int, requests: int
) -> None:
    argv = [sys.executable, "-m", "tests.functional.large_reading", database_url, str(tmp_path), TEST_KEY]
    done = subprocess.run(
        [*argv, str(COUNT), str(page_size)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    took = json.loads(done.stdout.splitlines()[-1])
    assert took["requests"] == requests
    assert took["states"] == {"sent": COUNT - COUNT // 10, "held": COUNT // 10}
    assert took["peak_kb"] - took["idle_kb"] < MOST_KB, took
