"""Passes on what comes to the container's address: a published port leads there.

The console itself listens on loopback only.
"""

import asyncio
import socket

CONSOLE = ("127.0.0.1", 9090)


def own_address() -> str:
    """The address that the container has in its network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copies to the end, and then ends the other side too."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connects one visitor with the console; without a console the visit is over."""
    try:
        console_reader, console_writer = await asyncio.open_connection(*CONSOLE)
    except OSError:
        writer.close()
        return
    await asyncio.gather(
        copy(reader, console_writer), copy(console_reader, writer), return_exceptions=True
    )


async def main() -> None:
    """Serves for ever."""
    server = await asyncio.start_server(connected, own_address(), CONSOLE[1])
    await server.serve_forever()


asyncio.run(main())
