"""Make the height and width of a graph's input dynamic.

Many exported networks could take images of any size, but their file declares the size of the export
and ONNX Runtime refuses all others. This module changes the declared shapes of inputs, outputs and
intermediate values, nothing else. It works on the protobuf wire format, so that ``mien`` does not
depend on the onnx package.
Source: onnx.proto of ONNX 1.0 and later for the field numbers; protobuf's encoding guide.
"""

from collections.abc import Callable, Iterator
from functools import partial

from mien.errors import ArtifactError

__all__ = ["with_free_size"]

GRAPH = 7
INPUT, OUTPUT, VALUE_INFO = 11, 12, 13
# From a ValueInfoProto to its dimensions: type, tensor_type, shape, dim.
TYPE, TENSOR_TYPE, SHAPE, DIM = 2, 1, 2, 1
LENGTH_DELIMITED = 2
# Bytes of the wire types that have a fixed length.
FIXED = {1: 8, 5: 4}


def with_free_size(model: bytes) -> bytes:
    """Make the last two dimensions of each input dynamic.

    Shapes of outputs and intermediate values are removed: ONNX Runtime infers them.

    Args:
        model: An ONNX file whose inputs are (N, C, height, width).

    Returns:
        The changed file.

    Raises:
        ArtifactError: The bytes are not an ONNX model.
    """
    try:
        model = _changed(model, (GRAPH, INPUT, TYPE, TENSOR_TYPE, SHAPE), _with_dynamic_size)
        model = _changed(model, (GRAPH, OUTPUT, TYPE, TENSOR_TYPE), partial(_without, SHAPE))
        return _changed(model, (GRAPH,), partial(_without, VALUE_INFO))
    except (IndexError, ValueError) as error:
        raise ArtifactError("the model file is not an ONNX graph") from error


def _changed(message: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return a message in which the submessages at a path of field numbers are changed."""
    if not path:
        return change(message)
    return b"".join(
        _field(number, _changed(body, path[1:], change)) if number == path[0] else raw
        for number, body, raw in _fields(message)
    )


def _with_dynamic_size(shape: bytes) -> bytes:
    """Make the last two dimensions of a shape dynamic."""
    kept = [raw for _, _, raw in _fields(shape)]
    return b"".join([*kept[:-2], *[_field(DIM, b"")] * min(2, len(kept))])


def _without(unwanted: int, message: bytes) -> bytes:
    """Leave out the fields with a number."""
    return b"".join(raw for number, _, raw in _fields(message) if number != unwanted)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Parse a protobuf message.

    Yields:
        Number, content and encoded bytes of each field.

    Raises:
        ValueError: The message is malformed.
        IndexError: It ends within a number.
    """
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        content = at
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == LENGTH_DELIMITED:
            length, content = _varint(message, at)
            at = content + length
        elif kind in FIXED:
            at += FIXED[kind]
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at > len(message) or number == 0:
            raise ValueError("the message is truncated")
        yield number, message[content:at], message[start:at]


def _field(number: int, body: bytes) -> bytes:
    return _as_varint(number << 3 | LENGTH_DELIMITED) + _as_varint(len(body)) + body


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at the index ``at``, and the index after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a varint is longer than 64 bits")


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
