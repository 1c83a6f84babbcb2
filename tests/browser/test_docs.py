"""The page at `/docs`, used like by a new user."""

import json

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import ARTIFACTS, Colors, Visit
from tests.socket.conftest import KEY

RECORD = {"name": "Ada", "email": "ada@example.org"}


def operation(page: Page, method: str, path: str) -> Locator:
    """Return what the page has on one operation."""
    return page.locator(f".opblock-{method}").filter(has=page.locator(f'[data-path="{path}"]'))


async def authorize(page: Page, key: str) -> None:
    """Give the key in the dialog, and close it."""
    await page.get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    await dialog.get_by_label("auth-bearer-value").fill(key)
    await dialog.get_by_label("Apply credentials").first.click()
    await expect(dialog.get_by_label("Remove authorization")).to_be_visible()
    await dialog.get_by_text("Close").first.click()


async def open_everything(page: Page) -> None:
    """Open every operation and the list of the schemas, so that all images are shown."""
    await expect(page.locator(".opblock")).not_to_have_count(0)
    for control in await page.locator(".opblock-summary-control, .models-control").all():
        await control.click()
    await expect(page.locator(".opblock-body")).to_have_count(
        await page.locator(".opblock").count()
    )
    # A page that is painted has asked for every image that it shows.
    await page.screenshot()


async def test_the_page_lists_every_operation_of_the_contract(
    visit: Visit, api: httpx.AsyncClient
) -> None:
    blocks = visit.page.locator(".opblock")
    await expect(blocks).not_to_have_count(0)
    listed = await blocks.evaluate_all(
        """blocks => blocks.map(it => [
            it.querySelector(".opblock-summary-method").textContent.toLowerCase(),
            it.querySelector(".opblock-summary-path").dataset.path,
            it.id.split("-").at(-1),
        ])"""
    )
    paths = (await api.get("/openapi.json")).json()["paths"]
    described = [
        [method, path, operation["operationId"]]
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]

    assert sorted(listed) == sorted(described)


@pytest.mark.parametrize("colors", ["none", pytest.param("active", marks=pytest.mark.long)])
async def test_no_other_host_is_requested_and_the_browser_logs_no_error(
    visit: Visit, colors: Colors
) -> None:
    await open_everything(visit.page)

    assert f"{visit.origin}/openapi.json" in visit.asked
    assert visit.others == []
    assert visit.complaints == []


async def test_a_record_that_is_posted_from_the_page_is_shown_and_stored(
    visit: Visit, api: httpx.AsyncClient
) -> None:
    page = visit.page
    await authorize(page, KEY)
    post = operation(page, "post", "/item")
    await post.locator(".opblock-summary-control").click()
    await post.get_by_role("button", name="Try it out").click()
    await post.locator(".body-param__text").fill(json.dumps(RECORD, indent=2))
    await post.get_by_role("button", name="Execute").click()
    answer = post.locator(".live-responses-table tbody")
    await expect(answer.locator(".response-col_status")).to_contain_text("201")
    shown = json.loads(await answer.locator(".highlight-code code").first.inner_text())
    ARTIFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=ARTIFACTS / "docs.png", full_page=True)
    stored = (await api.get("/item")).json()

    assert stored == [shown]
    assert RECORD.items() <= shown.items()
    assert visit.others == []
    assert visit.complaints == []
