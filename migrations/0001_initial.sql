-- The first schema.
--
-- Written for SQLite, and in the part of SQL that MariaDB and PostgreSQL share, with two substitutions made by
-- whoever applies it there: BLOB is LONGBLOB on MariaDB and BYTEA on PostgreSQL; TEXT is LONGTEXT on MariaDB (its
-- own BLOB and TEXT end at 64 KiB). Columns that are keys are VARCHAR, since MariaDB cannot index TEXT.
-- Times are milliseconds since 1970 in UTC. Digests, keys' hashes and UUIDs are lower-case hex text.
-- Flags are BIGINT, 0 or 1. A file that was released is never edited: changes are new files.

-- Hosts that are enrolled, one row each, with what was last seen of them.
CREATE TABLE hosts (
    name VARCHAR(253) NOT NULL PRIMARY KEY, -- nova's name of the service host
    agent_url VARCHAR(2000) NOT NULL, -- where its agent answers
    policy VARCHAR(2000), -- path of its own appraisal policy; NULL: as configured
    ak_public BLOB NOT NULL, -- attestation key, TPM2B_PUBLIC
    ak_name VARCHAR(200) NOT NULL, -- Name of the attestation key, in hex
    ek_public_digest VARCHAR(64) NOT NULL, -- SHA-256 of the endorsement key's TPM2B_PUBLIC; one TPM is one host
    ek_certificate BLOB, -- endorsement certificate, DER; NULL: none was offered
    ek_kind VARCHAR(32) NOT NULL, -- rsa-2048, ecc-p256 or ecc-p384
    agent_key VARCHAR(64) NOT NULL, -- SHA-256 of the agent's TLS key, pinned
    enrolled_at BIGINT NOT NULL, -- when it was enrolled, last time
    enrolled_by VARCHAR(253) NOT NULL, -- by whom
    next_due BIGINT, -- when its next round is due; NULL: not scheduled yet
    last_verdict VARCHAR(32), -- verdict of its last round; NULL: none yet
    last_round VARCHAR(36), -- the round that gave it
    last_result_at BIGINT, -- when it was given
    history TEXT, -- what the next round is held against, JSON; NULL: nothing proven yet
    silent_since BIGINT, -- since when no answer could be judged; NULL: it answers
    quarantined_by VARCHAR(32), -- the case that took it out of service, until released
    CONSTRAINT one_host_for_each_tpm UNIQUE (ek_public_digest)
);

-- Every enrolment there ever was. Rows are only added.
CREATE TABLE enrolments (
    host VARCHAR(253) NOT NULL, -- the host
    seq BIGINT NOT NULL, -- from 1, for each host
    at BIGINT NOT NULL, -- when
    done_by VARCHAR(253) NOT NULL, -- by whom
    action VARCHAR(32) NOT NULL, -- enrolled, re-enrolled, new-key-accepted or removed
    ek_public_digest VARCHAR(64) NOT NULL, -- SHA-256 of the endorsement key's TPM2B_PUBLIC
    ak_name VARCHAR(200) NOT NULL, -- Name of the attestation key, in hex
    agent_key VARCHAR(64) NOT NULL, -- SHA-256 of the agent's TLS key
    PRIMARY KEY (host, seq)
);

-- Challenges that were sent. Spent once, and deleted some time after they expired.
CREATE TABLE challenges (
    nonce VARCHAR(64) NOT NULL PRIMARY KEY, -- 32 random bytes, in hex
    host VARCHAR(253) NOT NULL, -- the host that was asked
    round_id VARCHAR(36) NOT NULL, -- the round that asked
    ima_first BIGINT NOT NULL, -- first entry of the IMA list asked for
    offered_at BIGINT NOT NULL, -- when it was offered
    expires_at BIGINT NOT NULL, -- after this an answer is refused
    spent_at BIGINT -- when its answer came; NULL: not yet
);
CREATE INDEX challenges_by_expiry ON challenges (expires_at);

-- Evidence as received, found by its digest.
CREATE TABLE evidence (
    digest VARCHAR(64) NOT NULL PRIMARY KEY, -- SHA-256 of the bytes
    bytes BLOB NOT NULL, -- the evidence
    put_at BIGINT NOT NULL -- when it was put, last time
);
CREATE INDEX evidence_by_age ON evidence (put_at);

