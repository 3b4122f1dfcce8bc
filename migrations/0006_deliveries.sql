-- Deliveries: each notification goes to each receiver on its own, so that one that is down delays no other.
--
-- The same rules and substitutions as in 0001_initial.sql. From here on the outbox says what is told; its columns
-- attempts, next_attempt_at, finished_at and last_error are used no more, and its states are pending (not handed to the
-- receivers yet) and handed.

-- What a notification is about, where the same is not told again for a while; NULL: its event alone tells.
ALTER TABLE outbox ADD COLUMN topic VARCHAR(255);
CREATE INDEX outbox_by_topic ON outbox (topic, created_at);
CREATE INDEX outbox_by_age ON outbox (created_at);

-- One notification on its way to one receiver.
CREATE TABLE deliveries (
    event VARCHAR(255) NOT NULL, -- the notification
    receiver VARCHAR(64) NOT NULL, -- the receiver's name in the configuration; journal: the daemon's own log
    state VARCHAR(16) NOT NULL, -- pending, delivered or dead
    attempts BIGINT NOT NULL, -- how often it was taken for delivery
    next_attempt_at BIGINT NOT NULL, -- not taken before this time
    finished_at BIGINT, -- when it was delivered or given up; NULL: not yet
    last_error TEXT, -- why the last attempt failed; NULL: none failed
    PRIMARY KEY (event, receiver),
    CONSTRAINT deliveries_of_notifications FOREIGN KEY (event) REFERENCES outbox (event)
);
CREATE INDEX deliveries_by_turn ON deliveries (receiver, state, next_attempt_at);

-- What was delivered or given up before went to the one receiver that there was.
INSERT INTO deliveries (event, receiver, state, attempts, next_attempt_at, finished_at, last_error)
SELECT event, 'default', state, attempts, next_attempt_at, finished_at, last_error FROM outbox
WHERE state <> 'pending';
UPDATE outbox SET state = 'handed' WHERE state <> 'pending';
