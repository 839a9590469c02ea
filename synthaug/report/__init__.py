"""Showing: a comparison as one HTML page that stands alone, and as plots for a notebook."""

from synthaug.report.html import page, write
from synthaug.report.plots import plot_curve, plot_gains

__all__ = ["page", "plot_curve", "plot_gains", "write"]
