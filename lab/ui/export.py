"""`lab export NOTEBOOK`: a notebook as one HTML file that steps without a kernel and asks no network for anything.

A cell's stepper is saved with a page of its own beside it (`lab.ui.page`); a saved notebook's default form prefers the live
view, which needs a kernel and a CDN. Here the live views and their state are taken out, and what would be fetched is left
out. Nothing is executed: what the notebook shows is what was saved in it.
"""
from pathlib import Path

VIEW = "application/vnd.jupyter.widget-view+json"


def export(notebook, out):
    """Write the notebook's page to `out`; return its path."""
    import nbformat
    from nbconvert import HTMLExporter

    book = nbformat.read(notebook, as_version=4)
    settled(book)
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    html, _ = exporter.from_notebook_node(book, resources={"metadata": {"name": Path(notebook).stem}})
    out = Path(out)
    out.write_text(html, encoding="utf-8")
    return out


def settled(book):
    """Take the live views out of a notebook wherever HTML stands beside them, and the widgets' state."""
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data or "text/plain" in data:
                data.pop(VIEW, None)
    return book
