"""The page in Debian's Chromium, on a running service with its real models.

Screenshots are left in build/screenshots, to be looked at.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from playwright.sync_api import Browser, Page, expect, sync_playwright

from http_process import address_when_ready
from mien.server.errors import PROBLEMS
from mien.server.keys import digest_of
from programs import needs
from samples import encode

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DONE = "article[aria-busy=false]"
KEY = "mien_a-key-for-this-test"
SIZES = {"phone": (390, 844), "desk": (1280, 900)}


@contextmanager
def service(**environment: str) -> Iterator[str]:
    command = [sys.executable, "-m", "mien", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, pipesize=2**20, text=True, env=environment
    )
    try:
        yield address_when_ready(process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    needs("chromium")
    with service() as address:
        yield address


@pytest.fixture(scope="module")
def group(astronaut: NDArray[np.uint8]) -> bytes:
    """Three faces beside each other."""
    return encode(Image.fromarray(np.hstack([astronaut] * 3)), "JPEG", quality=85)


@pytest.fixture(scope="module")
def browser(
    tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]
) -> Iterator[Browser]:
    """With a camera that shows the astronaut, moving a little."""
    clip = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    moving = [np.roll(astronaut, shift, axis=1) for shift in (0, 4, 8, 12, 8, 4)]
    frames = [encode(Image.fromarray(frame), "JPEG", quality=85) for frame in moving]
    clip.write_bytes(b"".join(frames))
    flags = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={clip}",
    ]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=needs("chromium"), args=flags)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """A page that asks nobody but the service, and says nothing on its console."""
    complaints: list[str] = []
    context = browser.new_context(**options)
    try:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "blob:"))
                or complaints.append(f"asks {request.url}")
            ),
        )
        page.goto(address)
        yield page
        # That an answer is an error, the browser notes by itself.
        assert [words for words in complaints if "Failed to load resource" not in words] == []
    finally:
        context.close()


def give(page: Page, *files: tuple[str, bytes]) -> None:
    done = page.locator(DONE).count()
    page.set_input_files(
        "#files",
        [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files],
    )
    expect(page.locator(DONE)).to_have_count(done + len(files))


def test_the_sample_shows_a_face(page: Page) -> None:
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator(DONE)).to_have_count(1)
    expect(page.locator(".state")).to_have_text("1 face")
    expect(page.locator(".face h3")).to_have_text("happy> 99 %")
    expect(page.locator(".face .share")).to_have_count(6)
    expect(page.locator(".timings")).to_have_text(
        re.compile(r"decode [\d.]+ ms · detect [\d.]+ ms · classify [\d.]+ ms")
    )
    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face")


def test_boxes_and_bars_light_up_together(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    boxes, faces = page.locator(".box"), page.locator(".face")
    expect(boxes).to_have_count(3)
    boxes.nth(1).hover()
    expect(faces.nth(1)).to_have_class("face on")
    expect(faces.nth(0)).to_have_class("face")
    faces.nth(2).hover()
    expect(boxes.nth(2)).to_have_class(re.compile(r"\bon\b"))
    expect(boxes.nth(1)).not_to_have_class(re.compile(r"\bon\b"))
    # And by keyboard.
    page.mouse.move(0, 0)
    boxes.nth(0).focus()
    expect(faces.nth(0)).to_have_class("face on")
    page.keyboard.press("Tab")
    expect(faces.nth(1)).to_have_class("face on")


def test_a_box_is_where_the_face_is(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    x, y, width, height = json.loads(page.locator(".json").text_content())[0]["bounding_box"]
    sheet, box = (page.locator(at).first.bounding_box() for at in (".sheet", ".box"))
    assert box["x"] == pytest.approx(sheet["x"] + x / 1536 * sheet["width"], abs=2)
    assert box["y"] == pytest.approx(sheet["y"] + y / 512 * sheet["height"], abs=2)
    assert box["width"] == pytest.approx(width / 1536 * sheet["width"], abs=2)
    assert box["height"] == pytest.approx(height / 512 * sheet["height"], abs=2)


def test_several_photos_and_one_that_is_none(page: Page, face_photo: bytes) -> None:
    files = [("a.jpg", face_photo), ("<b>b</b>.jpg", b"no picture"), ("c.jpg", face_photo[:5000])]
    give(page, *files)
    states = {
        card.locator("h2").text_content(): (
            card.locator(".state").text_content(),
            card.get_attribute("data-code"),
        )
        for card in page.locator(DONE).all()
    }
    assert states["a.jpg"] == ("1 face", None)
    assert states["<b>b</b>.jpg"][1] == "not_an_image"
    assert states["c.jpg"] == (
        "This picture is cut off or damaged. Try to save it again.",
        "truncated_image",
    )
    page.locator(".remove").first.click()
    expect(page.locator(DONE)).to_have_count(2)


def test_dropped_and_pasted_photos(page: Page, face_photo: bytes) -> None:
    for number, event in enumerate(("drop", "paste"), start=1):
        page.evaluate(
            """([bytes, type]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], `${type}.jpg`));
                const event = type === "drop"
                    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
                    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
                document.body.dispatchEvent(event);
            }""",
            [list(face_photo), event],
        )
        expect(page.locator(DONE)).to_have_count(number)
        expect(page.locator("h2").first).to_have_text(f"{event}.jpg")
        expect(page.locator(".state").first).to_have_text("1 face")


def test_text_that_is_dropped_is_refused(page: Page) -> None:
    page.evaluate("document.body.dispatchEvent(new DragEvent('drop', {bubbles: true}))")
    expect(page.get_by_role("status")).to_have_text("Drop a photo's file: this was something else.")


def test_json_and_curl_are_copied_and_true(
    browser: Browser, address: str, face_photo: bytes, tmp_path: Path
) -> None:
    name = "it's me; $(touch gone).jpg"
    (tmp_path / name).write_bytes(face_photo)
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, address, permissions=permissions) as page:
        page.get_by_text("Options").click()
        page.get_by_label("Emotions").select_option("eight")
        give(page, (name, face_photo))
        page.get_by_text("JSON and curl").click()
        page.get_by_role("button", name="Copy JSON").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        shown = json.loads(page.evaluate("navigator.clipboard.readText()"))
        page.get_by_role("button", name="Copy curl").click()
        expect(page.get_by_role("button", name="Copied")).to_have_count(2)
        line = page.evaluate("navigator.clipboard.readText()")
    assert len(shown[0]["scores"]) == 8
    program, flag, form, url = shlex.split(line)
    assert (program, flag, form) == ("curl", "-F", f"image=@{name}")
    answer = subprocess.run(
        [*shlex.split(f"{sys.executable} -c"), ASK, url, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == shown


ASK = """
import sys, httpx2
print(httpx2.post(sys.argv[1], files={"image": open(sys.argv[2], "rb")}).text)
"""


def test_the_annotated_picture_is_as_large_as_the_photo(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save annotated").click()
    assert saved.value.suggested_filename == "three-mien.jpg"
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / "annotated.jpg"
    saved.value.save_as(path)
    with Image.open(path) as picture, Image.open(BytesIO(group)) as photo:
        assert picture.size == photo.size
        changed = np.abs(np.asarray(picture, float) - np.asarray(photo, float)).max(axis=2) > 60
    assert 0.001 < changed.mean() < 0.1


def test_a_photo_without_a_face(page: Page) -> None:
    give(page, ("grey.jpg", encode(Image.new("RGB", (300, 200), "grey"), "JPEG")))
    expect(page.locator(".state")).to_have_text("No face was found.")
    expect(page.get_by_role("button", name="Save annotated")).to_be_hidden()
    expect(page.locator(".json")).to_have_text("[]")


def test_faces_that_cannot_be_read_are_greyed_out(page: Page, astronaut: np.ndarray) -> None:
    photo = Image.fromarray(astronaut)
    blurred = encode(photo.filter(ImageFilter.GaussianBlur(6)), "JPEG", quality=92)
    small = Image.new("RGB", (512, 512))
    small.paste(photo.resize((90, 90)), (200, 200))
    give(page, ("sharp.jpg", encode(photo, "JPEG")))
    expect(page.locator(".doubt")).to_have_count(0)
    for name, data, word in (
        ("b.jpg", blurred, "blurred"),
        ("s.jpg", encode(small, "PNG"), "small"),
    ):
        give(page, (name, data))
        expect(page.locator(".doubt").first).to_have_text(f"Too {word} to be read reliably.")
    take_shot(page, "doubt")


def test_a_busy_service_is_asked_again(page: Page, address: str, face_photo: bytes) -> None:
    asked = []

    def busy_once(route):
        asked.append(route)
        if len(asked) > 1:
            return route.continue_()
        problem = json.dumps({"code": "queue_full", "detail": "busy"})
        return route.fulfill(status=429, headers={"Retry-After": "1"}, body=problem)

    page.route(f"{address}/emotion?*", busy_once)
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_have_text("1 face")
    assert len(asked) == 2


def test_a_service_that_is_gone(page: Page, address: str, face_photo: bytes) -> None:
    page.route(f"{address}/emotion?*", lambda route: route.abort())
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_contain_text("can't be reached")


def test_no_percentage_claims_certainty(page: Page) -> None:
    told = page.evaluate(
        """import('/web/emotions.js').then(({ percent }) =>
               [0, 0.004, 0.006, 0.94, 0.994, 0.9992, 1].map(percent))"""
    )
    assert told == ["< 1 %", "< 1 %", "1 %", "94 %", "99 %", "> 99 %", "> 99 %"]


def test_every_code_has_words(page: Page) -> None:
    told = page.evaluate("import('/web/emotions.js').then(module => module.MESSAGES)")
    assert set(PROBLEMS) <= set(told)


def test_a_key_is_asked_for_and_used(browser: Browser, face_photo: bytes) -> None:
    with service(MIEN_API_KEYS=digest_of(KEY)) as address, opened(browser, address) as page:
        give(page, ("a.jpg", face_photo))
        expect(page.locator(".state")).to_contain_text("needs an API key")
        page.get_by_label("API key").fill(KEY)
        give(page, ("b.jpg", face_photo))
        expect(page.locator(".state").first).to_have_text("1 face")
        assert KEY not in page.locator(".curl").first.text_content()
        page.get_by_role("button", name="Camera").click()
        page.get_by_role("button", name="Go live").click()
        expect(page.get_by_role("status")).to_have_text("Live: happy")


def test_the_camera_takes_a_photo_and_goes_live(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take a photo").click()
    expect(page.locator(DONE)).to_have_count(1)
    expect(page.locator(".state")).to_have_text("1 face")
    page.get_by_role("button", name="Go live").click()
    expect(page.get_by_role("status")).to_have_text("Live: happy")
    expect(page.locator("#pace")).to_have_text(re.compile(r"^\d+\.\d frames/s$"))
    # One person, though the picture moves; a row of the timeline in the colour of the emotion.
    page.wait_for_timeout(1500)
    assert page.locator("#timeline").evaluate("canvas => canvas.height / devicePixelRatio") == 26
    painted = page.locator("#overlay").evaluate(
        """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
               .data.some((value) => value > 0)"""
    )
    assert painted
    take_shot(page, "live-desk-light")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#live")).to_be_hidden()


def test_a_live_view_waits_for_the_first_picture(page: Page) -> None:
    # As of a video that has no size yet.
    page.evaluate(
        """() => {
            const toBlob = HTMLCanvasElement.prototype.toBlob;
            let missing = 5;
            HTMLCanvasElement.prototype.toBlob = function (done, ...how) {
                if (missing-- > 0) setTimeout(() => done(null));
                else toBlob.call(this, done, ...how);
            };
        }"""
    )
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Go live").click()
    expect(page.get_by_role("status")).to_have_text("Live: happy")


def test_a_double_click_opens_one_camera(page: Page) -> None:
    page.evaluate(
        """() => {
            const devices = navigator.mediaDevices;
            const open = devices.getUserMedia.bind(devices);
            window.asked = 0;
            devices.getUserMedia = (wanted) => { window.asked++; return open(wanted); };
            document.getElementById("camera").click();
            document.getElementById("camera").click();
        }"""
    )
    expect(page.locator("#live")).to_be_visible()
    assert page.evaluate("window.asked") == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(
    browser: Browser, address: str, group: bytes, size: str, scheme: str
) -> None:
    """As axe-core sees it, and nothing wider than the screen."""
    width, height = SIZES[size]
    options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    # axe-core comes as text, which the page's own policy would not run.
    with opened(browser, address, bypass_csp=True, **options) as page:
        take_shot(page, f"start-{size}-{scheme}")
        page.get_by_text("Options").click()
        give(page, ("three.jpg", group), ("broken.jpg", b"broken"))
        for snippet in page.get_by_text("JSON and curl").all():
            if snippet.is_visible():
                snippet.click()
        take_shot(page, f"result-{size}-{scheme}")
        page.get_by_role("button", name="Camera").click()
        expect(page.locator("#live")).to_be_visible()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def take_shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
