//! The highest version seen of each signed policy.

statements! {
    POLICY_VERSION = "SELECT version, digest, seen_at FROM policy_versions WHERE name_digest = ?";
    POLICY_VERSION_RAISE =
        "UPDATE policy_versions SET version = ?, digest = ?, seen_at = ? WHERE name_digest = ? AND version < ?";
    POLICY_VERSION_INSERT =
        "INSERT INTO policy_versions (name_digest, name, version, digest, seen_at) VALUES (?, ?, ?, ?, ?)";
}