-- Rounds: one host, one challenge, one result.
CREATE TABLE rounds (
    id VARCHAR(36) NOT NULL PRIMARY KEY, -- UUID
    host VARCHAR(253) NOT NULL, -- the host; it may be removed since
    purpose VARCHAR(32) NOT NULL, -- scheduled, manual or confirmation
    confirms VARCHAR(36), -- the round that this one confirms; NULL: none
    started_at BIGINT NOT NULL, -- when it began
    finished_at BIGINT NOT NULL, -- when its verdict was there
    verdict VARCHAR(32) NOT NULL, -- affirming, warning, contraindicated or indeterminate
    findings TEXT NOT NULL, -- JSON list of findings
    claims TEXT NOT NULL, -- JSON of what was proven
    timings TEXT NOT NULL, -- JSON of how long each part took
    evidence VARCHAR(64), -- digest of its evidence, which may be purged since; NULL: there was none
    policy VARCHAR(64), -- digest of the policy that judged it; NULL: it was not judged
    CONSTRAINT rounds_confirm_rounds FOREIGN KEY (confirms) REFERENCES rounds (id)
);
CREATE INDEX rounds_by_host ON rounds (host, finished_at);
CREATE INDEX rounds_by_age ON rounds (finished_at);
CREATE INDEX rounds_by_confirmed ON rounds (confirms);

-- Who works on what. A row stays when its lease ends, so that epochs never repeat.
CREATE TABLE leases (
    kind VARCHAR(16) NOT NULL, -- host or case
    id VARCHAR(253) NOT NULL, -- the host's name or the case's id
    owner VARCHAR(253) NOT NULL, -- who took it last
    epoch BIGINT NOT NULL, -- counts the takings
    held_until BIGINT NOT NULL, -- until when nobody else may take it; 0: given back
    PRIMARY KEY (kind, id)
);

-- Cases: one quarantine of one host.
CREATE TABLE cases (
    id VARCHAR(32) NOT NULL PRIMARY KEY, -- like q-20261121-7f3a2c
    host VARCHAR(253) NOT NULL, -- the host
    unclosed_host VARCHAR(253), -- the host while the case is not closed, then NULL: one unclosed case for each host
    state VARCHAR(16) NOT NULL, -- open, held, stuck or closed
    reason TEXT, -- why it is held or stuck, or how it ended; NULL: open
    mode VARCHAR(16) NOT NULL, -- observe or enforce, as it was when opened
    cause TEXT NOT NULL, -- what condemned the host, in one line
    opened_at BIGINT NOT NULL, -- when it was opened
    closed_at BIGINT, -- when it was closed; NULL: not yet
    condemned_by VARCHAR(36) NOT NULL, -- the round that condemned the host
    confirmed_by VARCHAR(36) NOT NULL, -- the round that confirmed it
    approved_by VARCHAR(253), -- who let it go on, last time; NULL: nobody was asked
    not_before BIGINT NOT NULL, -- not driven before this time
    plan TEXT NOT NULL, -- JSON of everything that will be done
    outcome TEXT, -- JSON of what came of it; NULL: not closed yet
    CONSTRAINT one_unclosed_case_for_each_host UNIQUE (unclosed_host),
    CONSTRAINT cases_condemned_by FOREIGN KEY (condemned_by) REFERENCES rounds (id),
    CONSTRAINT cases_confirmed_by FOREIGN KEY (confirmed_by) REFERENCES rounds (id)
);
CREATE INDEX cases_by_age ON cases (opened_at);
CREATE INDEX cases_by_state ON cases (state, not_before);
CREATE INDEX cases_by_condemning_round ON cases (condemned_by);
CREATE INDEX cases_by_confirming_round ON cases (confirmed_by);

