//! Who we are to keystone: what the token says.

use serde::Deserialize;

use crate::clock::Timestamp;

use super::error::Error;
use super::session::Cloud;
use super::time;

/// The user, project and roles behind our token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub user_id: String,
    /// User name.
    pub user: String,
    /// Name of the user's domain.
    pub user_domain: String,
    /// Project id; `None` for a token without a project, which nova refuses.
    pub project_id: Option<String>,
    /// Project name.
    pub project: Option<String>,
    /// Role names, implied ones included.
    pub roles: Vec<String>,
    /// When the token ends.
    pub expires_at: Option<Timestamp>,
    /// Name of the application credential used, if any.
    pub application_credential: Option<String>,
}

impl Identity {
    /// Whether the token holds a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held.eq_ignore_ascii_case(role))
    }
}

impl Cloud {
    /// Who we are: logs in if there is no token yet.
    pub async fn whoami(&self) -> Result<Identity, Error> {
        Ok(self.token().await?.identity.clone())
    }
}

/// The body of keystone's answer to a login.
#[derive(Deserialize)]
pub(super) struct TokenBody {
    pub(super) token: Token,
}

#[derive(Deserialize)]
pub(super) struct Token {
    user: Named,
    project: Option<Named>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default, deserialize_with = "time::optional")]
    expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time::optional")]
    issued_at: Option<Timestamp>,
    application_credential: Option<Role>,
    #[serde(default)]
    pub(super) catalog: Vec<CatalogueEntry>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
    domain: Option<Domain>,
}

#[derive(Deserialize)]
struct Domain {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

/// One service of the catalogue.
#[derive(Deserialize)]
pub(super) struct CatalogueEntry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) endpoints: Vec<CatalogueEndpoint>,
}

/// One endpoint of a service.
#[derive(Deserialize)]
pub(super) struct CatalogueEndpoint {
    pub(super) interface: String,
    pub(super) region_id: Option<String>,
    pub(super) region: Option<String>,
    pub(super) url: String,
}

impl Token {
    /// How long the token lives by keystone's own clock; ours is not asked, it may be wrong.
    pub(super) fn lifetime(&self) -> Option<std::time::Duration> {
        Some(self.expires_at?.since(self.issued_at?))
    }

    /// Who the token says we are.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            user_id: self.user.id.clone(),
            user: self.user.name.clone(),
            user_domain: self
                .user
                .domain
                .as_ref()
                .and_then(|domain| domain.name.clone())
                .unwrap_or_default(),
            project_id: self.project.as_ref().map(|project| project.id.clone()),
            project: self.project.as_ref().map(|project| project.name.clone()),
            roles: self.roles.iter().map(|role| role.name.clone()).collect(),
            expires_at: self.expires_at,
            application_credential: self.application_credential.as_ref().map(|ac| ac.name.clone()),
        }
    }
}
