//! Who did what.

statements! {
    AUDIT_LAST = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";
    AUDIT_INSERT = "INSERT INTO audit (seq, at, who, what, subject, outcome, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
    AUDIT_LATEST = "SELECT seq, at, who, what, subject, outcome, hash FROM audit ORDER BY seq DESC LIMIT ?";
    AUDIT_AFTER = "SELECT seq, at, who, what, subject, outcome, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT 1000";
}
