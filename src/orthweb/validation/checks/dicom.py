"""Checks of the DICOM port as a modality uses it: C-ECHO, C-STORE, C-FIND, C-GET, and what must be refused."""

from __future__ import annotations

from orthweb.validation.checks.dicom_refusals import CALLED_AE_TITLE, OWN_AE_TITLE, SERVICES, UNLISTED_AE_TITLE
from orthweb.validation.checks.dicom_services import ECHO, FIND, GET, STORE
from orthweb.validation.checks.dicom_strangers import NONSENSE, WITHOUT_TLS
from orthweb.validation.checks.dicom_syntaxes import TRANSFER_SYNTAXES

__all__ = ["CHECKS", "ECHO", "STORE"]

CHECKS = (
    ECHO,
    STORE,
    FIND,
    GET,
    TRANSFER_SYNTAXES,
    WITHOUT_TLS,
    NONSENSE,
    CALLED_AE_TITLE,
    OWN_AE_TITLE,
    UNLISTED_AE_TITLE,
    SERVICES,
)
