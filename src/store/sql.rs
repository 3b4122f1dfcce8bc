//! Every statement, in the SQL that SQLite, MariaDB and PostgreSQL share.
//!
//! Placeholders are `?` (PostgreSQL wants `$1`, `$2`, ..: count them). There is no `RETURNING`, no `ON CONFLICT` and no
//! function that one of the three lacks. What must happen once happens by `UPDATE .. WHERE ..` and the number of rows
//! that it *found*; MariaDB reports that with its flag `CLIENT_FOUND_ROWS`.

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(super) const $name: &str = $text;)*

        /// All statements with their names, so that a test can prepare each on each database.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

macro_rules! host_columns {
    () => {
        "name, agent_url, policy, ak_public, ak_name, ek_public_digest, ek_certificate, ek_kind, agent_key, \
         enrolled_at, enrolled_by, next_due, last_verdict, last_round, last_result_at, history, silent_since, \
         quarantined_by"
    };
}

macro_rules! round_columns {
    () => {
        "id, host, purpose, confirms, started_at, finished_at, verdict, findings, claims, timings, evidence, policy"
    };
}

macro_rules! case_columns {
    () => {
        "id, host, state, reason, mode, cause, opened_at, closed_at, condemned_by, confirmed_by, approved_by, \
         not_before, plan, outcome"
    };
}

