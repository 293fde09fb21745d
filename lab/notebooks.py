"""Notebooks from a shell: JupyterLab opened on the first one, and all of them run without a browser.

Nothing of the user's own Jupyter is changed: the kernel is found through JUPYTER_PATH, and the settings that turn the
news popup off lie in a folder of ours. The kernel itself is `lab.ui.kernel`; this file starts it and knows no more of it.
"""
import getpass
import json
import os
import socket
import time
from pathlib import Path

KERNEL = "glasswitch"
FIRST = "00-first-packet.ipynb"
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": False}


def find_kernel(root):
    """Let Jupyter find the checkout's own kernel, before any installed one."""
    if (root / "kernels" / KERNEL / "kernel.json").is_file():
        os.environ["JUPYTER_PATH"] = os.pathsep.join([str(root), *filter(None, [os.environ.get("JUPYTER_PATH")])])


def settings_folder():
    """JupyterLab's settings for us: the user's choices are kept there, the news popup is off from the start.

    Who has named a folder by Jupyter's own variable gets that one, as it is.
    """
    if chosen := os.environ.get("JUPYTERLAB_SETTINGS_DIR"):
        return Path(chosen)
    from lab.engine.code.objects import cache_folder
    folder = cache_folder() / "jupyterlab-settings"
    file = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(QUIET, indent=4))
    return folder


def server_arguments(folder, browser, port):
    """The command line that JupyterLab is started with."""
    first = f"/tree/{FIRST}" if (folder / FIRST).is_file() else ""
    arguments = [
        f"--ServerApp.root_dir={folder}", f"--LabApp.default_url=/lab{first}",
        f"--LabApp.user_settings_dir={settings_folder()}", f"--MultiKernelManager.default_kernel_name={KERNEL}",
        f"--ServerApp.port={port}", "--ServerApp.port_retries=100", "--ServerApp.log_level=WARN", "--LabApp.log_level=WARN"]
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    return arguments + ([] if browser else ["--no-browser"])


def has_screen():
    """Whether opening a browser here would show it to whoever typed the command."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and "SSH_CONNECTION" not in os.environ


def addresses(url, port):
    """What to print when the server is up: where it is, and how to reach it from the other end of an ssh."""
    yield f"Glasswitch is at {url}"
    if connection := os.environ.get("SSH_CONNECTION", "").split():
        host, ssh_port = (*connection[2:4], "", "")[:2]
        option = f"-p {ssh_port} " if ssh_port not in ("", "22") else ""
        yield f"  from your own machine: ssh {option}-L {port}:localhost:{port} {getpass.getuser()}@{host or socket.gethostname()}"
        yield "  and then open that address there"
    yield "  Control-C, twice, ends it"


def serve(root, *, browser=True, port=8888, folder=None):
    """Start JupyterLab on the first notebook, in the checkout's notebooks or in another folder, and stay until it ends."""
    from jupyterlab.labapp import LabApp
    find_kernel(root)
    server = LabApp.initialize_server(argv=server_arguments((folder or root / "notebooks").resolve(), browser and has_screen(), port))
    server.log.addFilter(lambda record: "To access the server" not in record.getMessage())  # we say it in one line
    print("\n".join(addresses(server.local_url, server.port)), flush=True)
    server.start()


def run(path, timeout):
    """Run one notebook in the Glasswitch kernel: (seconds, what went wrong or "")."""
    import nbformat
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    begun, wrong = time.monotonic(), ""
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(book, timeout=timeout, kernel_name=KERNEL, extra_arguments=["--log-level=ERROR"],
                            resources={"metadata": {"path": str(path.parent)}})
    try:
        client.execute()
    except CellExecutionError as error:
        wrong = f"cell {_last_run(book)}: {error.ename}: {error.evalue}".splitlines()[0]
    except CellTimeoutError:
        wrong = f"cell {_last_run(book)}: not done after {timeout} s"
    except DeadKernelError:
        wrong = f"cell {_last_run(book)}: the kernel died"
    except NoSuchKernel:
        raise FileNotFoundError(f"Jupyter finds no kernel named {KERNEL}: run `make lab` in the checkout") from None
    except RuntimeError as error:  # what nbclient says of a kernel that does not answer
        wrong = f"the kernel did not start: {error}"
    return time.monotonic() - begun, wrong


def _last_run(book):
    """The number, as JupyterLab counts code cells, of the cell that ran last."""
    ran = [cell.metadata for cell in book.cells if cell.cell_type == "code"]
    return max((n for n, metadata in enumerate(ran, 1) if "execution" in metadata), default=1)


def check(root, paths=(), timeout=300):
    """Run notebooks one after the other and print a table; 1 if any failed."""
    find_kernel(root)
    paths = paths or sorted(p for p in (root / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if lost := [str(path) for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{lost[0]}: no such notebook")
    if not paths:
        raise FileNotFoundError(f"{root / 'notebooks'} holds no notebook")
    failed, width = 0, max(len(path.name) for path in paths)
    for path in paths:
        print(f"{path.name:<{width}}  ", end="", flush=True)
        seconds, wrong = run(path, timeout)
        failed += bool(wrong)
        print(f"{seconds:6.1f} s  {wrong or 'ok'}", flush=True)
    print(f"{len(paths) - failed} of {len(paths)} notebooks run")
    return 1 if failed else 0
