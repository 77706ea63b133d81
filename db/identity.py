"""Who is who: UIDs from the outside, and which patient a header speaks of."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from db.errors import IdentityError

if TYPE_CHECKING:
    from db.records import PatientRecord, StudyRecord

_LONGEST_UID = 64
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def check_uid(value: str, name: str = "UID") -> str:
    """Return `value` unchanged if it is a UID.

    Components with leading zeros are let through: real devices send them, and refusing would lose their images.

    Parameters
    ----------
    value
        Without the padding that it has on the wire.
    name
        Which UID it is, for the message. The value itself is not told: it may be anything.

    Raises
    ------
    IdentityError
        If it is empty, longer than 64 characters, or has others than digits and single dots between them.

    Source
    ------
    PS3.5 section 9.1.
    """
    if not value:
        raise IdentityError(f"the {name} is empty")
    if len(value) > _LONGEST_UID:
        raise IdentityError(f"the {name} has {len(value)} characters; a UID has at most {_LONGEST_UID}")
    if not _UID.fullmatch(value):
        raise IdentityError(f"the {name} is not made of digits and single dots between them")
    return str(value)


def patient_identity_key(patient: PatientRecord, study: StudyRecord) -> str:
    """Return what tells this patient from others; equal keys mean one patient.

    Patient ID and issuer, where there is an ID. Without one, the name and the birth date count as well, and
    where these are empty too the study stands for its patient: nameless strangers do not merge.
    """
    parts = [patient.patient_id, patient.issuer_of_patient_id]
    if not patient.patient_id:
        parts += [patient.patient_name, patient.patient_birth_date]
        if not patient.patient_name and not patient.patient_birth_date:
            parts.append(study.study_instance_uid)
    return json.dumps(parts, ensure_ascii=False)
