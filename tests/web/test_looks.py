"""What people see and assistive technology reads: screens, names, contrast, hostile names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api", reason='needs pip install "afterfit[test-pages]"')

SCREENS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
    "dark phone": {
        "viewport": {"width": 360, "height": 740},
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "dark",
    },
}
ACCESSIBILITY = Path(__file__).with_name("accessibility.js").read_text(encoding="utf-8")


def problems(page):
    """What accessibility.js finds wrong with the page as it stands."""
    return page.evaluate(ACCESSIBILITY)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", ["flights", "by hand", "hostile", "tensor"])
def test_every_control_has_a_name_and_every_text_enough_contrast_on_every_screen(browse, screen, name):
    page = browse(name, **SCREENS[screen])
    assert problems(page) == []
    page.locator("#predict").click()
    page.wait_for_selector("#answer details")
    page.locator("#answer summary").click()
    assert problems(page) == []
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"


@pytest.mark.parametrize("screen", SCREENS)
def test_mistakes_warnings_and_results_can_be_read_on_every_screen(browse, screen):
    page = browse("flights", statuses=[422], **SCREENS[screen])
    page.locator("#field-3").fill("1.5")
    page.locator("#predict").click()
    page.wait_for_selector(".message.error:not(:empty)")
    page.locator("#csv-text").fill(
        "sched_dep_time,sched_arr_time,dep_delay,distance,carrier,origin,dest\n1,1,x,1,ZZ,JFK,SFO\n1,1,1,1,ZZ,JFK,SFO\n"
    )
    page.locator("#csv-score").click()
    page.get_by_role("region", name="Scored rows").wait_for()
    assert problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_the_checks_of_accessibility_find_what_is_wrong(browse):
    page = browse("wine")
    page.evaluate(
        """() => {
          const input = document.createElement("input");
          const faint = document.createElement("p");
          faint.textContent = "faint";
          faint.style.color = "rgb(200, 200, 200)";
          const twin = document.createElement("p");
          twin.id = "predict";
          document.getElementById("form").append(input, faint, twin, document.createElement("button"));
        }"""
    )
    found = " ".join(problems(page))
    for word in ("input without a name", "button without a name", "contrast", "twice"):
        assert word in found


def test_names_and_values_that_are_markup_stay_text(browse, models):
    page = browse("hostile")
    names = page.locator(".field .name").all_text_contents()
    assert names == [column.name for column in models["hostile"].model.schema.columns]
    assert page.locator("#content img, #content script, .about b").count() == 0
    values = models["hostile"].model.schema.column("constructor").categories.values
    shown = page.locator(".field:nth-child(5) option").all_text_contents()[1:-1]
    assert shown == [json.dumps(v, ensure_ascii=False) if v in {"", " ", "🦆\n🦆"} else v for v in values]
    assert page.locator(".field:nth-child(6) option").count() == 1_001
    for value in values:
        page.locator(".field:nth-child(5) select").select_option(index=1 + values.index(value))
        with page.expect_response("**/predict") as reply:
            page.locator("#predict").click()
        row = json.loads(reply.value.request.post_data)["rows"][0]
        assert row["constructor"] == value
        assert set(row) == set(names)
        page.wait_for_selector("#answer:not(.is-old) details")
    assert page.locator("#answer img").count() == 0


def test_the_page_refuses_to_make_markup_of_text(browse):
    page = browse("wine", expects=["TrustedHTML"])
    assert (
        page.evaluate(
            "() => { try { document.body.innerHTML = '<p>'; return 'made'; } catch (error) { return error.name; } }"
        )
        == "TypeError"
    )


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_request_for_programs_runs_as_it_stands(browse, models, language, tmp_path):
    page = browse("by hand")
    page.get_by_label("Another value of code").or_(
        page.locator(".field:nth-child(2) select")
    ).first.select_option("other")
    page.locator(".field:nth-child(2) textarea").fill('it\'s \\ "q" $HOME `x` é🦆')
    page.get_by_label("visits is missing").check()
    page.get_by_label("Language").select_option(language)
    code = page.locator("#code").text_content()
    script = tmp_path / "request"
    script.write_text(code, encoding="utf-8")
    if language == "python":
        pytest.importorskip("requests")
        script.write_text(code.replace("print(answer.json())", "print(answer.text)"), encoding="utf-8")
    command = ["bash"] if language == "curl" else [sys.executable]
    done = subprocess.run([*command, script], capture_output=True, text=True, timeout=60, check=True)
    row = dict(models["by hand"].model.bundle.golden[0].input)
    row |= {"code": 'it\'s \\ "q" $HOME `x` é🦆', "visits": None}
    assert json.loads(done.stdout)["predictions"] == models["by hand"].model.predict([row]).tolist()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == code


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation_answers_an_example(browse, models, scheme):
    page = browse(path="/docs", color_scheme=scheme)
    page.wait_for_selector(".opblock")
    assert page.locator("html.dark-mode").count() == (scheme == "dark")
    operation = page.locator(".opblock", has=page.get_by_text("Answer rows with flights", exact=True))
    operation.locator(".opblock-summary-control").click()
    operation.locator(".execute").click()
    body = operation.locator(".live-responses-table .response-col_description pre").first
    body.wait_for()
    model = models["flights"].model
    shown = json.loads(body.text_content())
    assert shown["predictions"] == model.predict([model.bundle.golden[0].input]).tolist()
