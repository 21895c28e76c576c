"""NOOP latency beside a transfer from and to a slow, uncached disk. Called by scripts/cold-disk."""

import multiprocessing
import os
import socket
import statistics
import sys
import time

PORT, FILE, ROUNDS, SERVER = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
SPAN = 3.0


class Session:
    """One logged-in control connection."""

    def __init__(self):
        self.control = socket.create_connection(("127.0.0.1", PORT))
        self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.control.makefile("rb")
        self.reply()
        for line in ("USER anonymous", "PASS x", "TYPE I"):
            self.say(line)

    def reply(self):
        line = self.lines.readline()
        while line[3:4] == b"-":
            line = self.lines.readline()
        return line.decode()

    def say(self, line):
        self.control.sendall(line.encode() + b"\r\n")
        return self.reply()

    def data(self):
        port = int(self.say("EPSV").split("|||")[1].split("|")[0])
        return socket.create_connection(("127.0.0.1", port))


def download(moved):
    session = Session()
    data = session.data()
    session.say("RETR " + os.path.basename(FILE))
    while piece := data.recv(1 << 18):
        moved.value += len(piece)


def upload(moved):
    session = Session()
    data = session.data()
    session.say("STOR up")
    piece = bytes(1 << 18)
    while True:
        data.sendall(piece)
        moved.value += len(piece)


def latencies(session):
    """Microseconds of each NOOP during SPAN."""
    times, end = [], time.perf_counter() + SPAN
    while (begun := time.perf_counter()) < end:
        session.say("NOOP")
        times.append((time.perf_counter() - begun) * 1e6)
    return sorted(times)


def forget():
    """Takes the file out of memory."""
    with open(FILE, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def processor():
    with open(f"/proc/{SERVER}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(session, work):
    if work is None:
        return latencies(session), 0, 0
    forget()
    moved = multiprocessing.Value("q", 0, lock=False)
    peer = multiprocessing.Process(target=work, args=(moved,), daemon=True)
    peer.start()
    # Upload or download: first what memory takes at once, then what the disk does is measured.
    time.sleep(1.0 if work is download else 3.0)
    before, cpu = moved.value, processor()
    times = latencies(session)
    rate, cpu = (moved.value - before) / SPAN, (processor() - cpu) / SPAN
    peer.terminate()
    peer.join()
    return times, rate, cpu


def main():
    session = Session()
    names = {"quiet": None, "download": download, "upload": upload}
    rows = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, work in names.items():
            times, rate, cpu = measure(session, work)
            at = lambda part: times[int(len(times) * part)]
            rows[name].append((at(0.5), at(0.99), at(0.999), times[-1], rate / 1e6, cpu * 100))
    print(f"{'beside':10} {'p50 us':>8} {'p99 us':>8} {'p99.9 us':>9} {'max us':>9} {'MB/s':>7} {'cpu %':>6}   medians of {ROUNDS}")
    medians = {name: [statistics.median(column) for column in zip(*row)] for name, row in rows.items()}
    for name, row in medians.items():
        ratio = row[1] / medians["quiet"][1]
        print(f"{name:10} {row[0]:8.0f} {row[1]:8.0f} {row[2]:9.0f} {row[3]:9.0f} {row[4]:7.1f} {row[5]:6.1f}   p99 {ratio:.2f} x quiet")


main()
