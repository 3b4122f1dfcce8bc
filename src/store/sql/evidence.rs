//! Evidence under its digest.

statements! {
    EVIDENCE_TOUCH = "UPDATE evidence SET put_at = ? WHERE digest = ?";
    EVIDENCE_INSERT = "INSERT INTO evidence (digest, bytes, put_at) VALUES (?, ?, ?)";
    EVIDENCE = "SELECT bytes FROM evidence WHERE digest = ?";
    EVIDENCE_OLD =
        "SELECT e.digest FROM evidence e WHERE e.put_at < ? \
         AND NOT EXISTS (SELECT 1 FROM case_evidence c WHERE c.digest = e.digest) ORDER BY e.put_at LIMIT ?";
    EVIDENCE_DELETE = "DELETE FROM evidence WHERE digest = ?";
}
