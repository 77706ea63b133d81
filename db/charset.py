"""How text on the wire becomes Unicode: by Specific Character Set (0008,0005), and never with a failure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

_DEFAULT: Final = "iso8859"
# Python's codecs for these read the escape sequences themselves.
_ESCAPES_READ_BY_CODEC: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_ESCAPE: Final = b"\x1b"
# PS3.5 6.1.2.5.3: after these the first character set is active again.
_RESETS: Final = re.compile(rb"[\r\n\f\t\\^=]")
_SINGLE = re.compile(r"ISO.?IR.?(\d+)")
_EXTENDED = re.compile(r"ISO.?2022.?IR.?(\d+)")


@lru_cache(maxsize=128)
def encodings_of(character_set: str) -> tuple[str, ...]:
    """Return the Python encodings for a Specific Character Set, the one that is active first in front.

    Common misspellings (``ISO-IR 100``) are read as meant; what is not known counts as the default, Latin-1, as
    pydicom has it. Character sets that stand alone drop the others.

    Source
    ------
    PS3.3 C.12.1.1.2.
    """
    terms = [_as_defined(term.strip(" \0")) for term in character_set.split("\\")]
    if len(terms) > 1:
        alone = terms[0] in STAND_ALONE_ENCODINGS
        terms = terms[:1] + [term for term in terms[1:] if not alone and term not in STAND_ALONE_ENCODINGS]
    return tuple(python_encoding.get(term, _DEFAULT) for term in terms)


def decode_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """Return the text of one element's value; what cannot be decoded is replaced by U+FFFD.

    Decode first, split at backslashes afterwards: they may be the second byte of a character.

    Source
    ------
    PS3.5 section 6.1.2.5 (code extensions).
    """
    if _ESCAPE not in raw:
        if raw.isascii():
            return raw.decode("ascii")
        return raw.decode(encodings[0], "replace")
    first, *escaped = raw.split(_ESCAPE)
    text = first.decode(encodings[0], "replace")
    return text + "".join(_decode_escaped(_ESCAPE + part, encodings) for part in escaped)


def _decode_escaped(fragment: bytes, encodings: tuple[str, ...]) -> str:
    """Return the text of a fragment that begins with an escape sequence."""
    code = fragment[: 4 if fragment.startswith((b"\x1b$(", b"\x1b$)")) else 3]
    encoding = CODES_TO_ENCODINGS.get(code)
    if encoding is None or (encoding != _DEFAULT and encoding not in encodings):
        return fragment.decode(encodings[0], "replace")
    if encoding in _ESCAPES_READ_BY_CODEC:
        return fragment.decode(encoding, "replace")
    body = fragment[len(code) :]
    reset = _RESETS.search(body)
    if reset is None:
        return body.decode(encoding, "replace")
    stop = reset.start()
    return body[:stop].decode(encoding, "replace") + body[stop:].decode(encodings[0], "replace")


def _as_defined(term: str) -> str:
    if term in python_encoding:
        return term
    for pattern, prefix in ((_EXTENDED, "ISO 2022 IR "), (_SINGLE, "ISO_IR ")):
        found = pattern.fullmatch(term.upper())
        if found:
            return prefix + found[1]
    return term
