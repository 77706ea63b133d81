"""Which words may stay: defined terms, coded concepts, and technical text on a reviewed list.

Everything else that is text goes. The lists hold facts about equipment and technique, never about a person.
"""

from __future__ import annotations

import re
from functools import cache
from typing import cast

from pydicom import charset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from processing.tables import defined_terms
from processing.technical_text import RULES, is_technical_text

SPECIFIC_CHARACTER_SET = 0x00080005
POSITIONAL_CODE_STRINGS = frozenset({0x00080008, 0x00089007})
"""Image Type and Frame Type: what a value means depends on its place, so one that goes leaves ``OTHER`` behind."""

# Words that devices use and PS3.3 does not list: image types of the vendors, body parts of PS3.16 Annex L, scan options
# and sequence variants, values of the enhanced IODs that PS3.3 gives in tables.
_FURTHER_WORDS = """
ABDOMEN ABDOMENPELVIS ADC ADD ADDED AORTA ASL AVERAGE AXIAL BRAIN BREAST BVALUE CALF CAROTID CBF CBV CERVIX CG
CHESTABDOMEN CHESTABDPELVIS CHESTPELVIS CIRCLEOFWILLIS CLAVICLE COLON COMPLEX CORONAL CSA CSPINE CTSPINE CT_SOM5
CT_SOM7 DERIVED DIFF DIFFUSION DIS2D DIS3D DIXON DOPPLER DV DWI DYNAMIC ECHO ELBOW EP EPI EXP EXTREMITY FACE FAT
FAT_FRACTION FC FEMUR FFE FILTERED FLAIR FLOW FM4 FMRI FOOT FS GR GRE HAND HEAD HEADNECK HEART HELICAL HELIX HIP
HUMERUS IAC IMAGINARY INVERSION IN_PHASE IP IR JAW KIDNEY KNEE LEG LIVER LOCALIZER LSPINE LUNG M MAGNITUDE MAXIMUM
MEAN MEDIASTINUM MINIMUM MINIP MIN_IP MIP MIXED MODE MONOCHROME1 MONOCHROME2 MOSAIC MPR MSH MTC MTT M_FFE M_IR M_SE
NAVIGATOR ND NECK NECKCHEST NO NONE NORM NOSE OP OPP_PHASE ORBIT ORIGINAL OSP OTHER OUT_PHASE P PANCREAS PASTED PCA
PELVIS PERFUSION PFP PHASE PHASE_MAP POSTPROCESSED PRIMARY PROSTATE PROTON_DENSITY P_FFE P_SE QUANTITATIVE R RCBF
RCBV REAL REFORMATTED RESAMPLED RG RGB RM R_FFE R_IR R_SE SACRUM SAGITTAL SAS SC SE SECONDARY SEQ SHOULDER SK SKULL
SP SPINE SPIRAL SPLEEN SS SSPINE STACKED STIR SUB SUBTRACT SUBTRACTION SUM SWI T1 T2 T2_STAR TEMPERATURE TENSOR
THIGH THORAX TLSPINE TOE TRACE TRACEW TRF TSPINE TTP TWIST UNKNOWN UTERUS VFRAME VOLREN VOLUME WATER WBODY WHOLEBODY
WRIST YES
ACC_GEMS CARD_GEMS EDR_GEMS EPI_GEMS FAST_GEMS FC_FREQ_AX_GEMS FC_SLICE_AX_GEMS FILTERED_GEMS FR_GEMS NPW PFF
PHASE_AX_GEMS SAT1 SAT2 SAT_GEMS TRF_GEMS VASCTOF_GEMS VB_GEMS
DISTORTED ELLIPTICAL FIELD_MAP SLSENS SMS SURVIEW
"""
_FURTHER_TERMS = frozenset(_FURTHER_WORDS.split()) | frozenset(
    {
        "AXIAL MODE",
        "HELICAL MODE",
        "CINE MODE",
        "CT_SOM5 SEQ",
        "CT_SOM5 SPI",
        "CT_SOM5 TOP",
        "CT_SOM7 SEQ",
        "CT_SOM7 SPI",
        "CT_SOM7 TOP",
        "SINGLE A",
    }
)

