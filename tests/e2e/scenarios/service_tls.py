"""Mutual TLS between our own services, and TLS required of clients: the whole cluster, started so."""

import asyncio

from harness.client import Client, Disconnected
from harness.cluster import Cluster
from harness.people import leave, unique
from harness.runner import scenario
from harness.sasl import SaslFailure


@scenario(seconds=180)
async def everything_encrypted(cluster: Cluster) -> None:
    await cluster.down()
    try:
        await cluster.command("up", "--no-build", "--service-tls=on", "--tls=required")
        await cluster.refresh()
        await cluster.all_owned()
        people = []
        for gateway, mode, listener in (("gateway/1", "starttls", "xmpp"), ("gateway/2", "wss", "websocket-tls")):
            client = Client(cluster.domain, unique("sealed"))
            await client.open(cluster.address(gateway, listener), mode, cluster.fresh_context())
            await client.register()
            await client.authenticate()
            await client.bind()
            await client.available()
            people.append(client)
        ann, bob = people
        ann.message(bob.bare, "sealed")
        await bob.expect_message("sealed")
        await leave(ann, bob)
        # Before TLS nothing but STARTTLS is to be had.
        client = await Client(cluster.domain, ann.user).open(cluster.address("gateway/1"))
        assert len(client.features) == 1 and client.features[0].find("{urn:ietf:params:xml:ns:xmpp-tls}required") is not None
        try:
            await client.authenticate("PLAIN")
            raise AssertionError("a password was taken in the clear")
        except (SaslFailure, Disconnected):
            pass
        client.abort()
        # One without a certificate gets no service.
        host, _, port = cluster.address("session-manager/1", "rpc").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        answer = await asyncio.wait_for(reader.read(100), 10)
        assert not answer.startswith(b"\x00\x00"), f"HTTP/2 in the clear is answered: {answer!r}"
        writer.close()
    finally:
        await cluster.down()
        await cluster.command("up", "--no-build", "--service-tls=off", "--tls=optional")
        await cluster.refresh()
        await cluster.all_owned()
