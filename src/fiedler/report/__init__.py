"""What a clustering looks like: Bokeh figures and one self-contained HTML page."""

from __future__ import annotations

from fiedler.report.data import Gallery, Phases, ReportData
from fiedler.report.describe import describe
from fiedler.report.page import write_report

__all__ = ["Gallery", "Phases", "ReportData", "describe", "write_report"]
