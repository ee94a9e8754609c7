"""Reports for the terminal, for Markdown, for the browser and for other programs."""

from secateur.report.html import write_html
from secateur.report.json import read_json, write_json
from secateur.report.markdown import markdown
from secateur.report.table import table, widths_table

__all__ = ["markdown", "read_json", "table", "widths_table", "write_html", "write_json"]
