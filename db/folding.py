"""How text is folded before it is compared: without case and without marks."""

from __future__ import annotations

import unicodedata

# Canonical combining classes of nukta, kana voicing and virama: with another one it is another letter.
_LETTER_FORMING = frozenset({7, 8, 9})


def fold(text: str) -> str:
    """Return `text` without case and without combining marks, for matching only.

    Compatibility forms become their plain characters, so that full-width and half-width letters match. The
    delimiters of Person Names (``^``, ``=``) and the wildcards (``*``, ``?``) stay as they are. Fold a
    wildcard pattern piece by piece: a full-width asterisk folds to a plain one.
    Folding twice is folding once.

    Source
    ------
    PS3.4 C.2.2.2.1 allows matching of Person Names without regard to case and accents. Unicode 15 section
    3.13, D146 (compatibility caseless matching) says in which order case and forms are to be folded.
    """
    if text.isascii():
        return text.lower()
    folded = _without_marks(_decomposed(_decomposed(text)))
    return unicodedata.normalize("NFC", folded)


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _without_marks(text: str) -> str:
    classes = ((character, unicodedata.combining(character)) for character in text)
    return "".join(character for character, order in classes if order == 0 or order in _LETTER_FORMING)
