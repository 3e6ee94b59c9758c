"""What the page shows of access: the role, buttons that it may not use, signing out, the trail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine.access.tokens import create_token, revoke_token
from headrace.engine.application import Headrace
from headrace.model.caller import Role
from tests.browser.chromium import Chromium
from tests.support.web import installation, served

pytestmark = pytest.mark.browser

ADMIN = "t" * 20


@pytest.fixture
def guarded(database: str, redis_url: str, tmp_path: Path) -> Iterator[tuple[Headrace, str]]:
    with (
        installation(database, redis_url, tmp_path, port=0, api_token=ADMIN) as found,
        served(found) as (address, _server),
    ):
        yield found, address


def sign_in(chromium: Chromium, address: str, token: str) -> None:
    chromium.open(address)
    chromium.until("document.querySelector('#token')")
    chromium.type(token)
    chromium.press("Enter")
    chromium.until("document.querySelector('main h1')?.textContent === 'Pipelines'")
    # The first answer is a refusal, with the form in it.
    assert [text for text in chromium.complaints if " 401 " not in text] == []
    chromium.complaints.clear()


def press(chromium: Chromium, button: str) -> None:
    chromium.value(f"document.getElementById('{button}').click()")


def test_a_viewer_sees_why_a_button_is_not_its_own_and_signs_out(
    guarded: tuple[Headrace, str], chromium: Chromium
):
    headrace, address = guarded
    sign_in(chromium, address, create_token(headrace.database, "vera", Role.VIEWER)["token"])

    assert chromium.value("document.getElementById('caller').textContent") == "vera (viewer)"
    for button in ("run-plain", "pause-chain"):
        shown = f"document.getElementById('{button}')"
        assert chromium.value(f"{shown}.getAttribute('aria-disabled')") == "true"
        assert "takes the role operator" in chromium.value(f"{shown}.title")
    press(chromium, "run-plain")
    reason = "This takes the role operator; vera has the role viewer."
    chromium.until(f"document.getElementById('notice').textContent === '{reason}'")
    assert headrace.database.rows("audit", before=None, limit=10)[0]["action"] == "sign-in"

    chromium.value("document.querySelector('#sign-out button').click()")
    chromium.until("document.querySelector('#token')")
    chromium.open(f"{address}/#/runs")
    chromium.until("document.querySelector('#token')")
    chromium.complaints.clear()


def test_an_operator_runs_a_pipeline_and_finds_it_in_the_audit_trail(
    guarded: tuple[Headrace, str], chromium: Chromium
):
    headrace, address = guarded
    sign_in(chromium, address, create_token(headrace.database, "olga", Role.OPERATOR)["token"])

    assert chromium.value("document.getElementById('run-plain').ariaDisabled") is None
    press(chromium, "run-plain")
    chromium.until("document.querySelector('main h1')?.textContent === 'Run of plain'")
    chromium.open(f"{address}/#/audit")
    chromium.until("document.querySelector('main tbody')?.textContent.includes('olga')")
    told = chromium.value("document.querySelector('main tbody').innerText")
    assert "/pipelines/plain/runs" in told
    assert "done (201)" in told


def test_a_page_whose_token_is_revoked_asks_for_a_token(
    guarded: tuple[Headrace, str], chromium: Chromium
):
    headrace, address = guarded
    sign_in(chromium, address, create_token(headrace.database, "vera", Role.VIEWER)["token"])

    revoke_token(headrace.database, "vera")

    # By itself, at its next look.
    chromium.until("document.querySelector('#token')")
    assert chromium.value("document.querySelector('main h1')?.textContent") != "plain"
    assert not chromium.value("!!document.querySelector('#run-plain')")
    chromium.complaints.clear()


def test_a_link_in_a_mail_leads_to_its_view_for_who_is_signed_in(
    guarded: tuple[Headrace, str], chromium: Chromium
):
    headrace, address = guarded
    own = address.replace("127.0.0.1", "localhost")
    sign_in(chromium, own, create_token(headrace.database, "vera", Role.VIEWER)["token"])
    # Another site, by its name; its link is a navigation that brings no cookie of this one.
    chromium.open(f"{address}/sign-in")
    chromium.until("document.querySelector('#token')")
    chromium.value(f"location.assign('{own}/#/pipelines/plain')")

    chromium.until("document.querySelector('main h1')?.textContent === 'plain'")
    assert chromium.value("location.hash") == "#/pipelines/plain"
    assert not chromium.value("!!document.querySelector('#token')")
    chromium.complaints.clear()


def test_who_signs_in_comes_to_the_view_that_the_link_names(
    guarded: tuple[Headrace, str], chromium: Chromium
):
    _headrace, address = guarded
    chromium.open(f"{address}/#/pipelines/plain")
    chromium.until("document.querySelector('form').action.endsWith('#/pipelines/plain')")
    chromium.type(ADMIN)
    chromium.press("Enter")

    chromium.until("document.querySelector('main h1')?.textContent === 'plain'")
    assert chromium.value("location.hash") == "#/pipelines/plain"
    assert not chromium.value("!!document.querySelector('#token')")
    chromium.complaints.clear()
