"""A file that is replaced is there as a whole, the old one or the new, and a change on trial is one at a time."""

import os

import on_board  # noqa: F401 - the paths
from fakes.check import equal, raises
from fakes.folder import Folder, read, write

import probation


def broken_off():
    yield b"half of "
    raise OSError(28, "no room")


def test_a_full_flash_leaves_the_old_file_and_no_part_of_the_new():
    with Folder() as folder:
        name = folder + "/config.json"
        write(name, b"old")
        equal(raises(OSError, probation.write, name, broken_off()).errno, 28)
        equal((read(name), os.listdir(folder)), (b"old", ["config.json"]))
        probation.write(name, (b"new", b" one"))
        equal((read(name), os.listdir(folder)), (b"new one", ["config.json"]))


def test_a_folder_that_is_not_there_is_told_as_such():
    with Folder() as folder:
        equal(raises(OSError, probation.write, folder + "/none/x", (b"1",)).errno, 2)


def test_a_second_change_is_refused_until_the_first_has_ended_either_way():
    for ends_well in (True, False):
        with Folder() as folder:
            name = folder + "/config.json"
            write(name, b"old")
            probation.offer(name, (b"new",))
            assert "on trial" in str(raises(ValueError, probation.refuse_another, name))
            tried = probation.choose(name)
            equal(read(tried), b"new")
            assert "on trial" in str(raises(ValueError, probation.refuse_another, name))
            if ends_well:
                probation.keep(name)
            equal(probation.choose(name), name)
            equal(read(name), b"new" if ends_well else b"old")
            probation.refuse_another(name)
