//! `lazaret pause`, `resume` and `pauses`: leave a host, or the cloud, alone for a while.

use std::path::Path;

use clap::Args;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
    who::who,
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    ids::{HostName, PauseId},
    respond::notify::{Event, Kind},
    store::{Pause, Store},
};

/// No pause is longer: one that is forgotten leaves a host unwatched.
const LONGEST_S: u64 = 30 * 24 * 3600;

/// Arguments of `lazaret pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    scope: Scope,

    /// Why, for whoever is on call.
    #[arg(long, value_name = "TEXT", value_parser = super::who::reason)]
    because: String,

    /// From when, such as 2026-11-21T22:00:00Z or 2h; without, from now.
    #[arg(long, value_name = "TIME")]
    from: Option<When>,

    /// Until when, such as 2026-11-22T06:00:00Z or 2h (after the beginning); 30 days at most.
    #[arg(long, value_name = "TIME")]
    until: When,
}

/// Arguments of `lazaret resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    scope: Scope,
}

/// Arguments of `lazaret pauses`.
#[derive(Debug, Args)]
pub struct PausesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// The host.
    host: Option<HostName>,

    /// The whole cloud.
    #[arg(long)]
    cloud: bool,
}

/// A time, or how long after another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(Timestamp),
    After(std::time::Duration),
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let wrong = || {
            format!(
                "\"{text}\" is neither a time such as 2026-11-21T22:00:00Z nor a length such as 90m, 2h, 3d"
            )
        };
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let seconds: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = text
            .strip_suffix(unit)
            .unwrap_or_default()
            .parse()
            .map_err(|_| wrong())?;
        let seconds = number
            .checked_mul(seconds)
            .filter(|s| *s <= 10 * LONGEST_S)
            .ok_or_else(wrong)?;
        Ok(Self::After(std::time::Duration::from_secs(seconds)))
    }
}

impl When {
    fn from(self, begin: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(length) => begin.plus(length),
        }
    }
}

impl Scope {
    /// The host, which has to be enrolled; `None` for the cloud.
    async fn host(&self, store: &Store) -> Result<Option<HostName>, Trouble> {
        match &self.host {
            Some(name) => context::host(store, name)
                .await
                .map(|host| Some(host.name().clone())),
            None => Ok(None),
        }
    }
}

fn event(kind: Kind, host: Option<&HostName>, words: String, now: Timestamp) -> Event {
    match host {
        Some(host) => Event::host(kind, host, words, now),
        None => Event::cloud(kind, words, now),
    }
}

fn name(host: Option<&HostName>) -> String {
    host.map_or_else(|| "the cloud".to_owned(), ToString::to_string)
}

impl PauseArgs {
    /// Pauses.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        let host = self.scope.host(&store).await?;
        let now = SystemClock.now();
        let from = self.from.map_or(now, |from| from.from(now));
        let until = self.until.from(from.max(now));
        if until <= from || until <= now || until.since(from).as_secs() > LONGEST_S {
            return Err(Trouble::say(
                Exit::Usage,
                format_args!(
                    "a pause from {from} until {until} is none: it ends after it begins, after now, and within 30 days"
                ),
            ));
        }
        let pause = Pause {
            id: PauseId::new(now, rand::random()),
            host,
            from,
            until,
            because: self.because,
            by: who(),
            made_at: now,
            ended_at: None,
            ended_by: None,
        };
        let host = pause.host.as_ref();
        let words = format!(
            "{} is paused by {} from {from} until {until}: {}",
            name(host),
            pause.by,
            pause.because
        );
        let told = event(Kind::Paused, host, words, now);
        store.pause(&pause, &told.queued(), now).await?;
        out::print(&format!(
            "{}: {} is left alone from {from} until {until}\nIts rounds are recorded and nothing follows from them. A case that runs stops after its step.\n",
            pause.id,
            name(host)
        ));
        Ok(Exit::Ok)
    }
}

impl ResumeArgs {
    /// Resumes.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        let host = self.scope.host(&store).await?;
        let (now, who) = (SystemClock.now(), who());
        let words = format!("{} is watched again, by {who}", name(host.as_ref()));
        let told = event(Kind::Resumed, host.as_ref(), words, now);
        let ended = store.resume(host.as_ref(), &who, &told.queued(), now).await?;
        if ended == 0 {
            return Err(Trouble::say(
                Exit::Data,
                format_args!(
                    "{} is not paused; `lazaret pauses` lists pauses",
                    name(host.as_ref())
                ),
            ));
        }
        out::print(&format!("{}: {ended} pauses ended\n", name(host.as_ref())));
        Ok(Exit::Ok)
    }
}

impl PausesArgs {
    /// Lists.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        let now = SystemClock.now();
        let mut pauses = store.pauses(now).await?;
        pauses.retain(|pause| !pause.is_over(now));
        if self.json {
            out::json(&pauses);
            return Ok(Exit::Ok);
        }
        if pauses.is_empty() {
            out::print("Nothing is paused.\n");
            return Ok(Exit::Ok);
        }
        out::print(&out::table(
            ["PAUSE", "OF", "FROM", "UNTIL", "BY", "BECAUSE"],
            pauses.iter().map(|pause| {
                [
                    pause.id.to_string(),
                    name(pause.host.as_ref()),
                    pause.from.to_string(),
                    pause.until.to_string(),
                    out::plain(&pause.by),
                    out::plain(&pause.because),
                ]
            }),
        ));
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests;
