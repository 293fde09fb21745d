"""The command `lab`: the way in for a person at a shell, and for make and CI.

Each subcommand is a few lines that call what does the work, imported only when it is asked for, so that `lab --help`
is instant. An error is one line that says what to do next. Nothing of the switch is here.
"""
import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

from lab import __version__

BANNER = "Glasswitch {version}: sw is a switch named br0, and ovs-vsctl, ovs-ofctl and ovs-appctl lines work beside Python."
COLUMNS = ("name", "figure", "unit", "peer", "peer_figure", "ratio", "bar", "met")


def checkout():
    """The folder that holds notebooks/, bench/ and kernels/: where the package lies, else where we stand."""
    for folder in (Path(__file__).resolve().parents[1], Path.cwd()):
        if (folder / "notebooks").is_dir() and (folder / "lab" / "cli.py").is_file():
            return folder
    raise FileNotFoundError("notebooks/ and bench/ are not beside the package: run `lab` inside a clone of Glasswitch")


def notebook(options):
    """Open JupyterLab on the first notebook."""
    from lab.notebooks import serve
    if options.folder and not options.folder.is_dir():
        raise FileNotFoundError(f"{options.folder}: no such folder")
    serve(checkout(), browser=not options.no_browser, port=options.port, folder=options.folder)


def shell(options):
    """Start IPython with a switch ready."""
    import IPython
    from traitlets.config import Config

    from lab import Switch
    settings = Config()
    settings.InteractiveShellApp.extensions = ["lab"]
    settings.TerminalInteractiveShell.banner2 = BANNER.format(version=__version__) + "\n"
    IPython.start_ipython(argv=options.arguments, config=settings, user_ns={"Switch": Switch, "sw": Switch("br0")})


def doctor(options):
    """Say what this machine allows, and how to allow the rest."""
    from lab.doctor import findings
    for finding in findings():
        print(finding, flush=True)


def check(options):
    """Run notebooks headless and print a table."""
    from lab.notebooks import check as run
    return run(checkout(), [Path(name) for name in options.notebooks], options.timeout)


def bench(options):
    """Measure, and print a table or JSON."""
    folder = checkout() / "bench"
    there = {path.stem: path for path in sorted(folder.glob("*.py")) if "\ndef measure(" in path.read_text()}
    unknown = [name for name in options.names if name not in there]
    if unknown:
        raise ValueError(f"no benchmark is named {unknown[0]!r}; there are {', '.join(there) or 'none yet'}")
    sys.path[:0] = [str(folder), str(folder.parent)]
    rows = []
    for name in options.names or there:
        for row in _module(there[name]).measure():
            rows.append({column: row.get(column) for column in COLUMNS} | row)
            if not options.json:
                print(_bench_line(rows[-1]), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


def _module(path):
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _bench_line(row):
    """One measure as a line: name, figure and unit, the peer's, the bar and whether it is met."""
    def number(value):
        return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
    peer = f"{row['peer']} {number(row['peer_figure'])}, ratio {number(row['ratio'])}" if row["peer"] else ""
    verdict = {None: "", True: "met", False: "MISSED"}[row["met"]]
    bar = f"bar {number(row['bar'])}" if row["bar"] is not None else ""
    return f"{row['name']:<44} {number(row['figure']):>10} {row['unit'] or '':<16} {peer:<32} {bar:<12} {verdict}".rstrip()


def export(options):
    """Save a notebook as a page that steps without a kernel."""
    source = Path(options.notebook)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such notebook")
    from lab.ui.export import export as save
    print(save(source, Path(options.output) if options.output else source.with_suffix(".html")))


def warm(options):
    """Compile all stages into the cache."""
    from lab.engine.code.objects import warm as compile_stages
    begun, counted = time.monotonic(), 0

    def progress(done, total, name):
        nonlocal counted
        counted = total
        bar = "█" * (30 * done // total)
        print(f"\r\033[K{bar:░<30} compiling {done}/{total}, once: {name}" if sys.stdout.isatty() else f"compiling {done}/{total}: {name}",
              end="" if sys.stdout.isatty() else "\n", flush=True)
    if sys.stdout.isatty():
        print("looking for compiled stages", end="", flush=True)
    compile_stages(progress)
    done = f"{counted} stages compiled" if counted else "all stages are compiled"
    print(("\r\033[K" if sys.stdout.isatty() else "") + f"{done} ({time.monotonic() - begun:.1f} s)")


def parser():
    """What `lab` understands."""
    top = argparse.ArgumentParser(prog="lab", description="Glasswitch: a virtual switch you can see through.")
    top.add_argument("--version", action="version", version=f"glasswitch {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(function):
        made = commands.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        made.set_defaults(run=function)
        return made
    one = command(notebook)
    one.add_argument("--no-browser", action="store_true", help="print the address and open nothing")
    one.add_argument("--port", type=int, default=8888, help="the first port to try (default 8888)")
    one.add_argument("--folder", type=Path, help="where the notebooks are (default: notebooks/ of the checkout)")
    command(shell).add_argument("arguments", nargs="*", metavar="ARG", help="what IPython is to be given, after --")
    command(doctor)
    one = command(check)
    one.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="which (default: all in notebooks/)")
    one.add_argument("--timeout", type=int, default=300, help="seconds a cell may take (default 300)")
    one = command(bench)
    one.add_argument("names", nargs="*", metavar="NAME", help="which (default: all in bench/)")
    one.add_argument("--json", action="store_true", help="print JSON")
    one = command(export)
    one.add_argument("notebook", metavar="NOTEBOOK")
    one.add_argument("-o", "--output", metavar="FILE", help="where to (default: beside the notebook, .html)")
    command(warm)
    return top


def main(arguments=None):
    """Run one command; the exit status."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ModuleNotFoundError as error:
        if str(error.name).startswith("lab."):
            raise
        print(f"lab {options.command}: {error.name} is not installed: run `make lab` in the checkout", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"lab {options.command}: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
