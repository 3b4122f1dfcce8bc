//! What was about to be done, and what was done.

statements! {
    JOURNAL_LAST = "SELECT COALESCE(MAX(seq), 0) AS last FROM journal WHERE case_id = ?";
    JOURNAL_INSERT =
        "INSERT INTO journal (case_id, seq, at, step, phase, epoch, detail) VALUES (?, ?, ?, ?, ?, ?, ?)";
    JOURNAL = "SELECT seq, at, step, phase, epoch, detail FROM journal WHERE case_id = ? ORDER BY seq";
}
