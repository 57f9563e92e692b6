"""Which shard a user belongs to: Kafka's own partitioner (murmur2 of the key)."""


def murmur2(key: bytes) -> int:
    length = len(key)
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    rest = key[whole:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def shard_of(bare_jid: str, partitions: int) -> int:
    return (murmur2(bare_jid.encode()) & 0x7FFFFFFF) % partitions
