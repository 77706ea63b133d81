"""What the index keeps of a data set, read from its raw bytes."""

from __future__ import annotations

import math
from struct import Struct
from typing import TYPE_CHECKING, Final

from db.charset import decode_text, encodings_of
from db.elements import RawValue, read_elements
from db.errors import IdentityError, MalformedDatasetError
from db.identity import check_uid
from db.person_name import trim_name
from db.records import InstanceRecord, PatientRecord, SeriesRecord, StudyRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from db.elements import Elements

MAX_TEXT: Final = 1024
"""How many characters of a value are kept: sixteen times what its VR allows."""

_SPECIFIC_CHARACTER_SET = 0x00080005
_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)

_PATIENT_TEXT = {
    "patient_id": 0x00100020,
    "issuer_of_patient_id": 0x00100021,
    "patient_sex": 0x00100040,
}
_STUDY_TEXT = {
    "accession_number": 0x00080050,
    "study_id": 0x00200010,
    "study_description": 0x00081030,
}
_SERIES_TEXT = {
    "modality": 0x00080060,
    "series_description": 0x0008103E,
    "body_part_examined": 0x00180015,
    "protocol_name": 0x00181030,
    "manufacturer": 0x00080070,
    "station_name": 0x00081010,
}
_PATIENT_NAME = 0x00100010
_PATIENT_BIRTH_DATE = 0x00100030
_REFERRING_PHYSICIAN_NAME = 0x00080090
_STUDY_DATE = 0x00080020
_STUDY_TIME = 0x00080030
_SERIES_DATE = 0x00080021
_SERIES_TIME = 0x00080031
_CONTENT_DATE = 0x00080023
_CONTENT_TIME = 0x00080033
_SERIES_NUMBER = 0x00200011
_INSTANCE_NUMBER = 0x00200013
_NUMBER_OF_FRAMES = 0x00280008
_ROWS = 0x00280010
_COLUMNS = 0x00280011
_BITS_ALLOCATED = 0x00280100
_POSITION = 0x00200032
_ORIENTATION = 0x00200037
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E

_SERIES_RELATED_INSTANCES = 0x00201209
_IMAGES_IN_ACQUISITION = 0x00201002
_TEMPORAL_POSITIONS = 0x00200105
_SERIES_TYPE = 0x00541000
_SLICES = 0x00540081
_TIME_SLICES = 0x00540101
_RR_INTERVALS = 0x00540061
_TIME_SLOTS = 0x00540071

# PS3.3 C.8.9.4.1.9: of how many factors the number of images of a PET series is made.
_PET_FACTORS = {
    "STATIC": (_SLICES,),
    "WHOLE BODY": (_SLICES,),
    "DYNAMIC": (_SLICES, _TIME_SLICES),
    "GATED": (_SLICES, _RR_INTERVALS, _TIME_SLOTS),
}

_WANTED: Final = frozenset(
    {
        _SPECIFIC_CHARACTER_SET,
        *_PIXEL_DATA,
        *_PATIENT_TEXT.values(),
        *_STUDY_TEXT.values(),
        *_SERIES_TEXT.values(),
        *(_PATIENT_NAME, _PATIENT_BIRTH_DATE, _REFERRING_PHYSICIAN_NAME),
        *(_STUDY_DATE, _STUDY_TIME, _SERIES_DATE, _SERIES_TIME, _CONTENT_DATE, _CONTENT_TIME),
        *(_SERIES_NUMBER, _INSTANCE_NUMBER, _NUMBER_OF_FRAMES, _ROWS, _COLUMNS, _BITS_ALLOCATED),
        *(_POSITION, _ORIENTATION),
        *(_SOP_CLASS_UID, _SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID),
        *(_SERIES_RELATED_INSTANCES, _IMAGES_IN_ACQUISITION, _TEMPORAL_POSITIONS, _SERIES_TYPE),
        *(_SLICES, _TIME_SLICES, _RR_INTERVALS, _TIME_SLOTS),
    }
)


