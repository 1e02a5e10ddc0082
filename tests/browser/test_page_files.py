"""Several files on the page: their states, retries, the table, and removing them."""

import codecs
import csv
import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from mien.results import table_columns
from pages import DEVICES, DONE, card, choose, give, hold, opened, take_shot
from samples import encode


@pytest.fixture
def sideways(astronaut: NDArray[np.uint8]) -> bytes:
    """A small face that is found only after a quarter turn."""
    return encode(Image.fromarray(np.rot90(astronaut)).reduce(4), "PNG")


def queries(page: Page) -> list[dict[str, list[str]]]:
    """Record the query of each request to /emotion from now on."""
    seen: list[dict[str, list[str]]] = []
    page.on(
        "request",
        lambda request: (
            "/emotion?" in request.url and seen.append(parse_qs(urlsplit(request.url).query))
        ),
    )
    return seen


def test_a_failed_file_does_not_affect_the_others(page: Page, face_photo: bytes) -> None:
    files = [("a.jpg", face_photo), ("<b>b</b>.jpg", b"no image"), ("c.jpg", face_photo[:5000])]
    give(page, *files)
    expect(page.locator("#counts")).to_have_text("3 files: 1 done, 2 failed")
    expect(page.locator("h2")).to_have_text(["a.jpg", "<b>b</b>.jpg", "c.jpg"])
    expect(page.locator(".mark")).to_have_text(["Done", "Failed", "Failed"])
    codes = [item.get_attribute("data-code") for item in page.locator(DONE).all()]
    assert codes == [None, "not_an_image", "truncated_image"]
    expect(card(page, "c.jpg").locator(".state")).to_have_text(
        "This image is incomplete or damaged. Save or export it again."
    )
    expect(card(page, "a.jpg").get_by_role("button", name="Retry")).to_be_hidden()
    page.get_by_role("button", name="Remove c.jpg").click()
    expect(page.locator("#counts")).to_have_text("2 files: 1 done, 1 failed")


def test_many_files_take_a_line_each(
    page: Page, face_photo: bytes, group: bytes, grey: bytes
) -> None:
    give(page, ("first.jpg", face_photo))
    expect(page.locator(".faces")).to_be_visible()
    others = [(f"{number}.jpg", face_photo) for number in range(4)]
    give(page, ("three.jpg", group), ("grey.jpg", grey), ("broken.jpg", b"no image"), *others)
    expect(page.locator(".body:visible")).to_have_count(0)
    expect(card(page, "three.jpg").locator(".chips")).to_have_text("3 happy")
    expect(card(page, "first.jpg").locator(".chips")).to_have_text("happy")
    colors = card(page, "three.jpg").locator(".thumb").evaluate(COLORS_OF)
    assert colors > 100
    expect(card(page, "grey.jpg").locator(".state")).to_have_text("No face found")
    expect(card(page, "broken.jpg").locator(".state")).to_contain_text("not an image")
    expect(card(page, "broken.jpg").get_by_role("button", name="broken.jpg").first).to_be_disabled()
    take_shot(page, "many-files")
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height < 1200
    # By keyboard.
    fold = page.get_by_role("button", name="three.jpg", exact=True)
    expect(fold).to_have_attribute("aria-expanded", "false")
    fold.focus()
    page.keyboard.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")
    expect(fold).to_be_focused()
    expect(card(page, "three.jpg").locator(".tag:not(.covered)")).to_have_count(3)
    expect(page.locator(".body:visible")).to_have_count(1)
    # A file that is added alone is open, and the only one.
    give(page, ("alone.jpg", face_photo))
    expect(page.locator(".body:visible")).to_have_count(1)
    expect(card(page, "alone.jpg").locator(".faces")).to_be_visible()
    page.get_by_role("button", name="Expand all").click()
    expect(page.locator(".body:visible")).to_have_count(8)
    page.get_by_role("button", name="Collapse all").click()
    expect(page.locator(".body:visible")).to_have_count(0)
    # The whole line can be clicked.
    card(page, "grey.jpg").locator("header").click(position={"x": 30, "y": 30})
    expect(page.get_by_role("button", name="Try quarter turns")).to_be_visible()


COLORS_OF = """canvas => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
}"""


def test_the_keyboard_goes_on_after_a_file_is_removed(page: Page, grey: bytes) -> None:
    give(page, *((f"{number}.jpg", grey) for number in range(3)))
    for name, following in (("1.jpg", "2.jpg"), ("2.jpg", "0.jpg")):
        page.get_by_role("button", name=f"Remove {name}").press("Enter")
        expect(page.get_by_role("button", name=f"Remove {following}")).to_be_focused()
    page.get_by_role("button", name="Remove 0.jpg").press("Enter")
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()


