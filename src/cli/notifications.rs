//! `lazaret notifications`: what people were told, what did not reach them, and sending it again.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
    who::who,
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    config::Config,
    store::{Delivery, DeliveryState, Json, Notification, Store},
};

/// Arguments of `lazaret notifications`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Notifications {
    #[command(subcommand)]
    command: Option<Command>,

    /// Only those that were given up, with the reason: the dead letters.
    #[arg(long)]
    dead: bool,

    /// How many of the latest are shown.
    #[arg(long, default_value_t = 50, value_name = "NUMBER", conflicts_with = "dead")]
    last: u32,

    /// Print JSON, with what was sent.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send dead letters again: those of one notification, or all.
    Retry(Retry),
}

#[derive(Debug, Args)]
struct Retry {
    /// The notification, as `lazaret notifications --dead` names it.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,

    /// All dead letters.
    #[arg(long)]
    all: bool,

    /// Only to this receiver.
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
}

/// A notification with its way to each receiver.
#[derive(Serialize)]
struct Row {
    id: String,
    event: String,
    at: Timestamp,
    deliveries: Vec<Delivery>,
    payload: Json,
}

impl Row {
    fn new((told, deliveries): (Notification, Vec<Delivery>)) -> Self {
        Self {
            id: told.key,
            event: told.kind,
            at: told.created_at,
            deliveries,
            payload: told.payload,
        }
    }
}

impl Notifications {
    /// Lists, or sends again.
    pub async fn run(self, path: &Path) -> Result<Exit, Trouble> {
        let config = context::config(path)?;
        let store = context::store(&config).await?;
        if let Some(Command::Retry(retry)) = self.command {
            return retry.run(&config, &store).await;
        }
        let rows: Vec<Row> = if self.dead {
            let dead = store.dead_letters().await?;
            dead.into_iter()
                .map(|(told, way)| Row::new((told, vec![way])))
                .collect()
        } else {
            let latest = store.notifications(self.last).await?;
            latest.into_iter().map(Row::new).collect()
        };
        if self.json {
            out::json(&rows);
        } else if rows.is_empty() {
            out::print(if self.dead {
                "No notification was given up.\n"
            } else {
                "Nothing was told yet.\n"
            });
        } else if self.dead {
            let cells = rows.iter().flat_map(|row| {
                row.deliveries.iter().map(|way| {
                    [
                        out::plain(&row.id),
                        out::plain(&way.receiver),
                        way.attempts.to_string(),
                        way.finished_at.map_or_else(String::new, |at| at.to_string()),
                        out::plain(way.error.as_deref().unwrap_or_default()),
                    ]
                })
            });
            out::print(&out::table(
                ["ID", "RECEIVER", "ATTEMPTS", "GIVEN UP AT", "WHY"],
                cells,
            ));
        } else {
            let cells = rows.iter().map(|row| {
                let ways: Vec<String> = row.deliveries.iter().map(words).collect();
                [
                    row.at.to_string(),
                    out::plain(&row.id),
                    out::plain(&ways.join("; ")),
                ]
            });
            out::print(&out::table(["AT", "ID", "TOLD"], cells));
        }
        Ok(Exit::Ok)
    }
}

fn words(way: &Delivery) -> String {
    let (receiver, attempts) = (&way.receiver, way.attempts);
    match (way.state, &way.error) {
        (DeliveryState::Delivered, _) => receiver.clone(),
        (DeliveryState::Pending, None) => format!("{receiver}: on its way"),
        (DeliveryState::Pending, Some(error)) => {
            format!(
                "{receiver}: tried {attempts} times, next at {}: {error}",
                way.next_attempt_at
            )
        }
        (DeliveryState::Dead, error) => {
            let error = error.as_deref().unwrap_or("no reason is known");
            format!("{receiver}: GIVEN UP after {attempts} attempts: {error}")
        }
    }
}

impl Retry {
    async fn run(self, config: &Config, store: &Store) -> Result<Exit, Trouble> {
        if let Some(name) = &self.receiver
            && !config.notify.iter().any(|webhook| webhook.name == *name)
        {
            return Err(Trouble::say(
                Exit::NoInput,
                format_args!("no webhook \"{name}\" is configured"),
            ));
        }
        let (event, receiver) = (self.id.as_deref(), self.receiver.as_deref());
        let revived = store.retry(event, receiver, &who(), SystemClock.now()).await?;
        if revived == 0
            && let Some(id) = event
        {
            return Err(Trouble::say(
                Exit::NoInput,
                format_args!(
                    "no dead letter is named \"{id}\"{}; `lazaret notifications --dead` lists them",
                    receiver.map_or_else(String::new, |name| format!(" for \"{name}\""))
                ),
            ));
        }
        out::print(&format!(
            "{revived} deliveries are tried again by the daemon, if it runs.\n"
        ));
        Ok(Exit::Ok)
    }
}
