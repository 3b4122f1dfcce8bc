//! Rounds and their results.

macro_rules! round_columns {
    () => {
        "id, host, purpose, confirms, started_at, finished_at, verdict, findings, claims, timings, evidence, policy"
    };
}

statements! {
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
}
