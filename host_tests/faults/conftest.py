"""The summary of the fault layer: what was run, and what went wrong."""

from faults.exchanges import TALLY


def pytest_terminal_summary(terminalreporter):
    if any(TALLY.values()):
        terminalreporter.write_line("faults: " + ", ".join("%d %s" % (TALLY[name], name) for name in TALLY))
