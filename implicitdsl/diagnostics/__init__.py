"""Findings about a text: places, diagnostics, their catalogue and their rendering."""

from implicitdsl.diagnostics.diagnostic import Diagnostic, Fix, ImpError, Label, Report
from implicitdsl.diagnostics.render import as_dict, render
from implicitdsl.diagnostics.span import Source, Span

__all__ = ["Diagnostic", "Fix", "ImpError", "Label", "Report", "Source", "Span", "as_dict", "render"]
