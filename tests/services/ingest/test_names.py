"""Storage keys and public names, which never collide with those of outputs."""

import pytest

from services.ingest import names

MEDIA = "med_01h455vb4pex5vsknk084sn02q"
FILE = "file_01h455vb4pex5vsknk084sn02r"


def test_the_default_filename_is_the_id_with_the_usual_extension() -> None:
    assert names.default_filename(FILE, "jpeg") == f"{FILE}.jpg"
    assert names.default_filename(FILE, "mp4") == f"{FILE}.mp4"


def test_the_default_folder_is_media() -> None:
    assert names.original_path(None, "clip.mp4") == "media/clip.mp4"
    assert names.original_path("a/b", "clip") == "a/b/clip"


def test_a_derived_path_has_the_folder_the_label_and_the_extension_of_the_output() -> None:
    assert names.derived_path(None, MEDIA, "poster", f"{MEDIA}/poster.jpg") == f"media/{MEDIA}/poster.jpg"
    assert names.derived_path("a/b", MEDIA, "small", "x.webp") == f"a/b/{MEDIA}/small.webp"


def test_a_storage_key_consists_of_ids_and_the_attempt() -> None:
    assert names.storage_key("prj_1", MEDIA, FILE, "jpeg", 2) == f"prj_1/media/{MEDIA}/{FILE}-2.jpg"


@pytest.mark.parametrize(
    ("folder", "taken"),
    [
        ("your/folder/path", None),
        ("med_abcdefgh1234", None),
        (f"media/{MEDIA}", MEDIA),
        ("job_01h455vb4pex5vsknk084sn02q/x", "job_01h455vb4pex5vsknk084sn02q"),
    ],
)
def test_folders_must_not_hold_ids_that_name_outputs(folder: str, taken: str | None) -> None:
    assert names.reserved_part(folder) == taken
