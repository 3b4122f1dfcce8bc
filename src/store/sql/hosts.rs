//! Hosts, and who enrolled them.

macro_rules! host_columns {
    () => {
        "name, agent_url, policy, ak_public, ak_name, ek_public_digest, ek_certificate, ek_kind, agent_key, \
         enrolled_at, enrolled_by, next_due, last_verdict, last_round, last_result_at, history, silent_since, \
         quarantined_by, silent_rounds, unscheduled_by"
    };
}

statements! {
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
    HOST_QUIET = "UPDATE hosts SET silent_rounds = silent_rounds + 1 WHERE name = ?";
    HOST_HEARD = "UPDATE hosts SET silent_rounds = 0 WHERE name = ?";
    HOST_UNSCHEDULED = "UPDATE hosts SET unscheduled_by = ? WHERE name = ?";
    HOST_QUARANTINED = "UPDATE hosts SET quarantined_by = ? WHERE name = ?";
    HOST_NOT_QUARANTINED = "UPDATE hosts SET quarantined_by = NULL WHERE quarantined_by = ?";
    HOST_RELEASED = "UPDATE hosts SET quarantined_by = NULL WHERE name = ?";
    ENROLMENT_LAST = "SELECT COALESCE(MAX(seq), 0) AS last FROM enrolments WHERE host = ?";
    ENROLMENT_LAST_ACTION = "SELECT action, quarantine FROM enrolments WHERE host = ? ORDER BY seq DESC LIMIT 1";
    ENROLMENT_INSERT =
        "INSERT INTO enrolments (host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key, quarantine) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    ENROLMENTS =
        "SELECT host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key FROM enrolments ORDER BY at, host, seq";
    ENROLMENTS_OF =
        "SELECT host, seq, at, done_by, action, ek_public_digest, ak_name, agent_key FROM enrolments \
         WHERE host = ? ORDER BY seq";
}
