//! Commands that change data, with the server running or stopped.
//!
//! A command that finds the folder's lock free takes it and does its work; one that finds it taken speaks
//! HTTP to the server over a socket of mode 0600 in `<data>/run/`. So there is one writer and no stale
//! cache, ever, and both ways call [`execute`].

mod people;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::config::Config;
use super::open::{self, Opened};
use super::{compose, fleet, listen, relay};
use crate::accounts::service::{PluginSessions, SignUps};
use crate::accounts::{AccountsService, Email, Password};
use crate::db::{FolderLock, LockError};
use crate::http::{ApiError, Json};
use crate::kernel::{Error, Result, Role};
use crate::relay::RelayService;
use crate::relay::docker::Belongings;
use crate::relay::nodes::{NodeKey, NodeSpec};
use crate::settings::Settings;
use crate::system::export::Departures;
use crate::system::setup::SetupService;

/// How long a command waits for the server's answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A password that was given, or one to be made.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordChoice {
    /// This one.
    Given(SecretString),
    /// A random one, answered once.
    Random,
}

impl Serialize for PasswordChoice {
    /// For the local socket alone, whose file only this user can open.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Given(password) => json!({ "given": password.expose_secret() }),
            Self::Random => json!("random"),
        }
        .serialize(serializer)
    }
}

impl PasswordChoice {
    /// The password, and whether it is to be shown.
    fn resolve(self) -> Result<(Password, bool)> {
        match self {
            Self::Given(text) => Ok((Password::parse(text)?, false)),
            Self::Random => Ok((Password::random(), true)),
        }
    }
}

/// What a command asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequest {
    /// A new one-time setup URL.
    SetupToken,
    /// A new user.
    CreateUser {
        /// Their e-mail.
        email: String,
        /// Their name; the part of the e-mail before the @ when there is none.
        display_name: Option<String>,
        /// What they may do.
        role: Role,
        /// Their password.
        password: PasswordChoice,
    },
    /// A new password for a user, who is signed out everywhere.
    ResetPassword {
        /// Their e-mail.
        email: String,
        /// The new password.
        password: PasswordChoice,
    },
    /// A link to a new password for a user.
    ResetLink {
        /// Their e-mail.
        email: String,
    },
    /// No such user any more.
    DeleteUser {
        /// Their e-mail.
        email: String,
    },
    /// An invitation.
    Invite {
        /// Whom it is for; whoever holds the link when there is none.
        email: Option<String>,
        /// What they may do.
        role: Role,
        /// How many days it lasts.
        days: u32,
    },
    /// No second factor any more for a user who lost it.
    ResetSecondFactor {
        /// Their e-mail.
        email: String,
    },
    /// All relay nodes.
    ListNodes,
    /// A new relay node.
    AddNode(Box<NodeSpec>),
    /// What a relay node shall do: `active`, `draining` or `inactive`.
    SetNodeStatus {
        /// Which.
        id: String,
        /// What.
        status: String,
    },
    /// Another key for the API of a relay node.
    RotateNodeKey {
        /// Which.
        id: String,
        /// The new one.
        key: NodeKey,
    },
    /// No relay node any more.
    RemoveNode {
        /// Which.
        id: String,
    },
    /// Names for a region.
    NameRegion {
        /// The region, as nodes name it.
        id: String,
        /// What people call it.
        label: String,
        /// Other names under which clients ask for it.
        aliases: Vec<String>,
    },
    /// No containers of the relay any more.
    RemoveContainers,
}

/// What the requests work on.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) accounts: AccountsService,
    pub(super) setup: SetupService,
    pub(super) settings: Settings,
    /// Absent while no server runs: a relay that is not there cannot let go.
    pub(super) departures: Option<Departures>,
    pub(super) sign_ups: SignUps,
    /// Where the slots of a new user are made known at once; absent while no server runs.
    pub(super) relay: Option<RelayService>,
    /// What this appliance has at a container engine, unless a running server looks after it.
    pub(super) containers: Containers,
}

/// The relay's containers, as commands may treat them.
#[derive(Debug, Clone)]
pub(super) enum Containers {
    /// There never were any.
    None,
    /// The running server would make them anew.
    Supervised,
    /// Nobody looks after them.
    Left(Belongings),
}

impl Containers {
    /// Of a server that runs no containers, or of none at all.
    pub(super) fn left(belongings: Option<Belongings>) -> Self {
        belongings.map_or(Self::None, Self::Left)
    }

    async fn remove(&self) -> Result<Value> {
        let removed = match self {
            Self::None => Vec::new(),
            Self::Supervised => {
                let why = "the running server looks after these containers and would make them anew: stop it \
                           first, or give relay.engine another value and start it again";
                return Err(Error::conflict(why));
            }
            Self::Left(belongings) => belongings
                .remove()
                .await
                .map_err(|error| Error::conflict(format!("{error}: {}", error.remedy())))?,
        };
        Ok(json!({ "removed": removed }))
    }
}

