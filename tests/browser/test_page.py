"""What a person sees: the page as a browser has drawn it."""

import re

import pytest

from runner.engine.wiring import Headrace
from tests.browser.conftest import Look

pytestmark = pytest.mark.browser


def declare(headrace: Headrace, text: str) -> None:
    (headrace.settings.pipelines / "pipeline.yaml").write_text(text)
    headrace.pipelines.refresh()


def boxes(page: str) -> list[str]:
    """Return what a reader of the screen is told of the boxes that can be pressed."""
    return re.findall(r'class="node [^"]*"[^>]* aria-label="([^"]*)"', page)


def test_many_items_of_a_foreach_are_one_box_that_the_keyboard_opens(
    headrace: Headrace, look: Look
):
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

    page = look(f"/#/runs/{run['id']}")

    assert boxes(page) == ["list: cancelled", "each × 40: all cancelled", "join: cancelled"]
    assert 'id="node-items-each"' in page
    assert re.search(r'role="button" tabindex="0" aria-expanded="false"', page)
    assert page.count('class="edge"') == 2
    assert ">each[39]<" in page


def test_a_handler_is_drawn_behind_the_steps_and_says_when_it_runs(headrace: Headrace, look: Look):
    declare(
        headrace,
        "name: tidied\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n"
        "handlers:\n  finally:\n    - {id: tidy, job: Fibonacci, with: {n: 2}}\n",
    )

    page = look("/#/pipelines/tidied")

    assert "tidy: Fibonacci, in the end" in page
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

    assert "holidays of 1 date" in page
    assert ">no more<" in page


def test_a_name_is_text_and_never_markup(headrace: Headrace, look: Look):
    declare(
        headrace,
        "name: marked\ndescription: '<img src=x onerror=alert(1)>'\n"
        "steps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n",
    )

    page = look("/#/pipelines/marked")

    assert "<h1>marked</h1>" in page
    assert "<main" in page
    assert page.count("<img") == 2  # the brand's, and the one that is only written
