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


class QueueFullError(MienError):
    """Too many images wait for a worker.

    Attributes:
        retry_after_s: Seconds after which trying again may help.
    """

    code = "queue_full"

    def __init__(self, message: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(MienError):
    """The result was not ready in time."""

    code = "deadline_exceeded"