def test_a_failed_file_is_retried(page: Page, address: str, face_photo: bytes) -> None:
    page.route(f"{address}/emotion?*", lambda route: route.abort(), times=1)
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_contain_text("can't be reached")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".state")).to_have_text("1 face")
    expect(page.locator("article")).not_to_have_attribute("data-code", "unreachable")
    expect(page.locator("article")).to_be_focused()


def test_a_file_that_changed_is_not_taken_for_a_lost_service(
    page: Page, address: str, face_photo: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(face_photo)
    page.route(f"{address}/emotion?*", lambda route: route.abort(), times=1)
    page.set_input_files("#files", path)
    expect(page.locator("article")).to_have_attribute("data-code", "unreachable")
    path.write_bytes(face_photo + b"0")
    os.utime(path, (1, 1))
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("article")).to_have_attribute("data-code", "unreadable_file")


def test_the_photos_of_a_dropped_folder(page: Page, face_photo: bytes, tmp_path: Path) -> None:
    inner = tmp_path / "album" / "inner"
    inner.mkdir(parents=True)
    for path in (inner / "a.jpg", inner.parent / "b.jpg", inner / "notes.txt"):
        path.write_bytes(face_photo)
    drop(page, tmp_path / "album")
    expect(page.locator("#counts")).to_have_text("2 files done", timeout=60_000)
    assert sorted(page.locator("h2").all_text_contents()) == ["a.jpg", "b.jpg"]
    (tmp_path / "empty").mkdir()
    drop(page, tmp_path / "empty")
    expect(page.locator("#status.bad")).to_contain_text("no photo")
    expect(page.locator("article")).to_have_count(2)


def drop(page: Page, path: Path) -> None:
    """Drop a file or folder, as from a file manager."""
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for event in ("dragEnter", "dragOver", "drop"):
        where = {"type": event, "x": 600, "y": 200, "data": data}
        session.send("Input.dispatchDragEvent", where)


def test_an_unexpected_error_fails_the_file(page: Page, address: str, face_photo: bytes) -> None:
    page.route(f"{address}/emotion?*", lambda route: route.fulfill(body="not JSON"), times=1)
    give(page, ("a.jpg", face_photo))
    expect(page.locator("article")).to_have_attribute("data-code", "unexpected")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("article")).to_have_attribute("data-state", "done")


def test_a_key_that_cannot_be_sent_is_reported(page: Page, face_photo: bytes) -> None:
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("API key").fill("mien_\N{EURO SIGN}")
    give(page, ("a.jpg", face_photo))
    expect(page.locator("article")).to_have_attribute("data-code", "invalid_key")
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Go live").click()
    expect(page.get_by_role("status")).to_contain_text("API key")


def test_the_api_reference_does_not_replace_the_results(page: Page, face_photo: bytes) -> None:
    give(page, ("a.jpg", face_photo))
    with page.context.expect_page() as reference:
        page.get_by_role("link", name="API").click()
    expect(reference.value).to_have_title(re.compile("mien"))
    assert reference.value.evaluate("opener") is None
    expect(page.locator(".state")).to_have_text("1 face")


def test_older_browsers(browser: Browser, address: str, face_photo: bytes) -> None:
    """The page does not need what Safari 16 lacks."""
    context = browser.new_context()
    context.add_init_script("delete Object.groupBy; delete Map.groupBy")
    page = context.new_page()
    page.goto(address)
    give(page, ("a.jpg", face_photo), ("b.jpg", b"no image"))
    expect(page.locator("#counts")).to_have_text("2 files: 1 done, 1 failed")
    assert "light-dark(" not in page.request.get(f"{address}/web/style.css").text()
    context.close()


def test_screen_readers_hear_each_outcome(page: Page, face_photo: bytes) -> None:
    page.evaluate(
        """() => {
            window.heard = [];
            const status = document.getElementById("status");
            const hear = () => heard.push(status.textContent);
            new MutationObserver(hear).observe(status, { childList: true });
        }"""
    )
    names = ("a.jpg", "broken.jpg", "c.jpg", "d.jpg")
    give(page, *((name, b"no image" if name == "broken.jpg" else face_photo) for name in names))
    expect(page.get_by_role("status")).to_contain_text("4 files: 3 done, 1 failed")
    heard = page.evaluate("heard")
    assert sorted(text.partition(":")[0] for text in heard) == sorted(names)
    assert re.search("failed.*broken.jpg", heard[-1], re.IGNORECASE)
    # Later files are counted for themselves.
    give(page, ("e.jpg", face_photo))
    expect(page.get_by_role("status")).to_have_text("e.jpg: 1 face")


