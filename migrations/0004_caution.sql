-- What keeps the response within its limits: held groups, approvals, pauses, silence, and a clock that was set.
--
-- The same rules and substitutions as in 0001_initial.sql.

ALTER TABLE cases ADD COLUMN held_group VARCHAR(32); -- the group of cases with one cause that it is held with, as last held; NULL: none
ALTER TABLE cases ADD COLUMN holds TEXT; -- JSON list of the limits that hold it; NULL: none, or held by a person
ALTER TABLE cases ADD COLUMN approved_holds TEXT; -- JSON list of the limits that a person saw and let it go over; NULL: none
ALTER TABLE hosts ADD COLUMN silent_rounds BIGINT NOT NULL DEFAULT 0; -- rounds since nothing could be said about it
ALTER TABLE hosts ADD COLUMN unscheduled_by VARCHAR(32); -- the case that keeps new instances off it for its silence; NULL: none

-- Cases of several hosts that one and the same finding condemns: they wait for a person together.
CREATE TABLE held_groups (
    id VARCHAR(32) NOT NULL PRIMARY KEY, -- like g-20261121-7f3a2c
    cause TEXT NOT NULL, -- JSON of what they have in common
    open_cause VARCHAR(64), -- SHA-256 of the cause while nobody has settled it, then NULL: one open group for each cause
    opened_at BIGINT NOT NULL, -- when it was opened
    settled_at BIGINT, -- when a person last decided; NULL: not yet
    settled_by VARCHAR(253), -- who decided
    outcome TEXT, -- what they decided, in words
    CONSTRAINT one_open_group_for_each_cause UNIQUE (open_cause)
);

-- Times in which a host, or the whole cloud, is left alone.
CREATE TABLE pauses (
    id VARCHAR(32) NOT NULL PRIMARY KEY, -- like p-20261121-7f3a2c
    host VARCHAR(253), -- the host; NULL: the whole cloud
    begins_at BIGINT NOT NULL, -- from when
    ends_at BIGINT NOT NULL, -- until when
    because TEXT NOT NULL, -- why, in words
    done_by VARCHAR(253) NOT NULL, -- by whom
    made_at BIGINT NOT NULL, -- when it was asked for
    ended_at BIGINT, -- when a person ended it early; NULL: nobody did
    ended_by VARCHAR(253) -- who ended it early
);
CREATE INDEX pauses_by_end ON pauses (ends_at);

-- Each time that the wall clock was seen to be set: results are as old as they were before.
CREATE TABLE clock_jumps (
    id VARCHAR(32) NOT NULL PRIMARY KEY, -- like j-20261121-7f3a2c
    seen_at BIGINT NOT NULL, -- when it was seen, by the clock as it was set
    expected_at BIGINT NOT NULL -- what the clock would have shown
);
CREATE INDEX clock_jumps_by_time ON clock_jumps (seen_at);
