"""Start the firmware in the folder ROOT as a board would:

    MICROPYPATH=FAKES micropython -X heapsize=38k -m start ROOT [IMAGE]
    python3 FAKES/start.py ROOT

FAKES is this folder, or one with its files as .mpy: they take less of the heap. ROOT becomes `/`, so /lib is the
board's. IMAGE: a ROMFS image that becomes /rom, executed in place, with the fakes in its folder `fakes`.
ROOT/board.json may say what the board is like: see fake_board. Exit status: 0 the program ended, 3 the board reset;
ROOT/sleep_ms is how long it sleeps.

What stands here is on the heap of `make run` as long as it is there, and so are the names of globals: so this only says
where the board's files are, and run_firmware, which is executed in place, does the rest.
"""

import sys


def start():
    _, root, *image = sys.argv
    fakes = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
    del sys.argv[1:]
    if sys.implementation.name != "micropython":
        __import__("fakes_on_cpython").run(root)
        return
    import os

    import vfs

    here = os.getcwd()
    if image:
        import flash

        fakes = flash.rom(image[0])
        del sys.modules["flash"]
    else:
        fakes = vfs.VfsPosix(fakes if fakes[0] == "/" else here + "/" + fakes)
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix(root if root[0] == "/" else here + "/" + root), "/")
    place = "/rom" if image else "/.fakes-of-a-board"
    vfs.mount(fakes, place)
    os.chdir("/")
    sys.path[:] = [place + "/fakes" if image else place, "", ".frozen", "/lib"]
    if image:
        sys.path += [place, place + "/lib"]  # as a port with ROMFS has them


start()
del start
__import__("run_firmware").run()  # not while it is imported: as source, that holds its tree
