-- Up to which record of `users` each shard is finished, as the owner of this epoch has last said: every minute,
-- and when the shard was handed over. Read only where Kafka's group has lost its offsets.
CREATE TABLE shard_cursors (
    shard integer PRIMARY KEY,
    epoch bigint NOT NULL,
    cursor bigint NOT NULL
);
