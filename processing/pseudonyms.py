"""Keyed pseudonyms without state: the same key gives the same ones on every node, another key gives others.

Each purpose has a key of its own, derived from the one key (HKDF-SHA256, RFC 5869), so a pseudonym of one kind says
nothing about those of another. Nothing is stored, so nothing can be lost or stolen but the key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from processing.errors import DeidentificationError

KEY_BYTES = 32
LONGEST_SHIFT_DAYS = 3652
"""Ten years: dates stay plausible for the equipment, and 12 bits of chance stand between a date and the true one."""

_SALT = b"darkroom pseudonyms 1"
_STUDY = "\0study"  # no issuer on the wire can hold a NUL, so these never meet a real patient's


def derive_key(key: bytes, purpose: str) -> bytes:
    """Return the 32-byte key for one purpose: HKDF-SHA256 with one block of output (RFC 5869)."""
    secret = hmac.digest(_SALT, key, hashlib.sha256)
    return hmac.digest(secret, purpose.encode() + b"\x01", hashlib.sha256)


class Pseudonyms:
    """The pseudonyms of one key.

    Parameters
    ----------
    key
        32 secret bytes.

    Raises
    ------
    DeidentificationError
        If the key is not 32 bytes, or all zero (what a crash can leave of a key file).
    """

    __slots__ = ("_fingerprint", "_keys")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES or not any(key):
            raise DeidentificationError(
                f"the key must be {KEY_BYTES} bytes of chance; there are {len(key)}, or only zeros",
                hint="restore the key file from its backup; a new key gives every patient a new pseudonym",
            )
        purposes = ("uid", "patient id", "patient name", "date shift", "label")
        self._keys = {purpose: derive_key(key, purpose) for purpose in purposes}
        self._fingerprint = derive_key(key, "fingerprint").hex()[:16]

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that tell keys apart and say nothing about them."""
        return self._fingerprint

    def uid(self, uid: str) -> str:
        """Return the UID that stands for this one: ``2.25.`` and 128 keyed bits (PS3.5 B.2)."""
        digest = self._digest("uid", uid.strip(" \0"))
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def patient_id(self, issuer: str, patient_id: str) -> str:
        """Return the Patient ID that stands for this patient: ``DR-`` and 80 keyed bits in base 32."""
        return f"DR-{_letters(self._digest('patient id', issuer.strip(), patient_id.strip()))}"

    def patient_name(self, issuer: str, patient_id: str) -> str:
        """Return a name for this patient, in the form of a person's name; it does not follow from the Patient ID."""
        return f"DR^{_letters(self._digest('patient name', issuer.strip(), patient_id.strip()))}"

    def shift_days(self, issuer: str, patient_id: str) -> int:
        """Return by how many days this patient's dates move: whole, negative, at most ten years."""
        digest = self._digest("date shift", issuer.strip(), patient_id.strip())
        return -1 - int.from_bytes(digest[:8], "big") % LONGEST_SHIFT_DAYS

    def label(self, purpose: str, value: str) -> str:
        """Return 16 letters and digits that stand for an identifier, such as an accession number."""
        return _letters(self._digest("label", purpose, value.strip()))

    @staticmethod
    def patient_of_study(study_instance_uid: str) -> tuple[str, str]:
        """Return issuer and Patient ID to use where Patient ID is empty: the study then is the patient.

        Two nameless strangers must not become one person.
        """
        return _STUDY, study_instance_uid.strip(" \0")

    def _digest(self, purpose: str, *values: str) -> bytes:
        # Lengths before the values: ("ab", "c") and ("a", "bc") must differ.
        encoded = [value.encode() for value in values]
        message = b"".join(len(value).to_bytes(4, "big") + value for value in encoded)
        return hmac.digest(self._keys[purpose], message, hashlib.sha256)


def _letters(digest: bytes) -> str:
    return base64.b32encode(digest[:10]).decode("ascii")
