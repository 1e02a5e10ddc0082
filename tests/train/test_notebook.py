"""The notebook's cells, one after the other, on made-up faces with a tiny recipe."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "fer2013_vgg19.ipynb"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_every_cell_runs(
    fer_folder: Path, recipe_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.toml"
    own = 'ferplus_weight = 0.0\nsplit = "reference"\n'
    recipe.write_text(own + recipe_file.read_text().replace("epochs = 30", "epochs = 1"))
    given = {"DATA": fer_folder, "RECIPE": str(recipe), "OUT": tmp_path / "run"}
    names: dict[str, Any] = {}
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"], "stored without outputs"
        exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names.update(given)
    assert names["metrics"].labels[0] == "angry"
    assert isinstance(names["sheet"](names["train"].faces[:3]), Image.Image)
    out = capsys.readouterr().out
    assert "validation" in out
    assert "is classified as" in out
