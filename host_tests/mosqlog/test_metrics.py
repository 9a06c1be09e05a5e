"""The metrics for node_exporter, read back with Prometheus' own parser."""

import signal
import subprocess
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

from tools.mosqlog import prometheus

from .program import LOG, ROOT, following, run


def samples(path):
    """{(name, its labels but an empty broker): value}"""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()) if value)): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_the_totals_are_those_of_the_summary(tmp_path):
    assert run("--prometheus", tmp_path / "m.prom", LOG)[0] == 0
    found = samples(tmp_path / "m.prom")
    assert found["mosqlog_lines_total",] == 199
    assert found["mosqlog_connects_total",] == 23
    assert found["mosqlog_connects_refused_total",] == 2
    assert found["mosqlog_tcp_connections_total",] == 26
    assert found["mosqlog_findings_total", "code=two-devices", "of=client"] == 2
    assert found["mosqlog_finding_subjects", "code=two-devices", "of=client"] == 1
    assert found["mosqlog_findings_total", "code=flapping", "of=client"] == 0
    assert found["mosqlog_findings_total", "code=refused-login", "of=stranger"] == 2
    assert found["mosqlog_session_ends_total", "how=takeover"] == 4
    assert found["mosqlog_last_line_timestamp_seconds",] == 1795466815
    assert not any(name.startswith("mosqlog_client_") for name, *_ in found)


def test_a_client_has_series_of_its_own_only_when_it_is_named(tmp_path):
    assert run("--prometheus", tmp_path / "m.prom", "--client", "twin", f"north={LOG}", f"south={LOG}")[0] == 0
    found = samples(tmp_path / "m.prom")
    assert found["mosqlog_client_connects_total", "broker=north", "client=twin"] == 4
    assert found["mosqlog_client_connects_total", "broker=south", "client=twin"] == 4
    assert {label for name, *labels in found if name.startswith("mosqlog_client_") for label in labels} == {
        "broker=north",
        "broker=south",
        "client=twin",
    }


def test_every_metric_is_in_the_manual_and_no_other(tmp_path):
    page = (ROOT / "docs" / "mosqlog-data.md").read_text()
    described = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `mosqlog_")}
    assert described == set(prometheus.NAMES)
    assert run("--prometheus", tmp_path / "m.prom", "--client", "twin", LOG)[0] == 0
    assert {name for name, *_ in samples(tmp_path / "m.prom")} == described


def test_a_label_holds_whatever_an_id_holds(tmp_path):
    evil = 'a"b\\c\x1b{x="y"} 7'
    raw = f"1795348562: Received PINGREQ from {evil}\n".encode()
    assert run("--prometheus", tmp_path / "m.prom", "--client", evil, "-", stdin=raw)[0] == 0
    assert samples(tmp_path / "m.prom")["mosqlog_client_connected", 'client=a"b\\c\\x1b{x="y"} 7'] == 1


def test_a_log_without_times_has_no_time_of_its_last_line(tmp_path):
    assert run("--prometheus", tmp_path / "m.prom", "-", stdin=b"Received PINGREQ from a\n")[0] == 0
    assert ("mosqlog_last_line_timestamp_seconds",) not in samples(tmp_path / "m.prom")


def test_a_file_that_cannot_be_written_is_said_and_the_old_one_stays(tmp_path):
    status, out, err = run("--prometheus", tmp_path / "no" / "m.prom", LOG)
    assert status == 2 and "cannot be written" in err and "Traceback" not in err and "twin" in out


def test_the_file_is_written_when_following_ends(tmp_path):
    log = tmp_path / "log"
    log.write_text("1795348562: Received PINGREQ from a\n")
    program = following("--prometheus", tmp_path / "m.prom", log)
    try:
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=120)
    finally:
        program.kill()
        program.communicate()
    assert program.returncode == 0
    assert samples(tmp_path / "m.prom")["mosqlog_clients_connected",] == 1


def test_the_file_is_written_again_and_again_while_following(tmp_path):
    log, metrics = tmp_path / "log", tmp_path / "m.prom"
    log.write_text("1795348562: Received PINGREQ from a\n")
    code = "import sys, tools.mosqlog.__main__ as m; m.METRICS_S = 0; sys.exit(m.main(sys.argv[1:]))"
    program = subprocess.Popen(
        [sys.executable, "-c", code, "--follow", "--prometheus", str(metrics), str(log)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        for lines in (1, 2):
            while not metrics.exists() or samples(metrics)["mosqlog_lines_total",] < lines:
                assert program.poll() is None
                time.sleep(0.05)
            with log.open("a") as file:
                file.write("1795348563: Received PINGREQ from b\n")
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=120)
    finally:
        program.kill()
        program.communicate()
    assert program.returncode == 0
