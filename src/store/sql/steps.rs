//! The steps of a case, and its instances.

statements! {
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
    INSTANCE_UPDATE =
        "UPDATE case_instances SET name = ?, project = ?, info = ?, source = ?, destination = ?, fate = ?, state = ?, \
         migration = ?, detail = ?, updated_at = ? WHERE case_id = ? AND instance = ?";
    INSTANCE_INSERT =
        "INSERT INTO case_instances (name, project, info, source, destination, fate, state, migration, detail, \
         updated_at, case_id, instance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    INSTANCES =
        "SELECT instance, name, project, info, source, destination, fate, state, migration, detail \
         FROM case_instances WHERE case_id = ? ORDER BY project, name, instance";
}
