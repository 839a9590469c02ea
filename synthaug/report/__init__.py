"""Showing: comparisons as one HTML page that stands alone, and as plots for a notebook."""

from synthaug.report.html import Findings, page, write, write_page
from synthaug.report.plots import plot_curve, plot_gains

__all__ = ["Findings", "page", "plot_curve", "plot_gains", "write", "write_page"]
