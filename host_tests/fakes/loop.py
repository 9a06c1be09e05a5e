"""An event loop on the virtual clock, on both interpreters: what umqtt.aio and its tests take from MicroPython's
asyncio.

    w = World(); w.run(main())          # fakes.bench; `asyncio` of this module has sleep_ms, create_task, wait_for, ...

Strict where the real one is not: a task that is put into a queue twice, or taken out of one that it is not in, is a
failure (there the queue breaks). `on_step`: called before each step of a task, as f(task); tests cancel there.
"""

import sys

from fakes.clock import ticks_add, ticks_diff

POLLIN = 1
POLLOUT = 4

_OVER = None  # the state of a task that has ended

if sys.implementation.name == "micropython":

    def coroutine(function):
        return function

else:
    from types import coroutine


class CancelledError(BaseException):
    pass


class TimeoutError(Exception):
    pass


class TaskQueue:
    def __init__(self):
        self.tasks = []

    def peek(self):
        return self.tasks[0] if self.tasks else None

    def push(self, task, key=None):
        if task.queue is not None:
            raise AssertionError("a task is put into a second queue")
        task.data = None
        task.queue = self
        task.ph_key = core.ticks() if key is None else key
        place = len(self.tasks)
        while place and ticks_diff(self.tasks[place - 1].ph_key, task.ph_key) > 0:
            place -= 1
        self.tasks.insert(place, task)

    def pop(self):
        task = self.tasks.pop(0)
        task.queue = None
        return task

    def remove(self, task):
        if task.queue is not self:
            raise AssertionError("a task is taken out of a queue that it is not in")
        self.tasks = [other for other in self.tasks if other is not task]
        task.queue = None


class Task:
    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None
        self.state = True  # runs; a TaskQueue: and these wait for its end; _OVER
        self.ph_key = 0
        self.queue = None

    def __iter__(self):
        if self.state is True:
            self.state = TaskQueue()
        return self

    __await__ = __iter__

    def __next__(self):
        if self.state is _OVER:
            raise self.data
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return self.state is _OVER

    def cancel(self):
        if self.state is _OVER:
            return False
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif ticks_diff(task.ph_key, core.ticks()) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = CancelledError
        return True

    def remove(self, task):
        """Of a task that waits for this one."""
        self.state.remove(task)


class IOQueue:
    def __init__(self, poller):
        self.poller = poller
        self.map = {}

    def _enqueue(self, stream, side):
        row = self.map.get(id(stream))
        if row is None:
            row = self.map[id(stream)] = [None, None, stream]
            self.poller.register(stream, POLLOUT if side else POLLIN)
        else:
            assert row[side] is None
            self.poller.modify(stream, POLLIN | POLLOUT)
        row[side] = core.cur_task
        core.cur_task.data = self
        core.cur_task.queue = self

    def queue_read(self, stream):
        self._enqueue(stream, 0)

    def queue_write(self, stream):
        self._enqueue(stream, 1)

    def _drop(self, stream):
        del self.map[id(stream)]
        self.poller.unregister(stream)

    def remove(self, task):
        for row in list(self.map.values()):
            if task in row[:2]:
                for other in row[:2]:
                    if other is not None:
                        other.queue = None
                self._drop(row[2])  # as the real one does, whoever else waits for it

    def wait_io_event(self, ms):
        for stream, event in self.poller.poll(ms):
            row = self.map[id(stream)]
            for side, others in ((0, ~POLLOUT), (1, ~POLLIN)):
                if event & others and row[side] is not None:
                    row[side].queue = None
                    core._task_queue.push(row[side])
                    row[side] = None
            if row[0] is None and row[1] is None:
                self._drop(stream)
            else:
                self.poller.modify(stream, POLLIN if row[0] is not None else POLLOUT)


class Loop:
    unhandled = []  # the contexts of exceptions that nobody took

    @staticmethod
    def call_exception_handler(context):
        Loop.unhandled.append(dict(context))


class _Core:
    """What MicroPython has as the module asyncio.core."""

    cur_task = None
    _task_queue = _io_queue = None
    Task = Task
    TaskQueue = TaskQueue
    Loop = Loop
    CancelledError = CancelledError
    _exc_context = {"message": "", "exception": None, "future": None}

    def ticks(self):
        return self.clock.ticks_ms()

    def create_task(self, coro):
        task = Task(coro)
        self._task_queue.push(task)
        return task

    def sleep_ms(self, ms):
        return sleep_ms(ms)


