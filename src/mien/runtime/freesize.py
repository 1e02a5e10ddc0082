"""Make the height and width of a graph's input dynamic.

Many exported networks could take images of any size, but their file declares the size of the export
and ONNX Runtime refuses all others. This module changes the declared shapes of inputs, outputs and
intermediate values, nothing else. It works on the protobuf wire format, so that ``mien`` does not
depend on the onnx package.
Source: onnx.proto of ONNX 1.0 and later for the field numbers; protobuf's encoding guide.
"""

from collections.abc import Iterator

from mien.errors import ArtifactError

__all__ = ["with_free_size"]

GRAPH = 7
INPUT, OUTPUT, VALUE_INFO = 11, 12, 13
# Path from a ValueInfoProto to its dimensions: type, tensor_type, shape, dim.
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
        return b"".join(
            _field(number, _graph(body)) if number == GRAPH else raw
            for number, body, raw in _fields(model)
        )
    except (IndexError, ValueError) as error:
        raise ArtifactError("the model file is not an ONNX graph") from error


def _graph(graph: bytes) -> bytes:
    return b"".join(_graph_field(*field) for field in _fields(graph))


def _graph_field(number: int, body: bytes, raw: bytes) -> bytes:
    if number == INPUT:
        return _field(number, _with_dynamic_size(body, (TYPE, TENSOR_TYPE, SHAPE)))
    if number == OUTPUT:
        return _field(number, _without_shape(body, (TYPE, TENSOR_TYPE)))
    return b"" if number == VALUE_INFO else raw


def _with_dynamic_size(message: bytes, path: tuple[int, ...]) -> bytes:
    """Make the last two dimensions of the shape at ``path`` dynamic."""
    fields = list(_fields(message))
    if not path:
        kept = [raw for _, _, raw in fields]
        return b"".join([*kept[:-2], *[_field(DIM, b"")] * min(2, len(kept))])
    return b"".join(
        _field(number, _with_dynamic_size(body, path[1:])) if number == path[0] else raw
        for number, body, raw in fields
    )


def _without_shape(message: bytes, path: tuple[int, ...]) -> bytes:
    if not path:
        return b"".join(raw for number, _, raw in _fields(message) if number != SHAPE)
    return b"".join(
        _field(number, _without_shape(body, path[1:])) if number == path[0] else raw
        for number, body, raw in _fields(message)
    )


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
