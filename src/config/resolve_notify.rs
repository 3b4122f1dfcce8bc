//! `[notify]`: who is told; from text to types.

use super::file::{NotifyTable, WebhookTable};
use super::resolve::Resolver;
use super::{ConfigError, EventPattern, Severity, Webhook};

/// No receiver may be named like the daemon's own log.
pub(crate) const JOURNAL: &str = "journal";

impl Resolver<'_> {
    pub(super) fn webhooks(&self, table: &NotifyTable) -> Result<Vec<Webhook>, ConfigError> {
        let mut webhooks: Vec<Webhook> = self.first_webhook(table)?.into_iter().collect();
        for (index, table) in table.webhook.iter().enumerate() {
            let at = format!("notify.webhook[{}]", index + 1);
            let webhook = self.webhook(&at, table)?;
            if webhooks.iter().any(|other| other.name == webhook.name) {
                return Err(self.place.refuse(
                    &format!("{at}.name"),
                    format!("\"{}\" stands twice", webhook.name),
                    "give each receiver a name of its own (notify.webhook_url is named \"default\")",
                ));
            }
            webhooks.push(webhook);
        }
        Ok(webhooks)
    }

    /// The receiver that `[notify]` itself names.
    fn first_webhook(&self, table: &NotifyTable) -> Result<Option<Webhook>, ConfigError> {
        let secret = self.secret_or_barbican(
            "notify.webhook_secret",
            table.webhook_secret.as_ref(),
            table.webhook_secret_file.as_ref(),
            table.webhook_secret_credential.as_ref(),
            table.webhook_secret_barbican.as_ref(),
        )?;
        let Some(url) = &table.webhook_url else {
            return match secret {
                None => Ok(None),
                Some(_) => Err(self.place.refuse(
                    "notify.webhook_url",
                    "missing, though a secret for it is there",
                    "add it, or remove the secret",
                )),
            };
        };
        Ok(Some(Webhook {
            name: "default".to_owned(),
            url: self.https_url("notify.webhook_url", url)?,
            secret,
            ca_file: None,
            events: EventPattern::new("*").into_iter().collect(),
            min_severity: Severity::Info,
        }))
    }

    fn webhook(&self, at: &str, table: &WebhookTable) -> Result<Webhook, ConfigError> {
        let key = format!("{at}.name");
        let name = self.required(&key, table.name.as_deref())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.len() > 64 || !name.chars().all(plain) || name == JOURNAL {
            return Err(self.place.refuse(
                &key,
                format!("\"{name}\""),
                format!(
                    "write 1 to 64 letters, digits, `.`, `-` or `_`; \"{JOURNAL}\" is the daemon's own log"
                ),
            ));
        }
        let key = format!("{at}.events");
        let mut events = Vec::with_capacity(table.events.len());
        for text in &table.events {
            let pattern = EventPattern::new(text).ok_or_else(|| {
                self.place.refuse(
                    &key,
                    format!("no event is named \"{text}\""),
                    "write names of docs/notifications.md; a * stands for any letters: \"case-*\"",
                )
            })?;
            events.push(pattern);
        }
        if events.is_empty() {
            return Err(self.place.refuse(
                &key,
                "nothing: it would never be told",
                "write [\"*\"], or remove this receiver",
            ));
        }
        let key = format!("{at}.url");
        Ok(Webhook {
            name: name.to_owned(),
            url: self.https_url(&key, self.required(&key, table.url.as_deref())?)?,
            secret: self.secret_or_barbican(
                &format!("{at}.secret"),
                table.secret.as_ref(),
                table.secret_file.as_ref(),
                table.secret_credential.as_ref(),
                table.secret_barbican.as_ref(),
            )?,
            ca_file: self.optional_absolute(&format!("{at}.ca_file"), table.ca_file.as_ref())?,
            events,
            min_severity: self.one_of(
                &format!("{at}.min_severity"),
                &table.min_severity,
                &[
                    ("info", Severity::Info),
                    ("warning", Severity::Warning),
                    ("critical", Severity::Critical),
                ],
            )?,
        })
    }
}
