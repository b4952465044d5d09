"""Keeps the ports of the Orthanc servers to this machine.

Orthanc has no setting for the address of its ports: it opens them on every address of the machine, where a connection
that says nothing would keep it waiting. Only the proxy on the same machine has business there. So the Orthanc processes
load a library first that turns "any address" into the loopback address when a port is opened.
"""

from __future__ import annotations

from pathlib import Path

from orthweb.errors import Failure
from orthweb.local.native import compiled, loaded
from orthweb.site.files import ensure_folder, write_file

LOOPBACK = "liborthweb-loopback.so"
"""Name of the library; for LD_PRELOAD, with its folder in LD_LIBRARY_PATH."""

# bind(2), ip(7), ipv6(7). A port of 0 is that of a connection to somewhere else, which may go anywhere.
_SOURCE = """\
struct in4 { unsigned short family, port; unsigned char address[4], unused[8]; };
struct in6 { unsigned short family, port; unsigned int flow; unsigned char address[16]; unsigned int scope; };
void *dlsym(void *, const char *);

static int is_any(const unsigned char *address, int length) {
    while (length) if (address[--length]) return 0;
    return 1;
}

int bind(int handle, const void *wanted, unsigned int length) {
    int (*next)(int, const void *, unsigned int) = dlsym((void *)-1l, "bind");
    const struct in4 *four = wanted;
    const struct in6 *six = wanted;
    if (length >= sizeof *four && four->family == 2 && four->port && is_any(four->address, 4)) {
        struct in4 loopback = *four;
        loopback.address[0] = 127;
        loopback.address[3] = 1;
        return next(handle, &loopback, sizeof loopback);
    }
    if (length >= sizeof *six && six->family == 10 && six->port && is_any(six->address, 16)) {
        struct in6 loopback = *six;
        loopback.address[10] = loopback.address[11] = 255;
        loopback.address[12] = 127;
        loopback.address[15] = 1;
        return next(handle, &loopback, sizeof loopback);
    }
    return next(handle, wanted, length);
}
"""
_C = "libc.so.6"


def ensure_loopback(folder: Path) -> None:
    """Put the library into `folder`; raises Failure."""
    ensure_folder(folder, 0o755)
    library = folder / LOOPBACK
    if library.exists():
        return
    libraries = loaded([_C])
    if _C not in libraries:
        raise Failure(f"the system's {_C} is not to be found", "use a system with the GNU C library, such as Debian")
    write_file(library, compiled(_SOURCE, [libraries[_C]]), 0o755)
