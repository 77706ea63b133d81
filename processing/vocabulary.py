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

_TOKENS = r"\*?[A-Za-z0-9][A-Za-z0-9 ._+*/%:()\[\],=&#<>\\-]*"
_TEXT = re.compile(_TOKENS)
_NO_TEXT = re.compile(
    r"\d{7}"  # long numbers are identifiers or dates
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}"  # a date in figures
    r"|\d{1,2}[ -]?(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*[ -]?\d{2,4}",
    re.IGNORECASE,
)
_OLD_SNOMED = frozenset({"SRT", "SNM3", "99SDM"})
_LONGEST = {"SH": 16, "LO": 64}

OWN_SCHEME = "99DARKROOM"
OWN_CODE = "DEIDENTIFIED"
OWN_MEANING = "De-identified"
"""The code that stands where the IOD asks for one and the one there was is not known."""

_VERSION = re.compile(r"[0-9][0-9.]{0,15}")

_MAKERS = (
    "Acuson|Agfa|Analogic|Aloka|ATL|Barco|Biosense|Bruker|Canon|Carestream|Carl Zeiss|Cerner|Claron|CTI|CPS|Dornier|Eastman"
    "|EDDA|Elekta|Elscint|Esaote|Fonar|Fuji|Fujifilm|GE|General Electric|Gendex|Hitachi|Hologic|Howtek|Imatron|Instrumentarium"
    "|Invivo|Kodak|Konica|Lumisys|Marconi|Mediso|MIM|Mindray|Minolta|Mirada|Neusoft|Neurologica|Nucletron|Philips|Picker"
    "|Planmeca|PMS|Positron|Samsung|SAMSUNG MEDISON|Sectra|Segami|Shimadzu|Siemens|Sirona|SonoSite|Sopha|Sun Nuclear|Swissray"
    "|TeraRecon|TomoTherapy|Toshiba|UIH|United Imaging|Varian|Vidar|Vieworks|Vital Images|Ziehm|Carestream Health"
    "|G.E.|Darkroom"
)
_COMPANY_WORDS = (
    "MEC|NMS|TEC|AG|AB|BV|B.V.|Co|Corp|Corporation|Company|GmbH|Health|Healthcare|Healthineers|Imaging|Inc|Ltd|Medical"
    "|Meditec|Nederland|NV|Nuclear|Photo|Film|Software|Systems|Ultrasound|of|America|Technologies|Electronics|Diagnostics"
)
_TEXT_PATTERNS = {
    0x00080070: re.compile(
        rf"(?:{_MAKERS})(?:[ .,/_-]+(?:{_MAKERS}|{_COMPANY_WORDS}))*[.]?", re.IGNORECASE
    ),  # Manufacturer
    0x00180085: re.compile(
        r"\d{1,3}[A-Z][A-Za-z]?|[A-Z][A-Za-z]?-?\d{0,3}|\^?\d{1,3}\^?[A-Z][a-z]?"
    ),  # Imaged Nucleus
    0x00201040: re.compile(
        r"[A-Z]{2}|NOT SPECIFIED|SLICE_CORNER|(?:NA|BB|SN|XY|OM|IC|XP|ISO)", re.IGNORECASE
    ),
    0x00209056: re.compile(r"[A-Z]?\d{1,6}"),  # Stack ID
    0x00281054: re.compile(
        r"HU|HU_MOD|OD|US|MGML|PCT|Z_EFF|ED|EDW|IOD|BQML|CPS|PROPCPS|SUV|normalized", re.IGNORECASE
    ),
    0x00283004: re.compile(
        r"HU|HU_MOD|OD|US|MGML|PCT|Z_EFF|ED|EDW|UNSPECIFIED", re.IGNORECASE
    ),  # Modality LUT Type
}
"""The attributes among the safe ones whose values can be listed."""

SAFE_TEXT = frozenset(
    {
        0x00080070,  # Manufacturer
        0x00081090,  # Manufacturer's Model Name
        0x00180024,  # Sequence Name
        0x00180031,  # Radiopharmaceutical
        0x00180085,  # Imaged Nucleus
        0x00181020,  # Software Versions
        0x00181040,  # Contrast/Bolus Route
        0x00181070,  # Radiopharmaceutical Route
        0x00181085,  # PVC Rejection
        0x00181160,  # Filter Type
        0x00181161,  # Type of Filters
        0x00181210,  # Convolution Kernel
        0x00181250,  # Receive Coil Name
        0x00181251,  # Transmit Coil Name
        0x00189005,  # Pulse Sequence Name
        0x00189046,  # Multi-Coil Configuration
        0x00189047,  # Multi-Coil Element Name
        0x00201040,  # Position Reference Indicator
        0x00209056,  # Stack ID
        0x00209213,  # Dimension Index Private Creator
        0x00209238,  # Functional Group Private Creator
        0x00281054,  # Rescale Type
        0x00281055,  # Window Center & Width Explanation
        0x00283004,  # Modality LUT Type
        0x00541101,  # Attenuation Correction Method
        0x00541103,  # Reconstruction Method
        0x00541104,  # Detector Lines of Response Used
        0x00541105,  # Scatter Correction Method
    }
)
"""Text attributes outside Table E.1-1 that say how an image was made; their values are looked at all the same."""

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
    """Whether a text may stay: a listed attribute, plain characters, nothing that looks like a date or an identifier."""
    if tag not in SAFE_TEXT or len(value) > _LONGEST.get(vr, 0):
        return False
    pattern = _TEXT_PATTERNS.get(tag)
    if pattern is not None and value and not pattern.fullmatch(value):
        return False
    return not value or (_TEXT.fullmatch(value) is not None and _NO_TEXT.search(value) is None)


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
