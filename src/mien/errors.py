"""Everything that can go wrong, each with a stable code that callers may rely on.

The codes are part of the contract; the HTTP layer maps them to statuses in one table.
"""

from typing import ClassVar


class MienError(Exception):
    """Base of all errors that ``mien`` raises on purpose.

    The message is written for people and never holds a traceback, a server path or a library's
    own text.
    """

    code: ClassVar[str] = "internal_error"

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class ImageError(MienError):
    """The picture cannot be used."""


class NotAnImageError(ImageError):
    """The bytes are not a picture of any known format."""

    code = "not_an_image"


class UnsupportedFormatError(ImageError):
    """A picture, but not in a format that is read."""

    code = "unsupported_format"


class TruncatedImageError(ImageError):
    """The picture starts well but its data is cut off or corrupt."""

    code = "truncated_image"


class ImageTooLargeError(ImageError):
    """More pixels than the limit; refused from the header, before decoding."""

    code = "image_too_large"


class EmptyUploadError(ImageError):
    """Zero bytes."""

    code = "empty_upload"


class UnreadableFileError(ImageError):
    """The path is missing, a folder, or may not be read."""

    code = "unreadable_file"


class InvalidParameterError(MienError):
    """A parameter is unknown or out of range."""

    code = "invalid_parameter"


class ArtifactError(MienError):
    """A model file or its card is missing, altered or not what it says."""

    code = "invalid_model"


class ModelContractError(ArtifactError):
    """The graph's inputs or outputs do not have the shape that its card promises."""
