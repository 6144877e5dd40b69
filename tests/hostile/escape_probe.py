"""Run as a program: goes into the jail as a worker does, tries to get out, and prints what each attempt met as JSON.

python escape_probe.py PARENT_PID
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading

from quorate.execute import jail

libc = ctypes.CDLL(None, use_errno=True)
PARENT = int(sys.argv[1])
MIB = 1 << 20


def native(name, *operands):
    """A call of libc, raising OSError like Python's own."""

    def attempt():
        if getattr(libc, name)(*operands) < 0:
            raise OSError(ctypes.get_errno(), name)

    return attempt


def raw(number, *operands):
    return native("syscall", ctypes.c_long(number), *operands)


def write_file():
    os.close(os.open("/tmp/quorate-escape", os.O_WRONLY | os.O_CREAT))


def start_thread():
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def forks():
    if os.fork() == 0:
        os._exit(0)


def shared_memory():
    mmap.mmap(-1, 4096).close()


def allocate(size):
    def attempt():
        block = bytearray(size)
        block[::4096] = b"x" * len(block[::4096])

    return attempt


def buffer():
    return ctypes.create_string_buffer(64)


ATTEMPTS = {
    "open_read": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
    "open_write": write_file,
    "open_own_memory": lambda: os.close(os.open("/proc/self/mem", os.O_RDWR)),
    "open_parent_memory": lambda: os.close(os.open(f"/proc/{PARENT}/mem", os.O_RDWR)),
    "list_folder": lambda: os.listdir("/"),
    "stat": lambda: os.stat("/etc/passwd"),
    "make_folder": lambda: os.mkdir("/tmp/quorate-escape-folder"),
    "remove": lambda: os.unlink("/tmp/quorate-escape"),
    "link": lambda: os.symlink("/etc/passwd", "/tmp/quorate-escape-link"),
    "change_folder": lambda: os.chdir("/"),
    "change_root": lambda: os.chroot("/"),
    "internet_socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close(),
    "datagram_socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
    "unix_socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "netlink_socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "socket_pair": lambda: [end.close() for end in socket.socketpair()],
    "fork": forks,
    "vfork_and_exec": lambda: subprocess.run(["/bin/true"], check=True),
    "exec": lambda: os.execv("/bin/true", ["/bin/true"]),
    "thread": start_thread,
    "clone3": raw(435, None, 0),
    "trace_parent": native("ptrace", 16, PARENT, None, None),
    "trace_me": native("ptrace", 0, 0, None, None),
    "read_parent": native("process_vm_readv", PARENT, None, 0, None, 0, 0),
    "signal_parent": lambda: os.kill(PARENT, 0),
    "kill_parent": lambda: os.kill(PARENT, signal.SIGKILL),
    "kill_everyone": lambda: os.kill(-1, signal.SIGKILL),
    "pidfd": lambda: os.close(os.pidfd_open(PARENT)),
    "memfd": lambda: os.close(os.memfd_create("x")),
    "shared_memory": shared_memory,
    "io_uring": raw(425, 1, buffer()),
    "unshare": native("unshare", 0x10000000),
    "mount": native("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "become_root": lambda: os.setuid(0),
    "new_privileges": native("prctl", 4, 1, 0, 0, 0),
    "set_limits": native(
        "setrlimit", resource.RLIMIT_NOFILE, ctypes.create_string_buffer(b"\x08\0\0\0\0\0\0\0" * 2, 16)
    ),
    "lower_niceness": lambda: os.nice(-1),
    "set_clock": lambda: __import__("time").clock_settime(0, 0.0),
    "reboot": native("reboot", 0),
    "gigabyte": allocate(1024 * MIB),
    "sixteen_megabytes": allocate(16 * MIB),
    "compute": lambda: sum(range(1000)),
}


def outcome(attempt):
    try:
        attempt()
    except OSError as fault:
        return errno.errorcode.get(fault.errno, str(fault.errno))
    except MemoryError:
        return "MemoryError"
    except RuntimeError as fault:
        return str(fault)
    return "allowed"


def main():
    free = sys.argv[2:]
    held = () if free else jail.apply(jail.JailPolicy(data_bytes=256 * MIB, parent=os.getppid()))
    attempts = {name: outcome(ATTEMPTS[name]) for name in free or ATTEMPTS}
    os.write(1, json.dumps({"layers": held, "uid": os.getuid(), "attempts": attempts}).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