def test_all_failed_files_are_retried(page: Page, address: str, face_photo: bytes) -> None:
    page.route(f"{address}/emotion?*", lambda route: route.abort(), times=2)
    give(page, ("a.jpg", face_photo), ("b.jpg", face_photo))
    give(page, ("broken.jpg", b"no image"), ("empty.jpg", b""))
    # Another try does not help these two.
    for name in ("broken.jpg", "empty.jpg"):
        expect(card(page, name).get_by_role("button", name="Retry")).to_be_hidden()
    page.get_by_role("button", name="Retry failed (2)").click()
    expect(page.locator("#counts")).to_have_text("4 files: 2 done, 2 failed")
    expect(page.get_by_role("button", name="Retry failed")).to_be_hidden()
    assert page.evaluate("document.activeElement.tagName") == "ARTICLE"


def test_files_are_retried_when_the_network_is_back(page: Page, face_photo: bytes) -> None:
    page.context.set_offline(True)
    give(page, ("a.jpg", face_photo))
    expect(page.locator("article")).to_have_attribute("data-code", "unreachable")
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("#status.bad")).to_contain_text("sample")
    page.context.set_offline(False)
    expect(page.locator(".state")).to_have_text("1 face")


def test_the_options_are_those_of_the_moment_of_adding(
    page: Page, address: str, face_photo: bytes
) -> None:
    seen = queries(page)
    release = hold(page, f"{address}/emotion?*")
    choose(page, *((f"{number}.jpg", face_photo) for number in range(3)))
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Emotions").select_option("seven")
    again = page.get_by_role("button", name="Analyze again with these options")
    expect(again).to_be_hidden()
    release()
    expect(page.locator("#counts")).to_have_text("3 files done")
    assert [query.get("labels") for query in seen] == [None] * 3
    again.click()
    expect(page.locator("#counts")).to_have_text("3 files done")
    expect(again).to_be_hidden()
    assert [query.get("labels") for query in seen[3:]] == [["seven"]] * 3


def test_each_file_has_a_state(page: Page, address: str, face_photo: bytes) -> None:
    release = hold(page, f"{address}/emotion?*")
    choose(page, *((f"{number}.jpg", face_photo) for number in range(4)))
    expect(page.locator("#counts")).to_have_text("4 files: 2 in progress, 2 waiting")
    expect(page.get_by_role("button", name="Download CSV")).to_be_hidden()
    expect(page.locator("article[aria-busy=true]")).to_have_count(4)
    expect(page.locator("progress:visible")).to_have_count(2)
    expect(card(page, "3.jpg").locator(".mark")).to_have_text("Waiting")
    assert card(page, "0.jpg").locator(".mark").text_content() in ("Uploading", "Analyzing")
    take_shot(page, "several-files")
    release()
    expect(page.locator("#counts")).to_have_text("4 files done")


def test_no_face_offers_smaller_faces_and_quarter_turns(page: Page, grey: bytes) -> None:
    seen = queries(page)
    give(page, ("grey.jpg", grey))
    expect(page.locator(".state")).to_have_text("No face found")
    expect(page.locator(".json")).to_have_text("[]")
    expect(page.get_by_role("button", name="Save annotated")).to_be_hidden()
    take_shot(page, "none")
    page.get_by_role("button", name="Search for smaller faces (20 px)").click()
    expect(page.locator(".suggestions .note")).to_have_text(
        "Searched with: faces of 20 pixels and more."
    )
    page.get_by_role("button", name="Try quarter turns").click()
    expect(page.locator(".suggestions .note")).to_contain_text("quarter turns of the photo")
    expect(page.get_by_role("button", name="Try quarter turns")).to_be_hidden()
    page.get_by_role("button", name="Search for smaller faces (12 px)").click()
    expect(page.locator(".suggestions .note")).to_contain_text("faces of 12 pixels")
    expect(page.locator(".suggestions button")).to_have_count(0)
    searches = [(query.get("min_face_size"), query.get("upright")) for query in seen]
    assert searches == [(None, None), (["20"], None), (["20"], ["auto"]), (["12"], ["auto"])]


