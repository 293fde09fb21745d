"""`lab export NOTEBOOK`: a notebook as one HTML file that steps without a kernel and asks no network for anything.

A cell's stepper is saved with a page of its own beside it (`lab.ui.page`); a saved notebook's default form prefers the live
view, which needs a kernel and a CDN. Here the live views and their state are taken out, and what would be fetched is left
out. A notebook with outputs is shown as it was saved; one without any is run first, and the file itself stays as it is.
"""
import ast
from pathlib import Path

from lab.notebooks import KERNEL, find_kernel

VIEW = "application/vnd.jupyter.widget-view+json"
CHART = "application/vnd.plotly.v1+json"
_PAGES = "__import__('lab.ui.stepper', fromlist=['pages']).pages()"


def export(notebook, out, timeout=300):
    """Write the notebook's page to `out`; return its path."""
    import nbformat
    from nbconvert import HTMLExporter

    book = nbformat.read(notebook, as_version=4)
    if not any(cell.get("outputs") for cell in book.cells):
        run(book, Path(notebook).parent, timeout)
    settled(book)
    charts(book)
    exporter = HTMLExporter(template_name="lab", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    html, _ = exporter.from_notebook_node(book, resources={"metadata": {"name": Path(notebook).stem}})
    out = Path(out)
    out.write_text(html, encoding="utf-8")
    return out


def run(book, folder, timeout):
    """Run the cells, and let each stepper's page have the steps that the cells after it took."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    find_kernel(Path(__file__).resolve().parents[2])
    name = book.metadata.get("kernelspec", {}).get("name", KERNEL)
    client = NotebookClient(book, timeout=timeout, kernel_name=name, extra_arguments=["--log-level=ERROR"],
                            resources={"metadata": {"path": str(folder)}})
    ran = 0  # code cells, as JupyterLab counts them
    try:
        with client.setup_kernel():
            for number, cell in enumerate(book.cells):
                ran += cell.cell_type == "code"
                client.execute_cell(cell, number)
            pages = _ask(client, _PAGES)
    except CellExecutionError as error:
        raise ValueError(f"cell {ran}: {error.ename}: {error.evalue}".splitlines()[0]) from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise ValueError(f"cell {ran}: {str(error).splitlines()[0]}") from None
    for data in _shown(book):
        if html := pages.get(data.get(VIEW, {}).get("model_id")):
            data["text/html"] = html


def _ask(client, expression):
    """The value of an expression in the kernel; nothing where it has none, as in a kernel without a switch."""
    from nbclient.util import run_sync

    async def ask():
        return await client.kc.execute("", silent=True, user_expressions={"it": expression}, reply=True, timeout=60)

    told = run_sync(ask)()["content"]["user_expressions"]["it"]
    return ast.literal_eval(told["data"]["text/plain"]) if told["status"] == "ok" else {}


def _shown(book):
    """The data of each output of a notebook."""
    for cell in book.cells:
        for output in cell.get("outputs", []):
            yield output.get("data", {})


def settled(book):
    """Take the live views out of a notebook wherever HTML or text stands beside them, and the widgets' state."""
    book.metadata.pop("widgets", None)
    for data in _shown(book):
        if "text/html" in data or "text/plain" in data:
            data.pop(VIEW, None)
    return book


def charts(book):
    """Give each chart a form that needs no plug-in; the first brings the 5 MB of Plotly's script with it."""
    script = True
    for data in _shown(book):
        if CHART in data and "text/html" not in data:
            from plotly.io import to_html
            chart = data[CHART]
            figure = {"data": chart["data"], "layout": chart["layout"]}
            data["text/html"] = to_html(figure, chart.get("config"), include_plotlyjs=script, full_html=False, validate=False)
            script = False
