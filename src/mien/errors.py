"""The exceptions of ``mien``, each with a stable code.

The HTTP service maps the codes to statuses in one table.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class MienError(Exception):
    """Base class of all exceptions of ``mien``.

    The message is for people. Messages that the HTTP service sends contain no traceback and no path
    of the server.

    Attributes:
        code: Stable, for programs.
    """

    code: str = "internal_error"

    @property
    def message(self) -> str:
        """What is wrong, for people; it may change."""
        return super().__str__()


class ImageError(MienError):
    """The image cannot be read.

    Attributes:
        path: The file, or a URL as text; None for other images. ``str(error)`` begins with the
            path, while ``error.message`` does not contain it.
    """

    path: "Path | str | None" = None

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.path}: {self.message}"


class NotAnImageError(ImageError):
    """The bytes are not an image of any known format."""

    code = "not_an_image"


class UnsupportedFormatError(ImageError):
    """An image in a format that is not supported."""

    code = "unsupported_format"


class TruncatedImageError(ImageError):
    """The image begins correctly, but its data is incomplete or corrupt."""

    code = "truncated_image"


class ImageTooLargeError(ImageError):
    """The image has more pixels, or a JPEG has more scans, than allowed. It was not decoded."""

    code = "image_too_large"


class EmptyUploadError(ImageError):
    """The image has no bytes."""

    code = "empty_upload"


class VideoError(MienError):
    """The video cannot be read."""


class UnreadableVideoError(VideoError):
    """The bytes are not a video, or no frame of it can be read."""

    code = "unreadable_video"


class VideoTooLargeError(VideoError):
    """The video has more pixels or seconds than allowed."""

    code = "video_too_large"


class VideoUnavailableError(VideoError):
    """The library that reads videos is not installed, or videos are disabled in the service."""

    code = "video_unavailable"


class UnreadableFileError(ImageError):
    """The file does not exist, is a folder, or may not be read."""

    code = "unreadable_file"


class InvalidParameterError(MienError):
    """A parameter is unknown or out of range."""

    code = "invalid_parameter"


class ArtifactError(MienError):
    """A model file or its card is missing, altered or invalid."""

    code = "invalid_model"


class ModelContractError(ArtifactError):
    """The inputs or outputs of a model or plug-in are not what its card or protocol requires."""


class QueueFullError(MienError):
    """Too many images, videos, live connections or bytes are in progress.

    Attributes:
        retry_after_s: Seconds to wait before the next attempt.
    """

    code = "queue_full"

    def __init__(self, message: str = "", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceededError(MienError):
    """The result was not ready in time."""

    code = "deadline_exceeded"