def test_suggestions_fit_on_a_phone(browser: Browser, address: str, grey: bytes) -> None:
    with opened(browser, address, **DEVICES["phone"]) as page:
        give(page, ("grey.jpg", grey))
        inner, outer = (page.locator(part).bounding_box() for part in (".suggestions", ".picture"))
    assert (inner["x"], inner["width"]) == (outer["x"], outer["width"])


def test_a_retry_with_quarter_turns_finds_the_face(page: Page, sideways: bytes) -> None:
    give(page, ("sideways.png", sideways))
    expect(page.locator(".state")).to_have_text("No face found")
    expect(page.locator(".turned")).to_have_count(0)
    page.get_by_role("button", name="Try quarter turns").click()
    expect(page.locator(".state")).to_have_text("1 face")
    expect(page.locator(".turned")).to_contain_text("90 degrees")


def test_the_csv_is_that_of_the_command(
    page: Page, face_photo: bytes, group: bytes, grey: bytes, sideways: bytes, tmp_path: Path
) -> None:
    files = {
        'a, "b".jpg': face_photo,
        "three.jpg": group,
        "grey.jpg": grey,
        "broken.jpg": b"broken",
        "sideways.png": sideways,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Emotions").select_option("seven")
    page.get_by_label("Turn photos upright").check()
    give(page, *files.items())
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    assert saved.value.suggested_filename == "mien.csv"
    shown = rows_of(Path(saved.value.path()).read_text("utf-8-sig"))
    command = [sys.executable, "-m", "mien", "analyze", *files, "--csv"]
    options = ["--labels", "seven", "--upright", "auto", "--include", "scores"]
    expected = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    ).stdout
    assert [list(row) for row in shown[:1]] == [list(table_columns("seven"))]
    without_messages = [
        [{**row, "error_message": ""} for row in rows] for rows in (shown, rows_of(expected))
    ]
    assert without_messages[0] == without_messages[1]
    assert [row["turn"] for row in shown if row["path"] == "sideways.png"] == [90.0]
    assert [row["error_message"] for row in shown if row["path"] == "broken.jpg"] != [""]


def test_the_csv_is_safe_in_a_spreadsheet(page: Page) -> None:
    names = ["=1+1.jpg", "+1.jpg", "-1.jpg", "@a.jpg", "Zoë=.jpg", '=",".jpg']
    give(page, *((name, b"no image") for name in names))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    data = Path(saved.value.path()).read_bytes()
    assert data.startswith(codecs.BOM_UTF8)
    paths = [row["path"] for row in csv.DictReader(StringIO(data.decode("utf-8-sig")))]
    assert paths == ["'=1+1.jpg", "'+1.jpg", "'-1.jpg", "'@a.jpg", "Zoë=.jpg", '\'=",".jpg']


def rows_of(text: str) -> list[dict[str, str | float]]:
    return [
        {name: number(cell) for name, cell in row.items()} for row in csv.DictReader(StringIO(text))
    ]


def number(cell: str) -> str | float:
    try:
        return float(cell)
    except ValueError:
        return cell


def test_clear_all(page: Page, address: str, face_photo: bytes) -> None:
    give(page, ("a.jpg", face_photo))
    hold(page, f"{address}/emotion?*")
    choose(page, *((f"{number}.jpg", face_photo) for number in range(3)))
    expect(page.locator("#counts")).to_have_text("4 files: 1 done, 2 in progress, 1 waiting")
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator("article")).to_have_count(0)
    expect(page.locator("#toolbar")).to_be_hidden()
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    page.unroute(f"{address}/emotion?*")
    # The queue is empty, and the page works as before.
    give(page, ("b.jpg", face_photo))
    expect(page.locator("h2")).to_have_text("b.jpg")
    expect(page.locator("#counts")).to_have_text("1 file done")


@pytest.mark.parametrize(
    ("code", "detail", "limit"),
    [
        (
            "upload_too_large",
            "the body is larger than the limit of 20,000,000 bytes",
            "20 MB",
        ),
        (
            "image_too_large",
            "9000 x 9000 pixels are more than the limit of 50,000,000; raise max_pixels",
            "50 megapixels",
        ),
    ],
)
def test_limits_are_named_for_people(
    page: Page, address: str, face_photo: bytes, code: str, detail: str, limit: str
) -> None:
    problem = json.dumps({"code": code, "detail": detail})
    page.route(f"{address}/emotion?*", lambda route: route.fulfill(status=413, body=problem))
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_contain_text("smaller version")
    expect(page.locator(".state")).to_contain_text(limit)
    expect(page.locator(".state")).not_to_contain_text(detail)
