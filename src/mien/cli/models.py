"""``mien models``: what the models that come along are, and whether they are intact."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mien.artifacts import Card, card_names, load_card
from mien.cli.console import say
from mien.errors import ArtifactError

__all__ = ["run"]

_DEPTH = 2


def run(arguments: Sequence[str]) -> int:
    """Print what was asked for; 1 if a model is not intact. Raises ArtifactError for no model."""
    options = _parser().parse_args(arguments)
    if options.action == "show":
        for line in _lines(load_card(options.name)):
            print(line)
        return 0
    if options.action == "verify":
        return max(map(_verify, card_names()), default=0)
    for name in card_names():
        card = load_card(name)
        print(f"{card.name:<16} {card.task:<10} {card.description}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien models", description="The models that come along with mien."
    )
    actions = parser.add_subparsers(dest="action", metavar="list | show NAME | verify")
    actions.add_parser("list", help="one line per model; the default")
    show = actions.add_parser("show", help="all that is known of one model")
    show.add_argument("name", metavar="NAME")
    actions.add_parser("verify", help="compare every file with the SHA-256 on its card")
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
    """Yield the table's lines; matrices and what lies deeper are for the card's own readers."""
    yield f"{'  ' * depth}{title}:"
    for key, value in table.items():
        if isinstance(value, Mapping):
            if depth < _DEPTH:
                yield from _table(key, value, depth + 1)
        elif not isinstance(value, list):
            yield f"{'  ' * depth}  {key}: {value}"
        elif not any(isinstance(item, list) for item in value):
            yield f"{'  ' * depth}  {key}: {', '.join(map(str, value))}"
