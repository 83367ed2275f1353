from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

expect = pytest.importorskip("playwright.sync_api", reason='needs pip install "afterfit[test-pages]"').expect

COLUMNS = ["sched_dep_time", "sched_arr_time", "dep_delay", "distance", "carrier", "origin", "dest"]


@pytest.fixture(scope="module")
def flights():
    """Rows of real flights as a DataFrame, some of them with missing values."""
    from afterfit.cli._demo_model import load_flights

    return load_flights().held_out.iloc[::30].head(4_500).reset_index(drop=True)


def choose(page, text, name="flights.csv"):
    """Choose a file of this content."""
    content = text if isinstance(text, bytes) else text.encode()
    page.locator("#csv-file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def paste(page, text):
    page.locator("#csv-text").fill(text)
    page.locator("#csv-score").click()


def finished(page):
    """Wait until all rows are through; what is said of them then."""
    expect(page.locator("#csv-score")).to_be_enabled()
    expect(page.locator("#csv-result > *").first).to_be_attached()
    return page.locator("#csv-status").text_content()


def download(page, text):
    with page.expect_download() as waiting:
        page.get_by_role("link", name=text).click()
    with waiting.value.path().open(encoding="utf-8", newline="") as file:
        return file.read(), waiting.value.suggested_filename


def records(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_file_is_scored_as_the_model_scores_it(browse, models, flights):
    page = browse("flights")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, flights.to_csv(index=False))
    assert finished(page) == "4,500 rows scored"
    assert sum(url.endswith("/predict") for url in asked) == 3
    assert page.locator(".progress progress").evaluate("bar => bar.value") == 1
    text, name = download(page, "Download the scored rows")
    assert name == "flights-scored.csv"
    model = models["flights"].model
    rows = records(text)
    assert [row["prediction"] for row in rows] == model.predict(flights).tolist()
    found = np.array([[float(row[f"probability_{label}"]) for label in model.classes] for row in rows])
    np.testing.assert_allclose(found, model.predict_proba(flights), rtol=1e-12)
    sent = records(flights.to_csv(index=False))
    assert [{name: row[name] for name in COLUMNS} for row in rows] == sent
    shares = {
        row.locator("th").text_content(): row.locator(".figure").text_content()
        for row in page.locator("#csv-result .bars tbody tr").all()
    }
    labels, counts = np.unique(model.predict(flights), return_counts=True)
    assert {label: share.split(" ")[0] for label, share in shares.items()} == {
        label: f"{count:,}" for label, count in zip(labels, counts, strict=True)
    }


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_rows_are_pasted_from_spreadsheets(browse, models, flights, delimiter):
    page = browse("flights")
    some = flights.head(20)
    paste(page, some.to_csv(index=False, sep=delimiter))
    assert finished(page) == "20 rows scored"
    rows = records(download(page, "Download the scored rows")[0])
    assert [row["prediction"] for row in rows] == models["flights"].model.predict(some).tolist()
    table = page.get_by_role("region", name="Scored rows")
    assert table.locator("tbody tr").count() == 20
    assert table.locator("tbody tr td:nth-child(2)").all_text_contents() == [
        row["prediction"] for row in rows
    ]


def test_every_row_with_mistakes_is_listed_and_the_others_are_scored(browse, models, flights):
    # More mistakes in a part than one answer lists, whose list ends in the middle of a row.
    page = browse("flights", statuses=[422])
    some = flights.head(3_000).astype(object)
    wrong = list(range(5, 3_000, 3))
    for row in wrong:
        some.loc[row, "sched_dep_time"] = "noon"
        some.loc[row, "dep_delay"] = "late"
        some.loc[row, "distance"] = "far"
    choose(page, some.to_csv(index=False))
    assert finished(page) == f"{3_000 - len(wrong):,} rows scored, {len(wrong):,} rows with mistakes"
    mistakes = records(download(page, "Download the mistakes")[0])
    assert [(int(one["row"]), int(one["line"]), one["column"]) for one in mistakes] == [
        (row + 1, row + 2, column) for row in wrong for column in ("sched_dep_time", "dep_delay", "distance")
    ]
    assert {one["got"] for one in mistakes} == {"'noon'", "'late'", "'far'"}
    rows = records(download(page, "Download the scored rows")[0])
    good = flights.head(3_000).drop(index=wrong)
    predictions = iter(models["flights"].model.predict(good).tolist())
    assert [row["prediction"] for row in rows] == [
        "" if number in set(wrong) else next(predictions) for number in range(3_000)
    ]
    listed = page.get_by_role("region", name="Mistakes").locator("tbody tr")
    assert listed.count() == 100
    page.get_by_role("button", name=f"Show all {len(mistakes):,}").click()
    assert listed.count() == len(mistakes)


def test_limits_of_the_server_make_the_parts_smaller(browse, one_model, models, flights):
    page = browse(url=one_model, statuses=[413])
    choose(page, flights.head(300).to_csv(index=False))
    assert finished(page) == "300 rows scored"
    rows = records(download(page, "Download the scored rows")[0])
    assert [row["prediction"] for row in rows] == models["flights"].model.predict(flights.head(300)).tolist()


def test_cells_keep_their_quotes_line_breaks_and_markup(browse, models):
    page = browse("hostile")
    model = models["hostile"].model
    names = [column.name for column in model.schema.columns]
    example = model.bundle.golden[0].input
    rows = [
        example | {"constructor": value} for value in model.schema.column("constructor").categories.values
    ]
    file = io.StringIO()
    writer = csv.DictWriter(file, names, quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows(rows)
    choose(page, file.getvalue())
    assert finished(page) == f"{len(rows)} rows scored"
    scored = records(download(page, "Download the scored rows")[0])
    assert [row["constructor"] for row in scored] == [row["constructor"] for row in rows]
    assert [row["prediction"] for row in scored] == model.predict(rows).tolist()
    assert page.locator("#csv-result img, #csv-result script").count() == 0


def test_answers_whose_names_are_taken_are_called_otherwise(browse, flights):
    page = browse("flights")
    paste(page, flights.head(3).assign(prediction="mine").to_csv(index=False))
    finished(page)
    rows = records(download(page, "Download the scored rows")[0])
    assert {row["prediction"] for row in rows} == {"mine"}
    assert all(row["model_prediction"] for row in rows)


def test_unusual_values_are_counted(browse, flights):
    page = browse("flights")
    paste(page, flights.head(5).assign(carrier="XX").to_csv(index=False))
    finished(page)
    assert "5 values unlike any" in page.locator("#csv-result .warning").text_content()


def test_scoring_can_be_cancelled_and_what_was_scored_is_kept(browse, flights):
    page = browse("flights")
    held = []

    def hold(route):
        held.append(route)
        if len(held) == 1:
            route.continue_()

    page.route("**/predict", hold)
    choose(page, flights.to_csv(index=False))
    expect(page.locator("#csv-status")).to_have_text("2,000 rows scored")
    page.get_by_role("button", name="Cancel").click()
    finished(page)
    assert "Cancelled. 2,000 rows had been answered by then." in page.locator("#csv-result").text_content()
    assert len(records(download(page, "Download the scored rows")[0])) == 2_000


def test_a_busy_server_is_asked_again(browse, flights):
    page = browse("flights", statuses=[503])
    answered = []

    def busy(route):
        answered.append(route)
        if len(answered) > 1:
            route.continue_()
            return
        problem = {"title": "Service Unavailable", "status": 503, "detail": "too much waits"}
        headers = {"content-type": "application/problem+json", "retry-after": "1"}
        route.fulfill(status=503, headers=headers, body=json.dumps(problem))

    page.route("**/predict", busy)
    paste(page, flights.head(3).to_csv(index=False))
    expect(page.locator("#csv-status")).to_have_text("3 rows scored")
    assert len(answered) == 2


def test_a_quota_that_is_used_up_ends_the_scoring(browse, flights):
    page = browse("flights", statuses=[429])
    problem = {"title": "Too Many Requests", "status": 429, "detail": "30 requests a day are let through"}
    headers = {"content-type": "application/problem+json", "retry-after": "7200"}
    page.route(
        "**/predict", lambda route: route.fulfill(status=429, headers=headers, body=json.dumps(problem))
    )
    paste(page, flights.head(3).to_csv(index=False))
    finished(page)
    assert "30 requests a day" in page.locator("#csv-result .bad").text_content()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "There are no rows"),
        ("a,b\n1,2\n", "carrier"),
        (",".join(COLUMNS) + "\n", "There are no rows below"),
        (b"\xff\xfea\x00", "not UTF-8"),
    ],
)
def test_what_is_no_table_for_the_model_is_told_in_words(browse, text, told):
    page = browse("flights", statuses=[400, 422])
    choose(page, text)
    finished(page)
    assert told in page.locator("#csv-result .bad").text_content()


def test_a_template_names_the_columns_and_can_be_scored(browse, models):
    page = browse("flights")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download a template").click()
    text = waiting.value.path().read_text(encoding="utf-8")
    assert text.splitlines()[0] == ",".join(COLUMNS)
    choose(page, text)
    assert finished(page) == "1 row scored"


def test_a_file_is_dropped(browse, flights):
    page = browse("flights")
    text = flights.head(4).to_csv(index=False)
    transfer = page.evaluate_handle(
        """text => {
          const data = new DataTransfer();
          data.items.add(new File([text], "dropped.csv"));
          return data;
        }""",
        text,
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": transfer})
    assert finished(page) == "4 rows scored"
    assert download(page, "Download the scored rows")[1] == "dropped-scored.csv"


def test_models_of_tensors_say_that_no_cell_holds_them(browse):
    page = browse("tensor")
    assert "JSON" in page.locator("#file").text_content()
    assert page.locator("#csv-file").count() == 0
