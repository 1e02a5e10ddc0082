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


class RequestError(MienError):
    """A request to the service that cannot be answered."""


class UnsupportedMediaTypeError(RequestError):
    """The body is neither a form nor a picture."""

    code = "unsupported_media_type"


class MissingImageError(RequestError):
    """The form has no file in the field ``image``."""

    code = "missing_image"


class TooManyImagesError(RequestError):
    """More files than the route takes."""

    code = "too_many_images"


class UploadTooLargeError(RequestError):
    """More bytes than the limit."""

    code = "upload_too_large"


class UploadTimeoutError(RequestError):
    """The body did not arrive in time."""

    code = "upload_timeout"


class QueueFullError(RequestError):
    """More requests wait than the service takes on."""

    code = "queue_full"


class NotReadyError(RequestError):
    """The service is warming up or shutting down."""

    code = "not_ready"


class DeadlineExceededError(RequestError):
    """The answer would come later than the caller may wait."""

    code = "deadline_exceeded"
