from __future__ import annotations

import json

import numpy as np
import pytest

expect = pytest.importorskip("playwright.sync_api", reason='needs pip install "afterfit[test-pages]"').expect


def answer(page):
    """The answer that is shown, as it was sent."""
    page.wait_for_selector("#answer:not(.is-old) details")
    return json.loads(page.locator("#answer details pre").text_content())


def tab_to(page, selector):
    """Reach an element with the Tab key alone."""
    wanted = page.locator(selector)
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def field(page, column):
    """The field of a column, found by the name that people see."""
    return page.locator(".field", has=page.locator(".name", has_text=column)).first


def messages(page):
    """What is said beside the fields, by column."""
    found = {}
    for one in page.locator(".field").all():
        text = one.locator(".message").text_content()
        if text:
            found[one.locator(".name").text_content()] = text
    return found


def same_answer(shown, model, row):
    assert shown["version"] == model.version
    assert shown["predictions"] == model.predict([row]).tolist()
    if "probabilities" in shown:
        np.testing.assert_allclose(shown["probabilities"][0], model.predict_proba([row])[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["flights", "wine", "hostile", "by hand", "texts", "tensor", "wide"])
def test_the_example_is_filled_in_and_answered_as_the_model_answers_it(browse, models, name):
    page = browse(name)
    model = models[name].model
    page.locator("#predict").click()
    same_answer(answer(page), model, model.bundle.golden[0].input)
    assert messages(page) == {}


def test_every_kind_of_control_is_filled_by_keyboard(browse, models):
    page = browse("by hand")
    page.locator("#clear").focus()
    tab_to(page, ".field:nth-child(1) .number > input[type=number]")
    page.keyboard.press("Control+A")
    page.keyboard.type("7.25")
    tab_to(page, ".field:nth-child(2) select")
    page.keyboard.type("Another")
    page.keyboard.press("Enter")
    tab_to(page, ".field:nth-child(2) textarea")
    page.keyboard.type("None")
    tab_to(page, ".field:nth-child(3) input[type=radio]:checked")
    page.keyboard.press("ArrowDown")
    tab_to(page, ".field:nth-child(4) input[type=checkbox]")
    page.keyboard.press("Space")
    tab_to(page, ".field:nth-child(5) input[type=number]")
    page.keyboard.press("Control+A")
    page.keyboard.type("9007199254740995")
    page.keyboard.press("Enter")
    row = {"amount (€)": 7.25, "code": "None", "member": False, "visits": None, "account": 2**53 + 3}
    same_answer(answer(page), models["by hand"].model, row)


def test_integers_that_no_double_holds_are_sent_as_they_stand(browse, models):
    page = browse("by hand")
    assert field(page, "account").locator("input").input_value() == str(2**53 + 1)
    assert '"account": 9007199254740993' in page.locator("#code").text_content()


def test_a_category_is_chosen_and_a_missing_value_is_told_apart_from_empty_text(browse, models):
    page = browse("by hand")
    model = models["by hand"].model
    row = dict(model.bundle.golden[0].input)
    code = field(page, "code")
    for value, choose in {
        "1": lambda: code.locator("select").select_option(label="1"),
        "": lambda: (
            code.locator("select").select_option(label="Another value …"),
            code.locator("textarea").fill(""),
        ),
        None: lambda: code.get_by_label("code is missing").check(),
    }.items():
        choose()
        page.locator("#predict").click()
        same_answer(answer(page), model, row | {"code": value})


def test_a_slider_and_its_number_move_together(browse, models):
    page = browse("flights")
    distance = field(page, "distance")
    number, slider = distance.locator("input[type=number]"), distance.locator("input[type=range]")
    assert float(slider.get_attribute("min")) < 100
    number.fill("2000")
    assert slider.input_value() == "2000"
    slider.fill("3000")
    assert number.input_value() == "3000"
    page.locator("#predict").click()
    model = models["flights"].model
    same_answer(answer(page), model, model.bundle.golden[0].input | {"distance": 3000})


def test_texts_and_tensors_are_read_from_text_areas(browse, models):
    page = browse("texts")
    field(page, "review").locator("textarea").fill("bad cheese\nbad wine")
    page.keyboard.press("Control+Enter")
    same_answer(answer(page), models["texts"].model, {"review": "bad cheese\nbad wine"})
    page = browse("tensor", statuses=[422])
    page.get_by_label("matrix").fill("[[1, 2, 3], [4, 5, 0.25]]")
    page.locator("#predict").click()
    same_answer(answer(page), models["tensor"].model, {"matrix": [[1, 2, 3], [4, 5, 0.25]]})
    page.get_by_label("matrix").fill("[[1, 2")
    page.locator("#predict").click()
    assert "no JSON" in messages(page)["matrix"]
    page.get_by_label("matrix").fill("[[1, 2, 3]]")
    page.locator("#predict").click()
    page.wait_for_selector(".message.error:not(:empty)")
    assert list(messages(page)) == ["matrix"]


def test_every_mistake_is_beside_its_field_and_the_first_is_focused(browse):
    page = browse("by hand", statuses=[422])
    field(page, "visits").locator("input[type=number]").fill("1.5")
    field(page, "account").locator("input[type=number]").fill("99999999999999999999")
    with page.expect_response("**/predict") as reply:
        page.locator("#predict").click()
    assert reply.value.status == 422
    expect(page.locator(".is-wrong")).to_have_count(2)
    told = messages(page)
    assert set(told) == {"visits", "account"}
    assert "an integer" in told["visits"]
    focused = page.locator(":focus")
    assert focused.get_attribute("aria-invalid") == "true"
    described = focused.get_attribute("aria-describedby").split()
    assert told["visits"] in [page.locator(f"[id='{one}']").text_content() for one in described]
    field(page, "visits").locator("input[type=number]").fill("2")
    assert "visits" not in messages(page)


def test_what_is_not_filled_in_is_told_without_asking_the_server(browse):
    page = browse("by hand")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#clear").click()
    page.locator("#predict").click()
    assert messages(page) == {
        "amount (€)": "Enter a number, or tick missing.",
        "code": "Choose a value, or tick missing.",
        "member": "Choose yes or no.",
        "visits": "Enter a number, or tick missing.",
        "account": "Enter a number.",
    }
    assert page.locator(":focus").get_attribute("id") == "field-0"
    assert asked == []


def test_a_row_is_checked_while_it_is_typed(browse):
    page = browse("flights")
    with page.expect_response("**/check"):
        field(page, "carrier").locator("select").select_option(label="Another value …")
        field(page, "carrier").locator("textarea").fill("UAL")
    page.wait_for_selector(".message.warning:not(:empty)")
    assert "UAL" in messages(page)["carrier"]
    with page.expect_response("**/check"):
        field(page, "carrier").locator("textarea").fill("DL")
    expect(page.locator("#check")).to_have_text("The row fits the model.")
    assert messages(page) == {}


def test_an_answer_to_another_row_is_marked_as_old(browse):
    page = browse("wine")
    page.locator("#predict").click()
    answer(page)
    field(page, "alcohol").locator("input[type=number]").fill("12")
    assert "is-old" in page.locator("#answer").get_attribute("class")


def test_warnings_are_shown_with_the_answer(browse):
    page = browse("flights")
    field(page, "distance").locator("input[type=number]").fill("9000")
    page.locator("#predict").click()
    assert answer(page)["warnings"][0]["column"] == "distance"
    assert "9000" in page.locator("#answer .warning").text_content()
    assert "9000" in messages(page)["distance"]


def test_probabilities_are_a_picture_that_says_the_same_in_words(browse):
    page = browse("flights")
    page.locator("#predict").click()
    shown = answer(page)
    page.get_by_role("table", name="Probability of each class").wait_for()
    rows = page.locator(".bars tbody tr")
    found = {
        row.locator("th").text_content(): (
            float(row.locator(".bar-front").get_attribute("width")),
            row.locator(".figure").text_content(),
        )
        for row in rows.all()
    }
    for label, probability in zip(shown["classes"], shown["probabilities"][0], strict=True):
        width, text = found[label]
        assert width == pytest.approx(100 * probability)
        assert text == f"{100 * probability:.1f}\u00a0%"
    assert page.locator(".prediction").text_content() == shown["predictions"][0]


def test_a_transformed_row_is_a_table(browse, models):
    page = browse("scaler")
    page.locator("#predict").click()
    shown = answer(page)
    model = models["scaler"].model
    np.testing.assert_allclose(
        shown["predictions"][0], np.asarray(model.transform([model.bundle.golden[0].input]))[0], rtol=1e-12
    )
    assert page.get_by_role("region", name="Transformed row").locator("tbody tr").count() == 2


def test_models_are_chosen_and_a_link_leads_to_one(browse, server):
    page = browse("wine")
    assert page.locator("h1").text_content() == "wine"
    page.get_by_label("Model", exact=True).select_option("flights")
    expect(page.locator("h1")).to_have_text("flights")
    assert page.url == f"{server}/#flights"
    page.reload()
    page.wait_for_selector("#content:not([hidden])")
    assert page.locator("h1").text_content() == "flights"


def test_versions_are_chosen_and_each_answers_for_itself(browse, two_versions, models):
    page = browse(url=two_versions.url)
    assert page.url == f"{two_versions.url}/"
    older, newer = two_versions.models
    for model, version in ((newer, None), (older, older.version)):
        if version is not None:
            page.get_by_label("Version").select_option(version)
            expect(page.locator("#facts")).to_contain_text(version)
        page.locator("#predict").click()
        same_answer(answer(page), model, model.bundle.golden[0].input)
    assert page.url == f"{two_versions.url}/#wine@{older.version}"
    page.reload()
    expect(page.locator("#facts")).to_contain_text(older.version)


def test_an_answer_of_a_model_that_replaced_the_one_of_the_form_says_so(browse):
    page = browse("wine")

    def older(route):
        described = route.fetch().json()
        route.fulfill(json=described | {"version": "000000000000"})

    page.route("**/models/wine", older)
    page.reload()
    page.wait_for_selector("#content:not([hidden])")
    page.locator("#predict").click()
    answer(page)
    assert "was replaced" in page.locator("#answer .warning").text_content()


def test_a_link_that_names_no_model_leads_to_the_first(browse, server):
    for link in ("nobody", "%", "wine@nothing", "@"):
        page = browse(path=f"/#{link}", is_ready=False)
        page.wait_for_selector("#content:not([hidden])")
        expect(page.locator("h1")).to_have_text("wine" if "wine" in link else "by hand")


def test_the_page_works_below_another_path(browse, server, models):
    page = browse(path="/docs")

    def below(route):
        route.fulfill(response=route.fetch(url=route.request.url.replace("/team/models/", "/", 1)))

    page.context.route("**/team/models/**", below)
    page.goto(f"{server}/team/models/#wine")
    page.wait_for_selector("#content:not([hidden])")
    page.locator("#predict").click()
    same_answer(answer(page), models["wine"].model, models["wine"].model.bundle.golden[0].input)
    assert f"{server}/team/models/models/wine/predict" in page.locator("#code").text_content()
    page.get_by_role("link", name="API docs").click()
    page.wait_for_selector(".opblock")


def test_columns_are_found_by_name_and_a_mistake_in_a_hidden_one_shows_it(browse):
    page = browse("wide")
    page.get_by_label("column 7", exact=True).fill("")
    page.get_by_label("Find a column").fill("199")
    assert page.locator(".field:visible").count() == 1
    page.locator("#predict").click()
    assert page.locator(":focus").get_attribute("id") == "field-7"
    assert page.locator(".field:visible").count() == 200
