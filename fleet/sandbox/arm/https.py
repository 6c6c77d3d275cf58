"""uvicorn, stopped promptly: a client that leaves its connection open does not delay the end."""

import asyncio
import socket

import uvicorn

_FINISH = 5.0  # seconds for answers in flight when the server stops


class LoopbackServer(uvicorn.Server):
    """A uvicorn server that finishes its answers and then closes what is open.

    uvicorn asks idle connections to close and waits. Under TLS that waits for the client's part of
    the closing handshake, which a client that is gone or holds on to its socket never sends.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let requests in flight end, then abort every connection."""
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _FINISH
        while self.server_state.tasks and loop.time() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        while self.server_state.connections and loop.time() < deadline:
            await asyncio.sleep(0.001)
        await super().shutdown(sockets)
