"""``darkroom close``."""

from darkroom.commands.options import ConfigFile, read_settings


def close(series_instance_uid: str, /, *, config: ConfigFile = None) -> int:
    """Close a series now, as it is, and make what its routes ask for.

    For a series that waits for images that will not come. Its state is then ``forced``, and a late image still opens it
    again. Exit code 1 if an image came just now; look again.

    Parameters
    ----------
    series_instance_uid
        Which one: it must be receiving or incomplete.
    """
    import time

    from darkroom.archive import open_archive
    from darkroom.console import print_line
    from darkroom.errors import RequestError
    from darkroom.routes import read_routes
    from db.records import SeriesState

    settings = read_settings(config)
    router = read_routes(settings.routes)
    with open_archive(settings) as archive:
        entries = archive.ledger.entries(series_instance_uid)
        open_entries = [
            each for each in entries if each.state in (SeriesState.RECEIVING, SeriesState.INCOMPLETE)
        ]
        if not open_entries:
            raise RequestError(
                "There is no such series that could be closed.",
                hint="darkroom series shows the state of all.",
            )
        revisions = [
            archive.ledger.close(
                entry.series_id,
                state=SeriesState.FORCED,
                reasons=(f"An operator closed it with {entry.instance_count} instances.",),
                at=time.time(),
                instance_count=entry.instance_count,
                jobs=router.requests(archive.ledger.series_attributes(entry.series_id)),
                enqueue=archive.queue.enqueue,
            )
            for entry in open_entries
        ]
    for revision in revisions:
        print_line("An image came just now." if revision is None else f"Closed as revision {revision}.")
    return 1 if None in revisions else 0
