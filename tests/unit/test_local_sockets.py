"""Who listens on a port of this machine."""

from __future__ import annotations

import os
import socket
import threading

from orthweb.local.sockets import holder, listeners


def test_the_holder_is_found_while_it_opens_and_closes_files() -> None:
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for handle in [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]:
                os.close(handle)

    thread = threading.Thread(target=churn)
    # The files come and go below the socket's handle.
    below = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
    with socket.create_server(("127.0.0.1", 0)) as server:
        for handle in below:
            os.close(handle)
        inodes = listeners(server.getsockname()[1])
        thread.start()
        try:
            found = [holder(inodes) for _ in range(20)]
        finally:
            done.set()
            thread.join()
    assert {each and each[0] for each in found} == {os.getpid()}


def test_a_port_that_nobody_listens_on_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not listeners(port) and holder(listeners(port)) is None
