"""Reports of an evaluation: text for the terminal, or an HTML page with plots."""

from mien_train.report.page import write_page
from mien_train.report.text import score_lines

__all__ = ["score_lines", "write_page"]
