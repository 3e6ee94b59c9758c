"""Two daemons and two workers on two hosts, the servers on a third; one host is cut off.

`make hosts` tries every kind of cut. The suite takes a sample: the leader's host is cut off.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.cluster import effect_job
from tests.support.hosts import Host, NoNetworks, Site, site
from tests.support.processes import wait_until

_ALL = os.environ.get("HEADRACE_HOSTS") == "all"
# How long a cut lasts: longer than the leader's lease (3 s) and, here, the workers' (4 s).
_CUT_S = 7.0
# The leader's lease, and what the other daemon takes to see that it is over.
_TAKEOVER_S = 5.0
PIPELINE = """
name: tick
schedule: {interval: 1s, catchup: all, catchup_window: 1h}
steps:
  - {id: first, job: tests.support.jobs_effects.EffectJob, with: {tag: first}}
  - {id: second, job: tests.support.jobs_effects.EffectJob, depends_on: [first]}
"""


@contextmanager
def power_failure(host: Host) -> Iterator[None]:
    host.power_off()
    yield


def filtering(*rules: str) -> Callable[[Host], AbstractContextManager[None]]:
    return lambda host: host.filtered(*rules)


# Each with whether it costs the daemon of that host the lead.
CUTS: dict[str, tuple[Callable[[Host], AbstractContextManager[None]], bool]] = {
    "packets dropped": (filtering("INPUT -j DROP", "OUTPUT -j DROP"), True),
    "connections refused": (
        filtering(
            "OUTPUT -p tcp -j REJECT --reject-with tcp-reset",
            "INPUT -p tcp -j REJECT --reject-with tcp-reset",
        ),
        True,
    ),
    "half-open, answers lost": (filtering("INPUT -j DROP"), True),
    "half-open, requests lost": (filtering("OUTPUT -j DROP"), True),
    "unplugged": (Host.unplugged, True),
    "PostgreSQL out of reach": (filtering("OUTPUT -p tcp --dport 5432 -j DROP"), True),
    "Redis out of reach": (filtering("OUTPUT -p tcp --dport 6379 -j DROP"), False),
    "slow": (Host.slow, False),
    "frozen": (Host.frozen, True),
    "power failure": (power_failure, True),
}
SAMPLE = "packets dropped"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    """Both hosts at work. At the end every invariant holds."""
    # The servers' account has to reach the sockets in it.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    try:
        with site(tmp_path) as made:
            (tmp_path / "pipelines" / "tick.yaml").write_text(PIPELINE)
            for host in made.hosts:
                made.start(host, "daemon")
                made.start(host, "worker", 2)
            yield made
            made.cluster.check()
    except NoNetworks as error:
        pytest.skip(str(error))


def term(place: Site) -> int:
    return int(place.cluster.sql("SELECT coalesce(max(term), 0) AS t FROM headrace.leader")[0]["t"])


def runs(place: Site) -> int:
    return int(place.cluster.sql("SELECT count(*) AS n FROM headrace.run")[0]["n"])


def both_work(place: Site) -> bool:
    rows = place.cluster.sql(
        "SELECT count(DISTINCT hostname) AS n FROM headrace.worker"
        " WHERE status = 'running' AND seen_at > clock_timestamp() - interval '3 seconds'"
    )
    return bool(rows[0]["n"] == 2 and place.leading())


@pytest.mark.timeout(240)
@pytest.mark.parametrize("cut", CUTS if _ALL else [SAMPLE])
def test_a_host_that_is_cut_off_loses_and_doubles_nothing(
    place: Site, cut: str, record_property: Callable[[str, object], None]
) -> None:
    cluster = place.cluster
    wait_until(lambda: both_work(place), limit_s=60, what="work on both hosts")
    payloads = [{"hold_s": 0.02}] * 100
    cluster.headrace.dispatcher.dispatch_many(effect_job("EffectJob"), payloads)
    wait_until(lambda: runs(place) >= 1, limit_s=30)
    hit = place.leading()
    assert hit is not None
    before = term(place)
    happens, costs_the_lead = CUTS[cut]

    with happens(hit):
        began, taken = time.monotonic(), None
        while time.monotonic() < began + _CUT_S and (taken is None or _ALL):
            if taken is None and term(place) > before:
                taken = time.monotonic() - began
            time.sleep(0.05)
        # The other host goes on by itself.
        if costs_the_lead:
            assert taken is not None, "nobody took over"
            assert place.leading() is not hit
            during = runs(place)
            wait_until(lambda: runs(place) > during, what="a run beside the cut")
    record_property("takeover_s", taken)
    if _ALL:
        print(f"\n{cut}: taken over after {taken if taken is None else round(taken, 2)} s")
        assert taken is None or taken <= _TAKEOVER_S
    assert costs_the_lead or taken is None

    cluster.withdraw("tick", limit_s=60)
    rows = cluster.sql("SELECT logical_date FROM headrace.run ORDER BY logical_date")
    dates = [row["logical_date"] for row in rows]
    assert all(b - a == timedelta(seconds=1) for a, b in pairwise(dates))
    statuses = cluster.sql("SELECT DISTINCT status FROM headrace.job")
    assert statuses == [{"status": "completed"}]
