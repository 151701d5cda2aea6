"""What a clustering looks like: Bokeh figures and one self-contained HTML page."""

from __future__ import annotations

from fiedler.report.data import ReportData
from fiedler.report.page import write_report

__all__ = ["ReportData", "write_report"]
