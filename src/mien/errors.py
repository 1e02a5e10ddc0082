"""Everything that can go wrong, each with a stable code that callers may rely on.

The codes are part of the contract; the HTTP layer maps them to statuses in one table.
"""

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class MienError(Exception):
    """Base of all errors that ``mien`` raises on purpose.

    The message is written for people and never holds a traceback, a server path or a library's
    own text.
    """

    code: ClassVar[str] = "internal_error"

    @property
    def message(self) -> str:
        """The sentence for people."""
        return super().__str__()


class ImageError(MienError):
    """The picture cannot be used.

    path: of its file, where it was read from one. As text the error names it; its message, which
    may be sent elsewhere, does not.
    """

    path: "Path | None" = None

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"


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


class VideoError(MienError):
    """The clip cannot be used."""


class UnreadableVideoError(VideoError):
    """The bytes are no clip, or one without a picture that can be read."""

    code = "unreadable_video"


class VideoTooLargeError(VideoError):
    """More pixels or seconds than the limit."""

    code = "video_too_large"


class VideoUnavailableError(VideoError):
    """The library that reads clips is not installed."""

    code = "video_unavailable"


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
    """The request, not the picture, is why the service gives no answer.

    retry_after_s: where trying again may help, the seconds to wait.
    """

    def __init__(self, message: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MalformedRequestError(RequestError):
    """What arrived is not a request as HTTP/1.1 has them."""

    code = "malformed_request"


class UnauthorizedError(RequestError):
    """No key, or one that is not accepted."""

    code = "unauthorized"


class ForbiddenOriginError(RequestError):
    """A page of another site, which may not call this service."""

    code = "forbidden_origin"


class NotFoundError(RequestError):
    """There is nothing at this path."""

    code = "not_found"


class MethodNotAllowedError(RequestError):
    """The path is right, the method is not."""

    code = "method_not_allowed"


class UploadTimeoutError(RequestError):
    """The body took longer to arrive than it may."""

    code = "upload_timeout"


class UploadTooLargeError(RequestError):
    """More bytes than the limit; refused as soon as that is known."""

    code = "upload_too_large"


class UnsupportedMediaTypeError(RequestError):
    """The body's content type is not one that is read."""

    code = "unsupported_media_type"


class MissingImageError(RequestError):
    """The form has no file in its field ``image``."""

    code = "missing_image"


class MissingVideoError(RequestError):
    """The form has no file in its field ``video``."""

    code = "missing_video"


class TooManyImagesError(RequestError):
    """More pictures than one request may hold."""

    code = "too_many_images"


class QueueFullError(RequestError):
    """As many pictures are waiting as may wait; try again soon."""

    code = "queue_full"


class RateLimitedError(RequestError):
    """The caller has used up its share for now."""

    code = "rate_limited"


class NotReadyError(RequestError):
    """The service is still warming up, or shutting down."""

    code = "not_ready"


class DeadlineExceededError(RequestError):
    """The answer was not there in time."""

    code = "deadline_exceeded"
