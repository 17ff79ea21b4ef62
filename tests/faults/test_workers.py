"""Workers that die, that are many, that end: no grade is lost, none is wrong, and the repeats are counted."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from integrations.platforms.registry import platform_for
from tests.faults.stage import LONG_LEASE, LONGEST_WAIT, Stage, until

# Each may happen to any call; several of them leave open whether the score was stored.
UNREST = [
    {"name": "drop-after", "times": None, "chance": 0.04},
    {"name": "reset-before", "times": None, "chance": 0.03},
    {"name": "half", "times": None, "chance": 0.03},
    {"name": "500", "times": None, "chance": 0.03},
    {"name": "429", "times": None, "chance": 0.01, "headers": {"Retry-After": "1"}},
    {"name": "revoked", "times": None, "chance": 0.02},
    {"name": "token-500", "times": None, "chance": 0.2},
]
KINDS = ("generic", "moodle", "canvas", "open-edx")
NUMBERS = itertools.count()


def test_killed_again_and_again(play: Stage) -> None:
    groups = [
        play.add_class(f"{kind}-{next(NUMBERS)}", kind, people=60, latency=0.05, faults=UNREST)
        for kind in KINDS
    ]
    workers = [play.start_worker(), play.start_worker()]
    kills = 5
    for _ in range(kills):
        for group in groups:
            play.want(group, random.sample(sorted(group.wanted), 40))
        # In the middle of the work, at some moment between two writes of outcomes.
        play.until_more(groups, 60)
        time.sleep(random.uniform(0, 0.6))
        victim = random.randrange(2)
        play.kill_worker(workers[victim])
        workers[victim] = play.start_worker()
    for group in groups:
        play.want(group)
        play.heal(group)
    play.settle()
    for group in groups:
        counts = play.proof(group)
        print(group.name, dict(counts))
        # An outcome is written within a second: what a dead worker had not written is sent again, and so is
        # what was stored and answered into the void.
        unwritten = kills * platform_for(group.kind).max_parallel / 0.05
        assert counts["repeats"] <= unwritten + 0.15 * counts["stored"]


def test_several_workers_send_each_score_once(play: Stage) -> None:
    groups = [play.add_class(f"{kind}-{next(NUMBERS)}", kind, people=40, latency=0.03) for kind in KINDS]
    for group in groups:
        play.want(group)
    for _ in range(3):
        play.start_worker(LONG_LEASE)
    play.settle()
    for group in groups:
        assert play.proof(group) == {"arrivals": 40, "stored": 40, "repeats": 0}
        assert play.faulty.state(group.name)["most_in_flight"] <= platform_for(group.kind).max_parallel


def test_a_worker_that_is_asked_to_end_leaves_nothing_undone(play: Stage) -> None:
    """SIGTERM: the calls in flight are answered and written down, so nothing is sent twice."""
    group = play.add_class(f"ended-{next(NUMBERS)}", people=60, latency=0.1)
    play.want(group)
    for _ in range(3):
        worker = play.start_worker(LONG_LEASE)
        play.until_more([group], 3)
        assert play.end_worker(worker) == 0
        assert play.leases() == 0
    play.start_worker(LONG_LEASE)
    play.settle()
    assert play.proof(group)["repeats"] == 0


def test_the_network_goes_and_comes_back(play: Stage) -> None:
    """What hangs in the network arrives when it comes back, perhaps after something newer."""
    groups = [play.add_class(f"{kind}-{next(NUMBERS)}", kind, people=30, latency=0.03) for kind in KINDS]
    for group in groups:
        play.want(group)
    for _ in range(2):
        play.start_worker()
    for _ in range(2):
        time.sleep(random.uniform(1.0, 2.0))
        with play.silence():
            time.sleep(random.uniform(1.0, 2.0))
            for group in groups:
                play.want(group, random.sample(sorted(group.wanted), 15))
            time.sleep(random.uniform(1.0, 4.0))
    for group in groups:
        play.heal(group)
    play.settle()
    for group in groups:
        play.proof(group)


def test_a_school_that_drips_delays_only_itself(play: Stage) -> None:
    slow = play.add_class(f"slow-{next(NUMBERS)}", people=30, faults=[{"name": "drip", "times": None}])
    dead = [
        play.add_class(f"dead-{next(NUMBERS)}", people=5, faults=[{"name": "drop-before", "times": None}])
        for _ in range(4)
    ]
    well = play.add_class(f"well-{next(NUMBERS)}", people=100, latency=0.02)
    for group in (slow, *dead, well):
        play.want(group)
    play.start_worker()
    until(lambda: len(play.faulty.grades(well.name)) == 100)
    assert play.proof(well)["repeats"] == 0
    assert play.faulty.state(slow.name)["calls"]["score"] < 30
    for group in (slow, *dead):
        play.heal(group)
    play.settle()
    for group in (slow, *dead):
        play.proof(group)


def test_keys_are_rotated_and_tokens_revoked_while_scores_are_sent(play: Stage) -> None:
    """The school verifies each assertion; it fetches the new key only some time after it signs."""
    group = play.add_class(f"keys-{next(NUMBERS)}", people=60, latency=0.05, expires_in=2)
    play.faulty.change(group.name, jwks=play.jwks())
    play.want(group)
    play.start_worker()
    until(lambda: len(play.faulty.grades(group.name)) > 5)
    play.desk.operator("keys", "rotate", "--sign-after", "0")
    play.faulty.change(group.name, revoke=True)
    # A turn goes on with the key that it began with.
    play.until_quiet(group)
    play.want(group)
    until(lambda: any('"kid" invalid' in said for said in play.refusals(group)), trace=play.trace)
    time.sleep(LONGEST_WAIT)
    play.faulty.change(group.name, jwks=play.jwks())
    play.settle()
    play.proof(group)


@pytest.mark.parametrize("ahead", [-120, 120])
def test_a_school_whose_clock_is_wrong(play: Stage, ahead: int) -> None:
    """It takes our assertions for too early or nearly over, and compares scores with its own time."""
    group = play.add_class(f"clock-{next(NUMBERS)}", "moodle", people=10, clock_ahead=ahead)
    play.faulty.change(group.name, jwks=play.jwks())
    play.want(group)
    play.start_worker()
    play.settle()
    play.want(group)
    play.settle()
    play.proof(group)
