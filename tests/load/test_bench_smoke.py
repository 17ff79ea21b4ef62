"""The load harness launches into the product and delivers to its platform; how fast is `make bench`'s business."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.databases import new_database, service
from tests.load import coalescing, deliverers, deliveries, readback, roster, search, targets, term_end
from tests.load.client import Tool
from tests.load.messages import Parent, load_key
from tests.load.rounds import platform_state
from tests.load.targets import Instance, Platform, Running


@pytest.fixture(scope="module")
def lms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with targets.platform(tmp_path_factory.mktemp("load")) as running:
        yield running


@pytest.fixture(scope="module")
def instance(lms: Platform) -> Instance:
    return targets.make_instance(targets.SQLITE, "", lms)


def launch(tool: Running, lms: Platform, *numbers: int) -> list[str]:
    """The first page of each of these parents, one after the other."""

    async def pages() -> list[str]:
        launcher = Tool(tool.base, lms.url, load_key(lms.folder))
        return [(await launcher.launch(Parent(number))).body.decode() for number in numbers]

    # In a thread of its own: Playwright, which tests in the same process use, keeps a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(pages())).result()


def test_parents_launch_into_the_product(lms: Platform, instance: Instance) -> None:
    with targets.product(instance, lms) as tool:
        first, other, again = launch(tool, lms, 3, 4, 3)
    assert "家长003" in first
    assert "家长004" in other
    assert "家长003" in again
    assert "lessons/" in again  # a course page, not the question who is here


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_plain_tool_fetches_the_key_set_for_each_launch(lms: Platform, scheme: str) -> None:
    key_set = f"{lms.tls_url if scheme == 'https' else lms.url}/jwks"
    before = platform_state(lms)["jwks"]
    with targets.plain_pylti(f"pylti-{scheme}", key_set, lms) as tool:
        pages = launch(tool, lms, 1, 2)
    assert ["家长001" in pages[0], "家长002" in pages[1]] == [True, True]
    assert platform_state(lms)["jwks"] == before + 2


def test_due_scores_arrive_once_each_turn(lms: Platform, instance: Instance) -> None:
    before = platform_state(lms)["scores"]
    measured = deliveries.measure(lms, [instance], turns=2, scores=5)
    assert [one.delivered for one in measured[targets.SQLITE]] == [5, 5]
    assert platform_state(lms)["scores"] == before + 20  # and as many by the bare loop


def test_searches_are_measured_with_what_they_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_POSTGRES_URL", raising=False)
    measured = search.measure(tmp_path, courses=200, turns=2)
    searches = measured[targets.SQLITE]
    assert searches["no words"]["found"] > searches["1 character"]["found"] > 0
    assert searches["nothing to find"]["found"] == 0
    assert len(search.table(measured, 200, 2)) == 2 + len(searches)
    assert "goal 100" in search.verdicts(measured)[0]


def test_rosters_are_read_to_the_end_by_both(lms: Platform, instance: Instance) -> None:
    before = platform_state(lms)["members"]
    measured = roster.measure(lms, [instance], members=120, turns=1)
    # In pages: 3 by the bare loop, 2 for the class that warms and 3 twice; in one answer: 1, 1 and 1 twice.
    assert platform_state(lms)["members"] == before + (3 + 2 + 3 + 3) + (1 + 1 + 1 + 1)
    assert {tuple(readers) for readers in measured.values()} == {(roster.BARE, targets.SQLITE)}
    assert set(measured["paged"][targets.SQLITE]) == {"first", "again"}
    assert len(roster.table(measured, 120)) == 2 + 2 * 3


def test_changes_during_an_outage_are_one_call_afterwards(lms: Platform, instance: Instance) -> None:
    measured = coalescing.measure(lms, [instance], changes=5)
    assert measured[targets.SQLITE]["posts"] == 1
    assert measured[targets.SQLITE]["refused"] > 0
    assert coalescing.verdicts(measured)[0].endswith("reached")


def test_columns_are_read_back_with_one_request_for_a_page(lms: Platform, instance: Instance) -> None:
    measured = readback.measure(lms, [instance], results=200)
    assert [measured[way][targets.SQLITE]["requests"] for way in ("paged", "whole")] == [2, 1]
    assert len(readback.table(measured, 200)) == 2 + 2 * 2


@pytest.mark.postgres
def test_a_terms_end_is_measured_with_and_without_trouble(lms: Platform) -> None:
    size, way = term_end.Size(schools=4, scores=12), list(deliverers.ways())[-1]
    with new_database(service("PostgreSQL", "TEST_POSTGRES_URL")) as database:
        report = term_end.measure(lms, database, size, [way])
    well, troubled = report[way]["well"], report[way]["troubled"]
    assert (len(well["per_school"]), len(troubled["per_school"])) == (4, 2)
    assert troubled["in_trouble"]["dead (3)"] == 0
    assert len(term_end.table(report)) == 3 + 2
    assert len(term_end.verdicts(report)) == 4
