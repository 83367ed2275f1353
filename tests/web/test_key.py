from __future__ import annotations

import json

import pytest

expect = pytest.importorskip("playwright.sync_api", reason='needs pip install "afterfit[test-pages]"').expect

KEY = "sk-0123456789"


@pytest.fixture
def guarded(browse):
    """Opens a page of a server that wants a key for everything but its pages."""

    def open_guarded(path="/"):
        page = browse(path="/docs", statuses=[401])  # a page to put the guard in front of
        context = page.context
        seen = []

        def guard(route):
            sent = route.request.headers.get("authorization")
            seen.append(sent)
            if sent == f"Bearer {KEY}":
                route.continue_()
                return
            problem = {
                "title": "Unauthorized",
                "status": 401,
                "detail": "Send a key as Authorization: Bearer.",
            }
            headers = {"content-type": "application/problem+json", "www-authenticate": "Bearer"}
            route.fulfill(status=401, headers=headers, body=json.dumps(problem))

        context.route("**/models**", guard)
        context.route("**/models/**", guard)
        context.route("**/openapi.json", guard)
        page.goto(page.url.removesuffix("/docs") + path)
        return page, seen

    return open_guarded


def test_a_key_is_asked_for_sent_and_kept_in_the_tab_alone(guarded):
    page, seen = guarded()
    dialog = page.get_by_role("dialog", name="This server asks for a key")
    dialog.wait_for()
    assert page.locator(":focus").get_attribute("id") == "key"
    assert "Send a key" in dialog.text_content()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("does not know the key")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#content:not([hidden])")
    page.locator("#predict").click()
    page.wait_for_selector("#answer details")
    assert seen[0] is None
    assert set(seen[-3:]) == {f"Bearer {KEY}"}
    assert page.evaluate("[JSON.stringify(localStorage), document.cookie]") == ["{}", ""]
    assert KEY not in page.locator("body").inner_html()
    assert "$AFTERFIT_KEY" in page.locator("#code").text_content()
    page.reload()
    page.wait_for_selector("#content:not([hidden])")
    page.get_by_role("button", name="Forget the key").click()
    assert page.evaluate("sessionStorage.length") == 0
    page.locator("#predict").click()
    page.get_by_role("dialog").wait_for()


def test_without_a_key_the_page_says_so_and_asks_again_when_told_to(guarded):
    page, _ = guarded()
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert").first).to_contain_text("only with a key")
    page.get_by_role("button", name="Try again").click()
    page.get_by_label("API key").fill("two words")
    page.keyboard.press("Enter")
    expect(page.locator("#key-error")).to_contain_text("no spaces")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector("#content:not([hidden])")


def test_the_documentation_asks_for_the_same_key_and_sends_it(guarded):
    page, seen = guarded("/docs")
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.locator("[id$='-predict_0'] .opblock-summary-control").click()
    page.locator("[id$='-predict_0'] .execute").click()
    page.locator(".live-responses-table .response-col_status").get_by_text("200").wait_for()
    assert seen[-1] == f"Bearer {KEY}"


def test_a_key_that_was_made_opens_a_server_that_asks_for_one(browse, models, serving, tmp_path):
    security = pytest.importorskip("afterfit.serving._security", reason="this server has no keys yet")
    keys = tmp_path / "keys.json"
    key = security.create_key(keys, "mobile", "predict")[0]
    with serving(models["wine"].path, "--keys", str(keys)) as url:
        page = browse(url=url, statuses=[401], is_ready=False)
        page.get_by_label("API key").fill(key[:-1])
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("does not know the key")
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        page.locator("#predict").click()
        page.wait_for_selector("#answer details")
        row = models["wine"].model.bundle.golden[0].input
        assert page.locator(".prediction").text_content() == str(models["wine"].model.predict([row])[0])
