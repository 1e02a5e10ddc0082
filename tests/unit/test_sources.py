"""Where the images of a run come from: folders, globs, manifests, object stores."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.batch.paths import path_from_text, path_to_text
from mien.batch.source import images_of
from mien.batch.storage import open_folder, opened, read
from mien.batch.table import write_table
from mien.batch.task import open_image
from mien.errors import ImageError, InvalidParameterError
from mien.results import table_columns

linux = pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names_of(source: object, skipped: dict[str, str] | None = None) -> list[str]:
    def on_skip(path: str, reason: str) -> None:
        if skipped is not None:
            skipped[os.path.relpath(path, str(source))] = reason

    return [os.path.relpath(path, str(source)) for path in images_of(str(source), on_skip)]


def names_in(manifest: Path) -> list[str]:
    return [Path(path).name for path in images_of(str(manifest))]


def test_non_image_files_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "c.heic", "a/d.avif", "scan.TIF", "notes", "x.cr2", "clip.mp4")
    touch(tmp_path, "._b.jpg", ".thumbnails/t.jpg", "@eaDir/b.jpg/small.jpg", ".hidden.png")
    skipped: dict[str, str] = {}
    assert names_of(tmp_path, skipped) == ["b.JPG", "c.heic", "a/d.avif"]
    assert skipped == {
        "scan.TIF": ".tif (TIFF)",
        "notes": "no suffix (not an image format)",
        "x.cr2": ".cr2 (camera raw)",
        "clip.mp4": ".mp4 (video)",
        "._b.jpg": "hidden or system",
        ".hidden.png": "hidden or system",
        ".thumbnails": "hidden or system",
        "@eaDir": "hidden or system",
    }


@pytest.mark.parametrize(
    "folder",
    [
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN"),
        *("System Volume Information", "__MACOSX", "lost+found", ".Trash-1000"),
    ],
)
def test_system_folders_are_skipped(tmp_path: Path, folder: str) -> None:
    touch(tmp_path, "a.jpg", f"{folder}/deep/b.jpg")
    assert names_of(tmp_path) == ["a.jpg"]
    assert list(images_of(f"{tmp_path}/**/*.jpg")) == [str(tmp_path / "a.jpg")]


def test_a_folder_that_cannot_be_entered_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    stat = Path.stat

    def refused(path: Path, **options: bool) -> os.stat_result:
        if path.name == "locked":
            raise PermissionError
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(InvalidParameterError, match="locked"):
        names_of(tmp_path)


@linux
def test_pipes_are_skipped_and_broken_links_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to("gone.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    skipped: dict[str, str] = {}
    assert names_of(tmp_path, skipped) == ["a.jpg", "broken.jpg", "loop.jpg"]
    expected = dict.fromkeys(["device.jpg", "pipe.jpg"], "pipe, socket or device")
    assert skipped == expected

    manifest = tmp_path / "list.txt"
    manifest.write_text("pipe.jpg\na.jpg\nbroken.jpg\ndevice.jpg\n.\n")
    skipped.clear()
    # A folder and a broken link are listed, so that their lines get an error in the results.
    found = list(images_of(str(manifest), skipped.__setitem__))
    assert found == [str(tmp_path / name) for name in ("a.jpg", "broken.jpg", ".")]
    assert {Path(path).name: reason for path, reason in skipped.items()} == expected


def test_a_source_may_be_hidden_itself(tmp_path: Path) -> None:
    touch(tmp_path, ".photos/a.jpg")
    assert names_of(tmp_path / ".photos") == ["a.jpg"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    touch(tmp_path, "photos/a/x.jpg", "other/deep/y.jpg")
    (source / "0-up").symlink_to(source, target_is_directory=True)
    (source / "1-inside").symlink_to(source / "a", target_is_directory=True)
    (source / "2-other").symlink_to(tmp_path / "other", target_is_directory=True)
    (source / "3-again").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "other" / "back").symlink_to(tmp_path, target_is_directory=True)
    skipped: dict[str, str] = {}
    assert sorted(names_of(source, skipped)) == ["2-other/deep/y.jpg", "a/x.jpg"]
    assert {"0-up", "1-inside", "3-again"} <= skipped.keys()
    assert set(skipped.values()) == {"linked, listed elsewhere"}


TEXTS = [
    ("list.csv", "path,label\na.jpg,1\n", "utf-8"),
    ("list.csv", "path;label\r\na.jpg;1\r\n", "utf-8"),
    ("list.csv", "label;Path\n1,5;a.jpg\n", "utf-8-sig"),
    ("list.csv", "path,label\na.jpg,1\n", "utf-16"),
    ("list.csv", '"URI "\n"a.jpg"\n\n', "utf-8"),
    ("list.tsv", "path\tlabel\na.jpg\t1\n", "utf-8"),
    ("list.txt", "a.jpg\r\n\r\n", "utf-16"),
    ("list.TXT", "a.jpg", "utf-8-sig"),
    ("list.txt", '"a.jpg"\r\n', "utf-8"),
    ("list.csv", "\r\n\r\npath,label\r\na.jpg,1\r\n", "utf-8-sig"),
    ("list.csv", "# from a camera, 2024\n #\npath,label\na.jpg,1\n", "utf-8"),
    ("list.csv", "sep=;\r\npath;label\r\na.jpg;1\r\n", "utf-16"),
    ("list.csv", "#,path\n1,a.jpg\n", "utf-8"),
    ("list.csv", 'label, path\n1, "a.jpg"\n', "utf-8"),
]


@pytest.mark.parametrize(("name", "text", "encoding"), TEXTS)
def test_manifests(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    (tmp_path / name).write_text(text, encoding=encoding, newline="")
    assert list(images_of(str(tmp_path / name))) == [str(tmp_path / "a.jpg")]


def test_names_that_begin_with_a_space_or_hash(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("label,path\n1, a.jpg\n2,#b.jpg\n")
    (tmp_path / "list.txt").write_text("# c.jpg\n")
    paths = [*images_of(str(tmp_path / "list.csv")), *images_of(str(tmp_path / "list.txt"))]
    assert [os.path.relpath(path, tmp_path) for path in paths] == [" a.jpg", "#b.jpg", "# c.jpg"]


def test_a_table_of_results_is_no_manifest(tmp_path: Path) -> None:
    columns = table_columns()
    write_table(tmp_path / "results.parquet", ".parquet", columns, [])
    write_table(tmp_path / "results.csv", ".csv", columns, [])
    for name in ("results.parquet", "results.csv"):
        with pytest.raises(InvalidParameterError):
            list(images_of(str(tmp_path / name)))
    # Any other table may list an image twice.
    (tmp_path / "list.csv").write_text("path,face\na.jpg,0\nb.jpg,0\na.jpg,1\n")
    assert names_in(tmp_path / "list.csv") == ["a.jpg", "b.jpg", "a.jpg"]


def test_a_big_endian_manifest(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xfe\xff" + "ä.jpg\n".encode("utf-16-be"))
    assert list(images_of(str(tmp_path / "list.txt"))) == [str(tmp_path / "ä.jpg")]


def test_a_parquet_manifest_with_an_upper_case_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2], "Path": ["a.jpg", None]}), tmp_path / "list.parquet")
    assert list(images_of(str(tmp_path / "list.parquet"))) == [str(tmp_path / "a.jpg")]


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("list.csv", b"name;size\na.jpg;1\n", "name, size"),
        ("list.csv", b"", "none"),
        ("list.csv", "path\na.jpg\n".encode("utf-16-le"), "UTF-16 with a byte order mark"),
        ("list.txt", "a.jpg\n".encode("utf-16-le"), "UTF-16 with a byte order mark"),
        ("list.txt", b"\n", "no image"),
        ("list.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_manifests_that_are_refused(tmp_path: Path, name: str, content: bytes, shown: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidParameterError) as error:
        list(images_of(str(tmp_path / name)))
    assert shown in error.value.message


@linux
def test_a_manifest_keeps_names_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.jpg\n")
    (path,) = images_of(str(tmp_path / "list.txt"))
    assert os.fsencode(path).endswith(b"/caf\xe9.jpg")


@linux
@given(st.binary(max_size=20))
def test_names_round_trip_as_text(name: bytes) -> None:
    text = path_to_text(os.fsdecode(name))
    text.encode("utf-8")
    assert os.fsencode(path_from_text(text)) == name


@linux
def test_names_as_text() -> None:
    for name, text in (
        (b"caf\xe9.jpg", r"caf\xe9.jpg"),
        ("café.jpg".encode(), "café.jpg"),
        (rb"a\b.jpg", r"a\b.jpg"),
        (rb"a\xe9.jpg", r"a\x5cxe9.jpg"),
        (b"a\r\nb.jpg", "a\\x0d\nb.jpg"),
    ):
        assert path_to_text(os.fsdecode(name)) == text


@pytest.mark.parametrize("address", ["https://example.org/a%20b.jpg", "HTTP://example.org/x"])
def test_web_addresses_are_shown_unchanged(address: str) -> None:
    content = open_image(address)
    assert isinstance(content, ImageError)
    assert (content.code, address in content.message) == ("unreadable_file", True)
    with pytest.raises(InvalidParameterError) as error:
        images_of(address)
    assert address in error.value.message


@pytest.mark.parametrize("place", ["memory://gone/x.jpg", "file:///", "odd://x/y.jpg"])
def test_unreachable_images(place: str) -> None:
    content = open_image(place)
    assert isinstance(content, ImageError)
    assert content.code == "unreadable_file"


def test_an_image_on_disk_is_read_later() -> None:
    assert open_image("gone.jpg") == Path("gone.jpg")


def test_names_with_special_characters(tmp_path: Path) -> None:
    (tmp_path / "a b%20#ü.jpg").write_bytes(b"x")
    assert list(images_of(f"local://{tmp_path}")) == [f"local://{tmp_path}/a b%20#ü.jpg"]
    assert read(f"local://{tmp_path}/a b%20#ü.jpg") == b"x"
    # File URIs are percent-encoded (RFC 8089).
    assert read(f"file://{tmp_path}/a%20b%2520#ü.jpg") == b"x"


def test_buckets_are_pyarrows_own() -> None:
    files, path = opened("gs://bucket/deep er/x.jpg")
    assert isinstance(files, pyarrow.fs.GcsFileSystem)
    assert path == "bucket/deep er/x.jpg"


def test_sources_in_a_store(tmp_path: Path) -> None:
    folder = open_folder(f"memory://{tmp_path}")
    folder.write("photos/deep/b.jpg", b"")
    folder.write("photos/a.PNG", b"")
    folder.write("photos/notes.md", b"")
    folder.write("photos/.trash/c.jpg", b"")
    folder.write("lists/list.csv", b"\xef\xbb\xbfuri,x\na.jpg,1\ns3://b/c.jpg,2\n")
    folder.write("lists/empty.txt", b"\n")
    photos = f"memory://{tmp_path}/photos"
    skipped: list[str] = []
    found = images_of(photos, lambda path, reason: skipped.append(reason))
    assert list(found) == [f"{photos}/a.PNG", f"{photos}/deep/b.jpg"]
    assert sorted(skipped) == [".md (not an image format)", "hidden or system"]
    assert list(images_of(f"memory://{tmp_path}/lists/list.csv")) == [
        f"memory://{tmp_path}/lists/a.jpg",
        "s3://b/c.jpg",
    ]
    for source in ("lists/empty.txt", "lists/gone.txt", "gone"):
        with pytest.raises(InvalidParameterError):
            list(images_of(f"memory://{tmp_path}/{source}"))


def test_a_store_that_can_not_be_listed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(_: str) -> Iterator[tuple[str, str]]:
        yield "memory://photos/a.jpg", "a.jpg"
        raise PermissionError

    open_folder(f"memory://{tmp_path}").write("photos/a.jpg", b"")
    monkeypatch.setattr("mien.batch.source.files_below", listed)
    with pytest.raises(InvalidParameterError):
        list(images_of(f"memory://{tmp_path}/photos"))