def describe(dataset: bytes | memoryview, transfer_syntax_uid: str) -> InstanceRecord:
    """Return what the index keeps of one data set, after checking the whole of it.

    Text is decoded by the data set's Specific Character Set, and what cannot be decoded is replaced. Several
    values stay joined by backslashes. Numbers that are none become None. The old forms of dates and times
    (``1997.04.24``, ``10:30:00``) become today's, so that they sort.

    Parameters
    ----------
    dataset
        The data set as it was sent, without file meta information. Its pixels are not copied.
    transfer_syntax_uid
        How it is encoded.

    Raises
    ------
    MalformedDatasetError
        If the bytes are not a well-formed data set (`db.elements.read_elements`), or one of the Study, Series
        and SOP Instance UIDs or the SOP Class UID is missing or no UID. The message carries no values.
    """
    values = _Values(read_elements(dataset, transfer_syntax_uid, _WANTED))
    return InstanceRecord(
        sop_instance_uid=values.uid(_SOP_INSTANCE_UID, "SOP Instance UID"),
        sop_class_uid=values.uid(_SOP_CLASS_UID, "SOP Class UID"),
        transfer_syntax_uid=transfer_syntax_uid,
        patient=_patient(values),
        study=_study(values),
        series=_series(values),
        instance_number=values.integer(_INSTANCE_NUMBER),
        content_date=values.date(_CONTENT_DATE),
        content_time=values.time(_CONTENT_TIME),
        rows=values.unsigned(_ROWS),
        columns=values.unsigned(_COLUMNS),
        bits_allocated=values.unsigned(_BITS_ALLOCATED),
        number_of_frames=values.integer(_NUMBER_OF_FRAMES),
        position_lps=_position(values),
        orientation_lps=_orientation(values),
        expected_count=_expected_count(values),
        has_pixel_data=any(values.raw(tag) for tag in _PIXEL_DATA),
    )


class _Values:
    """The values of a header, as Python has them; what is absent is empty or None."""

    def __init__(self, elements: Elements) -> None:
        self._values = elements.values
        self._unsigned = Struct("<H" if elements.little_endian else ">H")
        self._encodings = encodings_of(self._plain(_SPECIFIC_CHARACTER_SET))

    def raw(self, tag: int) -> bytes:
        element = self._values.get(tag)
        return b"" if element is None else element.value

    def text(self, tag: int) -> str:
        raw = self.raw(tag)
        return _trimmed(decode_text(raw, self._encodings)) if raw else ""

    def name(self, tag: int) -> str:
        return trim_name(self.text(tag))

    def date(self, tag: int) -> str:
        text = self._plain(tag)
        return text.replace(".", "") if len(text) == 10 else text

    def time(self, tag: int) -> str:
        return self._plain(tag).replace(":", "")

    def uid(self, tag: int, name: str) -> str:
        try:
            return check_uid(self._plain(tag), name)
        except IdentityError as error:
            raise MalformedDatasetError(str(error)) from error

    def integer(self, tag: int) -> int | None:
        return _integer(self._plain(tag))

    def numbers(self, tag: int, count: int) -> list[float] | None:
        numbers = [_finite(part) for part in self._plain(tag).split("\\")]
        if len(numbers) != count or None in numbers:
            return None
        return [number for number in numbers if number is not None]

    def unsigned(self, tag: int) -> int | None:
        """Return the first value of an element of VR US; senders who wrote it as text are understood."""
        element = self._values.get(tag, RawValue(None, b""))
        if element.vr in {b"IS", b"DS", b"LO", b"SH"}:
            return self.integer(tag)
        if len(element.value) < 2:
            return None
        return int(self._unsigned.unpack_from(element.value)[0])

    def _plain(self, tag: int) -> str:
        """Return a value of a VR that Specific Character Set does not touch."""
        return _trimmed(self.raw(tag).decode("latin-1"))


