"""Reads the rows of the index that name objects (`attachedfiles`), and whom they belong to."""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from orthweb.errors import Failure
from orthweb.validation.probes.index import connect
from orthweb.validation.target import DatabaseAddress

if TYPE_CHECKING:
    import psycopg

_PORTION = 10_000
_SECONDS = 10.0
_TOTALS = """
SELECT count(*), coalesce(sum(compressedsize), 0)::bigint FROM attachedfiles
WHERE %(after)s::text = '' OR uuid COLLATE "C" > %(after)s
"""
# PostgreSQL's own order of texts may be that of a language; objects come in that of bytes.
_ROWS = """
SELECT uuid, filetype, id, compressedsize, coalesce(compressedhash, '') FROM attachedfiles
WHERE %(after)s::text = '' OR uuid COLLATE "C" > %(after)s
ORDER BY uuid COLLATE "C", filetype, id
"""
# There is an index of owners, and none of UUIDs: the first is quick, and the second reads the whole table.
_OWNED = """
SELECT uuid, filetype, id, compressedsize, coalesce(compressedhash, '') FROM attachedfiles WHERE id = ANY(%s)
"""
_KNOWN = """
SELECT uuid, filetype, id, compressedsize, coalesce(compressedhash, '') FROM attachedfiles WHERE uuid = ANY(%s)
"""
_LEVELS = ("patient", "study", "series", "instance")
# PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID, each at its own level.
_OWNERS = """
WITH RECURSIVE above AS (
    SELECT internalid AS owner, publicid, resourcetype AS owners_level, internalid, parentid, resourcetype
    FROM resources WHERE internalid = ANY(%s)
    UNION ALL
    SELECT above.owner, above.publicid, above.owners_level, r.internalid, r.parentid, r.resourcetype
    FROM above JOIN resources r ON r.internalid = above.parentid
)
SELECT owner, publicid, owners_level, resourcetype, coalesce(value, '')
FROM above LEFT JOIN maindicomtags t ON t.id = above.internalid
    AND (resourcetype, taggroup, tagelement) IN ((0, 16, 32), (1, 32, 13), (2, 32, 14), (3, 8, 24))
"""


class Row(NamedTuple):
    """An attachment as the index has it.

    Parameters
    ----------
    filetype:
        Orthanc's content type: 1 is a DICOM file.
    owner:
        Internal number of the resource that it belongs to.
    size:
        In bytes, as it is stored.
    md5:
        In hexadecimal, as it is stored; empty where Orthanc keeps none.
    """

    uuid: str
    filetype: int
    owner: int
    size: int
    md5: str


@dataclass(frozen=True)
class Owner:
    """What an attachment belongs to.

    Parameters
    ----------
    level:
        `patient`, `study`, `series` or `instance`.
    orthanc_id:
        As Orthanc's pages and REST API name it.
    identifiers:
        PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID, as many as the level has.
    """

    level: str
    orthanc_id: str
    identifiers: tuple[str, ...]


class Index:
    """A connection to the index; what its methods raise (psycopg.Error), `connected` turns into a Failure."""

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def totals(self, after: str) -> tuple[int, int]:
        """Count the rows with a UUID greater than `after`, and the bytes of their objects."""
        found = self._connection.execute(_TOTALS, {"after": after}).fetchone() or (0, 0)
        return int(found[0]), int(found[1])

    def rows(self, after: str) -> Generator[Row, None, None]:
        """Go through the rows as they are now, in ascending order of UUIDs, those greater than `after`.

        The server sorts them once and keeps the result for this session, without a transaction: reading on may take
        hours. A transaction would not live so long, and would keep the server from tidying up.
        """
        with self._connection.cursor("audit", withhold=True, binary=True) as cursor:
            cursor.itersize = _PORTION
            cursor.execute(_ROWS, {"after": after})
            yield from map(Row._make, cursor)

    def owned(self, owners: Collection[int]) -> dict[str, list[Row]]:
        """Give the rows of these resources as they are at this moment, by UUID."""
        return _by_uuid(self._connection.execute(_OWNED, (list(owners),)))

    def known(self, uuids: Collection[str]) -> dict[str, list[Row]]:
        """Give the rows of these UUIDs as they are at this moment."""
        return _by_uuid(self._connection.execute(_KNOWN, (list(uuids),)))

    def owners(self, numbers: Collection[int]) -> dict[int, Owner]:
        """Give the resources with these internal numbers, with the DICOM identifiers at and above them."""
        found: dict[int, tuple[str, int]] = {}
        values: defaultdict[int, dict[int, str]] = defaultdict(dict)
        for number, public, own_level, level, value in self._connection.execute(_OWNERS, (list(numbers),)):
            found[number] = public, own_level
            values[number][level] = value
        return {
            number: Owner(_LEVELS[level], public, tuple(values[number].get(above, "") for above in range(level + 1)))
            for number, (public, level) in found.items()
        }


def _by_uuid(found: Iterable[tuple[Any, ...]]) -> dict[str, list[Row]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in map(Row._make, found):
        rows[row.uuid].append(row)
    return rows


@contextmanager
def connected(address: DatabaseAddress, schema: str | None = None) -> Iterator[Index]:
    """Connect to the index over TLS, with a verified server, while the body runs.

    Parameters
    ----------
    schema:
        Where Orthanc's tables are, if not where PostgreSQL puts them (`PostgreSQL.Schema`, since plugin 10.0).

    Raises
    ------
    Failure
        The server cannot be reached or refuses, also while the body runs.
    """
    import psycopg

    # No parameter says that a caller's PGSERVICE and the like, meant for another server, are off.
    for variable in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[variable]
    try:
        connection = connect(address, _SECONDS, application="orthweb-audit", limited=False)
        # Its own context would also roll back, and tell that it can't after an interruption.
        with closing(connection):
            if schema:
                connection.execute("SELECT set_config('search_path', %s, false)", (schema.lower(),))
            yield Index(connection)
    except socket.gaierror as error:
        raise Failure(f"the index at {address.host}: {error.strerror}", "see the name servers") from None
    except psycopg.errors.UndefinedTable:
        raise Failure("the index has no tables of Orthanc yet", "bring the site up once") from None
    except psycopg.Error as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no answer"]
        remedy = "see 'orthweb status', and bring the site up with 'orthweb up'"
        raise Failure(f"the index at {address.host} port {address.port}: {said[0]}", remedy) from None
