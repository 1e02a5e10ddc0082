"""Resume a run whose table is finished, to add new images.

``TABLE.run.json`` next to the table records the options of the run.
"""

import json
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from mien.batch.paths import path_from_text
from mien.batch.shards import Plan, RunFolder
from mien.batch.table import read_records
from mien.errors import InvalidParameterError
from mien.files import complete_file

__all__ = ["images_in", "import_table", "plan_of_table", "write_record"]

_SHARD_SIZE = 1000


def _record_of(table: Path) -> Path:
    """Return the path of a table's record."""
    return table.with_name(f"{table.name}.run.json")


def plan_of_table(table: Path) -> Plan:
    """Return the options and columns of a finished table, without its images.

    Raises:
        InvalidParameterError: They are not known.
    """
    try:
        read = json.loads(_record_of(table).read_bytes())
        return Plan(options=dict(read["options"]), columns=list(read["columns"]))
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise InvalidParameterError(
            f"{table}: no images can be added, since {_record_of(table).name} with its options is "
            "missing: choose another --out, or delete the table"
        ) from error


def images_in(table: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each image of a table: its path and its records."""
    number = 0

    def image_number(record: dict[str, Any]) -> int:
        nonlocal number
        # The faces after the first one belong to the same image.
        number += not record.get("face")
        return number

    for _, group in groupby(read_records(table), image_number):
        records = list(group)
        yield path_from_text(str(records[0]["path"])), records


def import_table(table: Path, plan: Plan, folder: RunFolder) -> Plan:
    """Turn a finished table back into a run, with finished shards."""
    images, shard, count = images_in(table), 0, 0
    while chunk := list(islice(images, _SHARD_SIZE)):
        folder.write_list(shard, [path for path, _ in chunk])
        records = [record for _, records in chunk for record in records]
        folder.write_shard(shard, plan.columns, records)
        shard, count = shard + 1, count + len(chunk)
    plan = Plan(plan.options, plan.columns, ((count, _SHARD_SIZE),))
    folder.write_plan(plan)
    return plan


def write_record(table: Path, plan: Plan) -> None:
    """Write the record of a table."""
    content = {"options": plan.options, "columns": plan.columns}
    with complete_file(_record_of(table)) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
