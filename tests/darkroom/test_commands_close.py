"""``darkroom close``: a series is closed by hand, with the jobs of its routes."""

from __future__ import annotations

from darkroom.archive import open_archive
from db.records import JobState, SeriesState
from tests.series_factory import SeriesGeometry, ct_series


def test_closes_a_receiving_series_with_its_jobs(darkroom):
    """A series that waits is forced closed, and every processor of the default route is queued."""
    datasets = ct_series(SeriesGeometry(slices=3))
    darkroom("import", str(darkroom.write(datasets)))
    answer = darkroom("close", datasets[0].SeriesInstanceUID)
    assert (answer.code, answer.out.strip()) == (0, "Closed as revision 1.")
    with open_archive(darkroom.settings) as archive:
        (entry,) = archive.ledger.entries()
    assert (entry.state, entry.revision) == (SeriesState.FORCED, 1)
    assert {(job.processor, job.state) for job in entry.jobs} == {
        ("nifti", JobState.QUEUED),
        ("png", JobState.QUEUED),
    }


def test_refuses_what_is_closed_or_unknown(darkroom):
    """A forced series cannot be closed twice, and an unknown one not at all."""
    datasets = ct_series(SeriesGeometry(slices=3))
    darkroom("import", str(darkroom.write(datasets)))
    darkroom("close", datasets[0].SeriesInstanceUID)
    for uid in (datasets[0].SeriesInstanceUID, "1.2.3"):
        answer = darkroom("close", uid)
        assert answer.code == 3
        assert "no such series" in answer.err
