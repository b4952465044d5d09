"""What came of a validation, for others: JSON, JUnit XML, and a page to mail."""

from orthweb.validation.reports.html_report import to_html
from orthweb.validation.reports.json_report import to_dict
from orthweb.validation.reports.junit_report import to_junit

__all__ = ["to_dict", "to_html", "to_junit"]
