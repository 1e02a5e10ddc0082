"""Running ONNX graphs: a protocol and its implementation on ONNX Runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["InferenceSession", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph.

    Attributes:
        name: Its name in the graph.
        shape: Its dimensions; None is a dynamic one.
    """

    name: str
    shape: tuple[int | None, ...]


class InferenceSession(Protocol):
    """A loaded graph; threads may share it."""

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """The inputs, in the order of the graph."""
        ...

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """The outputs, in the order of the graph."""
        ...

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the graph.

        Args:
            feeds: The array for each input, by name.

        Returns:
            All outputs, in the order of ``outputs``.

        Raises:
            DeadlineExceededError: The current deadline has passed.
        """
        ...
