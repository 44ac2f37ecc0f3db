#!/usr/bin/python3
"""A small server as people write them: configuration, a journal, a port."""

import ctypes
import socket
import sys
import time

KNOWN = ("port", "state", "depends", "library", "cache")


def read(path):
    settings = {}
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, equals, value = (part.strip() for part in line.partition("="))
            if not equals or key not in KNOWN:
                sys.exit(f"{path}:{number}: unknown directive '{key}'")
            settings[key] = value
    return settings


settings = read(sys.argv[1])
if "library" in settings:
    ctypes.CDLL(settings["library"])
cache = bytearray(int(settings.get("cache", 0)) << 20)
with open(settings["state"] + "/journal", "a") as journal:
    journal.write("started\n" * 1024)
if "depends" in settings:
    host, port = settings["depends"].rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        sys.exit(f"cannot connect to {host}:{port}: {error}")
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind(("127.0.0.1", int(settings["port"])))
except OSError as error:
    sys.exit(f"cannot listen on 127.0.0.1:{settings['port']}: {error}")
listener.listen()
print("listening on", settings["port"], flush=True)
while True:
    time.sleep(3600)
