//! Challenges, offered once and spent once.

statements! {
    CHALLENGE_INSERT =
        "INSERT INTO challenges (nonce, host, round_id, ima_first, offered_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)";
    CHALLENGE_SPEND =
        "UPDATE challenges SET spent_at = ? WHERE nonce = ? AND host = ? AND spent_at IS NULL AND expires_at > ?";
    CHALLENGE =
        "SELECT nonce, host, round_id, ima_first, offered_at, expires_at, spent_at FROM challenges \
         WHERE nonce = ? AND host = ?";
    CHALLENGES_OLD = "SELECT nonce FROM challenges WHERE expires_at < ? ORDER BY expires_at LIMIT ?";
    CHALLENGE_DELETE = "DELETE FROM challenges WHERE nonce = ?";
}