/// Carries a request out and answers what the command prints.
///
/// # Errors
/// The services'.
pub(super) async fn execute(control: &Control, request: ControlRequest) -> Result<Value> {
    match request {
        ControlRequest::SetupToken => {
            let url = control.setup.renew_setup_token().await?;
            Ok(json!({ "setup_url": url.expose_secret() }))
        }
        ControlRequest::CreateUser {
            email,
            display_name,
            role,
            password,
        } => people::create_user(control, &email, display_name, role, password).await,
        ControlRequest::ResetPassword { email, password } => {
            let email = Email::parse(&email)?;
            let (password, is_shown) = password.resolve()?;
            let shown = is_shown.then(|| password.secret().clone());
            let reset = control
                .accounts
                .reset_password(email, &password, PluginSessions::Revoke);
            Ok(people::answer(reset.await?.id, shown.as_ref()))
        }
        request @ (ControlRequest::ResetLink { .. }
        | ControlRequest::DeleteUser { .. }
        | ControlRequest::Invite { .. }) => people::execute(control, request).await,
        ControlRequest::ResetSecondFactor { email } => {
            let reset = control.accounts.reset_second_factor(Email::parse(&email)?);
            Ok(people::answer(reset.await?.id, None))
        }
        request @ (ControlRequest::ListNodes
        | ControlRequest::AddNode(_)
        | ControlRequest::SetNodeStatus { .. }
        | ControlRequest::RotateNodeKey { .. }
        | ControlRequest::RemoveNode { .. }
        | ControlRequest::NameRegion { .. }) => {
            execute_on_nodes(fleet::running(control.relay.as_ref())?, request).await
        }
        ControlRequest::RemoveContainers => control.containers.remove().await,
    }
}

async fn execute_on_nodes(relay: &RelayService, request: ControlRequest) -> Result<Value> {
    match request {
        ControlRequest::ListNodes => fleet::list(relay).await,
        ControlRequest::AddNode(spec) => fleet::add(relay, *spec).await,
        ControlRequest::SetNodeStatus { id, status } => {
            fleet::set_status(relay, &id, &status).await
        }
        ControlRequest::RotateNodeKey { id, key } => fleet::rotate_key(relay, &id, key).await,
        ControlRequest::RemoveNode { id } => fleet::remove(relay, &id).await,
        ControlRequest::NameRegion { id, label, aliases } => {
            fleet::name_region(relay, &id, &label, &aliases).await
        }
        ControlRequest::SetupToken
        | ControlRequest::CreateUser { .. }
        | ControlRequest::ResetPassword { .. }
        | ControlRequest::ResetLink { .. }
        | ControlRequest::DeleteUser { .. }
        | ControlRequest::Invite { .. }
        | ControlRequest::ResetSecondFactor { .. }
        | ControlRequest::RemoveContainers => Err(Error::internal("no request about nodes")),
    }
}

/// Where the running server listens for commands.
pub(super) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("run").join("control.sock")
}

/// The routes of the local socket.
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/control", post(handle))
        .with_state(control)
}

async fn handle(
    State(control): State<Control>,
    Json(request): Json<ControlRequest>,
) -> std::result::Result<axum::Json<Value>, ApiError> {
    Ok(axum::Json(execute(&control, request).await?))
}

/// Carries a command's request out, through the server when one runs.
///
/// # Errors
/// What the server or the services say, in words for a person.
pub fn command(config: Config, request: ControlRequest) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match open::lock(&config.data_dir)? {
        Ok(lock) => runtime.block_on(offline(config, lock, request)),
        Err(LockError::Taken(_)) => runtime.block_on(online(&config.data_dir, request)),
        Err(error @ LockError::Io(..)) => Err(error.into()),
    }
}

async fn offline(
    config: Config,
    lock: FolderLock,
    request: ControlRequest,
) -> anyhow::Result<Value> {
    let opened = open::open(&config, lock)?;
    let addresses = listen::offline_addresses(&config);
    let sources = listen::address_sources(&config, &addresses, relay::is_embedded_by(&config));
    let settings = compose::settings(&config, &opened, sources).await?;
    let setup = compose::setup(&config, &opened, &settings, &addresses);
    let Opened {
        store,
        telemetry,
        accounts,
        plans,
        slots,
        lock,
        ..
    } = opened;
    let control = Control {
        sign_ups: SignUps::new(accounts.clone(), settings.clone()),
        accounts,
        setup,
        settings,
        departures: None,
        relay: None,
        containers: Containers::left(relay::belongings(&config)?),
    };
    let outcome = execute(&control, request).await;
    // A store closes when the last service that holds it is gone.
    drop((control, plans, slots));
    store.close();
    telemetry.close();
    drop(lock);
    Ok(outcome?)
}

async fn online(data_dir: &Path, request: ControlRequest) -> anyhow::Result<Value> {
    let path = socket_path(data_dir);
    let client = reqwest::Client::builder()
        .unix_socket(path.clone())
        .timeout(PATIENCE)
        .no_proxy()
        // It speaks no TLS, and a system without root certificates gives no client otherwise.
        .tls_certs_only([])
        .build()?;
    let sent = client
        .post("http://localhost/control")
        .json(&request)
        .send()
        .await;
    let answer = sent.with_context(|| {
        format!(
            "a glb process holds {} but does not answer on {}: it may be starting or stopping",
            data_dir.display(),
            path.display()
        )
    })?;
    let is_success = answer.status().is_success();
    let body: Value = answer.json().await.context("reading the server's answer")?;
    if !is_success {
        let message = body["error"]["message"]
            .as_str()
            .unwrap_or("the server refused");
        bail!("{message}");
    }
    Ok(body)
}