core = _Core()
create_task = core.create_task


def install(net, clock):
    """A new loop on this network and this clock."""
    core.clock = clock
    core.cur_task = None
    core._task_queue = TaskQueue()
    core._io_queue = IOQueue(net.select.poll())
    Loop.unhandled.clear()


def run(main, on_step=None):
    """Run coroutine `main` to its end, and all others meanwhile; returns what it returns. on_step: see above."""
    main_task = core.create_task(main)
    while main_task.state is not _OVER:
        ms = 1
        while ms > 0:
            task = core._task_queue.peek()
            ms = -1 if task is None else max(0, ticks_diff(task.ph_key, core.ticks()))
            core._io_queue.wait_io_event(ms)
        _step(main_task, on_step)
    if isinstance(main_task.data, StopIteration):
        return main_task.data.value
    raise main_task.data


def turn(ms):
    """Let up to ms pass until something happens, then run every task that is ready."""
    task = core._task_queue.peek()
    if task is not None:
        ms = min(ms, max(0, ticks_diff(task.ph_key, core.ticks())))
    core._io_queue.wait_io_event(ms)
    task = core._task_queue.peek()
    while task is not None and ticks_diff(task.ph_key, core.ticks()) <= 0:
        _step()
        core._io_queue.wait_io_event(0)
        task = core._task_queue.peek()


def _step(main_task=None, on_step=None):
    # the next task goes on
    core.cur_task = None
    if on_step:
        on_step(core._task_queue.peek())
    task = core.cur_task = core._task_queue.pop()
    thrown = task.data
    try:
        if not thrown:
            task.coro.send(None)
        else:
            task.data = None
            task.coro.throw(thrown if isinstance(thrown, BaseException) else thrown())
    except (CancelledError, Exception) as end:
        assert task.queue is None, "a task is over, and still waits"
        waiting = task.state
        task.state = _OVER
        task.data = end
        if isinstance(waiting, TaskQueue):
            while waiting.peek():
                core._task_queue.push(waiting.pop())
        elif task is not main_task and not isinstance(end, (StopIteration, CancelledError)):
            Loop.unhandled.append({"message": "", "exception": end, "future": task})
    core.cur_task = None


# What programs call


@coroutine
def sleep_ms(ms):
    core._task_queue.push(core.cur_task, ticks_add(core.ticks(), max(0, int(ms))))
    yield


def sleep(seconds):
    return sleep_ms(seconds * 1000)


class Event:
    def __init__(self):
        self.state = False
        self.waiting = TaskQueue()

    def is_set(self):
        return self.state

    def set(self):
        while self.waiting.peek():
            core._task_queue.push(self.waiting.pop())
        self.state = True

    def clear(self):
        self.state = False

    @coroutine
    def wait(self):
        if not self.state:
            self.waiting.push(core.cur_task)
            core.cur_task.data = self.waiting
            yield
        return True


async def wait_for_ms(waited, ms):
    """As asyncio's: a task of its own for `waited`, cancelled after `ms`; raises TimeoutError."""
    over = []
    sleeping = [core.cur_task]
    task = core.create_task(_told(waited, over, sleeping))
    try:
        await sleep_ms(ms)
    except CancelledError:
        if not over:
            task.cancel()
            raise
    sleeping.clear()
    if not over:
        task.cancel()
        while not over:
            await sleep_ms(0)
        raise TimeoutError
    if isinstance(over[0], BaseException):
        raise over[0]
    return over[0][0]


async def _told(waited, over, sleeping):
    try:
        over.append((await waited,))
    except BaseException as fault:
        over.append(fault)
    if sleeping:
        sleeping[0].cancel()


async def gather(*waited):
    tasks = [create_task(awaited) for awaited in waited]
    results = []
    for task in tasks:
        results.append(await task)
    return results


def import_aio(name="umqtt.aio"):
    """That module; on CPython with this one in the place of its asyncio."""
    if name != "umqtt.aio":
        import_aio()
    if sys.implementation.name != "micropython" and name not in sys.modules:
        real = sys.modules.get("asyncio")
        sys.modules["asyncio"] = sys.modules[__name__]
        try:
            __import__(name)
        finally:
            del sys.modules["asyncio"]
            if real:
                sys.modules["asyncio"] = real
        if name == "umqtt.aio":
            awaited = sys.modules[name].Awaited
            awaited._turn = coroutine(awaited._turn)
    __import__(name)
    return sys.modules[name]
