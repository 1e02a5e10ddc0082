"""Images as the content of files."""

from io import BytesIO

from PIL import Image

__all__ = ["ENCODED_FORMATS", "encoded"]

# By suffix; files with others become JPEG.
ENCODED_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
_QUALITY = 92


def encoded(image: Image.Image, suffix: str) -> bytes:
    """Return the content of an image file.

    Args:
        image: The image.
        suffix: Decides the format: ``.png``, ``.webp``, or JPEG for every other.
    """
    file = BytesIO()
    image.save(file, ENCODED_FORMATS.get(suffix.lower(), "JPEG"), quality=_QUALITY)
    return file.getvalue()
