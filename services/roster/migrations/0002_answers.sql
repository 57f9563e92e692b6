-- What a roster weighs, kept with it: its bounds are checked without reading it all.
ALTER TABLE roster_versions
    ADD COLUMN items bigint NOT NULL DEFAULT 0,
    ADD COLUMN item_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN request_bytes bigint NOT NULL DEFAULT 0;

UPDATE roster_versions AS v
SET items = i.items, item_bytes = i.item_bytes, requests = i.requests, request_bytes = i.request_bytes
FROM (
    SELECT owner,
        count(*) FILTER (WHERE listed) AS items,
        coalesce(sum(octet_length(jid) + octet_length(name) + octet_length(array_to_string(groups, '')))
            FILTER (WHERE listed), 0) AS item_bytes,
        count(*) FILTER (WHERE pending_in) AS requests,
        coalesce(sum(octet_length(request)) FILTER (WHERE pending_in), 0) AS request_bytes
    FROM roster_items
    GROUP BY owner
) AS i
WHERE v.owner = i.owner;

-- The last answers to calls that change an owner's roster, by what the caller acted on.
CREATE TABLE roster_answers (
    owner text NOT NULL,
    request_id text NOT NULL,
    -- A serialised response; the contact and the version of its push are not in it.
    response bytea NOT NULL,
    version bigint NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, request_id)
);
