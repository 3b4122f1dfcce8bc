//! The cloud: keystone, nova's microversion and rights, the aggregate, Masakari's segments.

use super::{Check, Report};
use crate::{
    cli::{cloud_start, wiring},
    config::{Config, Recovery},
    ids::HostName,
    openstack::{Cloud, Error},
    store::Host,
};

/// Everything about the cloud.
pub async fn checks(config: &Config, hosts: &[Host], report: &mut Report) {
    let Some(openstack) = &config.openstack else {
        report.say(Check::needed_to_act(
            config,
            "openstack",
            "there is no [openstack] in the configuration".to_owned(),
            "fill it in",
        ));
        return;
    };
    let cloud = match wiring::cloud(openstack) {
        Ok(cloud) => cloud,
        Err(trouble) => {
            report.say(Check::fail(
                "openstack",
                format!("{:#}", trouble.cause),
                "correct [openstack]",
            ));
            return;
        }
    };
    if !keystone(&cloud, report).await {
        return;
    }
    nova(config, &cloud, hosts, report).await;
    aggregate(config, &cloud, report).await;
    masakari(config, &cloud, hosts, report).await;
}

async fn keystone(cloud: &Cloud, report: &mut Report) -> bool {
    match cloud.whoami().await {
        Ok(me) if me.project_id.is_none() => {
            report.say(Check::fail(
                "keystone",
                format!("logged in as {}, without a project", me.user),
                "nova refuses every other scope: give the account a role on a project",
            ));
            true
        }
        Ok(me) => {
            let project = me.project.clone().unwrap_or_default();
            let detail = format!("{} on project {project}, roles {}", me.user, me.roles.join(", "));
            if me.has_role("admin") {
                report.say(Check::pass("keystone", detail));
            } else {
                report.say(Check::warn(
                    "keystone",
                    detail,
                    "role admin is what nova's default policy asks for; without it your policy.yaml must allow each call",
                ));
            }
            true
        }
        Err(error) => {
            report.say(Check::fail(
                "keystone",
                error.to_string(),
                "see the message; nothing else can be asked",
            ));
            false
        }
    }
}

/// What our credential may read; what it may write only a case shows.
async fn rights(config: &Config, cloud: &Cloud, report: &mut Report) {
    for right in cloud.rights().await {
        let name = "rights";
        match (right.outcome, right.without) {
            (Ok(()), _) => report.say(Check::pass(name, format!("{} can be read", right.reads))),
            // Said by the versions already.
            (Err(Error::NoEndpoint { .. } | Error::VersionTooLow { .. }), _) => {}
            (Err(error), Some(without)) => {
                report.say(Check::warn(
                    name,
                    error.to_string(),
                    format!("without it, {without}"),
                ));
            }
            (Err(error), None) => report.say(Check::needed_to_act(
                config,
                name,
                error.to_string(),
                "every case would be stuck without it",
            )),
        }
    }
}

