"""The book of record: commands in, immutable events out, every balance replayable."""

from zoneinfo import reset_tzpath

# Days and months are those of the installed time zone database, the same for every process, and not of the machine's:
# a month that one process closes must end where another has begun the next.
reset_tzpath(to=[])
