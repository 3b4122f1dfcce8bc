//! `[response]`: what happens to a condemned host; from text to types.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::file::{ReleaseTable, ResponseTable};
use super::resolve::Resolver;
use super::{ConfigError, LocalDisk, OnArrival, Recovery, Response, ResponseMode, Return, Silence};
use crate::ids::HostName;

impl Resolver<'_> {
    pub(super) fn response(
        &self,
        table: &ResponseTable,
        release: &ReleaseTable,
        nodes: BTreeMap<HostName, Uuid>,
    ) -> Result<Response, ConfigError> {
        if table.quarantine_aggregate.is_empty() || table.quarantine_aggregate.len() > 255 {
            return Err(self.place.refuse(
                "response.quarantine_aggregate",
                "no name that nova takes",
                "write 1 to 255 characters",
            ));
        }
        Ok(Response {
            mode: self.one_of(
                "response.mode",
                &table.mode,
                &[
                    ("observe", ResponseMode::Observe),
                    ("enforce", ResponseMode::Enforce),
                ],
            )?,
            recovery: self.one_of(
                "response.recovery",
                &table.recovery,
                &[("masakari", Recovery::Masakari), ("nova", Recovery::Nova)],
            )?,
            quarantine_aggregate: table.quarantine_aggregate.clone(),
            local_disk: self.one_of(
                "response.local_disk",
                &table.local_disk,
                &[("hold", LocalDisk::Hold), ("rebuild", LocalDisk::Rebuild)],
            )?,
            step_deadline: self.seconds("response.step_deadline_s", table.step_deadline_s, 1)?,
            step_attempts: self.count("response.step_attempts", table.step_attempts, 1, 1000)?,
            masakari_deadline: self.seconds("response.masakari_deadline_s", table.masakari_deadline_s, 1)?,
            evacuation_deadline: self.seconds(
                "response.evacuation_deadline_s",
                table.evacuation_deadline_s,
                1,
            )?,
            lease_duration: Duration::from_secs(self.between(
                "response.lease_s",
                table.lease_s,
                5,
                crate::store::LONGEST_LEASE.as_secs(),
            )?),
            max_cases: self.count("response.max_cases", table.max_cases, 0, 100_000)?,
            window: self.seconds("response.window_s", table.window_s, 1)?,
            keep_hosts: self.count("response.keep_hosts", table.keep_hosts, 0, 100_000)?,
            on_arrival: self.one_of(
                "response.on_arrival",
                &table.on_arrival,
                &[("as-it-was", OnArrival::AsItWas), ("stopped", OnArrival::Stopped)],
            )?,
            shared_storage: table.shared_storage.clone(),
            other_ha: table.other_ha.clone(),
            ironic_nodes: nodes,
            holddown_interval: self.seconds("response.holddown_interval_s", table.holddown_interval_s, 1)?,
            second_person: release.second_person,
            verdict_age: self.seconds("release.verdict_age_s", release.verdict_age_s, 1)?,
            boot_deadline: self.seconds("release.boot_deadline_s", release.boot_deadline_s, 1)?,
            holddown_repairs: self.count("response.holddown_repairs", table.holddown_repairs, 1, 1000)?,
            max_cases_zone: self.count("response.max_cases_zone", table.max_cases_zone, 0, 100_000)?,
            max_cases_aggregate: self.count(
                "response.max_cases_aggregate",
                table.max_cases_aggregate,
                0,
                100_000,
            )?,
            keep_free_vcpus: table.keep_free_vcpus,
            keep_free_memory_mb: table.keep_free_memory_mb,
            startup_grace: Duration::from_secs(self.between(
                "response.startup_grace_s",
                table.startup_grace_s,
                0,
                crate::store::LONGEST_REST.as_secs(),
            )?),
            brake_hosts: self.count("response.brake_hosts", table.brake_hosts, 2, 100_000)?,
            brake_wait: Duration::from_secs(self.between(
                "response.brake_wait_s",
                table.brake_wait_s,
                0,
                3600,
            )?),
            brake_probe: self.count("response.brake_probe", table.brake_probe, 0, 1000)?,
            silence: self.silence(table)?,
            unschedule_return: self.one_of(
                "response.unschedule_return",
                &table.unschedule_return,
                &[("auto", Return::Auto), ("person", Return::Person)],
            )?,
        })
    }

    fn silence(&self, table: &ResponseTable) -> Result<Option<Silence>, ConfigError> {
        if !(0.0..=1.0).contains(&table.silence_share) {
            return Err(self.place.refuse(
                "response.silence_share",
                "no share",
                "write a number from 0.0 to 1.0",
            ));
        }
        let rounds = self.count("response.silence_rounds", table.silence_rounds, 1, 10_000)?;
        Ok((table.silence_unschedule_s > 0).then(|| Silence {
            unschedule_after: Duration::from_secs(table.silence_unschedule_s),
            rounds,
            share: table.silence_share,
        }))
    }
}
