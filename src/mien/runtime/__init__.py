"""Running model graphs: one small protocol, ONNX Runtime behind it, and a fake for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["InferenceSession", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape of a graph's input or output; None marks a dynamic dimension."""

    name: str
    shape: tuple[int | None, ...]


class InferenceSession(Protocol):
    """A loaded graph. ``run`` may be called from several threads at once."""

    @property
    def inputs(self) -> Sequence[TensorSpec]: ...

    @property
    def outputs(self) -> Sequence[TensorSpec]: ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return all outputs, in the order of ``outputs``.

        Raises DeadlineExceededError if nobody waits for them any more.
        """
        ...
