"""``darkroom verify``."""

from typing import TYPE_CHECKING

from darkroom.commands.options import AsJson, ConfigFile, read_settings

if TYPE_CHECKING:
    from darkroom.verification import Verification


def verify(*, config: ConfigFile = None, json: AsJson = False) -> int:
    """Read the whole store again and compare it with its checksums.

    Exit code 1 if an instance is missing, changed or unreadable. Orphans are files that no row of the index names, as a
    crash may leave them; they harm nobody, and are only counted.
    """
    from darkroom.archive import open_archive
    from darkroom.console import follow, print_json
    from darkroom.verification import Verification

    with open_archive(read_settings(config)) as archive:
        verification = Verification(index=archive.index, store=archive.store)
        follow("Verifying", verification.check())
    if json:
        print_json(
            {
                "checked": verification.checked,
                "checked_bytes": verification.checked_bytes,
                "damaged": verification.damaged,
                "orphans": verification.orphans,
            }
        )
    else:
        _print(verification)
    return 1 if verification.damaged else 0


def _print(verification: "Verification") -> None:
    from darkroom.console import print_line, print_table

    checked = f"{verification.checked} instances, {verification.checked_bytes / 1e6:.1f} MB"
    print_table(
        ("damage", "SOP Instance UID", "series", "what"),
        [
            (each.damage, each.sop_instance_uid, each.series_instance_uid, each.message)
            for each in verification.damaged
        ],
        empty=f"{checked}: all as they were acknowledged.",
        whole=("SOP Instance UID",),
    )
    if verification.damaged:
        print_line(f"{len(verification.damaged)} of {checked} are damaged.")
    if verification.orphans:
        print_line(f"{len(verification.orphans)} files belong to no instance; they harm nobody.")
