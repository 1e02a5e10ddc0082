"""The page in Debian's Chromium: helpers of the tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Route, expect

# Screenshots are left here, to be looked at.
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DONE = "article[aria-busy=false]"
TOUCH = {"is_mobile": True, "has_touch": True}
DEVICES = {
    "phone": {"viewport": {"width": 390, "height": 844}, **TOUCH},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """Open the page; it may send requests to the service only, and must not log errors."""
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
                or complaints.append(f"requests {request.url}")
            ),
        )
        page.goto(address)
        yield page
        # The browser itself logs error responses.
        assert [text for text in complaints if "Failed to load resource" not in text] == []
    finally:
        context.close()


def choose(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files, as with the button of the page."""
    page.set_input_files("#files", [payload(name, data) for name, data in files])


def payload(name: str, data: bytes) -> dict[str, object]:
    kind = "video/mp4" if name.endswith(".mp4") else "image/jpeg"
    return {"name": name, "mimeType": kind, "buffer": data}


def give(page: Page, *files: tuple[str, bytes]) -> None:
    """Choose files and wait for their results."""
    done = page.locator(DONE).count()
    choose(page, *files)
    expect(page.locator(DONE)).to_have_count(done + len(files), timeout=60_000)


def hold(page: Page, url: str) -> Callable[[], None]:
    """Keep requests to addresses of that pattern waiting until the returned function is called."""
    held: list[Route] = []
    released = False

    def keep(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    def release() -> None:
        nonlocal released
        released = True
        for route in held:
            route.continue_()

    page.route(url, keep)
    return release


def card(page: Page, name: str) -> Locator:
    """Return the card of a file."""
    return page.locator("article", has=page.get_by_role("heading", name=name, exact=True))


def take_shot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
