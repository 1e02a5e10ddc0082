"""``mien models``: list, show and verify the included models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mien.artifacts import Card, card_names, load_card
from mien.cli.console import say
from mien.cli.parser import Parser
from mien.errors import ArtifactError

__all__ = ["run"]

_DEPTH = 2


def run(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: Arguments after ``mien models``.

    Returns:
        0, or 1 if a file of a model is missing or was altered.

    Raises:
        ArtifactError: There is no model of that name.
    """
    options = _parser().parse_args(arguments)
    if options.action == "show":
        for line in _lines(load_card(options.name)):
            print(line)
        return 0
    if options.action == "verify":
        return max(map(_verify, card_names()), default=0)
    for name in card_names():
        card = load_card(name)
        print(f"{card.name:<18} {card.task:<10} {card.description}")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="mien models",
        description="List, show and verify the included models.",
        epilog="Exit status: 0 success, 1 a file is missing or altered, 2 wrong usage.",
    )
    actions = parser.add_subparsers(dest="action", metavar="[list | show NAME | verify]")
    actions.add_parser("list", help="print a line for each model (default)")
    show = actions.add_parser("show", help="print the card of a model")
    show.add_argument("name", metavar="NAME", help="as mien models list prints it")
    actions.add_parser("verify", help="compare the SHA-256 of every file with its card")
    return parser


def _verify(name: str) -> int:
    try:
        load_card(name).verify()
    except ArtifactError as error:
        say(error.message)
        return 1
    print(f"{name}: intact")
    return 0


def _lines(card: Card) -> Iterator[str]:
    for key in ("name", "task", "description", "licence", "source"):
        yield f"{key}: {getattr(card, key)}"
    for key in ("files", "model", "measured"):
        if table := getattr(card, key):
            yield from _table(key, table, depth=0)


def _table(title: str, table: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Yield the lines of a table, without matrices and tables below ``_DEPTH``."""
    yield f"{'  ' * depth}{title}:"
    for key, value in table.items():
        if isinstance(value, Mapping):
            if depth < _DEPTH:
                yield from _table(key, value, depth + 1)
        elif not isinstance(value, list):
            yield f"{'  ' * depth}  {key}: {value}"
        elif not any(isinstance(item, list) for item in value):
            yield f"{'  ' * depth}  {key}: {', '.join(map(str, value))}"
