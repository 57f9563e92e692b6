-- Which writer a shard's rows of parked_sessions and session_packets are changed by: the owner of this epoch,
-- in this turn of its. A statement of any other changes nothing, however late it is done.
CREATE TABLE shard_writers (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    turn bigint NOT NULL
);