def _patient(values: _Values) -> PatientRecord:
    return PatientRecord(
        **_texts(values, _PATIENT_TEXT),
        patient_name=values.name(_PATIENT_NAME),
        patient_birth_date=values.date(_PATIENT_BIRTH_DATE),
    )


def _study(values: _Values) -> StudyRecord:
    return StudyRecord(
        **_texts(values, _STUDY_TEXT),
        study_instance_uid=values.uid(_STUDY_INSTANCE_UID, "Study Instance UID"),
        study_date=values.date(_STUDY_DATE),
        study_time=values.time(_STUDY_TIME),
        referring_physician_name=values.name(_REFERRING_PHYSICIAN_NAME),
    )


def _series(values: _Values) -> SeriesRecord:
    return SeriesRecord(
        series_instance_uid=values.uid(_SERIES_INSTANCE_UID, "Series Instance UID"),
        series_number=values.integer(_SERIES_NUMBER),
        series_date=values.date(_SERIES_DATE),
        series_time=values.time(_SERIES_TIME),
        **_texts(values, _SERIES_TEXT),
    )


def _texts(values: _Values, tags: dict[str, int]) -> dict[str, str]:
    return {name: values.text(tag) for name, tag in tags.items()}


def _position(values: _Values) -> tuple[float, float, float] | None:
    numbers = values.numbers(_POSITION, 3)
    return None if numbers is None else (numbers[0], numbers[1], numbers[2])


def _orientation(values: _Values) -> tuple[float, float, float, float, float, float] | None:
    numbers = values.numbers(_ORIENTATION, 6)
    if numbers is None:
        return None
    return (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5])


def _expected_count(values: _Values) -> int | None:
    """Return how many instances the series has by its own header, or None where no attribute says so reliably.

    In this order:

    - Number of Series Related Instances (0020,1209), which some archives write into what they send;
    - for PET the factors that make up Image Index: slices, and for dynamic series time slices, for gated ones
      R-R intervals and time slots. Static series may carry a number of time slices that means something else;
    - Images in Acquisition (0020,1002), unless there are several temporal positions: some vendors count one
      position, others all.

    Not used: the count of a concatenation (a series may hold several), Number of Slices outside of PET (in NM
    it counts frames), and anything in an instance of several frames.

    Source
    ------
    PS3.3 C.7.6.1 (Images in Acquisition), C.8.9.4.1.9 (PET Image Index).
    """
    if (values.integer(_NUMBER_OF_FRAMES) or 1) > 1:
        return None
    related = _positive(values.integer(_SERIES_RELATED_INSTANCES))
    if related is not None:
        return related
    if values.text(_SERIES_TEXT["modality"]) == "PT":
        kind = values.text(_SERIES_TYPE).partition("\\")[0]
        return _product(values.unsigned(tag) for tag in _PET_FACTORS.get(kind, ()))
    if (values.integer(_TEMPORAL_POSITIONS) or 1) > 1:
        return None
    return _positive(values.integer(_IMAGES_IN_ACQUISITION))


def _product(factors: Iterable[int | None]) -> int | None:
    known = [factor or 0 for factor in factors]
    return _positive(math.prod(known)) if known else None


def _positive(number: int | None) -> int | None:
    """Return a count that a series can have."""
    return number if number is not None and 0 < number < 1_000_000 else None


def _trimmed(text: str) -> str:
    """Return `text` without padding, value by value; NULs mean nothing anywhere."""
    text = text[:MAX_TEXT].replace("\0", "")
    if "\\" not in text:
        return text.strip(" ")
    return "\\".join(part.strip(" ") for part in text.split("\\"))


def _integer(text: str) -> int | None:
    """Return an Integer String's number; ``4.0`` is understood, what an index cannot hold is not."""
    value = _finite(text)
    if value is None or value != math.floor(value):
        return None
    number = int(value)
    return number if -(2**31) <= number < 2**31 else None


def _finite(text: str) -> float | None:
    try:
        number = float(text.replace("_", "x"))  # Python reads 1_000, DICOM does not
    except ValueError:
        return None
    return number if math.isfinite(number) else None
