"""Attributes of a data set as plain Python values: pydicom's conversions and their errors end here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from pydicom.config import disable_value_validation
from pydicom.tag import BaseTag, Tag

from processing.errors import HeaderError

if TYPE_CHECKING:
    import pydicom

_CONVERSION_ERRORS = (ValueError, TypeError, OverflowError, NotImplementedError, EOFError)
_SINGLE_COIL = re.compile(
    r"[A-Za-z]+\d+"
)  # "H12" names one element; "HEA;HEP", "H1-4" and "C:A32" name arrays

Plain = str | int | float | tuple[str | int | float, ...]


@cache
def _tag(keyword: str) -> BaseTag:
    return Tag(keyword)


@contextmanager
def quiet_values() -> Iterator[None]:
    """Keep pydicom from warning about odd values: the texts of its warnings quote them."""
    with disable_value_validation():
        yield


class AttributeReader:
    """Reads attributes of one data set by keyword.

    Methods named ``..._or_none`` take a malformed value for an absent one; the others raise `HeaderError`.
    """

    def __init__(self, dataset: pydicom.Dataset) -> None:
        self.dataset = dataset

    def _value(self, keyword: str) -> Any:
        tag = _tag(keyword)
        if tag not in self.dataset:
            return None
        try:
            value = self.dataset[tag].value
        except _CONVERSION_ERRORS as error:
            raise _malformed(keyword) from error
        return None if value is None or value == "" else value

    def transfer_syntax_uid(self) -> str:
        """Return the Transfer Syntax UID of the file meta information, or empty."""
        meta = getattr(self.dataset, "file_meta", None)
        return "" if meta is None else str(meta.get("TransferSyntaxUID", "")).strip(" \0")

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values as text without padding; empty if absent or malformed."""
        try:
            value = self._value(keyword)
        except HeaderError:
            return ()
        if value is None:
            return ()
        values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        return tuple(str(item).strip(" \0") for item in values)

    def text(self, keyword: str) -> str:
        """Return the first value as text without padding; empty if absent or malformed."""
        values = self.texts(keyword)
        return values[0] if values else ""

    def numbers(self, keyword: str, *, count: int | None = None) -> tuple[float, ...] | None:
        """Return the values as finite numbers, or None if absent.

        Raises
        ------
        HeaderError
            If one is no finite number, or there are not `count` of them.
        """
        value = self._value(keyword)
        if value is None:
            return None
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        if not len(values):
            return None
        try:
            numbers = tuple(float(item) for item in values)
        except _CONVERSION_ERRORS as error:
            raise _malformed(keyword) from error
        if not all(math.isfinite(number) for number in numbers):
            raise _malformed(keyword)
        if count is not None and len(numbers) != count:
            raise HeaderError(f"{keyword} has {len(numbers)} values in place of {count}.", keyword=keyword)
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return the single value as a finite number, or None if absent; raise `HeaderError` otherwise."""
        numbers = self.numbers(keyword, count=1)
        return None if numbers is None else numbers[0]

    def integer(self, keyword: str) -> int | None:
        """Return the single value as an integer, or None if absent; raise `HeaderError` otherwise."""
        number = self.number(keyword)
        if number is None:
            return None
        if not number.is_integer():
            raise _malformed(keyword)
        return int(number)

    def numbers_or_none(self, keyword: str) -> tuple[float, ...] | None:
        """Return the values as finite numbers, or None if absent or malformed."""
        try:
            return self.numbers(keyword)
        except HeaderError:
            return None

    def number_or_none(self, keyword: str) -> float | None:
        """Return the first value as a finite number, or None if absent or malformed."""
        numbers = self.numbers_or_none(keyword)
        return None if numbers is None else numbers[0]

    def integer_or_none(self, keyword: str) -> int | None:
        """Return the first value as an integer, or None if absent or malformed."""
        number = self.number_or_none(keyword)
        return int(number) if number is not None and number.is_integer() else None

    def has_items(self, keyword: str) -> bool:
        """Whether a sequence is present and not empty."""
        try:
            return bool(self._value(keyword))
        except HeaderError:
            return True

    def plain(self, keyword: str) -> Plain | None:
        """Return the value or values as text or numbers, or None if absent or malformed."""
        try:
            value = self._value(keyword)
        except HeaderError:
            return None
        if value is None:
            return None
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            values = tuple(item for part in value if (item := _plain_item(part)) is not None)
            return values or None
        return _plain_item(value)

    def acquisition_datetime(self) -> str:
        """Return when the frame was acquired, as sortable digits, or empty unless date and time are known."""
        combined = self.text("AcquisitionDateTime")
        digits = combined or (
            self.text("AcquisitionDate") + self.text("AcquisitionTime")
            if self.text("AcquisitionDate") and self.text("AcquisitionTime")
            else ""
        )
        match = re.match(r"(\d{8})(\d{2,6})(?:\.(\d{1,6}))?", digits)
        if match is None:
            return ""
        date, time, fraction = match.groups()
        return f"{date}{time:0<6}.{fraction or '':0<6}"

    def coil_element(self) -> str:
        """Return the one receive coil element of an uncombined image, or empty.

        Source
        ------
        Not the standard: Siemens (0051,100F), which names one element ("H12") or an array ("HEA;HEP").
        """
        try:
            value = self.dataset.private_block(0x0051, "SIEMENS MR HEADER")[0x0F].value
        except (KeyError, *_CONVERSION_ERRORS):
            return ""
        name = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
        name = name.strip(" \0")
        return name if _SINGLE_COIL.fullmatch(name) else ""


def _plain_item(value: Any) -> str | int | float | None:
    if isinstance(value, str) and not hasattr(value, "real"):
        return value.strip(" \0") or None
    try:
        number = float(value)
    except _CONVERSION_ERRORS:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if isinstance(value, int) else number


def _malformed(keyword: str) -> HeaderError:
    return HeaderError(f"The value of {keyword} is malformed.", keyword=keyword)
