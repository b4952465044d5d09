"""The UIDs that the upper layer and its services need by name (PS3.6 annex A)."""

from __future__ import annotations

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
DEFLATED = frozenset({DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Transfer syntaxes whose datasets are deflated as a whole: a zero byte makes their length even (PS3.5 annex A.5)."""
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
STANDARD_STORAGE_PREFIX = "1.2.840.10008.5.1.4.1.1."
"""What the UIDs of nearly all storage SOP classes of the standard begin with (PS3.4 annex B)."""
OTHER_STORAGE = frozenset(
    {
        *(f"1.2.840.10008.5.1.1.{part}" for part in ("27", "29", "30")),
        *(f"1.2.840.10008.5.1.4.{part}" for part in ("34.1", "34.7", "34.10", "38.1", "39.1", "43.1", "44.1", "45.1")),
    }
)
"""The storage SOP classes with other UIDs: of objects without a patient (PS3.4 annex GG), RT delivery, and old ones."""

# Derived from a UUID (PS3.5 B.2), so it is nobody else's.
IMPLEMENTATION_CLASS = "2.25.263713843062706893027301463306152394381"
IMPLEMENTATION_VERSION = "ORTHWEB_1"
