"""Reviewed words: what makers write stays, what a person could have typed does not."""

from __future__ import annotations

import re

import pytest

from processing.tables import confidentiality_rows
from processing.technical_text import RULES, is_technical_text

MODEL, SEQUENCE, SOFTWARE, KERNEL, COIL = 0x00081090, 0x00180024, 0x00181020, 0x00181210, 0x00181250
STACK, CREATOR, NUCLEUS, TRACER = 0x00209056, 0x00209213, 0x00180085, 0x00180031

OF_MAKERS = {
    MODEL: "SOMATOM Force|SOMATOM Definition AS+|MAGNETOM Prisma Fit|Prisma_fit|Verio|Biograph64|Biograph 64 mCT|Ingenia"
    "|DISCOVERY MR750w|Optima CT660|Revolution CT|LightSpeed VCT|LightSpeed16|SIGNA Premier|Achieva dStream|Brilliance 64"
    "|Aquilion ONE|uMR 790|HiSpeed CT/i|EPIQ 5G|Eclipse 1.5T",
    SEQUENCE: "*tfl3d1_16ns|*tse2d1_7|*tseR2d1rr15|*spcir_278ns|*fl3d1_ns|epfid2d1_64|*ep_b0|ep_b1000#12|*swi3d1r|epi_dti",
    SOFTWARE: "syngo CT 2011A|syngo MR E11|syngo MR 2004V 4VB11D|VA48A_02_P12|MR29.1_EA_2039.g|07MW11.10|V6.04ER003|5.7.1.1"
    "|MR Software release:DV26.0_R01_1725.a|LightSpeedApps14.13_2.8.2L_H2.1M4|R5.6.0|41.04|0005",
    KERNEL: "B30f|I31f|Br40d|Qr59|FC18|FC51-H|STANDARD|SOFT|LUNG|BONE|BONEPLUS|UB|YA|B_SOFT_B|3|XYZ Gauss2.00",
    COIL: "HeadNeck_20_TCS|32Ch Head|SENSE-Head-8|Q-Body|48HA|MULTI COIL",
    CREATOR: "Philips MR Imaging DD 001",
    NUCLEUS: "1H|31P|H|^23^Na",
    TRACER: "FDG -- fluorodeoxyglucose|F-18 PSMA|99mTc MDP",
}  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "text"), [(tag, v) for tag, texts in OF_MAKERS.items() for v in texts.split("|")]
)
def test_what_makers_write_stays(tag: int, text: str) -> None:
    # Values of real devices, by attribute.
    assert is_technical_text(tag, text)


@pytest.mark.parametrize(
    "text",
    [
        "Kanariengelb flattert",
        "Zwartkijker",
        "Zwartkijker^Ottoline",
        "zwart3d1",
        "Max",
        "Mu\u0308ller",
        "ZK4711",
        "ZK-471-147",
        "4711471",
        "471 147",
        "471_147",
        "12.345.678",
        "06.12.34.56.78",
        "19370429",
        "370429",
        "29.04.1937",
        "29.04.37",
        "04/29/1937",
        "1937-04-29",
        "1937 04 29",
        "29APR1937",
        "29-APR-1937",
        "APR 29, 1937",
        "Wed May 24",
        "SOMATOM Zwartkijker",
        "STANDARD ZK",
        "syngo 29.04.37",
    ],
)  # fmt: skip
def test_what_a_person_could_have_typed_stays_nowhere(text: str) -> None:
    # Sentences, names, identifiers and dates, alone and behind a reviewed word.
    assert [f"{tag:08X}" for tag in RULES if is_technical_text(tag, text)] == []


def test_every_listed_word_can_be_used() -> None:
    # A word that the separators cut in two would be on its list in vain.
    dead = {
        f"{tag:08X} {word}"
        for tag, rule in RULES.items()
        for word in rule.words
        if not is_technical_text(tag, word)
    }
    assert dead == set()


def test_no_word_of_a_list_is_a_number() -> None:
    # Figures come by token only, where their count is limited.
    assert not [w for rule in RULES.values() for w in rule.words if re.search(r"\d{3}", w) and w != "mx8000"]


def test_only_attributes_outside_the_table_have_rules() -> None:
    # The table has the first word.
    assert RULES.keys().isdisjoint(confidentiality_rows())
    assert not is_technical_text(0x00081030, "CT")
