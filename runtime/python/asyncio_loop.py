"""An asyncio event loop for one thread and nothing to wait for but time.

The loop of the standard library wakes itself through a pair of sockets, which the sandbox does not have. This one
sleeps until its next timer. When nothing is ready and no timer is set, nothing could ever wake it, so it says so
instead of waiting for ever.
"""

import time


def _network(*args, **kwargs):
    raise RuntimeError(NO_NETWORK)


async def _network_async(*args, **kwargs):
    raise RuntimeError(NO_NETWORK)


async def _process_async(*args, **kwargs):
    raise RuntimeError(NO_PROCESSES)


def _executor(self, executor, func, *args):
    raise RuntimeError("asyncio cannot run a function in a thread: " + NO_THREADS)


def _reader(self, fd, *args):
    raise RuntimeError(
        "asyncio cannot wait for a file or for stdin in a job: read it directly (input(), sys.stdin.readline()), "
        "which waits as long as needed"
    )


async def _reader_async(self, protocol_factory, pipe):
    _reader(self, pipe)


class _Clock:
    """Stands where the loop has its selector: waits, and never has an event."""

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError(
                "deadlock: every asyncio task waits for something that nothing in this job can do; "
                "a job has no threads, sockets or signals that could wake it"
            )
        if timeout > 0:
            time.sleep(timeout)
        return ()


def apply(asyncio):
    from asyncio import base_events, events, unix_events

    class EventLoop(base_events.BaseEventLoop):
        """Timers, callbacks and tasks; everything else is refused with its reason."""

        def __init__(self, selector=None):
            super().__init__()
            self._selector = _Clock()

        def _process_events(self, event_list):
            pass

        def _write_to_self(self):
            pass

        def add_signal_handler(self, sig, callback, *args):
            raise NotImplementedError("a job receives no signals; it is cancelled by ending it")

        def remove_signal_handler(self, sig):
            return False

        run_in_executor = _executor
        add_reader = add_writer = remove_reader = remove_writer = _reader
        connect_read_pipe = connect_write_pipe = _reader_async
        subprocess_exec = subprocess_shell = _process_async

    for name in (
        "create_connection create_server create_datagram_endpoint create_unix_connection create_unix_server "
        "connect_accepted_socket getaddrinfo getnameinfo sock_accept sock_connect sock_recv sock_recv_into "
        "sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls sendfile"
    ).split():
        setattr(EventLoop, name, _network_async)
    EventLoop.__module__ = "asyncio"
    EventLoop.__qualname__ = "EventLoop"
    unix_events._UnixDefaultEventLoopPolicy._loop_factory = EventLoop
    for module in (asyncio, unix_events):
        for name in ("EventLoop", "SelectorEventLoop", "_UnixSelectorEventLoop"):
            if hasattr(module, name):
                setattr(module, name, EventLoop)
