"""Made-up faces: two kinds that a network tells apart in a few steps, in FER2013's columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mien_train.data.fer2013 import FERPLUS_COLUMNS

HAPPY, SAD = 3, 4
COUNTS = {"Training": 48, "PublicTest": 16, "PrivateTest": 8}


def made_up_face(happy: bool, random: np.random.Generator) -> NDArray[np.uint8]:
    """A bright oval with a mouth that turns up or down, at a slightly random place."""
    y, x = np.mgrid[:48, :48].astype(float)
    shift = random.normal(0, 1.5, 2)
    cx, cy = 24 + shift[0], 24 + shift[1]
    face = 70 + 110 * (((x - cx) / 17) ** 2 + ((y - cy) / 21) ** 2 < 1)
    for eye in (-7, 7):
        face[np.hypot(x - cx - eye, y - cy + 6) < 2.5] = 20
    bend = ((x - cx) / 9) ** 2 * 5
    mouth = np.abs(y - (cy + 12 - bend if happy else cy + 7 + bend)) < 1.6
    face[mouth & (np.abs(x - cx) < 9)] = 20
    return np.clip(face + random.normal(0, 6, face.shape), 0, 255).astype(np.uint8)


def write_rows(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are too small for more, and threads that wait for each other only lose."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def fer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``fer2013.csv`` and ``fer2013new.csv`` of made-up faces."""
    folder = tmp_path_factory.mktemp("fer")
    random = np.random.default_rng(7)
    faces: list[list[object]] = []
    votes: list[list[object]] = []
    for usage, count in COUNTS.items():
        for index in range(count):
            happy = index % 2 == 0
            pixels = " ".join(map(str, made_up_face(happy, random).ravel()))
            faces.append([HAPPY if happy else SAD, pixels, usage])
            row = dict.fromkeys([*FERPLUS_COLUMNS, "unknown", "NF"], 0)
            row["happiness" if happy else "sadness"] = 8
            row["neutral"] = 2
            votes.append([usage, f"fer{len(faces):07}.png", *row.values()])
    write_rows(folder / "fer2013.csv", ["emotion", "pixels", "Usage"], faces)
    columns = ["Usage", "Image name", *FERPLUS_COLUMNS, "unknown", "NF"]
    write_rows(folder / "fer2013new.csv", columns, votes)
    return folder


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains in half a minute.

    With fewer steps, the accuracy depends on the processor's rounding: BatchNorm's running
    statistics, with a momentum of 0.01, follow the weights too slowly.
    """
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(
        """
        backbone = "efficientnet-lite0"
        batch = 8
        ema = 0.9
        drop_path = 0.0
        label_smoothing = 0.0
        [[phases]]
        size_px = 48
        epochs = 30
        rate = 2e-3
        [[phases]]
        size_px = 64
        epochs = 30
        rate = 2e-3
        [augmentation]
        mixup = 0.1
        blur_rate = 0.2
        """
    )
    return path
