"""Free a graph of the picture size that its file declares.

Many exported networks would take pictures of any size, but declare the one that they were exported
with, and ONNX Runtime refuses all others. Only the declarations of inputs, outputs and values in
between are changed here, in the file's wire format, so that the product needs no ONNX library.
Source: onnx.proto of ONNX 1.0 and later, field numbers below; protobuf's encoding guide.
"""

from collections.abc import Iterator

from mien.errors import ArtifactError

__all__ = ["with_free_size"]

GRAPH = 7
INPUT, OUTPUT, VALUE_INFO = 11, 12, 13
# From a ValueInfoProto to its dimensions: type, tensor_type, shape, dim.
TYPE, TENSOR_TYPE, SHAPE, DIM = 2, 1, 2, 1
LENGTH_DELIMITED = 2
# Bytes of the wire types that say their own length.
FIXED = {1: 8, 5: 4}


def with_free_size(model: bytes) -> bytes:
    """Return the model with inputs (N, C, height, width) of free height and width.

    What outputs and values in between declare is left out: ONNX Runtime works it out.
    Raises ArtifactError if the bytes are no ONNX model.
    """
    try:
        return b"".join(
            _field(number, _graph(body)) if number == GRAPH else raw
            for number, body, raw in _fields(model)
        )
    except (IndexError, ValueError) as error:
        raise ArtifactError("the model file is not an ONNX graph") from error


def _graph(graph: bytes) -> bytes:
    return b"".join(_declaration(*field) for field in _fields(graph))


def _declaration(number: int, body: bytes, raw: bytes) -> bytes:
    if number == INPUT:
        return _field(number, _freed(body, (TYPE, TENSOR_TYPE, SHAPE)))
    if number == OUTPUT:
        return _field(number, _without_shape(body, (TYPE, TENSOR_TYPE)))
    return b"" if number == VALUE_INFO else raw


def _freed(message: bytes, path: tuple[int, ...]) -> bytes:
    """Return the message with the last two dimensions of the shape at ``path`` unknown."""
    fields = list(_fields(message))
    if not path:
        kept = [raw for _, _, raw in fields]
        return b"".join([*kept[:-2], *[_field(DIM, b"")] * min(2, len(kept))])
    return b"".join(
        _field(number, _freed(body, path[1:])) if number == path[0] else raw
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
    """Yield number, content and all bytes of each field. Raises ValueError or IndexError."""
    place = 0
    while place < len(message):
        start = place
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        begin = place
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == LENGTH_DELIMITED:
            length, begin = _varint(message, place)
            place = begin + length
        elif kind in FIXED:
            place += FIXED[kind]
        else:
            raise ValueError(f"unknown wire type {kind}")
        if place > len(message) or number == 0:
            raise ValueError("the message is cut off")
        yield number, message[begin:place], message[start:place]


def _field(number: int, body: bytes) -> bytes:
    return _as_varint(number << 3 | LENGTH_DELIMITED) + _as_varint(len(body)) + body


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return the number that begins at ``place``, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise ValueError("a number is too long")


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
