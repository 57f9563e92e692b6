-- Whom others have approved beforehand: an account that is removed takes that along.
CREATE INDEX roster_items_approved ON roster_items (jid) WHERE approved;