statements! {
    // hosts
    HOST = concat!("SELECT ", host_columns!(), " FROM hosts WHERE name = ?");
    HOSTS = concat!("SELECT ", host_columns!(), " FROM hosts ORDER BY name");
    HOST_BY_EK = "SELECT name FROM hosts WHERE ek_public_digest = ? AND name <> ?";
    HOST_INSERT =
        "INSERT INTO hosts (name, agent_url, policy, ak_public, ak_name, ek_public_digest, ek_certificate, ek_kind, \
         agent_key, enrolled_at, enrolled_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    HOST_ENROL_AGAIN =
        "UPDATE hosts SET agent_url = ?, policy = ?, ak_public = ?, ak_name = ?, ek_public_digest = ?, \
         ek_certificate = ?, ek_kind = ?, agent_key = ?, enrolled_at = ?, enrolled_by = ? WHERE name = ?";
    HOST_VOID_HISTORY = "UPDATE hosts SET history = NULL WHERE name = ?";
    HOST_DELETE = "DELETE FROM hosts WHERE name = ?";
    HOST_NEXT_DUE = "UPDATE hosts SET next_due = ? WHERE name = ?";
    HOST_RESULT =
        "UPDATE hosts SET last_verdict = ?, last_round = ?, last_result_at = ?, history = COALESCE(?, history), \
         next_due = COALESCE(?, next_due) WHERE name = ?";
    HOST_ANSWERED = "UPDATE hosts SET silent_since = NULL WHERE name = ?";
    HOST_SILENT = "UPDATE hosts SET silent_since = ? WHERE name = ? AND silent_since IS NULL";
    HOST_QUARANTINED = "UPDATE hosts SET quarantined_by = ? WHERE name = ?";
    HOST_RELEASED = "UPDATE hosts SET quarantined_by = NULL WHERE name = ?";
    ENROLMENT_LAST = "SELECT COALESCE(MAX(seq), 0) AS last FROM enrolments WHERE host = ?";
    ENROLMENT_INSERT =
        "INSERT INTO enrolments (host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    ENROLMENTS =
        "SELECT host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key FROM enrolments ORDER BY at, host, seq";
    ENROLMENTS_OF =
        "SELECT host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key FROM enrolments \
         WHERE host = ? ORDER BY seq";

    // challenges
    CHALLENGE_INSERT =
        "INSERT INTO challenges (nonce, host, round_id, ima_first, offered_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)";
    CHALLENGE_SPEND =
        "UPDATE challenges SET spent_at = ? WHERE nonce = ? AND host = ? AND spent_at IS NULL AND expires_at > ?";
    CHALLENGE =
        "SELECT nonce, host, round_id, ima_first, offered_at, expires_at, spent_at FROM challenges \
         WHERE nonce = ? AND host = ?";
    CHALLENGES_OLD = "SELECT nonce FROM challenges WHERE expires_at < ? ORDER BY expires_at LIMIT ?";
    CHALLENGE_DELETE = "DELETE FROM challenges WHERE nonce = ?";

    // evidence
    EVIDENCE_TOUCH = "UPDATE evidence SET put_at = ? WHERE digest = ?";
    EVIDENCE_INSERT = "INSERT INTO evidence (digest, bytes, put_at) VALUES (?, ?, ?)";
    EVIDENCE = "SELECT bytes FROM evidence WHERE digest = ?";
    EVIDENCE_OLD =
        "SELECT e.digest FROM evidence e WHERE e.put_at < ? \
         AND NOT EXISTS (SELECT 1 FROM case_evidence c WHERE c.digest = e.digest) ORDER BY e.put_at LIMIT ?";
    EVIDENCE_DELETE = "DELETE FROM evidence WHERE digest = ?";

    // rounds
    ROUND_INSERT = concat!(
        "INSERT INTO rounds (", round_columns!(), ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    ROUND = concat!("SELECT ", round_columns!(), " FROM rounds WHERE id = ?");
    ROUNDS_LATEST = concat!(
        "SELECT ", round_columns!(), " FROM rounds WHERE host = ? ORDER BY finished_at DESC, id LIMIT ?"
    );
    ROUNDS_OLD =
        "SELECT r.id FROM rounds r WHERE r.finished_at < ? \
         AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.condemned_by = r.id) \
         AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.confirmed_by = r.id) \
         AND NOT EXISTS (SELECT 1 FROM rounds s WHERE s.confirms = r.id) \
         AND NOT EXISTS (SELECT 1 FROM hosts h WHERE h.last_round = r.id) ORDER BY r.finished_at LIMIT ?";
    ROUND_DELETE = "DELETE FROM rounds WHERE id = ?";

    // leases
    LEASE_TAKE =
        "UPDATE leases SET owner = ?, epoch = epoch + 1, held_until = ? WHERE kind = ? AND id = ? \
         AND (held_until <= ? OR held_until > ?)";
    LEASE = "SELECT epoch FROM leases WHERE kind = ? AND id = ?";
    LEASE_INSERT = "INSERT INTO leases (kind, id, owner, epoch, held_until) VALUES (?, ?, ?, 1, ?)";
    LEASE_RENEW =
        "UPDATE leases SET held_until = ? WHERE kind = ? AND id = ? AND owner = ? AND epoch = ? AND held_until > 0";
    LEASE_RELEASE = "UPDATE leases SET held_until = 0 WHERE kind = ? AND id = ? AND owner = ? AND epoch = ?";
    LEASE_HOLDS =
        "UPDATE leases SET owner = owner WHERE kind = ? AND id = ? AND owner = ? AND epoch = ? AND held_until > 0";

    // cases
    CASE_INSERT =
        "INSERT INTO cases (id, host, unclosed_host, state, reason, mode, cause, opened_at, condemned_by, confirmed_by, \
         not_before, plan) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    CASE = concat!("SELECT ", case_columns!(), " FROM cases WHERE id = ?");
    CASES = concat!("SELECT ", case_columns!(), " FROM cases ORDER BY opened_at DESC, id");
    CASES_OF_HOST = concat!("SELECT ", case_columns!(), " FROM cases WHERE host = ? ORDER BY opened_at DESC, id");
    CASES_UNCLOSED = concat!(
        "SELECT ", case_columns!(), " FROM cases WHERE unclosed_host IS NOT NULL ORDER BY opened_at DESC, id"
    );
    CASE_UNCLOSED = concat!("SELECT ", case_columns!(), " FROM cases WHERE unclosed_host = ?");
    CASES_SINCE = concat!("SELECT ", case_columns!(), " FROM cases WHERE opened_at >= ? ORDER BY opened_at DESC, id");
    CASES_DUE =
        "SELECT c.id FROM cases c LEFT JOIN leases l ON l.kind = 'case' AND l.id = c.id \
         WHERE c.state = 'open' AND c.not_before <= ? \
         AND (l.held_until IS NULL OR l.held_until <= ? OR l.held_until > ?) ORDER BY c.opened_at, c.id LIMIT ?";
    CASE_POSTPONE = "UPDATE cases SET not_before = ? WHERE id = ?";
    CASE_STOP = "UPDATE cases SET state = ?, reason = ? WHERE id = ? AND state = 'open'";
    CASE_CLOSE =
        "UPDATE cases SET state = 'closed', reason = ?, closed_at = ?, outcome = ?, unclosed_host = NULL \
         WHERE id = ? AND state <> 'closed'";
    CASE_APPROVE =
        "UPDATE cases SET state = 'open', reason = NULL, approved_by = ?, not_before = ? \
         WHERE id = ? AND (state = 'held' OR state = 'stuck')";
    CASE_STILL_OPEN = "UPDATE cases SET state = 'open' WHERE id = ? AND state = 'open'";

    // steps
    STEP_INSERT = "INSERT INTO case_steps (case_id, name, position, state, attempts) VALUES (?, ?, ?, 'pending', 0)";
    STEPS =
        "SELECT name, position, state, attempts, started_at, finished_at, note FROM case_steps \
         WHERE case_id = ? ORDER BY position";
    STEP_BEGIN =
        "UPDATE case_steps SET state = 'running', attempts = attempts + 1, started_at = COALESCE(started_at, ?), \
         finished_at = NULL WHERE case_id = ? AND name = ?";
    STEP_END = "UPDATE case_steps SET state = ?, finished_at = ?, note = ? WHERE case_id = ? AND name = ?";
    STEPS_TRY_AGAIN =
        "UPDATE case_steps SET attempts = 0 WHERE case_id = ? AND (state = 'failed' OR state = 'running')";

    // journal
    JOURNAL_LAST = "SELECT COALESCE(MAX(seq), 0) AS last FROM journal WHERE case_id = ?";
    JOURNAL_INSERT =
        "INSERT INTO journal (case_id, seq, at, step, phase, epoch, detail) VALUES (?, ?, ?, ?, ?, ?, ?)";
    JOURNAL = "SELECT seq, at, step, phase, epoch, detail FROM journal WHERE case_id = ? ORDER BY seq";

    // instances and evidence of cases
    INSTANCE_UPDATE =
        "UPDATE case_instances SET name = ?, project = ?, info = ?, source = ?, destination = ?, fate = ?, state = ?, \
         migration = ?, detail = ?, updated_at = ? WHERE case_id = ? AND instance = ?";
    INSTANCE_INSERT =
        "INSERT INTO case_instances (name, project, info, source, destination, fate, state, migration, detail, \
         updated_at, case_id, instance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    INSTANCES =
        "SELECT instance, name, project, info, source, destination, fate, state, migration, detail \
         FROM case_instances WHERE case_id = ? ORDER BY project, name, instance";
    CASE_EVIDENCE_INSERT = "INSERT INTO case_evidence (case_id, role, digest) VALUES (?, ?, ?)";
    CASE_EVIDENCE = "SELECT role, digest FROM case_evidence WHERE case_id = ? ORDER BY role";

    // policies
    POLICY_VERSION = "SELECT version, digest, seen_at FROM policy_versions WHERE name_digest = ?";
    POLICY_VERSION_RAISE =
        "UPDATE policy_versions SET version = ?, digest = ?, seen_at = ? WHERE name_digest = ? AND version < ?";
    POLICY_VERSION_INSERT =
        "INSERT INTO policy_versions (name_digest, name, version, digest, seen_at) VALUES (?, ?, ?, ?, ?)";

    // outbox
    OUTBOX_HAS = "SELECT event FROM outbox WHERE event = ?";
    OUTBOX_INSERT =
        "INSERT INTO outbox (event, kind, payload, created_at, state, attempts, next_attempt_at) \
         VALUES (?, ?, ?, ?, 'pending', 0, ?)";
    OUTBOX_DUE =
        "SELECT event, kind, payload, created_at, attempts, last_error FROM outbox \
         WHERE state = 'pending' AND next_attempt_at <= ? ORDER BY created_at, event LIMIT ?";
    OUTBOX_TAKE =
        "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ? \
         WHERE event = ? AND state = 'pending' AND next_attempt_at <= ?";
    OUTBOX_ATTEMPTS = "SELECT attempts FROM outbox WHERE event = ? AND state = 'pending'";
    OUTBOX_DELIVERED = "UPDATE outbox SET state = 'delivered', finished_at = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_AGAIN = "UPDATE outbox SET next_attempt_at = ?, last_error = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_GIVE_UP =
        "UPDATE outbox SET state = 'dead', finished_at = ?, last_error = ? WHERE event = ? AND state = 'pending'";
    OUTBOX_DEAD =
        "SELECT event, kind, payload, created_at, attempts, last_error FROM outbox WHERE state = 'dead' \
         ORDER BY created_at, event";

    // audit
    AUDIT_LAST = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    AUDIT_INSERT = "INSERT INTO audit (seq, at, who, what, subject, outcome, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
    AUDIT_LATEST = "SELECT seq, at, who, what, subject, outcome, hash FROM audit ORDER BY seq DESC LIMIT ?";
    AUDIT_AFTER = "SELECT seq, at, who, what, subject, outcome, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000";
}
