//! Hosts that nova shows as ours, and of which no case is known.

statements! {
    ORPHANS = "SELECT host, words, found_at FROM orphans ORDER BY host";
    ORPHAN_UPDATE = "UPDATE orphans SET words = ?, found_at = ? WHERE host = ?";
    ORPHAN_INSERT = "INSERT INTO orphans (words, found_at, host) VALUES (?, ?, ?)";
    ORPHAN_DELETE = "DELETE FROM orphans WHERE host = ?";
}
