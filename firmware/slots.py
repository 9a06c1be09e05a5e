"""Which firmware does the board run: the one that came by cable, or an update in a folder of its own?

Each step is one rename, so that a power cut leaves the old choice or the new one. The firmware of the cable is never
written over, and this module is always taken from there: main.py asks choose() at each start, and drops the code again.

    /ota/boot      the update that runs: {"run":"3","digest":...,"old":{...}}; without it that of the cable runs
    /ota/boot.new  one that is whole and to be tried     .try  on trial since the last start     .bad  tried, not kept
    /ota/starts    how many starts in a row have come to nothing so far
    /ota/3/        the files of update 3
"""

import json
import os
import sys

import machine
from micropython import const

ROOT = ""  # the current folder, which is / on a board; a test has its own
TRIAL = const(1)  # an update that must reach the broker, or the old firmware comes back
COUNTED = const(2)  # a start that has yet to show that it is none of a boot loop
SAFE = const(3)  # the cable's firmware without its sensors: a boot loop waits for an update

TRIED = const("ota/boot")  # as probation.py calls it, which keeps it
MOST_STARTS = const(6)  # in a row that come to nothing, then it is a boot loop
TRIAL_STARTS = const(3)  # a power cut within a trial is no verdict
_PAUSE_MS = const(2000)


def at(name: str) -> str:
    """The path of a file of /ota/."""
    return ROOT + "ota/" + name


def is_there(path: str) -> bool:
    """Whether there is such a file or folder."""
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def read(name: str) -> dict:
    """What the file of /ota/ holds, {} without one."""
    try:
        with open(at(name)) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}


def write(name: str, value) -> None:
    """Replace the file of /ota/ as a whole. Raises OSError, and then it is as it was."""
    with open(at("part"), "w") as f:
        json.dump(value, f)
    os.rename(at("part"), at(name))


def begin() -> None:
    """From now on starts are counted. Raises nothing."""
    try:
        os.mkdir(ROOT + "ota")
    except OSError:
        pass  # it is there, or flash is full


def kind() -> int:
    """What choose() found: 0, TRIAL, COUNTED or SAFE."""
    if is_there(at("boot.try")):
        return TRIAL
    starts = read("starts").get("starts", 0)
    return SAFE if starts > MOST_STARTS else COUNTED if starts else 0


def is_safe() -> bool:
    """Whether this start is in safe mode."""
    return kind() == SAFE


def trials() -> tuple:
    """What probation.py calls the update that is on trial, if there is one."""
    return (TRIED,) if kind() == TRIAL else ()


def choose() -> int:
    """Put the firmware that is to run first on sys.path, and count this start. Returns 0, TRIAL, COUNTED or SAFE.

    Raises nothing: where flash cannot be written to, the firmware that it names is started all the same."""
    if not is_there(ROOT + "ota"):
        return 0  # config.take() comes next, and needs this module: it is loaded once
    sys.modules.pop(__name__, None)
    try:
        _count()
    except OSError as e:
        print("ota: the start cannot be noted:", e)
    found = kind()
    if found == SAFE:
        print("ota: %d starts came to nothing: safe mode, without sensors, waiting for an update" % MOST_STARTS)
        return found
    run = read("boot.try" if found == TRIAL else "boot").get("run")
    if run and is_there(at(run)):
        sys.path.insert(0, at(run))
        sys.path.insert(0, at(run) + "/lib")
    return found


def _count() -> None:
    # the kind of this start is noted before anything of it can fail
    starts = read("starts").get("starts", 0)
    if is_there(at("boot.new")):
        write("starts", {"starts": 1})
        os.rename(at("boot.new"), at("boot.try"))
        return
    if is_there(at("boot.try")):
        if starts < TRIAL_STARTS:
            write("starts", {"starts": starts + 1})
            return
        go_back("in %d starts it did not reach the broker" % TRIAL_STARTS)
        starts = 0
    elif _is_nothing_new(machine.reset_cause()):
        return
    # after a start in safe mode the whole firmware gets one more: a moment may have passed
    starts = MOST_STARTS if starts > MOST_STARTS else starts + 1
    boot = read("boot")
    if starts > MOST_STARTS and boot.get("run"):
        why = "%d starts came to nothing" % MOST_STARTS
        print("ota: back to the firmware before:", why)
        write("why", {"digest": boot.get("digest"), "why": why})
        write("boot", boot.get("old") or {"run": "", "digest": ""})
        starts = 1
    write("starts", {"starts": starts})


def _is_nothing_new(cause) -> bool:
    # wakes are no boot loop, and flash wears; nor is somebody at the prompt (an ESP8266 calls each reset a soft one)
    return cause == machine.DEEPSLEEP_RESET or cause == machine.SOFT_RESET and sys.platform != "esp8266"


def go_back(why: str) -> None:
    """The update on trial has failed: the next start takes the firmware before. Raises OSError."""
    print("ota: back to the old firmware:", why)
    write("why", {"digest": read("boot.try").get("digest"), "why": why})
    os.rename(at("boot.try"), at("boot.bad"))


def well() -> None:
    """This start has come to something: it is counted no more. Raises OSError."""
    if is_there(at("starts")):
        os.remove(at("starts"))


def ended(why: str) -> None:
    """The program has ended, or could not start. On trial that is the end of the trial: the old firmware is started.
    Ctrl-C prevents it, for whoever is at the serial port."""
    from time import sleep_ms

    if is_there(at("boot.try")):
        go_back(why)
        sleep_ms(_PAUSE_MS)
        machine.reset()
