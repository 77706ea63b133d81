"""Which presentation contexts are accepted, and in which transfer syntax."""

from __future__ import annotations

import pytest
from pydicom.uid import UID_dictionary
from pynetdicom.presentation import negotiate_as_acceptor
from pynetdicom.sop_class import _STORAGE_CLASSES

from scp.contexts import (
    EVERY_RIGHT,
    Service,
    build_context,
    is_public_transfer_syntax,
    preferred_transfer_syntaxes,
    proposals,
    service_of,
    supported_contexts,
)

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG2000 = "1.2.840.10008.1.2.4.91"
GE_PRIVATE = "1.2.840.113619.5.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.mark.parametrize("sop_class_uid", sorted(_STORAGE_CLASSES.values()))
def test_every_storage_class_pynetdicom_knows_is_stored(sop_class_uid):
    """No storage SOP class is missed by the rule that decides by the dictionary's name."""
    assert service_of(sop_class_uid) is Service.STORE


@pytest.mark.parametrize(
    "sop_class_uid",
    [
        "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image Storage (retired)
        "1.2.840.10008.5.1.4.1.1.9999",  # not in any dictionary
        "1.3.12.2.1107.5.9.1",  # Siemens CSA Non-Image
        "2.25.1",
    ],
)
def test_retired_unknown_and_private_classes_are_stored(sop_class_uid):
    """What the dictionary does not know as something else is stored."""
    assert service_of(sop_class_uid) is Service.STORE


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.1.3.10",  # DICOMDIR
        "1.2.840.10008.1.20.1",  # Storage Commitment
        "1.2.840.10008.5.1.1.9",  # print
        "1.2.840.10008.5.1.4.31",  # worklist
        "1.2.840.10008.5.1.4.1.1.201.2",  # Inventory - FIND, below the storage root
        EXPLICIT,
        "../../x",
        "",
        "1.2." + "3" * 64,
        "1.2\n",
    ],
)
def test_what_is_not_storage_is_not_taken_for_it(uid):
    """Services we do not have, and text that is no UID, are not accepted as storage."""
    assert service_of(uid) is None


def test_every_transfer_syntax_of_the_dictionary_is_storable():
    """Retired ones too; only those that are not data sets of ours are refused."""
    known = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    refused = {uid for uid in known if not is_public_transfer_syntax(uid)}
    assert refused == {"1.2.840.10008.1.2.6.2", "1.2.840.10008.1.20"}  # XML, Papyrus 3
    assert is_public_transfer_syntax("1.2.840.10008.1.2.4.999")
    assert not is_public_transfer_syntax(GE_PRIVATE)
    assert not is_public_transfer_syntax("1.2.840.10008.1.20.1")


@pytest.mark.parametrize(
    ("proposed", "expected"),
    [
        ([IMPLICIT, BIG_ENDIAN, EXPLICIT], [EXPLICIT, IMPLICIT, BIG_ENDIAN]),
        ([JPEG_BASELINE], [JPEG_BASELINE]),
        ([JPEG_BASELINE, IMPLICIT], [IMPLICIT, JPEG_BASELINE]),
        ([JPEG_LOSSLESS, EXPLICIT, IMPLICIT], [JPEG_LOSSLESS, EXPLICIT, IMPLICIT]),
        (
            [IMPLICIT, JPEG2000, JPEG2000_LOSSLESS, EXPLICIT],
            [EXPLICIT, IMPLICIT, JPEG2000_LOSSLESS, JPEG2000],
        ),
        ([GE_PRIVATE, IMPLICIT], [IMPLICIT]),
        ([GE_PRIVATE], []),
    ],
)
def test_order_of_preference(proposed, expected):
    """The sender's order counts, uncompressed is one choice in our order, and lossy comes last."""
    assert preferred_transfer_syntaxes(proposed, Service.STORE) == expected


def test_identifiers_are_uncompressed():
    """A query is never encoded in a compressed transfer syntax."""
    assert preferred_transfer_syntaxes([JPEG_BASELINE, IMPLICIT], Service.FIND) == [IMPLICIT]


def _negotiate(proposed, rights, roles=None):
    requested = []
    for number, (abstract_syntax, transfer_syntaxes) in enumerate(proposed):
        context = build_context(abstract_syntax, transfer_syntaxes)
        context.context_id = 2 * number + 1
        requested.append(context)
    supported = supported_contexts(proposed, rights=rights, with_roles=roles or {})
    results, replies = negotiate_as_acceptor(requested, supported, roles)
    return results, replies


def test_each_context_gets_a_transfer_syntax_it_proposed():
    """Several contexts of one SOP class are negotiated each for itself."""
    results, _ = _negotiate(
        [(CT, [JPEG_LOSSLESS]), (CT, [EXPLICIT, IMPLICIT]), (CT, [GE_PRIVATE])], EVERY_RIGHT
    )
    assert [(each.result, each.transfer_syntax[0]) for each in results[:2]] == [
        (0, JPEG_LOSSLESS),
        (0, EXPLICIT),
    ]
    assert results[2].result == 4  # transfer syntaxes not supported


@pytest.mark.parametrize("abstract_syntax", [CT, STUDY_FIND])
def test_a_transfer_syntax_is_refused_as_one(abstract_syntax):
    """Where only private transfer syntaxes are proposed, the reason is not the SOP class (PS3.8 Table 9-18)."""
    (context,), _ = _negotiate([(abstract_syntax, [GE_PRIVATE])], EVERY_RIGHT)
    assert context.result == 4


def test_a_peer_without_the_right_gets_no_context():
    """Rights decide at the negotiation already."""
    results, _ = _negotiate([(CT, [EXPLICIT]), (STUDY_FIND, [EXPLICIT])], {Service.FIND})
    assert [each.result for each in results] == [3, 0]


@pytest.mark.parametrize(
    ("rights", "proposed_role", "as_scu", "as_scp", "result"),
    [
        (EVERY_RIGHT, (False, True), True, False, 0),
        (EVERY_RIGHT, (True, True), True, True, 0),
        ({Service.GET}, (True, True), True, False, 0),
        ({Service.STORE}, (True, True), False, True, 0),
        ({Service.STORE}, (False, True), False, False, 1),
        ({Service.GET}, None, None, None, 3),
        ({Service.STORE}, None, False, True, 0),
    ],
)
def test_roles_follow_the_rights(rights, proposed_role, as_scu, as_scp, result):
    """A peer sends in a context only if it may store, and receives in it only if it may get and asked to."""
    roles = {} if proposed_role is None else {CT: proposed_role}
    (context,), _ = _negotiate([(CT, [EXPLICIT])], rights, roles)
    assert context.result == result
    if result == 0:
        assert (context.as_scu, context.as_scp) == (as_scu, as_scp)


def test_proposals_are_exact_with_the_alternative_beside_them():
    """Each transfer syntax has its own context, so that the peer cannot choose another one in its place."""
    made = proposals([(CT, EXPLICIT), (CT, JPEG_BASELINE), (CT, EXPLICIT)], alternatives={EXPLICIT: IMPLICIT})
    assert [(each.abstract_syntax, list(each.transfer_syntax)) for each in made] == [
        (CT, [EXPLICIT]),
        (CT, [IMPLICIT]),
        (CT, [JPEG_BASELINE]),
    ]