async fn nova(config: &Config, cloud: &Cloud, hosts: &[Host], report: &mut Report) {
    match cloud.needs(cloud_start::wants(config)).await {
        Ok(needs) => {
            for need in &needs {
                let name = format!("{} {}", need.service, need.needed);
                match (need.offered, need.without) {
                    (Some(offered), _) if need.is_met() => report.say(Check::pass(
                        name,
                        format!("microversions {} to {}", offered.min, offered.max),
                    )),
                    (_, Some(without)) => {
                        report.say(Check::warn(name, need.says(), format!("without it, {without}")))
                    }
                    (_, None) => report.say(Check::fail(
                        name,
                        need.says(),
                        "this cloud is too old to act in: the daemon does not start in mode enforce",
                    )),
                }
            }
        }
        Err(error) => {
            report.say(Check::fail("nova", error.to_string(), "see the message"));
            return;
        }
    }
    rights(config, cloud, report).await;
    match cloud.compute_services().await {
        Ok(services) => {
            report.say(Check::pass(
                "nova's services",
                format!("{} compute services can be listed", services.known.len()),
            ));
            if !services.left_out.is_empty() {
                report.say(Check::warn(
                    "nova's services",
                    format!("left out: {}", services.left_out.join("; ")),
                    "see which machine registered under such a name (`host` in its nova.conf) and why; nothing is done about it \
                     here",
                ));
            }
            let missing: Vec<_> = services
                .known
                .iter()
                .map(|service| &service.host)
                .filter(|host| !hosts.iter().any(|known| known.name() == *host))
                .map(ToString::to_string)
                .collect();
            if !missing.is_empty() {
                report.say(Check::warn(
                    "enrolment",
                    format!("not attested: {}", missing.join(", ")),
                    "lazaret enroll HOST, or --all",
                ));
            }
            for host in hosts {
                let name: &HostName = host.name();
                let known = services.known.iter().any(|service| service.host == *name)
                    || services.not_known.contains(name);
                if !known {
                    report.say(Check::needed_to_act(
                        config,
                        "nova's services",
                        format!("nova has no compute service on {name}"),
                        "enrol hosts by the name that `openstack compute service list` shows",
                    ));
                }
            }
        }
        Err(error) => report.say(Check::fail(
            "nova's services",
            error.to_string(),
            "see the message",
        )),
    }
}

async fn aggregate(config: &Config, cloud: &Cloud, report: &mut Report) {
    let name = &config.response.quarantine_aggregate;
    match cloud.aggregate(name).await {
        Ok(Some(aggregate)) => match &aggregate.availability_zone {
            None => report.say(Check::pass(
                "quarantine aggregate",
                format!("{name} is there, with {} hosts", aggregate.hosts.len()),
            )),
            Some(zone) => report.say(Check::fail(
                "quarantine aggregate",
                format!(
                    "{name} has availability zone {zone}: nova would refuse to let hosts with instances join"
                ),
                "unset its availability zone, or set response.quarantine_aggregate to another name",
            )),
        },
        Ok(None) => {
            report.say(Check::pass(
                "quarantine aggregate",
                format!("{name} will be made when it is needed"),
            ));
        }
        Err(error) => report.say(Check::fail(
            "quarantine aggregate",
            error.to_string(),
            "see the message",
        )),
    }
}

async fn masakari(config: &Config, cloud: &Cloud, hosts: &[Host], report: &mut Report) {
    const NAME: &str = "masakari";
    let wanted = config.response.recovery == Recovery::Masakari;
    match cloud.has_masakari().await {
        Ok(false) if wanted => {
            report.say(Check::needed_to_act(
                config,
                NAME,
                "the catalogue has no instance-ha service".to_owned(),
                "set response.recovery = \"nova\"",
            ));
            return;
        }
        Ok(false) => {
            report.say(Check::pass(
                NAME,
                "none, and none is needed: instances are evacuated by nova",
            ));
            return;
        }
        Ok(true) => {}
        Err(error) => {
            report.say(Check::fail(NAME, error.to_string(), "see the message"));
            return;
        }
    }
    for host in hosts {
        let name = format!("{NAME} {}", host.name());
        match cloud.recovery_host(host.name()).await {
            Ok(Some(known)) if known.segment_enabled == Some(false) => report.say(Check::needed_to_act(
                config,
                &name,
                format!(
                    "segment {} is disabled: it would ignore the notification",
                    known.segment_name
                ),
                "enable the segment",
            )),
            Ok(Some(known)) if known.on_maintenance => report.say(Check::warn(
                name,
                format!(
                    "on maintenance in segment {}: it would refuse the notification",
                    known.segment_name
                ),
                "clear on_maintenance when the host is back in service",
            )),
            Ok(Some(known)) => report.say(Check::pass(name, format!("in segment {}", known.segment_name))),
            Ok(None) if wanted => report.say(Check::needed_to_act(
                config,
                &name,
                "in no segment: Masakari would refuse the notification".to_owned(),
                "add the host to a segment, by nova's name for it",
            )),
            Ok(None) => report.say(Check::pass(name, "in no segment, and evacuation is done by nova")),
            Err(error) => report.say(Check::fail(name, error.to_string(), "see the message")),
        }
    }
}
