"""Which command was sent? Its file is loaded, does the work, and is dropped again, as this one is.

The contract of a command, one file each: `carry_out(node, payload, flags)` takes bytes and flags as in flags.py,
and returns what was done, in words; it raises ValueError that says why not. What is to come after the answer it gives
to node.listener.afterwards(). None instead of words: it answers by itself, later. `RETAINED = True` beside it: a
retained message counts, too.
"""

from flags import RETAINED
from health import crashed


def obey(node, name: str, payload, flags: int) -> None:
    """Carry out command `name` and answer; raises nothing but MemoryError."""
    ok = False
    try:
        if payload is None:
            raise ValueError("over 2048 B, too many at once, or no memory: nothing was done")
        words = carried_out(node, name, payload, flags)
        ok = True
    except UnicodeError:  # which MicroPython raises without a word
        words = "needed is text in UTF-8"
    except (ValueError, OSError) as e:
        words = str(e)
    except MemoryError:
        raise
    except Exception as e:  # a command's own mistake
        crashed(e)
        words = "it failed: %r" % e
    if words is not None:
        node.listener.answer(name, ok, words)


def carried_out(node, name: str, payload: bytes, flags: int):
    # what the command says; raises what it does
    module = None
    if name.replace("_", "").isalpha():
        try:
            module = __import__("commands." + name, None, None, ("carry_out",))
        except ImportError:
            pass
    if not hasattr(module, "carry_out"):  # nor have the two that stand beside them
        from commands.unknown import refuse

        refuse(name)
    if flags & RETAINED and not getattr(module, "RETAINED", False):
        raise ValueError(
            "a retained message would come again at each start: not carried out. Clear it (an empty message, retained),"
            " and send it without retain"
        )
    return module.carry_out(node, payload, flags)  # pyright: ignore[reportOptionalMemberAccess]
