"""A planted patient goes through everything, and is then searched for in every byte that leaves."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from db.records import JobState
from processing.pseudonyms import Pseudonyms
from processing.technical_text import RULES
from tests.end_to_end.test_bad_input import send_as_they_are
from tests.end_to_end.test_whole_way import write
from tests.planted_patient import (
    DATES,
    FAMILY_NAME,
    GIVEN_NAME,
    PATIENT_ID,
    Planted,
    plant_aside,
    plant_deeply,
    table_tags,
    text_tags,
    vr_of,
)
from tests.series_factory import CANARY_ID, CANARY_NAME, SeriesGeometry, ct_series, mr_series, set_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pydicom

    from db.records import LedgerEntry
    from tests.end_to_end.running_node import RunningNode

pytestmark = pytest.mark.witness

ALL_EXPORTS = """
[[routes]]
name = "all"
processors = ["nifti", "png", "dicom"]
"""
FREE_TEXT = "Kanariengelb flattert am Fenster"
PLANTED = [
    *CANARY_NAME.split("^"),
    CANARY_ID,
    "19550505",
    "1955-05-05",
    "20240229",
    "2024-02-29",
    FREE_TEXT,
    "Kanariengelb",
    "ZKA0001",
    "Verwijzer",
    "Dorothea",
]


def test_planted_patient_is_in_no_byte_that_leaves(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """No name, ID, date or free text is in any export, log, file name, or in the answer to a bad request."""
    node = start_node(ALL_EXPORTS)
    datasets = ct_series(SeriesGeometry(slices=4))
    for dataset in datasets:
        dataset.PatientComments = dataset.ImageComments = dataset.StudyDescription = FREE_TEXT
        dataset.InstitutionName = dataset.PerformingPhysicianName = FREE_TEXT
        block = dataset.private_block(0x0029, CANARY_ID, create=True)
        block.add_new(0x01, "LO", FREE_TEXT)
    paths = write(tmp_path / "in", datasets)
    node.storescu(paths)
    node.await_quiet(1)
    node.run("findscu", ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"PatientName={CANARY_NAME}"])
    node.run(
        "findscu", ["-S", "-k", "QueryRetrieveLevel=NONSENSE", "-k", f"PatientID={CANARY_ID}"], check=False
    )
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(paths[0].read_bytes()[:-100])
    node.storescu([broken], check=False)
    assert node.stop() == 0

    uids = [
        str(dataset[keyword].value)
        for dataset in datasets
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID")
    ]
    exports = node.settings.export_folder
    assert len(list(exports.rglob("*.dcm"))) == 4
    assert list(exports.rglob("*.nii.gz"))
    for name, content in leaving_bytes(node):
        for planted in [*PLANTED, *([] if name == "log" else uids)]:
            for spelled in (planted.encode(), planted.encode("utf-16-le")):
                assert spelled not in content, f"{planted} is in {name}"


def leaving_bytes(node: RunningNode) -> Iterator[tuple[str, bytes]]:
    """Yield every export (compressed ones unpacked), every path, and the log."""
    for folder, _, files in os.walk(node.settings.export_folder):
        for file in files:
            path = Path(folder, file)
            yield "a path", str(path).encode()
            content = path.read_bytes()
            yield path.suffix, gzip.decompress(content) if path.suffix == ".gz" else content
    for path in node.settings.data_folder.rglob("*"):
        yield "a file name in the store", path.name.encode()
    yield "log", node.log.read_bytes()


# -- the patient in everything that can carry her ---------------------------------------------------------------------

KEY = bytes(range(32))
NAMES = {
    "ISO_IR 192": "Zwärtkijkerová^Øttoline=黄野^鳥子",
    "ISO_IR 100": "Zwärtkijker^Öttoliné",
    "ISO 2022 IR 87": "Kiiro^Toriko=黄野^鳥子=きいの^とりこ",
}
"""By character set; the Japanese one is by escape sequences."""
ENCODINGS = ("utf-8", "latin-1", "iso2022_jp", "shift_jis", "euc_jp", "utf-16-le", "utf-16-be")
PLANTED_WORD = re.compile(rb"zq[a-z]{4,}")
TIME_OF_DAY = "131415.926535"
"""Dates that are moved by whole days keep it: that is what the option 113107 is for."""
HELD_VALUE = 4711


def series_of_the_planted() -> dict[str, list[Planted]]:
    """A CT and an MR series with her in each text attribute, each of the table, at four depths, and beside them."""
    geometry = SeriesGeometry(slices=4)
    made = {
        "ct": [Planted(dataset=dataset) for dataset in ct_series(geometry, name="planted ct")],
        "mr": [Planted(dataset=dataset) for dataset in mr_series(geometry, name="planted mr")],
    }
    tags = sorted({*table_tags(), *text_tags()})
    for planted in (*made["ct"], *made["mr"]):
        plant_deeply(tags, planted)
        plant_aside(planted)
    return made


def series_in_character_sets() -> list[pydicom.Dataset]:
    """A CT series whose names are in other character sets, repeated in free and in technical text, with dates in both."""
    datasets = ct_series(SeriesGeometry(slices=len(DATES)), name="character sets")
    for dataset, date, (character_set, name) in zip(datasets, DATES, cycle(NAMES.items()), strict=False):
        japanese = character_set.startswith("ISO 2022")
        dataset.SpecificCharacterSet = ["", character_set] if japanese else character_set
        dataset.PatientName = dataset.OperatorsName = name
        dataset.PatientID, dataset.PatientBirthDate = PATIENT_ID, DATES[0]
        dataset.StudyDescription = dataset.SeriesDescription = f"{name.split('=')[0]} {date}"
        dataset.ImageComments = dataset.DerivationDescription = f"{FREE_TEXT}: {name}, {date}"
        dataset.AcquisitionNumber = int(DATES[0])
        for tag in RULES:
            dataset.add_new(tag, vr_of(tag), date)
        dataset.ManufacturerModelName = name.split("=")[-1]
        dataset.SequenceName = FREE_TEXT.split(maxsplit=1)[0]
    return datasets


def test_patient_planted_everywhere_leaves_nowhere(tmp_path, start_node: Callable[..., RunningNode]) -> None:
    """In each text attribute, nested, private, beside the data set, in three character sets: she is in nothing that leaves."""
    key_file = tmp_path / "deidentify.key"
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    node = start_node(f'{ALL_EXPORTS}[deidentify]\nkey_file = "{key_file}"\n')
    planted, others = series_of_the_planted(), series_in_character_sets()
    held = planted["ct"][-1].dataset
    held.BurnedInAnnotation = "YES"
    set_pixels(held, np.full((6, 8), HELD_VALUE, dtype=np.int16))
    for modality, instances in planted.items():
        (tmp_path / modality).mkdir()
        for number, instance in enumerate(instances):
            (tmp_path / modality / f"{number}.dcm").write_bytes(instance.encode())
    sent = [*sorted((tmp_path / "ct").iterdir()), *write(tmp_path / "others", others)]
    assert set(send_as_they_are(node, sent, ExplicitVRLittleEndian)) == {0}
    # Beside the network, for what an association does not carry: preamble and file meta information.
    assert f'"stored": {len(planted["mr"])}' in command(node, "import", str(tmp_path / "mr"))
    entries = node.await_quiet(3)
    told = command(node, "jobs")
    assert node.stop() == 0

    assert_everything_was_made(node, entries)
    instances = [*planted["ct"], *planted["mr"]]
    words, uids = planted_words(instances), own_uids([*(each.dataset for each in instances), *others])
    originals = b"\n".join(path.read_bytes() for path in tmp_path.glob("*/*.dcm"))
    assert words | uids <= left_in(originals, words | uids), (
        "a search that misses what was sent proves nothing"
    )
    exports = b"\n".join(content for name, content in leaving_bytes(node) if name != "log")
    assert left_in(exports, words | uids) == set()
    assert left_in(node.log.read_bytes() + told.encode(), words) == set()
    assert_left_out(node, entries, held)


def planted_words(instances: Iterable[Planted]) -> set[str]:
    """Every word that must not be found, but for UIDs of the instances: operators need those, outside of exports."""
    words = {token for instance in instances for token in instance.tokens} - {TIME_OF_DAY}
    words |= {FAMILY_NAME, GIVEN_NAME, PATIENT_ID, FREE_TEXT, *FREE_TEXT.split()[:2], *DATES}
    return words | {part for name in NAMES.values() for part in re.split("[=^]", name)}


def own_uids(datasets: Iterable[pydicom.Dataset]) -> set[str]:
    """Every UID that names an instance, what it belongs to, or where it lies."""
    keywords = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    return {str(dataset[keyword].value) for dataset in datasets for keyword in keywords}


def command(node: RunningNode, *arguments: str) -> str:
    """Run one of our own commands beside the node and return what it printed as JSON."""
    line = [sys.executable, "-m", "darkroom", *arguments, "--json", "--config", str(node.config)]
    answer = subprocess.run(line, capture_output=True, text=True, check=True)
    json.loads(answer.stdout)
    return answer.stdout + answer.stderr


def assert_everything_was_made(node: RunningNode, entries: list[LedgerEntry]) -> None:
    """Every series became a volume, pictures and copies: a search of nothing would find nothing."""
    for entry in entries:
        assert {job.state for job in entry.jobs} == {JobState.DONE}, [job.error for job in entry.jobs]
        kinds = {output.kind for job in entry.jobs for output in job.outputs}
        assert kinds == {"nifti", "sidecar", "png", "dicom"}, [job.findings for job in entry.jobs]
    copies = [
        output for entry in entries for job in entry.jobs for output in job.outputs if output.kind == "dicom"
    ]
    assert len(copies) == sum(entry.instance_count for entry in entries) - 1
    assert len(copies) == len(list(node.settings.export_folder.rglob("*.dcm")))


def left_in(content: bytes, words: set[str]) -> set[str]:
    """Return what of `words` the bytes hold: in any case, in any of the encodings; figures as a number of their own."""
    # Without NULs, text in UTF-16 is found as ASCII.
    folded = content.replace(b"\0", b"").lower()
    found = {match.decode().upper() for match in PLANTED_WORD.findall(folded)}
    for word in words - {word for word in words if PLANTED_WORD.fullmatch(word.lower().encode())}:
        if word.isascii() and word.isdigit() and len(word) < 8:
            # As part of a UID of forty figures it is chance.
            found |= {word} if re.search(rb"(?<!\d)%s(?!\d)" % word.encode(), folded) else set()
        elif word.isascii():
            found |= {word} if word.lower().encode() in folded else set()
        else:
            found |= {word for encoding in ENCODINGS if _encoded(word, encoding) in content}
    return found


def _encoded(word: str, encoding: str) -> bytes:
    """Return a word's bytes without escape sequences; what the encoding has no letters for is found as nothing."""
    try:
        text = word.encode(encoding)
    except UnicodeEncodeError:
        return word.encode()
    return re.sub(rb"\x1b[$(].", b"", text)


def assert_left_out(node: RunningNode, entries: list[LedgerEntry], held: pydicom.Dataset) -> None:
    """The held instance is named by each job of its series, and is in no output under any UID."""
    (entry,) = (entry for entry in entries if entry.series_instance_uid == held.SeriesInstanceUID)
    for job in entry.jobs:
        assert [held.SOPInstanceUID] == [
            uid
            for finding in job.findings
            if finding.code == "burned-in-annotation"
            for uid in finding.sop_instance_uids
        ]
        assert held.SOPInstanceUID not in {uid for output in job.outputs for uid, _ in output.inputs}
    new_uid = Pseudonyms(KEY).uid(held.SOPInstanceUID).encode()
    for name, content in leaving_bytes(node):
        assert new_uid not in content, name
        assert held.PixelData[:8] not in content, name
