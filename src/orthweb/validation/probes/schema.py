"""Which tables Orthanc's PostgreSQL plugin keeps in the index, by revision of its schema."""

from __future__ import annotations

# `PrepareIndex.sql` and the upgrades of orthanc-databases, plugins 4.0 (revision 1) to 10.3 (revision 10): the first
# and the last revision that has a table.
_NEVER = 1_000_000
_TABLES = {
    "attachedfiles": (1, _NEVER),
    "changes": (1, _NEVER),
    "dicomidentifiers": (1, _NEVER),
    "exportedresources": (1, _NEVER),
    "globalintegers": (1, _NEVER),
    "globalproperties": (1, _NEVER),
    "maindicomtags": (1, _NEVER),
    "metadata": (1, _NEVER),
    "resources": (1, _NEVER),
    "serverproperties": (1, _NEVER),
    # From plugin 6.0 on they are temporary tables of a session.
    "deletedfiles": (1, 1),
    "deletedresources": (1, 1),
    "remainingancestor": (1, 1),
    # Metadata of the patient since plugin 9.0.
    "patientrecyclingorder": (1, 5),
    # Plugin 5.x has labels as well, and the same revision as 4.0, which has none.
    "labels": (2, _NEVER),
    "globalintegerschanges": (2, _NEVER),
    "invalidchildcounts": (4, _NEVER),
    "keyvaluestores": (5, _NEVER),
    "queues": (5, _NEVER),
    "auditlogs": (6, _NEVER),
}


def tables_of(revision: int) -> frozenset[str]:
    """The tables of a revision, which the index itself names (GlobalProperty_DatabasePatchLevel)."""
    return frozenset(name for name, (first, last) in _TABLES.items() if first <= revision <= last)
