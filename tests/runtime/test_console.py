import os
import signal
import subprocess
import sys

import pytest

COMMAND = """
import signal, sys, time
from srcnn_lib.runtime.console import run_command

def command():
    {body}

run_command(command)
"""


def start(body, **options):
    # Under nohup SIGHUP is ignored, and a child inherits that.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    try:
        return subprocess.Popen([sys.executable, "-c", COMMAND.format(body=body)], **options)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_ends_a_command_in_one_line_with_its_own_status(number, status):
    with start("print('there', flush=True); time.sleep(30)") as process:
        assert process.stdout.readline() == "there\n"
        process.send_signal(number)
        assert process.communicate(timeout=20)[1] == "srcnn: stopped\n"
    assert process.returncode == status


def test_ctrl_c_while_the_interpreter_ends_prints_no_traceback():
    body = "import atexit; atexit.register(lambda: (print('ending', flush=True), time.sleep(1)))"
    # Registered before run_command, so that it runs after what run_command registers.
    with subprocess.Popen(
        [sys.executable, "-c", "import atexit, time\n" + body + COMMAND.format(body="raise KeyboardInterrupt")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ending\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == "srcnn: stopped\n"
    assert process.returncode == 130


def test_a_signal_that_is_ignored_stays_ignored():
    body = "print('there', flush=True); time.sleep(0.3)"
    with start(body, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 0


WORK = "[print('a line of text', flush=True) for _ in range(2000)]; print('done', file=sys.stderr)"


def test_the_work_is_done_though_nobody_reads_the_output_any_more():
    with start(WORK) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "done\n"
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("body", [WORK, "print('a word'); print('done', file=sys.stderr)"])
def test_a_full_disk_behind_standard_output_is_named_after_the_work_is_done(body):
    with open("/dev/full", "w") as full, start(body, stdout=full) as process:
        lines = process.stderr.read().splitlines()
    assert lines == ["done", "srcnn: standard output: No space left on device"]
    assert process.returncode == 2


def test_letters_that_the_terminal_lacks_are_escaped():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with start("print('\u00d72', 'caf\\udce9')", env=environment) as process:
        assert process.communicate()[0] == "\\xd72 caf\\udce9\n"
    assert process.returncode == 0
