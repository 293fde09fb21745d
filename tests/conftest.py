"""What holds for every test: the checkout comes first, no mbuf is lost, and in CI nothing is skipped.

Compiled stages are kept where the engine keeps them (GLASSWITCH_CACHE, else the user's cache), so a second run is quick.
"""
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # for child processes

IN_CI = os.environ.get("GLASSWITCH_CI") == "1"
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=_SLOW)
settings.register_profile("here", deadline=None, suppress_health_check=_SLOW)
settings.load_profile("ci" if IN_CI else "here")

_skipped = []


def pytest_runtest_logreport(report):
    if report.skipped and not hasattr(report, "wasxfail"):
        _note_skip(report)


def pytest_collectreport(report):
    if report.skipped:
        _note_skip(report)


def _note_skip(report):
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    _skipped.append(f"{report.nodeid}: {why.removeprefix('Skipped: ')}")


def pytest_sessionfinish(session, exitstatus):
    if IN_CI and _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if IN_CI and _skipped:
        terminalreporter.section("skipped, and in CI nothing may be", red=True, bold=True)
        for line in _skipped:
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def conserved():
    """After every test: each mbuf of every living switch is in exactly one place."""
    yield
    switch = sys.modules.get("lab.control.switch")
    if switch is not None:
        for sw in list(switch.living()):
            sw.mempool.check()


@pytest.fixture
def checkout():
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(params=["fast", "checked"])
def scene(request):
    """A little switch around one stage, whose machine code is as built for speed, then as built checked."""
    from scenes import Scene
    return Scene(checked=request.param == "checked")


@pytest.fixture
def made():
    """Make switches that are closed behind the test."""
    from walks import switch
    switches = []

    def make(*rules, **options):
        switches.append(switch(*rules, **options))
        return switches[-1]
    yield make
    for sw in switches:
        sw.close()
