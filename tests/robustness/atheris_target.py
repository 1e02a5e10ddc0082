"""A longer, coverage-guided search for files that break the parsers: ``make fuzz``.

Arguments are libFuzzer's: the folder of the corpus, and options. It stops at the first input that
is neither read nor refused with a MienError, and writes that input into the current folder.
"""

import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl

import atheris

with atheris.instrument_imports(include=["mien", "python_multipart"]):
    from mien.errors import MienError
    from mien.image import decode_image
    from mien.server.multipart import IMAGE, FileForm
    from mien.server.parameters import EmotionQuery

from PIL import Image
from pydantic import ValidationError
from skimage import data

sys.path.append(str(Path(__file__).parents[1]))
from mutations import seeds

MAX_PIXELS = 1_000_000
FORM = b'--B\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n--B--\r\n'
QUERY = b"include=scores,landmarks&labels=eight&max_faces=1&crop=true"


def one_input(content: bytes) -> None:
    """Pass the input to one of the parsers; its first byte selects which."""
    kind, rest = content[:1], content[1:]
    with suppress(MienError, ValidationError):
        if kind == b"f":
            form = FileForm(b"B", IMAGE, at_most=3)
            form.feed(rest[:40])
            form.feed(rest[40:])
            form.finish()
        elif kind == b"q":
            EmotionQuery(**dict(parse_qsl(rest.decode("latin-1"))))
        else:
            decode_image(rest, max_pixels=MAX_PIXELS)


def main() -> None:
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    files = [b"p" + file for file in seeds(Image.fromarray(data.astronaut()))]
    for number, start in enumerate([*files, b"f" + FORM, b"q" + QUERY]):
        (corpus / f"seed-{number}").write_bytes(start)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
