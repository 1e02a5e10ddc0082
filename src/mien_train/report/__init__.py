"""What an evaluation found, for people: words on a terminal, or one page with plots."""

from mien_train.report.page import write_page
from mien_train.report.text import score_lines

__all__ = ["score_lines", "write_page"]
