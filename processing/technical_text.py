"""Texts outside Table E.1-1 that say how an image was made: for each attribute the words that were reviewed.

A text stays only if every word of it is on the list of its attribute, or is a short technical token of the one form that
the attribute has: a version, a count of coils, a b-value. Nobody can tell a sharp kernel from a nickname by its look, so
what is not known goes. The lists hold products, parts and techniques of makers; words that are also common given names
(Allegra, Carina, Max, Victor) are left out unless they are part of a longer product name.

To add to a list: the word must come from a maker's or the standard's documents, never from an instance alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom._private_dict import private_dictionaries

_SEPARATORS = re.compile(r"[ ,;:/_+*()\[\]-]+")
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:1[89]\d\d|20\d\d|\d\d)"
_MONTH_NAME = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*"
_BETWEEN = r"([-/._, ]{1,2})"  # the same again behind the second part: 13_2.8 is a version
_DATE = re.compile(
    rf"(?<!\d)(?:{_DAY}{_BETWEEN}{_MONTH}\1{_YEAR}|{_MONTH}{_BETWEEN}{_DAY}\2{_YEAR}|{_YEAR}{_BETWEEN}{_MONTH}\3{_DAY})(?!\d)"
    rf"|\d{{1,2}}[-/._ ]?{_MONTH_NAME}[-/._ ]?\d{{2,4}}|{_MONTH_NAME}[-/._ ]{{1,2}}\d{{1,2}}\b",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"\d(?:[ ,/-]?\d){5}|(?<![A-Za-z0-9.])\d(?:_?\d){5}")
_CHARACTERS = re.compile(r"[A-Za-z0-9 ._+*/%:()\[\],=#<>^;-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """What the values of one attribute are made of."""

    words: frozenset[str] = frozenset()
    """Folded; compared without regard to case."""
    token: re.Pattern[str] = field(default=re.compile(r"(?!)"))
    """What a word may be that is on no list."""
    whole: re.Pattern[str] = field(default=re.compile(r"(?!)"))
    """What a whole value may be."""
    needs_word: bool = False
    """Tokens alone are not enough: they could be an identifier."""
    most_digits: int = 6

    def admits(self, value: str) -> bool:
        """Whether every word of the value is known."""
        if sum(character.isdigit() for character in value) > self.most_digits:
            return False
        if self.whole.fullmatch(value):
            return True
        words = [word for word in _SEPARATORS.split(value) if word]
        known = [word.casefold() in self.words for word in words]
        return (any(known) or (bool(words) and not self.needs_word)) and all(
            is_known or self.token.fullmatch(word) for word, is_known in zip(words, known, strict=True)
        )


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.casefold().split())


_MAKERS = (
    r"Acuson|Agfa|Agfa-Gevaert|Analogic|Aloka|ATL|Barco|Biosense|Bruker|Canon|Carestream|Carl Zeiss|Cerner|Claron|CTI|CPS"
    r"|Dornier|Eastman|EDDA|Elekta|Elscint|Esaote|Fonar|Fuji|Fujifilm|GE|G\.E\.|General Electric|Gendex|Hitachi|Hologic"
    r"|Howtek|Hyperfine|Imatron|Instrumentarium|Invivo|Kodak|Konica|Lumisys|Marconi|Mediso|MIM|Mindray|Minolta|Mirada"
    r"|Mortara Instrument|Neusoft|Neurologica|Nucletron|OFFIS|Philips|Picker|PixelMed|Planmeca|PMS|Positron|QIICR|Samsung"
    r"|SAMSUNG MEDISON|Sectra|Segami|Shimadzu|Siemens|Sirona|SonoSite|Sopha|Sun Nuclear|Swissray|TeraRecon|TomoTherapy"
    r"|Toshiba|UIH|United Imaging|Varian|Vidar|Vieworks|Vital Images|Ziehm|Darkroom"
)
_COMPANY_WORDS = (
    r"MEC|NMS|TEC|AG|AB|BV|B\.V\.|Co|Corp|Corporation|Company|GmbH|Health|Healthcare|Healthineers|Imaging|Inc|Ltd|Medical"
    r"|Meditec|Nederland|NV|Nuclear|Photo|Film|Software|Systems|Ultrasound|of|America|Technologies|Electronics|Diagnostics"
)
_MANUFACTURER = re.compile(rf"(?:{_MAKERS})(?:[ .,/_-]+(?:{_MAKERS}|{_COMPANY_WORDS}))*[.]?", re.IGNORECASE)

_MODELS = _listed("""
Achieva Activion ADC Advance Advantage Aera Affiniti Airis Alexion Allura Alpha Altaire Altea Ambition Amira Amulet
Antares Aperto Apex Aplio Apps Aquilion Arcadis Architect Aria Aristos Artis Artist AS Ascend Asteion Atlas Avanto AVS
Axiom Azurion Balance Big Biograph Biospec Bold Bore BodyTom BrightSpeed BrightView Brilliance Brivo CardioMD Celesteion
Centurian CereTom Champion Cima Cios ClearVue Clinac Compact Concerto Confidence Console CR CT CTi CX50 CXL CyberKnife
Darkroom DEFINITION Definium Digital DigitalDiagnost Dimensions DirectView Discovery DR Drive DRX DS dStream Dual Duo
DuraDiagnost DX DXi e.cam EasyVision ECAT ecam Echelon Echospeed Eclipse Eclos Edge Elan Elite Elition Emotion EPIQ
Espree Essenta Essential Essenza Ethos EVO Evolution Exact Excel Excelart EXCITE Expert Explorer Extra FCR FD FDR Fit
Flash Flow Force Forte Fortian Free.Max Free.Star Frontier Fusion FXi Galan Gemini Genesis Glory go go.All go.Now
go.Open.Pro go.Top go.Up Gracian GSI GXL Gyroscan Halcyon Hawkeye HD HDe HDx HDxt Hirez Hisac HiSpeed Horizon HR HRRT
i Iconos iCT IDT iE33 Impact Incisive Infinia Infinix Ingenia Ingenuity Innova Innovality Inspiration IntelliSpace Intera
Intevo Intuity IQ IQon iU22 Juniper Large LB Light Lightning LightSpeed LOGIQ Luminos Lumina LS LSO MAGNETOM Mammomat
Maxima mCT MG MI MIM MicroDose Millennium mMR Mobilett Monaco MR MRIdian MRT50H1 Multiva Multix MX Mx8000 MyLab NAEOTOM nanoScan
NeuViz NM Novation NT NXi Oasis OBI OEC OmniTom ONE Opart Open Optima Orbic Orian Panorama Paravision Peak Perspective
PET PharmaScan Pheno Pinnacle Pioneer Plus Polytron Portal Powervision Precedence Precision Premier Prime Prisma
Prismafit Pristina Pro Prodiva ProSpeed Q.Core QX QXi Quadra Radixact Resona Revelation Revolution RT RX RXL
Scenaria Scope Select Selenia Sempra Senographe Sensation Sequoia Serve Signa Sireskop SKYLight Skyra Sola
SOMATOM Sonata SonataVision SP Sparq Spectral Speed Spin Spirit ST Start STE Supria Swoop Symbia Symphony SymphonyTim
Synergy System Terra Tesla TF Tim Titan TOF TomoTherapy Trinion Trio TrioTim TrueBeam TruePoint TwinSpeed uCT uEXPLORER
Ultimax Ultra uMI uMR Unity uPMR Upright Vantage Varic VCT Venue Ventri Veradius Vereos Verio Versa VG Viato Vida ViSION
Visart Vivid Volume Voluson Voyager Windows Workstation X X.ceed X.cite Xario XCT Xeleris Xper Xpress XR Xtra XVI Ysio zee
Zeego Zoom ZXi
""")
_MODEL_NUMBER = re.compile(r"(?:MR|CT|HD|PET|CX|[DEHLPQSTVX])?\d{1,3}(?:\.\d)?(?:[TGwsix]|HD)?")

_MODEL_WITH_NUMBER = re.compile(r"(?:Biograph|BrightSpeed|Brilliance|LightSpeed)\d{1,3}", re.IGNORECASE)

_SOFTWARE = _MODELS | _listed("""
CoreLoad Darkroom EA LX MR CT PET Numaris NumarisX Paravision release software syngo via Ver Version XA LightSpeedApps
LightSpeedverrel BrightSpeedApps
""")
_VERSION = re.compile(
    r"(?:LightSpeedApps|BrightSpeedApps|syngo|coreload)?\.?"
    r"(?:V|VA|VB|VC|VD|VE|VX|VIA|XA|XB|A|B|D|DV|E|H|HD|L|M|MP|MR|CT|N|NX|P|R|RX|SP|TOP|U)?"
    r"(?:\d{1,3}(?:\.\d{1,2}(?:\.\d{1,3}){0,2})?|0\d{3}|\d{4}\.[a-z]|20[01]\d[A-Z]|\d{1,2}\.[a-z])"
    r"(?:[A-Z]{1,2}\d{0,3}|\.[A-Z])?"
    r"|\dV[A-E]\d{2}[A-Z]|\d{2}MW\d{2}\.\d{1,2}",
    re.IGNORECASE,
)

_SIEMENS_SEQUENCE = (
    r"\*?(?:tfl|tfi|tse|tgse|tir|tirB|tseB|tseR|tirR|fl|fldyn|fi|fm|qfl|gre|me|se|seR|ir|h|hR|spc|spcR|spcir|spcirR|swi|swiR"
    r"|de|ci|psif|epfid|epse|epir|ep|re|pc|tof|csi|svs|st|stm|vibe|WE|mde|bole)"
    r"(?:[23]d\d{0,3})?(?:_?(?:ns|rr|r|t|tR)?\d{0,3}){0,3}(?:ns)?"
)
_DIFFUSION_SEQUENCE = r"\*?(?:ep|re|epse|resolve)_(?:b\d{1,4}|b\d{1,4}_\d{1,4})[a-z]?(?:#\d{1,3})?"
_SEQUENCE = re.compile(rf"{_SIEMENS_SEQUENCE}|{_DIFFUSION_SEQUENCE}")
_SEQUENCES = _listed("""
ASL B BALANCED BFFE BLADE BOLD BRAVO bSSFP CISS COSMIC CUBE DESS DIFF DIFFUSION DTI DUAL DWI DwiSE ECHO EFGRE3D EPI
FAST FE FEEPI FFE FGRE FIESTA FISP FLAIR FLASH FRFSE FSE FSEIR FSP FSPGR GE GRADIENT GRASE GRE HASTE IR IRSE LAVA mDIXON
ME MEDIC MERGE MP2RAGE MPR MPRAGE MULTI PC PROPELLER QUICK SE SEEPI SHOT SINGLE SPACE SPGR SPIN SPIRAL SS SSFP SSFSE
STIR SWAN SWI T1 T1FFE T1TFE T2 T2FFE T2TFE TFE TFEEPI TIR TOF TRICKS TRUFI TSE TSEDIFF TURBO UTE VIBE VISTA 2D 3D
""")

_KERNEL = re.compile(
    r"[ABDHIJQTU][fvrpbqlnsu]?\d{2}[a-z]{0,2}"  # Siemens
    r"|FC\d{2}(?:-H)?|FL\d{2}"  # Toshiba, Canon
    r"|[ABCDEFL]|U[ABC]|Y[ABCD]|E[BCDE]"  # Philips
    r"|B_(?:SOFT|SHARP|VSOFT|VSHARP|SMOOTH)_[A-D]"  # UIH
    r"|\d{1,2}"  # the strength of an iterative reconstruction, a value of its own; Hitachi's numbers
    r"|(?:XYZ ?)?(?i:Gauss|Gaussian) ?\d{1,2}\.\d{1,2}"
)
_KERNELS = _listed("""
ASIR BODY BONE BONEPLUS BRAIN CHEST CHST DETAIL EDGE GAUSSIAN HANN HANNING BUTTERWORTH HEAD HD LUNG NONE PLUS RAMP SHARP
SHEPP LOGAN SMOOTH SOFT STANDARD STD STD+ STND ULTRA ALL PASS ALLPASS TISSUE
""")

_COILS = _listed("""
48HA ABDOMEN ANGIO ANKLE ANTERIOR ARRAY BC BODY BRAIN BREAST C CARDIAC CH CHANNEL CHEST COIL COMBINED CTL CTLSPINE
ELBOW ELEMENT EXTREMITY FLEX FOOT HAND HEAD HEADMATRIX HEADNECK HEADSPINE HIP HNS KNEE L LARGE LEFT LOOP LOWER M MATRIX
MEDIUM MULTI NECK NV NVHEAD PA PELVIS PERIPHERAL POSTERIOR PROSTATE Q QD QUAD R RECEIVE RIGHT RX S SENSE SHOULDER SMALL
SPINE SURFACE T TCS TMJ TORSO TRANSMIT TX UPPER VASCULAR VTC WHOLE WRIST XL 8HRBRAIN 8NVHEAD
""")
_COIL = re.compile(r"\d{1,3}(?:CH)?", re.IGNORECASE)
_COIL_ELEMENT = re.compile(r"(?:H|HE|HEA|HEP|N|NE|NEA|B|BO|SP|BC|PA|FL|TL|E|EL|C)\d{1,2}", re.IGNORECASE)

_ELEMENT_SYMBOLS = (
    r"(?:H|He|Li|B|C|N|O|F|Na|Al|Si|P|S|Cl|K|Cr|Fe|Co|Cu|Ga|Rb|Sr|Y|Zr|Tc|In|I|Xe|Sm|Ho|Lu|Re|Tl|Ra)"
)
_NUCLEUS = re.compile(
    rf"\^?\d{{1,3}}m?\^?{_ELEMENT_SYMBOLS}|{_ELEMENT_SYMBOLS}-?(?:\d{{1,3}}m?)?|\d{{1,3}}m?", re.IGNORECASE
)
_TRACERS = _listed("""
ACETATE AMMONIA CARBON CHLORIDE CHOLINE CITRATE COPPER DMSA DOTANOC DOTATATE DOTATOC DTPA ECD FDG FDOPA FET FLORBETABEN
FLORBETAPIR FLT FLUCICLOVINE FLUORIDE FLUORINE FLUORODEOXYGLUCOSE FLUOROTHYMIDINE FLUTEMETAMOL FLORTAUCIPIR FMISO
GALLIUM HDP HMPAO INDIUM IODIDE IODINE IOFLUPANE MAA MAG3 MDP METHIONINE MIBG MIBI NAF OCTREOTIDE OXYGEN PENTETREOTIDE
PERTECHNETATE PIB PSMA RUBIDIUM SESTAMIBI SODIUM SOLUTION TECHNETIUM TETROFOSMIN THALLIUM WATER ZIRCONIUM
""")
_ROUTES = _listed("""
ARTERIAL INHALATION INTRA INTRAARTERIAL INTRAARTICULAR INTRADERMAL INTRAMUSCULAR INTRATHECAL INTRAVENOUS IA IM IT IV
NONE ORAL PO RECTAL ROUTE SUBCUTANEOUS VENOUS BOLUS INJECTION
""")
_FILTERS = _listed("""
AG AL ALUMINUM ALUMINIUM BODY BOWTIE BUTTERFLY CARDIAC COPPER CU FIL FILTER FLAT HEAD LARGE MEDIUM MIXED MO MOLYBDENUM
MULTIPLE NONE PEDIATRIC RH RHODIUM SILVER SMALL SN STRIP TIN W WEDGE
""")
_FILTER = re.compile(r"\d(?:\.\d{1,2})?(?:mm)?(?:AL|CU|SN|MO|RH|AG|TI)?", re.IGNORECASE)
_PLACES = re.compile(
    r"NA|BB|SN|XY|OM|IC|XP|RF|FT|KN|SP|ISO|NOT SPECIFIED|SLIDE_CORNER|SLICE_CORNER|CORNEAL_VERTEX_[RL]|iliac crest"
    r"|orbital-medial|orbitomeatal line|sternal notch|symphysis pubis|xiphoid|lower c(?:oa|o)stal margin"
    r"|external auditory meatus|brain|carotids",
    re.IGNORECASE,
)
_UNITS = re.compile(
    r"HU|HU_MOD|OD|US|MGML|PCT|Z_EFF|ED|EDW|IOD|BQML|CPS|PROPCPS|SUV|normalized|UNSPECIFIED", re.IGNORECASE
)
_WINDOWS = _listed("""
ABDOMEN ALGO AUTO AUTOMATIC BONE BRAIN CHEST CONTRAST DEFAULT HARDER HARD HEAD HIGH LINEAR LIVER LOW LUNG MEDIASTINUM
NARROW NECK NORMAL PELVIS SOFT SOFTER SPINE STANDARD TISSUE WIDE WIDTH WINDOW
""")
_WINDOW = re.compile(r"(?:WINDOW|ALGO)?\d{1,2}", re.IGNORECASE)
_CORRECTIONS = _listed("""
AC ALGORITHM ATTENUATION BASED BLOB BOTH CALCULATED CM CONVOLUTION CORRECTED CORRECTION CT CTAC DELAYED DIXON DUAL
ENERGY FBP FILTERED BACK PROJECTION FORE GATED ITERATIVE KERNEL LINE LOR MEASURED MLEM MODEL MR MRAC NONE OFF ON OP OS
OSEM OSEM2D OSEM3D PSF RAMLA RANDOM RELATIVE SCATTER SEGMENTED SINGLE SINGLES SSS SUBTRACTION SUBSETS ITERATIONS
TF TOF TRANSMISSION TRUEX ULTRAHD UTE VPFX VPFXS VPHD WINDOW 3D 3DRP 2D QCFX QCLEAR
""")
_CORRECTION = re.compile(r"\d{1,2}[is]?|\d{1,2}i\d{1,2}s|0\.\d{2,3}0{0,3}|cm-1", re.IGNORECASE)

_CORRECTED = _Rule(words=_CORRECTIONS, token=_CORRECTION, needs_word=True, most_digits=9)
_CREATOR = _Rule(whole=re.compile("|".join(re.escape(creator) for creator in sorted(private_dictionaries))))

RULES = {
    0x00080070: _Rule(whole=_MANUFACTURER),  # Manufacturer
    0x00081090: _Rule(
        words=_MODELS, token=_MODEL_NUMBER, whole=_MODEL_WITH_NUMBER, needs_word=True, most_digits=4
    ),  # Manufacturer's Model Name
    0x00180024: _Rule(words=_SEQUENCES, whole=_SEQUENCE, most_digits=9),  # Sequence Name
    0x00180031: _Rule(words=_TRACERS, token=_NUCLEUS, needs_word=True),  # Radiopharmaceutical
    0x00180085: _Rule(whole=_NUCLEUS),  # Imaged Nucleus
    0x00181020: _Rule(words=_SOFTWARE, token=_VERSION, most_digits=12),  # Software Versions
    0x00181040: _Rule(words=_ROUTES),  # Contrast/Bolus Route
    0x00181070: _Rule(words=_ROUTES),  # Radiopharmaceutical Route
    0x00181085: _CORRECTED,  # PVC Rejection
    0x00181160: _Rule(words=_FILTERS, token=_FILTER),  # Filter Type
    0x00181161: _Rule(words=_FILTERS, token=_FILTER),  # Type of Filters
    0x00181210: _Rule(words=_KERNELS, whole=_KERNEL),  # Convolution Kernel
    0x00181250: _Rule(words=_COILS, token=_COIL, needs_word=True),  # Receive Coil Name
    0x00181251: _Rule(words=_COILS, token=_COIL, needs_word=True),  # Transmit Coil Name
    0x00189005: _Rule(words=_SEQUENCES, whole=_SEQUENCE, most_digits=9),  # Pulse Sequence Name
    0x00189046: _Rule(words=_COILS, token=_COIL, needs_word=True),  # Multi-Coil Configuration
    0x00189047: _Rule(words=_COILS, token=_COIL_ELEMENT),  # Multi-Coil Element Name
    0x00201040: _Rule(whole=_PLACES),  # Position Reference Indicator
    0x00209056: _Rule(whole=re.compile(r"[A-Z]?\d{1,2}|\d{3,4}")),  # Stack ID
    0x00209213: _CREATOR,  # Dimension Index Private Creator
    0x00209238: _CREATOR,  # Functional Group Private Creator
    0x00281054: _Rule(whole=_UNITS),  # Rescale Type
    0x00281055: _Rule(words=_WINDOWS, token=_WINDOW, needs_word=False),  # Window Center & Width Explanation
    0x00283004: _Rule(whole=_UNITS),  # Modality LUT Type
    0x00541101: _CORRECTED,  # Attenuation Correction Method
    0x00541103: _CORRECTED,  # Reconstruction Method
    0x00541104: _Rule(words=_CORRECTIONS, whole=re.compile(r"\d{1,3}")),  # Detector Lines of Response Used
    0x00541105: _CORRECTED,  # Scatter Correction Method
}
"""By attribute what its values are made of; no attribute of Table E.1-1 is among them."""


def is_technical_text(tag: int, value: str) -> bool:
    """Whether a text of this attribute is empty, or made of reviewed words and short tokens only.

    Whatever the lists say, nothing with a run of six digits, a date in any spelling, or unusual characters is.
    """
    rule = RULES.get(tag)
    if rule is None or not _CHARACTERS.fullmatch(value) or _LONG_NUMBER.search(value) or _DATE.search(value):
        return False
    return not value or rule.admits(value)
