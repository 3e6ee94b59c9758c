"""Which ended runs start another: the pure decision."""

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from headrace.plan.trigger_matching import Ended, Matched, known, match
from tests.support.generated import Seeds

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_S = 3600.0


def ended(text: str) -> list[Ended]:
    """Return runs of `a0 b15 a30`: the pipeline, and the minute past noon of its end."""
    return [
        Ended(NOON + timedelta(minutes=int(word[1:])), UUID(int=number), word[0])
        for number, word in enumerate(text.split())
    ]


def shown(runs: list[Ended] | tuple[Ended, ...]) -> str:
    return " ".join(
        f"{run.pipeline}{(run.finished_at - NOON) // timedelta(minutes=1)}" for run in runs
    )


def decide(
    upstream: str, text: str, now_min: int = 0, window_s: float = HOUR_S, limit: int | None = None
) -> Matched:
    now = NOON + timedelta(minutes=now_min)
    return match(tuple(upstream), window_s, ended(text), now, limit)


def starts(found: Matched) -> list[str]:
    return [shown(start.runs) for start in found.starts]


def test_each_run_of_a_single_upstream_starts_one_however_old() -> None:
    found = decide("a", "a0 a1 a1 a500", now_min=10_000)

    assert starts(found) == ["a0", "a1", "a1", "a500"]
    assert not (found.superseded or found.expired or found.waiting)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a0 b5", ["a0 b5"]),
        ("b0 a5", ["b0 a5"]),
        ("a0 b60", ["a0 b60"]),
        ("a0 b61", []),
        ("a0 b5 a10 b15", ["a0 b5", "a10 b15"]),
        ("a0 a10 b20 b30", ["a10 b20"]),
        ("a0 b61 a62", ["b61 a62"]),
        ("a0 a50 b100", ["a50 b100"]),
        ("a0 b0", ["a0 b0"]),
    ],
)
def test_two_start_one_run_within_the_window(text: str, expected: list[str]) -> None:
    assert starts(decide("ab", text)) == expected


def test_of_three_no_two_are_further_apart_than_the_window() -> None:
    found = decide("abc", "a0 b40 c70 a80")

    assert starts(found) == ["b40 c70 a80"]
    assert shown(found.expired) == "a0"


def test_an_older_run_of_a_pipeline_is_superseded_and_the_newest_waits() -> None:
    found = decide("ab", "a0 a10 a20")

    assert (shown(found.superseded), shown(found.waiting)) == ("a0 a10", "a20")


@pytest.mark.parametrize(("now_min", "waits"), [(60, True), (61, False)])
def test_what_no_later_run_can_be_near_enough_to_has_expired(now_min: int, waits: bool) -> None:
    found = decide("ab", "a0", now_min)

    assert (shown(found.waiting), shown(found.expired)) == (("a0", "") if waits else ("", "a0"))


def test_the_last_one_is_the_one_that_ended_last() -> None:
    (start,) = decide("ab", "b3 a1").starts

    assert shown([start.last]) == "b3"


def test_after_the_limit_the_rest_is_left_as_it_is() -> None:
    found = decide("a", "a0 a1 a2", limit=2)

    assert starts(found) == ["a0", "a1"]
    assert not (found.superseded or found.expired or found.waiting)


@pytest.mark.generated
def test_deciding_bit_by_bit_is_deciding_at_once(seeds: Seeds) -> None:
    for seed in seeds(50):
        decide_bit_by_bit(random.Random(seed))


def decide_bit_by_bit(rng: random.Random) -> None:
    minutes = sorted(rng.randrange(400) for _ in range(40))
    runs = ended(" ".join(f"{rng.choice('abc')}{minute}" for minute in minutes))
    at_once = match("abc", HOUR_S, runs, runs[-1].finished_at)

    found: list[str] = []
    superseded: set[Ended] = set()
    expired: set[Ended] = set()
    left: list[Ended] = []
    while runs:
        new, runs = runs[: (size := rng.randrange(1, 6))], runs[size:]
        # All before this moment is known by then.
        part = match("abc", HOUR_S, [*left, *new], new[-1].finished_at)
        left = part.waiting
        found += starts(part)
        superseded.update(part.superseded)
        expired.update(part.expired)

    assert found == starts(at_once)
    assert left == at_once.waiting
    # What another run overtakes after it has expired is told either way.
    assert superseded | expired == {*at_once.superseded, *at_once.expired}


@pytest.mark.generated
def test_reading_a_few_of_each_pipeline_at_a_time_changes_nothing(seeds: Seeds) -> None:
    for seed in seeds(50):
        read_a_few_at_a_time(random.Random(seed))


def read_a_few_at_a_time(rng: random.Random) -> None:
    minutes = sorted(rng.randrange(400) for _ in range(60))
    # One pipeline is far more busy than the others.
    runs = ended(" ".join(f"{rng.choice('aaaaaabc')}{minute}" for minute in minutes))
    settled = runs[-1].finished_at
    at_once = match("abc", HOUR_S, runs, settled)

    found: list[str] = []
    unused, more = runs, True
    while more:
        read = [
            one for name in "abc" for one in [run for run in unused if run.pipeline == name][:3]
        ]
        first, until = known(read, 3)
        part = match("abc", HOUR_S, first, until or settled)
        found += starts(part)
        used = {run for start in part.starts for run in start.runs}
        used.update(part.superseded, part.expired)
        unused = [run for run in unused if run not in used]
        more = until is not None and bool(used)

    assert found == starts(at_once)
