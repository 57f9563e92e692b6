-- One row for each user who has ever set a vCard (XEP-0054).
CREATE TABLE vcards (
    owner text PRIMARY KEY,
    -- The <vCard/>, as XML; empty: it says nothing any more.
    vcard bytea NOT NULL,
    -- The SHA-1 of its image, in hex (XEP-0153); empty: there is none in it.
    avatar_hash text NOT NULL,
    -- Rises with each change.
    revision bigint NOT NULL
);
