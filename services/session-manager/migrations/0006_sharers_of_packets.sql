-- The ids of the other sessions that a packet went to, one behind the other. Empty: none, or not known.
ALTER TABLE session_packets ADD COLUMN given_to bytea NOT NULL DEFAULT '';
