"""Videos on the page: the timeline, the persons and the table."""

import csv
import json
from collections import Counter
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from mien.results import table_columns
from pages import card, choose, give, hold, opened, take_shot
from videos import encoded_video

STEP_MS = 100


@pytest.fixture(scope="session")
def video(astronaut: NDArray[np.uint8]) -> bytes:
    """Three seconds; a face throughout, a second one from half of it on."""
    face = np.asarray(Image.fromarray(astronaut).resize((256, 256)))
    # Without the face; a whole new picture would count as a cut.
    empty = face.copy()
    empty[20:100, 70:150] = 90
    frames = [np.hstack([face, face if step >= 15 else empty]) for step in range(30)]
    return encoded_video(frames, range(0, 30 * STEP_MS, STEP_MS), "mp4", "libx264")


def test_a_video_has_a_timeline(page: Page, video: bytes) -> None:
    give(page, ("clip.mp4", video))
    expect(page.locator(".state")).to_have_text("2 persons in 3 s")
    expect(page.locator(".names > div")).to_have_text(["Person 1", "Person 2"])
    expect(page.locator(".tracks > .track")).to_have_count(2)
    first, second = (
        track.locator(".span").first.bounding_box() for track in page.locator(".track").all()[:2]
    )
    tracks = page.locator(".tracks").bounding_box()
    assert first["x"] == pytest.approx(tracks["x"], abs=2)
    assert second["x"] == pytest.approx(tracks["x"] + tracks["width"] / 2, abs=8)
    expect(page.locator(".person").first).to_contain_text("happy")
    take_shot(page, "video")


def test_the_timeline_seeks_the_video(page: Page, video: bytes) -> None:
    give(page, ("clip.mp4", video))
    slider = page.get_by_role("slider", name="Position in the video")
    width = slider.bounding_box()["width"]
    slider.click(position={"x": width * 2 / 3, "y": 10})
    expect(slider).to_have_attribute("aria-valuenow", "2.0")
    assert time_of(page) == pytest.approx(2.0, abs=0.1)
    expect(page.locator(".moment")).to_contain_text("person 2 happy")
    painted = page.locator(".sheet > canvas").evaluate(
        """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
               .data.some((value) => value > 0)"""
    )
    assert painted
    # By keyboard.
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuenow", "1.5")
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0.0")
    assert time_of(page) == 0
    page.get_by_role("button", name="Person 2").click()
    assert time_of(page) == pytest.approx(1.5, abs=0.2)


def test_a_video_in_full_screen_keeps_its_boxes(page: Page, video: bytes) -> None:
    give(page, ("clip.mp4", video))
    page.evaluate("document.querySelector('article video').requestFullscreen()")
    page.wait_for_function("document.fullscreenElement?.tagName === 'VIDEO'")
    expect(page.locator(".sheet > canvas")).to_have_css("position", "fixed")
    shown = np.asarray(Image.open(BytesIO(page.screenshot())).convert("RGB"), int)
    # The color of happy faces: the frame and the label of the box.
    yellow = (np.abs(shown - (240, 228, 66)) < 12).all(axis=2)
    assert yellow.sum() > 1000
    page.evaluate("document.exitFullscreen()")
    expect(page.locator(".sheet > canvas")).to_have_css("position", "absolute")
    inner, outer = (page.locator(f".sheet > {name}").bounding_box() for name in ("canvas", "video"))
    assert inner == pytest.approx(outer, abs=1)


def test_a_folded_video_shows_a_frame_and_the_emotions(page: Page, video: bytes) -> None:
    give(page, *((f"{number}.mp4", b"no video") for number in range(6)), ("clip.mp4", video))
    clip = card(page, "clip.mp4")
    expect(clip.locator("video")).to_be_hidden()
    expect(clip.locator(".chips")).to_have_text("2 happy")
    page.wait_for_function(
        """() => {
            const canvas = document.querySelector("article:has(video) .thumb");
            const context = canvas.getContext("2d");
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(data).size > 100;
        }"""
    )


def time_of(page: Page) -> float:
    return page.locator("article video").evaluate("video => video.currentTime")


def test_the_csv_of_a_video(page: Page, video: bytes) -> None:
    give(page, ("clip.mp4", video))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save CSV").click()
    assert saved.value.suggested_filename == "clip-mien.csv"
    rows = list(csv.DictReader(StringIO(Path(saved.value.path()).read_text("utf-8-sig"))))
    # As of mien video.
    assert list(rows[0]) == ["time_s", "frame", "person", *table_columns()[1:-2]]
    assert len(rows) == 30 + 15
    assert {row["width"] for row in rows} == {"512"}
    last = rows[-1]
    assert (last["time_s"], last["frame"], last["emotion"]) == ("2.9", "29", "happy")
    assert sum(float(last[name]) for name in rows[0] if name.startswith("score_")) == pytest.approx(
        1, abs=1e-3
    )


