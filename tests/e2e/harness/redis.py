"""One command at a time to Redis, in RESP2."""

import asyncio


async def command(address: str, user: str, password: str, *words: str):
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        await _ask(reader, writer, ("AUTH", user, password))
        return await _ask(reader, writer, words)
    finally:
        writer.close()


async def _ask(reader, writer, words: tuple[str, ...]):
    parts = [word.encode() for word in words]
    writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
    return await _reply(reader)


async def _reply(reader):
    line = (await reader.readline()).decode().rstrip("\r\n")
    kind, rest = line[0], line[1:]
    if kind == "+":
        return rest
    if kind == "-":
        raise RuntimeError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else (await reader.readexactly(int(rest) + 2))[:-2].decode()
    return [await _reply(reader) for _ in range(int(rest))]
