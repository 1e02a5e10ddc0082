"""Every block of the documentation is run and its output compared."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from tools import code_blocks, generated_docs, pipeline_images
from tools.code_blocks import ROOT, Block, BlockError, Runner, blocks_of, differences

from mien.options import option_fields
from mien_train.parser import COMMANDS

README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with code_blocks.served(sys.executable) as address:
        yield address


def runner(folder: Path, address: str = "") -> Runner:
    return Runner(python=sys.executable, address=address, folder=folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documentation_blocks_produce_their_output(
    page: Path, address: str, tmp_path: Path
) -> None:
    blocks = blocks_of(page)
    wanted = sum(block.runs for block in blocks)
    assert runner(code_blocks.folder_for(tmp_path), address).run(blocks) == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_fenced(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```") % 2 == 0
    assert len(blocks_of(page)) == len(FENCED.findall(text))
    # Indented, a block has no language and would be run by nobody.
    assert not re.search(r"\n\n {4,}(?!- )\S", FENCED.sub("", text))


def test_every_page_is_linked() -> None:
    navigation = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    for page in DOCS.glob("*.md"):
        texts = [navigation, *(p.read_text(encoding="utf-8") for p in PAGES if p != page)]
        assert any(re.search(rf"\b{page.name}\b", text) for text in texts), page.name


def test_the_readme_starts_with_the_two_commands() -> None:
    assert re.findall(r"^\$ (make \w+)", README.read_text(), re.MULTILINE)[:2] == [
        "make serve",
        "make test",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:tests|docs|examples|tools|benchmarks|deploy)/[\w./-]+)", text):
        assert (ROOT / name.rstrip(".")).exists(), name


def block(text: str, language: str = "console", reason: str | None = None) -> Block:
    return Block(page=README, line=1, language=language, text=text, reason=reason)


@pytest.mark.parametrize(
    ("text", "language", "named"),
    [
        ("$ mien analyze photo.jpg\nphoto.jpg (512 x 512): 2 faces\n", "console", "2 faces"),
        ("$ mien analyze missing.jpg\n", "console", "missing.jpg"),
        ("$ mien serve --no-such-option\n", "console", "--no-such-option"),
        ("$ make no-such-target\n", "console", "no-such-target"),
        ("$ pip install 'mien[nothing]'\n", "console", "nothing"),
        ("$ rm -r photos\n", "console", "rm -r photos"),
        ("raise ValueError('so')\n", "python", "ValueError: so"),
    ],
)
def test_wrong_references_are_detected(
    text: str, language: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes((ROOT / "examples" / "astronaut.jpg").read_bytes())
    with pytest.raises(BlockError, match=rf"(?s)README.md:1: .*{named}"):
        runner(tmp_path).run([block(text, language)])


def test_printed_output_is_compared(tmp_path: Path) -> None:
    blocks = [block("print(1)", "python"), block("2", "output")]
    with pytest.raises(BlockError):
        runner(tmp_path).run(blocks)


def test_a_variable_before_a_command_sets_its_environment(tmp_path: Path) -> None:
    good = "$ MIEN_MAX_QUEUE=32 mien serve    # a comment\n"
    assert runner(tmp_path).run([block(good), block("never", reason="needs a moon")]) == 1
    with pytest.raises(BlockError, match="MIEN_MAX_QUEUE"):
        runner(tmp_path).run([block(good.replace("MAX_QUEUE", "QUEUE_MAX"))])


@pytest.mark.parametrize(
    "text",
    [
        "```\nno language\n```\n",
        "```json\n{\n```\n",
        "```toml\na = \n```\n",
        "```text\nmien analyze photo.jpg\n```\n",
        "<!-- not run: data -->\n```json\n{}\n```\n",
        "<!-- file: shown.py -->\n```python\nprint(2)\n```\n",
    ],
)
def test_blocks_without_a_known_language_are_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_blocks, "ROOT", tmp_path)
    (tmp_path / "shown.py").write_text("print(1)\n")
    (tmp_path / "page.md").write_text(f"# Page\n\n{text}")
    with pytest.raises(BlockError, match=r"page\.md:\d: "):
        blocks_of(tmp_path / "page.md")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("", "", True),
        ("a\n", "a", True),
        ("0.9993", "0.9999", True),
        ("0.99", "0.95", False),
        ("180", "181", False),
        ("a ... z", "a b\nc z", True),
        ("a ... z", "a b", False),
        ("{...}", "{}", True),
        ("1.5", "1.5.5", False),
        ("a   b", "a    b", False),
    ],
)
def test_differences(shown: str, printed: str, same: bool) -> None:
    assert (differences(shown, printed) is None) is same


def test_a_service_that_fails_to_start_is_reported() -> None:
    with pytest.raises(BlockError), code_blocks.served("false"):
        pass


def test_images_match_the_output_of_the_command(tmp_path: Path) -> None:
    drawn = pipeline_images.draw(ROOT / "examples" / "astronaut.jpg", tmp_path)
    kept = sorted((DOCS / "images" / "pipeline").iterdir())
    assert [path.name for path in kept] == [path.name for path in drawn]
    for ours, theirs in zip(kept, drawn, strict=True):
        with Image.open(ours) as one, Image.open(theirs) as other:
            assert one.size == other.size
            # Other processors round differently.
            pixels = [np.asarray(picture.convert("RGB"), dtype=float) for picture in (one, other)]
            assert np.abs(pixels[0] - pixels[1]).mean() < 2


def test_references_are_complete() -> None:
    page = generated_docs.on_page_markdown(
        "".join(f"<!-- made: {name} -->\n\n" for name in generated_docs.REFERENCES)
    )
    for expected in ("## POST /emotion", "<code>min_face_size</code>", 'href="#queue_full"'):
        assert expected in page
    for option in option_fields():
        assert f"| `{option.name}` |" in page
    listed = {*re.findall(r"usage: (mien(?:-train)? \w+)", page)}
    assert listed >= {f"mien-train {command}" for command in COMMANDS}
    for file in (ROOT / "src/mien/cli").glob("*.py"):
        if "\ndef run(" in file.read_text(encoding="utf-8"):
            assert f"mien {file.stem}" in listed
    links = set(re.findall('href="#([^"]+)"', page))
    assert links <= {*re.findall('id="([^"]+)"', page), *re.findall(r"\{ #(\S+) \}", page)}
    with pytest.raises(KeyError):
        generated_docs.on_page_markdown("<!-- made: nothing -->")


@pytest.mark.parametrize(
    ("text", "meta"), [("# A\n", {}), ("# A\n<!-- wide -->\n", {"hide": ["toc"]})]
)
def test_a_wide_page_has_no_table_of_contents(text: str, meta: object) -> None:
    page = SimpleNamespace(meta={})
    assert generated_docs.on_page_markdown(text, page=page) == text
    assert page.meta == meta
