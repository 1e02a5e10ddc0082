"""Read the files of a multipart form as its bytes arrive, without writing to disk.

Starlette's own form parser spools files to disk, which a service that stores no image must not do.
"""

import base64
import binascii
import logging
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from mien.errors import InvalidParameterError
from mien.server.errors import RequestError

__all__ = ["IMAGE", "VIDEO", "FileField", "FileForm", "boundary_of", "from_base64", "quoted"]

_MAX_HEADERS = 16
_MAX_HEADER_BYTES = 8 * 1024
_MALFORMED = "the multipart body is malformed"
_SHOWN_CHARS = 40
_LONGEST_NAME = 1000
_URL_SAFE = bytes.maketrans(b"-_", b"+/")

# The parser logs bytes that it cannot parse, but image data must not be logged. Not from getLogger:
# any configuration of logging could enable that logger again.
_SILENT = logging.Logger("silent", level=logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class FileField:
    """A field of a form that holds files.

    Attributes:
        name: Of the field, and what each file is.
        example: A file name.
        missing: The code of the error without a file.
        too_many: The code of the error with more files than allowed.
    """

    name: str
    example: str
    missing: str
    too_many: str


IMAGE = FileField("image", "photo.jpg", "missing_image", "too_many_images")
VIDEO = FileField("video", "video.mp4", "missing_video", "invalid_parameter")


def quoted(text: str) -> str:
    """Return text of a client for an error message, cut if it is long."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a multipart content type.

    Raises:
        RequestError: It has none, so that the body cannot be read.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise RequestError(
            "unsupported_media_type",
            "Content-Type: multipart/form-data has no boundary; "
            "let the HTTP client set this header",
        )
    return boundary


class FileForm:
    """Collects the files of one field and refuses every other field."""

    def __init__(self, boundary: bytes, field: FileField, *, at_most: int = 1) -> None:
        """Begin with an empty form.

        Args:
            boundary: Of the content type.
            field: The field.
            at_most: Most files. One more is refused as soon as its headers arrive.

        Raises:
            RequestError: The boundary is longer than allowed.
        """
        self.files: list[bytearray] = []
        self._named: list[bool] = []
        self._encoded: list[bool] = []
        self._field, self._at_most = field, at_most
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
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
            raise RequestError(
                "unsupported_media_type", "the multipart boundary is too long"
            ) from error
        self._parser.logger = _SILENT

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            InvalidParameterError: The body is malformed or has another field.
            RequestError: There are more files than allowed.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidParameterError(_reason(error)) from error

    def finish(self) -> list[bytes]:
        """Return the files, in the order of the form.

        Raises:
            InvalidParameterError: The body ended early.
            RequestError: There is no file, or a text in its place.
        """
        if self._parser.state not in (MultipartState.START, MultipartState.END):
            raise InvalidParameterError(f"{_MALFORMED}: it ends before its last boundary")
        field = self._field
        if not self.files:
            raise RequestError(field.missing, f"the form has no file in its field {field.name}")
        for file, named in zip(self.files, self._named, strict=True):
            if not named and _is_text(file):
                raise RequestError(
                    field.missing,
                    f"the field {field.name} must be a file; "
                    f"with curl: -F {field.name}=@{field.example}",
                )
        return [
            _encoded_file(file) if encoded else bytes(file)
            for file, encoded in zip(self.files, self._encoded, strict=True)
        ]

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
            raise InvalidParameterError(
                f"{_MALFORMED}: a part has no header Content-Disposition: form-data with a name"
            )
        name, field = options[b"name"].decode("utf-8", "replace"), self._field
        if name != field.name:
            raise InvalidParameterError(
                f"there is no form field {quoted(name)}; send {field.name}; options belong in the "
                "query string"
            )
        if len(self.files) == self._at_most:
            count = f"one {name}" if self._at_most == 1 else f"{self._at_most} {name}s"
            raise RequestError(field.too_many, f"send at most {count} in the field {name}")
        self.files.append(bytearray())
        # Some clients send filename*, which the parser leaves out, or only a type.
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        self._encoded.append(encoding == b"base64")
        self._named.append("filename" in disposition.lower() or b"content-type" in self._headers)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.files[-1] += memoryview(data)[start:end]


def _reason(error: FormParserError) -> str:
    """Return why a body is malformed; only the parser's texts tell its limits apart."""
    text = str(error)
    if "header size" in text:
        return f"{_MALFORMED}: a header of a part is longer than {_MAX_HEADER_BYTES} bytes"
    if "header count" in text:
        return f"{_MALFORMED}: a part has more than {_MAX_HEADERS} headers"
    return f"{_MALFORMED}; let the HTTP client write it"


def from_base64(text: bytes | bytearray) -> bytes:
    """Decode Base64 with either alphabet (RFC 4648, 4 and 5), with or without its padding.

    Raises:
        binascii.Error: The text is not Base64.
    """
    text = text.translate(_URL_SAFE, b" \t\r\n\v\f").rstrip(b"=")
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


def _encoded_file(file: bytearray) -> bytes:
    """Return a part declared as Base64, decoded; unchanged if it is not Base64."""
    try:
        return from_base64(file)
    except binascii.Error:
        return bytes(file)


def _is_text(file: bytearray) -> bool:
    """Return whether this is a file's name, or another text, in place of the file."""
    try:
        return len(file) <= _LONGEST_NAME and file.decode().isprintable()
    except UnicodeDecodeError:
        return False