_PATTERNS = {
    0x00080008: re.compile(
        r"ECHO_\d\d|TE\d|TI\d|COMP_[A-Z]{2}\d?|FM\d|B\d{1,4}|"
    ),  # Image Type: numbered variants
    0x00200020: re.compile(r"(?:[APRLHF]{1,3}|LE|RT|D|V|CR|CD|M|PL|PA|)"),  # Patient Orientation
    0x0008010F: re.compile(r"\d{1,5}"),  # Context Identifier
    0x0040DB00: re.compile(r"\d{1,5}"),  # Template Identifier
}

_OLD_SNOMED = frozenset({"SRT", "SNM3", "99SDM"})
_LONGEST = {"SH": 16, "LO": 64}

OWN_SCHEME = "99DARKROOM"
OWN_CODE = "DEIDENTIFIED"
OWN_MEANING = "De-identified"
"""The code that stands where the IOD asks for one and the one there was is not known."""

_VERSION = re.compile(r"[0-9][0-9.]{0,15}")

SAFE_TEXT = frozenset(RULES)
"""Text attributes outside Table E.1-1 that say how an image was made; they keep reviewed words only."""

SAFE_BULK = frozenset(
    {
        0x00281101, 0x00281102, 0x00281103,  # Palette Color Lookup Table Descriptors
        0x00281201, 0x00281202, 0x00281203, 0x00281204,  # Palette Color Lookup Table Data
        0x00281221, 0x00281222, 0x00281223, 0x00281224,  # Segmented Palette Color Lookup Table Data
        0x00283002, 0x00283006,  # LUT Descriptor, LUT Data
        0x00640009,  # Vector Grid Data
        0x7FE00008, 0x7FE00009, 0x7FE00010,  # Float, Double Float and plain Pixel Data
    }
)  # fmt: skip
"""Attributes of bytes that are numbers of the image; all others of such VRs go."""


def is_defined_term(tag: int, value: str) -> bool:
    """Whether a value of a CS attribute is a word that the standard or a reviewed list knows."""
    if tag == SPECIFIC_CHARACTER_SET:
        return value in charset.python_encoding
    pattern = _PATTERNS.get(tag)
    return (
        value in defined_terms()
        or value in _FURTHER_TERMS
        or (pattern is not None and bool(pattern.fullmatch(value)))
    )


def is_safe_text(tag: int, vr: str, value: str) -> bool:
    """Whether a text may stay: every word of it is on the reviewed list of its attribute."""
    return len(value) <= _LONGEST.get(vr, 0) and is_technical_text(tag, value)


def is_coding_scheme(designator: str) -> bool:
    """Whether a coding scheme is one whose codes are known."""
    return designator in concepts or designator in _OLD_SNOMED or designator == OWN_SCHEME


def is_version(value: str) -> bool:
    """Whether the version of a coding scheme is figures and dots only."""
    return bool(_VERSION.fullmatch(value))


def concept_meaning(code_value: str, scheme: str) -> str | None:
    """Return the standard's own meaning of a code; None where the code or its scheme is not known.

    SNOMED codes of the old form (schemes SRT, SNM3, 99SDM) are looked up by the new ones they became.

    Source
    ------
    PS3.16 Annexes B and D, as pydicom's dictionary holds them.
    """
    if (code_value, scheme) == (OWN_CODE, OWN_SCHEME):
        return OWN_MEANING
    if scheme in _OLD_SNOMED:
        code_value, scheme = mapping["SRT"].get(code_value, ""), "SCT"
    return _meanings().get((scheme, code_value))


@cache
def _meanings() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    dictionary = cast("dict[str, dict[str, dict[str, tuple[str, list[int]]]]]", concepts)
    for scheme, by_keyword in dictionary.items():
        for codes in by_keyword.values():
            for code_value, (meaning, _) in codes.items():
                found[scheme, code_value] = meaning[:64]
    return found