def test_the_csv_of_all_files_has_the_videos(
    page: Page, address: str, video: bytes, face_photo: bytes
) -> None:
    give(page, ("clip.mp4", video))
    fail_after_three_samples(page, address)
    give(page, ("partial.mp4", video), ("a.jpg", face_photo), ("broken.mp4", b"no video"))
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(StringIO(Path(saved.value.path()).read_text("utf-8-sig"))))
    path, *columns = table_columns()
    assert list(rows[0]) == [path, "time_s", "frame", "person", *columns]
    seen = Counter(row["path"] for row in rows)
    assert seen == {"clip.mp4": 30 + 15, "partial.mp4": 3 + 1, "a.jpg": 1, "broken.mp4": 1}
    last = [row for row in rows if row["path"] == "clip.mp4"][-1]
    assert (last["time_s"], last["person"], last["emotion"]) == ("2.9", "2", "happy")
    assert [row["error_code"] for row in rows if row["path"] == "partial.mp4"] == [
        *[""] * 3,
        "video_too_large",
    ]
    assert [row["time_s"] for row in rows if row["path"] == "a.jpg"] == [""]


def test_dropped_videos_go_to_the_video_endpoint(page: Page, video: bytes) -> None:
    # Some systems give no type for a file.
    page.evaluate(
        """(bytes) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(bytes)], "dropped.MP4"));
            document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        list(video),
    )
    expect(card(page, "dropped.MP4").locator(".state")).to_have_text("2 persons in 3 s")


def test_a_service_without_videos(page: Page, address: str, video: bytes) -> None:
    problem = json.dumps({"code": "video_unavailable", "detail": "videos need an extra"})
    page.route(f"{address}/video?*", lambda route: route.fulfill(status=501, body=problem))
    give(page, ("clip.mp4", video))
    expect(page.locator(".mark")).to_have_text("Failed")
    expect(page.locator(".state")).to_contain_text("Videos are not enabled on this service")
    expect(page.locator("article video")).to_have_count(0)


def test_a_file_that_is_no_video(page: Page) -> None:
    give(page, ("clip.mp4", b"no video"))
    expect(page.locator("article")).to_have_attribute("data-code", "unreadable_video")
    expect(page.locator(".state")).to_contain_text("damaged")


def test_what_arrived_before_an_error_stays(page: Page, address: str, video: bytes) -> None:
    fail_after_three_samples(page, address)
    give(page, ("clip.mp4", video))
    expect(page.locator("article")).to_have_attribute("data-code", "video_too_large")
    expect(page.locator("article")).to_contain_text("(longer than 300 seconds)")
    expect(page.locator(".person")).to_contain_text("sad all the time")
    expect(page.get_by_role("button", name="Retry")).to_be_hidden()


def fail_after_three_samples(page: Page, address: str) -> None:
    """Answer the next request with a video that is too long."""
    face = {"bounding_box": [1, 2, 30, 40], "emotion": "sad", "confidence": 0.8, "person": 1}
    lines = [
        {"time_s": 0.1 * step, "frame": step, "size": [512, 256], "faces": [{**face, "scores": {}}]}
        for step in range(3)
    ]
    error = {"error": {"code": "video_too_large", "message": "longer than 300 seconds"}}
    body = "".join(json.dumps(line) + "\n" for line in [*lines, error])
    page.route(f"{address}/video?*", lambda route: route.fulfill(status=200, body=body), times=1)


def test_a_video_that_the_browser_cannot_play(page: Page, astronaut: NDArray[np.uint8]) -> None:
    video = encoded_video([astronaut] * 4, range(0, 400, STEP_MS), "mp4", "mpeg2video")
    give(page, ("old.mp4", video))
    expect(page.locator(".note").first).to_contain_text("can't play this video")
    slider = page.get_by_role("slider", name="Position in the video")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator(".moment")).to_contain_text("happy")


def test_a_video_is_cancelled(page: Page, browser: Browser, address: str, video: bytes) -> None:
    hold(page, f"{address}/video?*")
    choose(page, ("clip.mp4", video))
    expect(
        page.locator("article[data-state=analyzing], article[data-state=uploading]")
    ).to_have_count(1)
    page.get_by_role("button", name="Remove clip.mp4").click()
    expect(page.locator("article")).to_have_count(0)
    with opened(browser, address) as other:
        give(other, ("clip.mp4", video))
