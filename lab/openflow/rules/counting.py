"""Records of statistics that come into use: what the one who had them before has seen is no part of what the next one sees.

Rules, groups and buckets count in records that others had before them. They begin at zero before any core knows of them, and
behind the moment from which nobody credits their last owner; and they begin there again when somebody steps back.
"""


def begin_counting(arena, lanes, records, lasting):
    """Begin at zero with the records of each region, {region: indexes}; `lasting(regions, do)`: see `table.Around`."""

    def zero():
        for lane in lanes:
            for region, indexes in records.items():
                arena.array(region, lane)[indexes] = 0

    if any(_used(arena.array(region, lane)[indexes]) for region, indexes in records.items() if indexes for lane in lanes):
        lasting(tuple(records), zero)


def _used(rows):
    """Whether any of these records has seen anything."""
    return any(rows[name].any() for name in rows.dtype.names)
