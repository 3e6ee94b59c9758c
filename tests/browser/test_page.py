"""What a person sees: the page as a browser has drawn it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.application import Headrace
from tests.browser.chromium import Chromium
from tests.browser.conftest import Look
from tests.support.web import installation, served

pytestmark = pytest.mark.browser


def declare(headrace: Headrace, text: str) -> None:
    (headrace.settings.pipelines / "pipeline.yaml").write_text(text)
    headrace.pipelines.refresh()


def boxes(page: str) -> list[str]:
    """Return what a reader of the screen is told of the boxes that can be pressed."""
    return re.findall(r'class="node [^"]*"[^>]* aria-label="([^"]*)"', page)


def wide_run(headrace: Headrace) -> Mapping[str, Any]:
    """Return a run, cancelled, of forty items between two steps."""
    items = ", ".join(map(str, range(40)))
    declare(
        headrace,
        "name: wide\nsteps:\n"
        "  - {id: list, job: Fibonacci, with: {n: 1}}\n"
        "  - {id: each, job: Fibonacci, depends_on: [list], with: {n: 2},"
        f" foreach: {{items: [{items}], as: item}}}}\n"
        "  - {id: join, job: Fibonacci, depends_on: [each], with: {n: 3}}\n",
    )
    run = headrace.start_run("wide", {})
    headrace.interventions.cancel_run(str(run["id"]))
    return run


def test_many_items_of_a_foreach_are_one_box(headrace: Headrace, look: Look):
    run = wide_run(headrace)

    page = look(f"/#/runs/{run['id']}")

    assert boxes(page) == ["list: cancelled", "each \u00d7 40: all cancelled", "join: cancelled"]
    assert 'id="node-items-each"' in page
    assert re.search(r'role="button" tabindex="0" aria-expanded="false"', page)
    assert page.count('class="edge"') == 2
    assert ">each[39]<" in page


def test_a_run_of_many_jobs_is_shown_a_page_at_a_time_and_counts_all(
    headrace: Headrace, look: Look, chromium: Chromium
):
    items = ", ".join(map(str, range(520)))
    declare(
        headrace,
        "name: wide\nsteps:\n  - {id: each, job: Fibonacci, with: {n: 2},"
        f" foreach: {{items: [{items}], as: item}}}}\n",
    )
    run = headrace.start_run("wide", {})

    page = look(f"/#/runs/{run['id']}")

    assert "The first 500 of 520 jobs." in page
    assert "0 of 520 ended" in page
    assert ">each[519]<" not in page
    chromium.value("document.getElementById('more').click()")
    chromium.until("document.body.textContent.includes('each[519]')")
    headrace.interventions.cancel_run(str(run["id"]))
    chromium.until("document.body.textContent.includes('520 of 520 ended')")
    assert chromium.value("document.getElementById('more')") is None


def test_a_handler_is_drawn_behind_the_steps_and_says_when_it_runs(headrace: Headrace, look: Look):
    declare(
        headrace,
        "name: tidied\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n"
        "handlers:\n  finally:\n    - {id: tidy, job: Fibonacci, with: {n: 2}}\n",
    )

    page = look("/#/pipelines/tidied")

    assert "tidy: Fibonacci, finally" in page
    only, tidy = (
        int(re.search(rf'id="node-{step}"[^>]*translate\((\d+)', page)[1])  # type: ignore[index]
        for step in ("only", "tidy")
    )
    assert tidy > only


def test_a_step_that_runs_a_pipeline_leads_to_it_and_a_trigger_to_what_it_waits_for(
    headrace: Headrace, look: Look
):
    declare(
        headrace,
        "name: parent\ntrigger: plain\nsteps:\n  - {id: below, pipeline: chain, with: {n: 3}}\n",
    )

    page = look("/#/pipelines/parent")

    assert re.search(r'id="node-below"[^>]* href="#/pipelines/chain"', page)
    assert re.search(r'id="upstream-plain" href="#/pipelines/plain"', page)


def test_a_job_names_what_it_waits_for(headrace: Headrace, look: Look):
    run = headrace.start_run("chain", {})
    jobs = {job["step"]: job for job in headrace.database.rows("jobs_of_run", run_id=run["id"])}

    page = look(f"/#/jobs/{jobs['second']['id']}")

    assert re.search(rf'href="#/jobs/{jobs["first"]["id"]}">first</a>', page)


def test_a_schedule_whose_calendar_leaves_nothing_is_said_to_be_over(
    headrace: Headrace, look: Look
):
    declare(
        headrace,
        "name: over\nschedule:\n  cron: '0 6 24 12 *'\n"
        "  calendar: {days: holidays, dates: [2020-12-24]}\n"
        "steps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n",
    )

    page = look("/")

    assert ", holidays of 1 date<" in page
    assert ">no more<" in page


def test_a_name_is_text_and_never_markup(headrace: Headrace, look: Look):
    declare(
        headrace,
        "name: marked\ndescription: '<img src=x onerror=alert(1)>'\n"
        "steps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n",
    )

    page = look("/#/pipelines/marked")

    assert "<h1>marked</h1>" in page
    assert page.count("<img") == 1  # the brand's
    assert "&lt;img src=x" in page


def test_the_jobs_of_a_foreach_unfold_and_fold_by_the_keyboard(
    headrace: Headrace, look: Look, chromium: Chromium
):
    run = wide_run(headrace)
    look(f"/#/runs/{run['id']}")

    chromium.value("document.getElementById('node-items-each').focus()")
    chromium.press("Enter")
    chromium.until("document.querySelectorAll('.node').length === 42")
    assert chromium.value("document.activeElement.id") == "fold-each"
    chromium.press("Enter")
    chromium.until("document.querySelectorAll('.node').length === 3")
    assert chromium.value("document.activeElement.id") == "node-items-each"


def test_a_look_again_leaves_what_is_typed_opened_and_selected(
    headrace: Headrace, look: Look, chromium: Chromium
):
    look("/#/pipelines/chain")
    chromium.value("""(() => {
        document.getElementById('param-n').value = '8';
        document.getElementById('backfill-box').open = true;
        getSelection().selectAllChildren(document.querySelector('h1'));
        window.kept = document.querySelector('h1');
    })()""")

    headrace.start_run("chain", {})
    chromium.value("dispatchEvent(new Event('look'))")
    chromium.until("document.querySelector('tbody tr')")

    assert chromium.value("document.getElementById('param-n').value") == "8"
    assert chromium.value("document.getElementById('backfill-box').open")
    assert chromium.value("String(getSelection())") == "chain"
    assert chromium.value("kept === document.querySelector('h1')")


def test_the_keyboard_goes_on_inside_a_view_that_was_just_opened(look: Look, chromium: Chromium):
    look("/")

    chromium.value("document.getElementById('go-plain').focus()")
    chromium.press("Enter")
    chromium.until("document.querySelector('h1')?.textContent === 'plain'")

    assert chromium.value("document.activeElement.id") == "main"


def test_a_person_signs_in_with_the_token(
    database: str, redis_url: str, tmp_path: Path, chromium: Chromium
):
    with (
        installation(database, redis_url, tmp_path, port=0, api_token="t" * 20) as guarded,
        served(guarded) as (address, _server),
    ):
        chromium.open(address)
        chromium.type("t" * 20)
        chromium.press("Enter")
        chromium.until("document.querySelector('main h1')?.textContent === 'Pipelines'")
    # The first answer is a refusal, with the form in it.
    assert [text for text in chromium.complaints if " 401 " not in text] == []
    chromium.complaints.clear()


def test_a_running_step_shows_how_far_it_has_got_at_three_widths(
    headrace: Headrace, look: Look, chromium: Chromium
):
    run = headrace.start_run("chain", {})
    job = headrace.database.rows("jobs_of_run", run_id=run["id"])[0]
    with headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql(
            "UPDATE headrace.job SET status = 'started', attempt = 1, started_at = now()"
            f" WHERE id = '{job['id']}'"
        )
    progress = {
        "attempt": 1, "rows": 420_000, "done": 42, "total": 100, "unit": "bytes",
        "share": 0.42, "seconds": 2.0, "per_second": 210_000,
    }  # fmt: skip
    headrace.sender.show_progress({str(job["id"]): progress})

    page = look(f"/#/runs/{run['id']}")

    words = "42\u00a0%, 420,000\u00a0rows, 210,000\u00a0rows/s"
    assert words in page.replace("&nbsp;", "\u00a0")
    for width in (360, 768, 1280):
        chromium.resize(width, 900)
        shown = chromium.value(
            "(() => { const bar = document.querySelector('.live progress').getBoundingClientRect();"
            " const around = document.querySelector('.live').closest('.scroll');"
            " return [bar.width > 0, around.getBoundingClientRect().right <= innerWidth,"
            " document.documentElement.scrollWidth <= innerWidth] })()"
        )
        assert shown == [True, True, True], width


def test_a_run_shows_who_was_told_of_it_and_what_was_late(headrace: Headrace, look: Look):
    declare(headrace, "name: told\nsteps: [{id: one, job: Fibonacci, with: {n: 1}}]\n")
    run = headrace.start_run("told", {})
    headrace.interventions.cancel_run(str(run["id"]))
    with headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql(
            'UPDATE headrace.run SET late = \'{"": {"rule": "deadline", "since":'
            ' "2026-01-01T00:00:00Z"}}\''
        )
        tx.connection.exec_driver_sql(
            "INSERT INTO headrace.notification (kind, receiver, pipeline, run_id, content, status,"
            " tries, error) SELECT 'late', 'pager', pipeline, id, '{}', 'given_up', 9, 'away <b>'"
            " FROM headrace.run"
        )

    page = look(f"/#/runs/{run['id']}")

    assert "the run: deadline passed" in page
    assert ">Notifications<" in page
    for cell in ("late", "pager", "given up", "9", "away &lt;b&gt;"):
        assert f">{cell}<" in page
