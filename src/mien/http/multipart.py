"""The files of a multipart form, taken out as its bytes arrive; nothing touches the disk."""

import logging
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from mien.errors import (
    InvalidParameterError,
    MienError,
    MissingImageError,
    MissingVideoError,
    RequestError,
    TooManyImagesError,
    UnsupportedMediaTypeError,
)
from mien.http.parameters import shown

__all__ = ["IMAGE", "VIDEO", "Field", "FileForm", "boundary_of"]

_MAX_HEADERS = 8
_MAX_HEADER_BYTES = 1024
_MALFORMED = "the multipart body is malformed"

# The parser logs bytes of what it could not parse, and a picture's content belongs in no log. Not
# from getLogger: whoever configures logging could make that one speak again.
_SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form that holds files. noun: what each is; example: a name such a file has."""

    name: str
    noun: str
    example: str
    missing: type[RequestError]
    too_many: type[MienError]


IMAGE = Field("image", "picture", "photo.jpg", MissingImageError, TooManyImagesError)
VIDEO = Field("video", "clip", "clip.mp4", MissingVideoError, InvalidParameterError)


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart content type.

    Raises UnsupportedMediaTypeError if it has none: then the body can't be read.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise UnsupportedMediaTypeError("multipart/form-data without a boundary can't be read")
    return boundary


class FileForm:
    """Collects the files of one field; refuses every other field.

    at_most: one file more is refused as soon as its header is there.
    Raises UnsupportedMediaTypeError for a boundary that is longer than allowed.
    """

    def __init__(self, boundary: bytes, field: Field, *, at_most: int = 1) -> None:
        self.files: list[bytearray] = []
        self._field, self._at_most = field, at_most
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._on_header_name,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_data,
                    "on_part_data": self._on_data,
                },
                max_header_count=_MAX_HEADERS,
                max_header_size=_MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise UnsupportedMediaTypeError("the multipart boundary is too long") from error
        self._parser.logger = _SILENT

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises InvalidParameterError for a malformed body or an unknown field, and the field's own
        errors where it is text, or there are more files than ``at_most``.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidParameterError(_MALFORMED) from error

    def finish(self) -> list[bytes]:
        """Return the files, in the order of the form.

        Raises InvalidParameterError if the body ended early, the field's own error if it had none.
        """
        if self._parser.state not in (MultipartState.START, MultipartState.END):
            raise InvalidParameterError(f"{_MALFORMED}: it ends before its last boundary")
        if not self.files:
            raise self._field.missing(f"the form has no file in its field {self._field.name}")
        return [bytes(file) for file in self.files]

    def _begin_part(self) -> None:
        self._headers.clear()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _begin_data(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        kind, options = parse_options_header(disposition)
        if kind != b"form-data" or b"name" not in options:
            raise InvalidParameterError(f"{_MALFORMED}: a part has no name")
        name, field = options[b"name"].decode("utf-8", "replace"), self._field
        if name != field.name:
            raise InvalidParameterError(f"there is no form field {shown(name)}; send {field.name}")
        # Some clients send filename*, which the parser leaves out, or only say what it is.
        if "filename" not in disposition.lower() and not self._is_file():
            raise field.missing(
                f"the field {name} must be a file; with curl: -F {name}=@{field.example}"
            )
        if len(self.files) == self._at_most:
            count = f"one {field.noun}" if self._at_most == 1 else f"{self._at_most} {field.noun}s"
            raise field.too_many(f"send at most {count} in the field {name}")
        self.files.append(bytearray())

    def _is_file(self) -> bool:
        kind = self._headers.get(b"content-type", b"").lower()
        return kind.startswith((self._field.name.encode() + b"/", b"application/octet-stream"))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1] += memoryview(data)[start:end]
