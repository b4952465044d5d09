"""What came of a validation, for others: JSON, JUnit XML, and a page to mail."""

from orthweb.validation.reports.json_report import to_dict

__all__ = ["to_dict"]
