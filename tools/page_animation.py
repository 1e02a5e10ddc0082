"""Draw the animation of the page that the README shows: an animated WebP.

    python -m tools.page_animation [--out docs/images/page.webp]

Chromium opens the page of a running service and analyzes the photo in examples/, then a video that
pans over the photo and its mirror image.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from tools.code_blocks import served

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
VIEWPORT = {"width": 1000, "height": 920}
WIDTH_PX = 800
QUALITY = 75
VIDEO_WH = (640, 400)
FRAMES = 50
PER_SECOND = 10
SEEKS = 10
# Time of each frame in milliseconds.
LONG, SHORT = 1800, 280


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/page.webp"))
    out = parser.parse_args().out
    with served(sys.executable) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=VIEWPORT, color_scheme="light")
        page.goto(f"http://{address}/")
        pictures, durations = zip(*scenes(page), strict=True)
    first, *others = pictures
    first.save(
        out, save_all=True, append_images=others, duration=durations, loop=0, quality=QUALITY
    )
    print(f"{out}: {len(pictures)} pictures, {out.stat().st_size:,} bytes")


def scenes(page: Page) -> Iterator[tuple[Image.Image, int]]:
    """Yield frames of the page, each with its duration in milliseconds."""
    yield shot(page), LONG
    page.get_by_role("button", name="Try a sample").click()
    expect(page.locator("article[data-state=done]")).to_be_visible()
    # Not the button: it would stay highlighted.
    page.mouse.move(0, 0)
    yield shot(page), LONG
    page.get_by_role("button", name="Clear all").click()
    video = {"name": "two-portraits.mp4", "mimeType": "video/mp4", "buffer": pan(PHOTO)}
    page.set_input_files("#files", [video])
    expect(page.locator("article[data-state=done]")).to_be_visible(timeout=60_000)
    page.mouse.move(0, 0)
    yield shot(page), LONG
    scrub = page.locator(".scrub")
    width = scrub.bounding_box()["width"]
    for step in range(1, SEEKS):
        scrub.click(position={"x": width * step / SEEKS, "y": 12})
        # The video shows the frame a little after its time.
        page.wait_for_timeout(400)
        yield shot(page), LONG if step == SEEKS - 1 else SHORT


def shot(page: Page) -> Image.Image:
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    return picture.resize((WIDTH_PX, round(WIDTH_PX * picture.height / picture.width)))


def pan(photo: Path) -> bytes:
    """Return a video whose frame moves from the photo to its mirror image beside it."""
    picture = np.asarray(Image.open(photo).convert("RGB"))
    panorama = np.hstack([picture, picture[:, ::-1]])
    width, height = VIDEO_WH
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for left in np.linspace(0, panorama.shape[1] - width, FRAMES).astype(int):
            frame = np.ascontiguousarray(panorama[:height, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


if __name__ == "__main__":
    main()