-- The steps of a case's plan.
CREATE TABLE case_steps (
    case_id VARCHAR(32) NOT NULL, -- the case
    name VARCHAR(64) NOT NULL, -- the step's name
    position BIGINT NOT NULL, -- its place in the plan, from 0
    state VARCHAR(16) NOT NULL, -- pending, running, done, failed or skipped
    attempts BIGINT NOT NULL, -- how often it was begun
    started_at BIGINT, -- when it was first begun; NULL: not yet
    finished_at BIGINT, -- when it was done, failed or skipped; NULL: not yet
    note TEXT, -- what was last said about it
    PRIMARY KEY (case_id, name),
    CONSTRAINT steps_of_cases FOREIGN KEY (case_id) REFERENCES cases (id)
);

-- What was about to be done, and what came of it. Rows are only added.
CREATE TABLE journal (
    case_id VARCHAR(32) NOT NULL, -- the case
    seq BIGINT NOT NULL, -- from 1, without gaps, for each case
    at BIGINT NOT NULL, -- when
    step VARCHAR(64) NOT NULL, -- the step; empty for the case itself
    phase VARCHAR(16) NOT NULL, -- before, after, note or error
    epoch BIGINT NOT NULL, -- epoch of the lease that it was written under
    detail TEXT NOT NULL, -- JSON in the response's own shape
    PRIMARY KEY (case_id, seq),
    CONSTRAINT journal_of_cases FOREIGN KEY (case_id) REFERENCES cases (id)
);

-- The instances of a case, and what became of each.
CREATE TABLE case_instances (
    case_id VARCHAR(32) NOT NULL, -- the case
    instance VARCHAR(36) NOT NULL, -- UUID of the instance
    name VARCHAR(255) NOT NULL, -- its name
    project VARCHAR(255) NOT NULL, -- the project that it belongs to
    info TEXT NOT NULL, -- JSON: flavor, disk, encryption
    source VARCHAR(253) NOT NULL, -- the host that it was on
    destination VARCHAR(253), -- the host that it is on now; NULL: none yet
    fate VARCHAR(64) NOT NULL, -- what is to become of it
    state VARCHAR(64) NOT NULL, -- where it stands
    migration VARCHAR(64), -- nova's migration record; NULL: none yet
    detail TEXT, -- in words
    updated_at BIGINT NOT NULL, -- when this row was written
    PRIMARY KEY (case_id, instance),
    CONSTRAINT instances_of_cases FOREIGN KEY (case_id) REFERENCES cases (id)
);

-- Evidence that is kept with a case.
CREATE TABLE case_evidence (
    case_id VARCHAR(32) NOT NULL, -- the case
    role VARCHAR(64) NOT NULL, -- what it is: condemned, confirmed
    digest VARCHAR(64) NOT NULL, -- the evidence
    PRIMARY KEY (case_id, role),
    CONSTRAINT evidence_of_cases FOREIGN KEY (case_id) REFERENCES cases (id),
    CONSTRAINT evidence_is_kept FOREIGN KEY (digest) REFERENCES evidence (digest)
);
CREATE INDEX case_evidence_by_digest ON case_evidence (digest);

-- Notifications on their way.
CREATE TABLE outbox (
    event VARCHAR(255) NOT NULL PRIMARY KEY, -- names the event; queued once
    kind VARCHAR(64) NOT NULL, -- what kind of event
    payload TEXT NOT NULL, -- JSON that is sent
    created_at BIGINT NOT NULL, -- when it was queued
    state VARCHAR(16) NOT NULL, -- pending, delivered or dead
    attempts BIGINT NOT NULL, -- how often it was taken for delivery
    next_attempt_at BIGINT NOT NULL, -- not taken before this time
    finished_at BIGINT, -- when it was delivered or given up; NULL: not yet
    last_error TEXT -- why the last attempt failed; NULL: none failed
);
CREATE INDEX outbox_by_turn ON outbox (state, next_attempt_at);

-- Who did what. Rows are only added; each carries the hash of all before it.
CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY, -- from 1, without gaps
    at BIGINT NOT NULL, -- when
    who VARCHAR(253) NOT NULL, -- by whom
    what VARCHAR(64) NOT NULL, -- what was done
    subject VARCHAR(500) NOT NULL, -- to what
    outcome TEXT NOT NULL, -- with what outcome
    hash VARCHAR(64) NOT NULL -- SHA-256 over the hash before and every column of this row
);
