"""Photos and the camera on the page, in Debian's Chromium with the real models."""

import json
import re
import shlex
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from playwright.sync_api import Browser, Page, expect

from http_process import service
from mien.server.errors import PROBLEMS
from mien.server.keys import digest_of
from pages import DEVICES, DONE, SHOTS, card, choose, give, hold, opened, take_shot
from programs import needs
from samples import encode
from videos import encoded_video

KEYS = ["mien_a-key-for-this-test", "in/Base64+(padded)=="]


def test_the_sample_shows_a_face(page: Page) -> None:
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator(DONE)).to_have_count(1)
    expect(page.locator(".state")).to_have_text("1 face")
    expect(page.locator(".tag")).to_have_text("happy > 99 %")
    expect(page.locator(".face")).to_have_text("happy> 99 %")
    expect(page.locator(".bars .share")).to_have_count(6)
    expect(page.locator(".timings")).to_have_text(
        re.compile(r"decode\s[\d.]+\sms\s· detect\s[\d.]+\sms\s· classify\s[\d.]+\sms")
    )
    expect(page.get_by_role("status")).to_have_text("astronaut.jpg: 1 face")


def test_boxes_and_tiles_light_up_together(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    boxes, tiles = page.locator(".box"), page.locator(".face")
    expect(boxes).to_have_count(3)
    boxes.nth(1).hover()
    expect(tiles.nth(1)).to_have_class("face on")
    expect(tiles.nth(2)).to_have_class("face")
    tiles.nth(2).hover()
    expect(boxes.nth(2)).to_have_class("box on")
    expect(boxes.nth(1)).to_have_class("box")
    # By keyboard, too.
    page.mouse.move(0, 0)
    tiles.nth(0).focus()
    page.keyboard.press("Tab")
    expect(boxes.nth(1)).to_have_class("box on")


def test_a_face_is_selected_by_its_tile_or_its_box(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    title = page.locator(".detail h3")
    expect(title).to_have_text("Face 1 of 3")
    page.get_by_role("button", name="Face 2: happy").focus()
    page.keyboard.press("Enter")
    expect(title).to_have_text("Face 2 of 3")
    expect(page.get_by_role("button", pressed=True)).to_have_attribute(
        "aria-label", re.compile("Face 2")
    )
    page.locator(".box").nth(2).click()
    expect(title).to_have_text("Face 3 of 3")


@pytest.mark.parametrize("device", DEVICES)
def test_ten_faces(browser: Browser, address: str, crowd: bytes, device: str) -> None:
    with opened(browser, address, **DEVICES[device]) as page:
        give(page, ("crowd.jpg", crowd))
        expect(page.locator(".state")).to_have_text("10 faces")
        expect(page.locator(".face")).to_have_count(10)
        sheet = page.locator(".sheet").bounding_box()
        tags = page.locator(".tag:not(.covered)")
        expect(tags.first).to_have_text(re.compile(r"^happy > 99 %$|^happy \d\d %$"))
        places = [tag.bounding_box() for tag in tags.all()]
        boxes = [box.bounding_box() for box in page.locator(".box").all()]
        # Where there is little room, labels have no percentages.
        shortened = not page.locator(".tag > span").first.is_visible()
        take_shot(page, f"ten-{device}")
        tiles, picture = (
            page.locator(".faces").bounding_box(),
            page.locator(".picture").bounding_box(),
        )
        # Without room for all, a label appears with its face.
        page.set_viewport_size({"width": 200, "height": 844})
        covered = page.locator(".tag.covered")
        expect(covered.first).to_be_hidden()
        covered.first.evaluate("tag => tag.click()")
        expect(covered.first).to_be_visible()
    assert len(places) == 10
    for index, place in enumerate(places):
        assert inside(place, sheet)
        assert not any(overlap(place, other) for other in places[:index])
        # At most its own box.
        assert sum(overlap(place, box) for box in boxes) <= 1
    assert shortened is (device == "phone")
    assert (tiles["y"] > picture["y"] + picture["height"]) or tiles["x"] > picture["x"]


def inside(inner: dict[str, float], outer: dict[str, float]) -> bool:
    return all(
        outer[at] - 1 <= inner[at] and inner[at] + inner[size] <= outer[at] + outer[size] + 1
        for at, size in (("x", "width"), ("y", "height"))
    )


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return all(
        one[at] + 1 < other[at] + other[size] and other[at] + 1 < one[at] + one[size]
        for at, size in (("x", "width"), ("y", "height"))
    )


def test_a_box_is_where_the_face_is(page: Page, group: bytes) -> None:
    give(page, ("three.jpg", group))
    x, y, width, height = json.loads(page.locator(".json").text_content())[0]["bounding_box"]
    sheet, box = (page.locator(at).first.bounding_box() for at in (".sheet", ".box"))
    assert box["x"] == pytest.approx(sheet["x"] + x / 1536 * sheet["width"], abs=2)
    assert box["y"] == pytest.approx(sheet["y"] + y / 512 * sheet["height"], abs=2)
    assert box["width"] == pytest.approx(width / 1536 * sheet["width"], abs=2)
    assert box["height"] == pytest.approx(height / 512 * sheet["height"], abs=2)


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
    expect(page.locator("#status.bad")).to_contain_text("Drop photos")
    expect(page.locator("article")).to_have_count(0)


def test_json_and_curl_can_be_copied_and_are_correct(
    browser: Browser, address: str, face_photo: bytes, tmp_path: Path
) -> None:
    name = "it's me; $(touch gone).jpg"
    (tmp_path / name).write_bytes(face_photo)
    permissions = ["clipboard-read", "clipboard-write"]
    with opened(browser, address, permissions=permissions) as page:
        page.get_by_text("Options", exact=True).click()
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
    response = subprocess.run(
        [*shlex.split(f"{sys.executable} -c"), ASK, url, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(response.stdout) == shown


ASK = """
import sys, httpx2
print(httpx2.post(sys.argv[1], files={"image": open(sys.argv[2], "rb")}).text)
"""


def test_the_annotated_image_has_the_size_of_the_photo(page: Page, group: bytes) -> None:
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


def test_decoded_photos_are_released(page: Page, address: str, group: bytes, grey: bytes) -> None:
    page.evaluate(
        """() => {
            const decode = createImageBitmap;
            window.decoded = [];
            window.createImageBitmap = async (...how) => {
                const bitmap = await decode(...how);
                decoded.push(bitmap);
                return bitmap;
            };
        }"""
    )

    def released(count: int) -> None:
        # A closed bitmap has no size.
        page.wait_for_function(
            "count => decoded.length === count && decoded.every((bitmap) => !bitmap.width)",
            arg=count,
        )

    give(page, ("three.jpg", group), ("grey.jpg", grey))
    expect(page.locator(".mark")).to_have_text(["Done", "Done"])
    released(2)
    with page.expect_download():
        page.get_by_role("button", name="Save annotated").click()
    released(3)
    page.route(f"{address}/emotion?*", lambda route: route.abort(), times=1)
    give(page, ("fails.jpg", group))
    released(4)
    hold(page, f"{address}/emotion?*")
    choose(page, ("removed.jpg", group))
    expect(page.locator("article .sheet")).to_have_count(3)
    page.get_by_role("button", name="Remove removed.jpg").click()
    released(5)


def test_faces_that_cannot_be_read_are_grey(page: Page, astronaut: NDArray[np.uint8]) -> None:
    photo = Image.fromarray(astronaut)
    small = Image.new("RGB", (512, 512))
    small.paste(photo.resize((110, 110)), (200, 200))
    give(page, ("sharp.jpg", encode(photo, "JPEG")))
    expect(page.locator(".face")).to_have_count(1)
    expect(page.locator(".doubtful")).to_have_count(0)
    page.get_by_role("button", name="Clear all").click()
    for picture, word in ((photo.filter(ImageFilter.GaussianBlur(6)), "blurred"), (small, "small")):
        give(page, (f"{word}.png", encode(picture, "PNG")))
        doubtful = card(page, f"{word}.png")
        expect(doubtful.locator(".face.doubtful")).to_have_count(1)
        expect(doubtful.locator(".doubt")).to_have_text(f"Too {word} to be read reliably.")
    take_shot(page, "doubt")


@pytest.mark.parametrize("light", [0.1, 0.25, 0.5, 1.5])
def test_dark_photos_are_not_taken_for_blurred(
    page: Page, astronaut: NDArray[np.uint8], light: float
) -> None:
    photo = Image.fromarray(astronaut)
    for name, radius in (("sharp", 0), ("blurred", 4)):
        picture = ImageEnhance.Brightness(photo.filter(ImageFilter.GaussianBlur(radius)))
        give(page, (f"{name}.png", encode(picture.enhance(light), "PNG")))
    expect(card(page, "sharp.png").locator(".face")).to_have_count(1)
    expect(card(page, "sharp.png").locator(".doubtful")).to_have_count(0)
    expect(card(page, "blurred.png").locator(".face.doubtful")).to_have_count(1)


def test_requests_to_a_busy_service_are_retried(
    page: Page, address: str, face_photo: bytes
) -> None:
    received = []

    def busy_once(route):
        received.append(route)
        if len(received) > 1:
            return route.continue_()
        problem = json.dumps({"code": "queue_full", "detail": "busy"})
        return route.fulfill(status=429, headers={"Retry-After": "1"}, body=problem)

    page.route(f"{address}/emotion?*", busy_once)
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_have_text("1 face")
    assert len(received) == 2


def test_an_unreachable_service_is_reported(page: Page, address: str, face_photo: bytes) -> None:
    page.route(f"{address}/emotion?*", lambda route: route.abort())
    give(page, ("a.jpg", face_photo))
    expect(page.locator(".state")).to_contain_text("can't be reached")


def test_no_percentage_is_0_or_100(page: Page) -> None:
    shown = page.evaluate(
        """import('/web/emotions.js').then(({ percent }) =>
               [0, 0.004, 0.006, 0.94, 0.994, 0.9992, 1].map(percent))"""
    )
    assert shown == ["< 1 %", "< 1 %", "1 %", "94 %", "99 %", "> 99 %", "> 99 %"]


def test_every_code_has_a_message(page: Page) -> None:
    messages = page.evaluate("import('/web/emotions.js').then(module => module.MESSAGES)")
    assert set(PROBLEMS) <= set(messages)


@pytest.mark.parametrize("key", KEYS)
def test_the_page_prompts_for_a_key_and_sends_it(
    browser: Browser, face_photo: bytes, key: str
) -> None:
    with service(MIEN_API_KEYS=digest_of(key)) as address, opened(browser, address) as page:
        give(page, ("a.jpg", face_photo))
        expect(page.locator(".state")).to_contain_text("needs an API key")
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
        expect(page.locator(".state")).to_have_text("1 face")
        expect(page.get_by_label("API key")).to_be_focused()
        assert key not in page.locator(".curl").first.text_content()
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
    # One person, though the picture moves; a row of the timeline in the color of the emotion.
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


def test_the_front_camera_is_a_mirror(page: Page) -> None:
    boxes: list[list[int]] = []

    def receive(message: str | bytes) -> None:
        boxes.extend(face["bounding_box"] for face in json.loads(message)["faces"])

    page.on("websocket", lambda socket: socket.on("framereceived", receive))
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("#camera-view")).to_have_css("transform", MIRROR)
    expect(page.get_by_role("button", name="Switch camera")).to_be_hidden()
    page.get_by_role("button", name="Go live").click()
    expect(page.get_by_role("status")).to_have_text("Live: happy")
    painted = page.locator("#overlay").evaluate(
        """canvas => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let left = width;
            data.forEach((value, at) => { if (value) left = Math.min(left, (at >> 2) % width); });
            return left;
        }"""
    )
    x, _, width, _ = boxes[-1]
    # The face moves by up to 12 pixels, and lines have a width.
    assert painted == pytest.approx(512 - x - width, abs=20) != pytest.approx(x, abs=20)
    # The label is not mirrored, and begins at the left edge of the box.
    expect(page.locator("#overlay")).to_have_css("transform", "none")


MIRROR = "matrix(-1, 0, 0, 1, 0, 0)"
# Cameras of a phone: they say to which side they look.
FACING = """() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    window.asked = [];
    devices.getUserMedia = ({ video: { facingMode } }) => {
        window.asked.push(facingMode);
        return open({ video: true });
    };
    MediaStreamTrack.prototype.getSettings = () => ({ facingMode: window.asked.at(-1) });
}"""


def test_the_camera_is_switched(browser: Browser, address: str) -> None:
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream"]
    device = "--use-fake-device-for-media-stream=device-count=2"
    two = browser.browser_type.launch(executable_path=needs("chromium"), args=[*flags, device])
    used = """document.getElementById("camera-view").srcObject.getVideoTracks()[0]
                .getSettings().deviceId"""
    switch = {"role": "button", "name": "Switch camera"}
    with opened(two, address) as page:
        page.evaluate(WATCH_LIVE)
        page.get_by_role("button", name="Camera").click()
        expect(page.locator("#live")).to_be_visible()
        first = page.evaluate(used)
        page.get_by_role("button", name="Go live").click()
        page.wait_for_function("() => sent > 2")
        page.get_by_role(**switch).click()
        page.wait_for_function(f"first => {used} !== first", arg=first)
        # The live view goes on with the other camera.
        page.wait_for_function("before => sent > before + 2", arg=page.evaluate("sent"))
        page.get_by_role(**switch).click()
        page.wait_for_function(f"first => {used} === first", arg=first)
    with opened(two, address, **DEVICES["phone"]) as page:
        page.evaluate(FACING)
        page.get_by_role("button", name="Live view").tap()
        expect(page.get_by_role("button", name="Close")).to_be_in_viewport(ratio=1)
        expect(page.locator("#camera-view")).to_have_css("transform", MIRROR)
        page.get_by_role(**switch).tap()
        expect(page.locator("#camera-view")).to_have_css("transform", "none")
        take_shot(page, "camera-phone")
        page.get_by_role(**switch).tap()
        expect(page.locator("#camera-view")).to_have_css("transform", MIRROR)
        assert page.evaluate("asked") == ["user", "environment", "user"]
        page.get_by_role("button", name="Close").tap()
        expect(page.locator("#live")).to_be_hidden()
    two.close()


def test_a_camera_that_is_closed_while_it_is_switched_stays_off(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("#live")).to_be_visible()
    page.evaluate(
        """() => {
            const devices = navigator.mediaDevices;
            const open = devices.getUserMedia.bind(devices);
            devices.getUserMedia = async () => {
                window.stream = await open({ video: true });
                document.getElementById("camera-close").click();
                return window.stream;
            };
            document.getElementById("camera-switch").click();
        }"""
    )
    page.wait_for_function("() => window.stream?.getTracks()[0].readyState === 'ended'")
    expect(page.locator("#live")).to_be_hidden()


def test_live_view_waits_for_the_first_frame(page: Page) -> None:
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


WATCH_LIVE = """() => {
    const send = WebSocket.prototype.send;
    window.sent = 0;
    WebSocket.prototype.send = function (data) { window.sent++; send.call(this, data); };
    window.heard = [];
    const status = document.getElementById("status");
    const hear = () => heard.push(status.textContent);
    new MutationObserver(hear).observe(status, { childList: true });
    const video = document.getElementById("camera-view");
    window.shown = 0;
    const count = () => { window.shown++; video.requestVideoFrameCallback?.(count); };
    video.requestVideoFrameCallback(count);
}"""


def test_live_view_sends_each_frame_once_and_announces_changes(page: Page) -> None:
    page.evaluate(WATCH_LIVE)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Go live").click()
    toggle = page.get_by_role("button", name="Stop")
    assert toggle.get_attribute("aria-pressed") is None
    page.wait_for_function("() => heard.includes('Live: happy')")
    first = page.evaluate("({ sent, shown })")
    page.wait_for_timeout(5000)  # longer than the pause between two announcements
    last = page.evaluate("({ sent, shown, heard })")
    assert 0 < last["sent"] - first["sent"] <= last["shown"] - first["shown"] + 1
    assert last["heard"].count("Live: happy") == 1


@pytest.mark.parametrize("callback", [True, False])
def test_live_view_pauses_while_the_page_is_hidden(page: Page, callback: bool) -> None:
    page.evaluate(WATCH_LIVE)
    if not callback:
        # An older browser.
        page.evaluate("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Go live").click()
    page.wait_for_function("() => sent > 2")
    hide = "hidden => Object.defineProperty(document, 'hidden', { value: hidden, writable: true })"
    page.evaluate(hide, True)
    page.wait_for_timeout(300)  # frames that were on their way
    sent = page.evaluate("sent")
    page.wait_for_timeout(700)
    assert page.evaluate("sent") == sent
    page.evaluate("document.hidden = false")
    page.wait_for_function("before => sent > before", arg=sent)


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


def test_phones_offer_camera_and_gallery(browser: Browser, address: str) -> None:
    with opened(browser, address, **DEVICES["phone"]) as page:
        expect(page.locator(".invite")).to_contain_text(
            "Use the camera or your gallery", use_inner_text=True
        )
        expect(page.get_by_text("Drop photos or videos here")).to_be_hidden()
        expect(page.locator("#shot")).to_have_attribute("capture", "environment")
        with page.expect_file_chooser() as chosen:
            page.get_by_role("button", name="Take a photo").tap()
        assert not chosen.value.is_multiple()
        with page.expect_file_chooser() as chosen:
            page.get_by_role("button", name="Gallery").tap()
        assert chosen.value.is_multiple()
    with opened(browser, address) as page:
        expect(page.get_by_role("button", name="Choose files")).to_be_visible()
        expect(page.get_by_role("button", name="Take a photo")).to_be_hidden()


def test_the_example_of_the_documentation_on_a_phone(
    browser: Browser, address: str, face_photo: bytes
) -> None:
    context = browser.new_context(**DEVICES["phone"])
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    example = (Path(__file__).parents[2] / "examples" / "browser.html").read_text("utf-8")
    served = {"body": example, "content_type": "text/html"}
    page.route(re.compile(r"/browser\.html"), lambda route: route.fulfill(**served))
    # The page is on the service's own origin here.
    page.goto(f"{address}/browser.html?service={address}")
    large = encode(Image.open(BytesIO(face_photo)).resize((1800, 1800)), "JPEG")
    page.set_input_files("input", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": large})
    expect(page.get_by_role("status")).to_contain_text("happy")
    width = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert width == [390, 390]
    take_shot(page, "example-phone")
    # As after a cancelled dialog.
    page.set_input_files("input", [])
    expect(page.get_by_role("status")).to_contain_text("happy")
    context.close()
    assert faults == []


def test_below_a_path_prefix(browser: Browser) -> None:
    with (
        service(MIEN_ROOT_PATH="/mien") as address,
        opened(browser, f"{address}/mien/") as page,
    ):
        page.get_by_role("button", name="Try a sample").click()
        expect(page.locator(".state")).to_have_text("1 face")


def test_forced_colors_keep_the_colors_of_emotions(
    browser: Browser, address: str, group: bytes
) -> None:
    style = "(part, name) => getComputedStyle(part)[name]"
    with opened(browser, address, forced_colors="active") as page:
        give(page, ("three.jpg", group))
        colors = [
            page.locator(part).first.evaluate(style, "backgroundColor")
            for part in (".tag", ".bars .fill")
        ]
        tile = page.locator(".face.selected")
        selected = tile.evaluate(style, "outlineStyle"), tile.evaluate(style, "outlineWidth")
        take_shot(page, "forced-colors")
    assert colors == ["rgb(240, 228, 66)"] * 2
    assert selected == ("solid", "3px")


def test_a_phone_says_what_the_page_does(browser: Browser, address: str) -> None:
    with opened(browser, address, **DEVICES["phone"]) as page:
        expect(page.get_by_role("banner")).to_contain_text("Emotions", use_inner_text=True)
        description = page.locator("meta[name=description]").get_attribute("content")
    assert "emotion" in description


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(
    browser: Browser,
    address: str,
    group: bytes,
    grey: bytes,
    astronaut: NDArray[np.uint8],
    device: str,
    scheme: str,
) -> None:
    """axe-core finds nothing in any state, and nothing is wider than the screen."""
    video = encoded_video([astronaut] * 6, range(0, 600, 100), "mp4", "libx264")
    # axe-core is injected as text, which the page's own policy would block.
    options = {**DEVICES[device], "color_scheme": scheme, "bypass_csp": True}
    with opened(browser, address, **options) as page:
        take_shot(page, f"start-{device}-{scheme}")
        page.get_by_text("Options", exact=True).click()
        check_accessibility(page)
        give(page, ("three.jpg", group), ("broken.jpg", b"broken"), ("grey.jpg", grey))
        give(page, ("clip.mp4", video))
        expect(card(page, "clip.mp4").locator(".person")).to_have_count(1)
        for snippet in page.get_by_text("JSON and curl").all():
            snippet.click()
        take_shot(page, f"result-{device}-{scheme}")
        page.get_by_role("button", name="Collapse all").click()
        check_accessibility(page)
        page.get_by_role("button", name="Expand all").click()
        page.locator("#camera").click()
        expect(page.locator("#live")).to_be_visible()
        check_accessibility(page)


def check_accessibility(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
