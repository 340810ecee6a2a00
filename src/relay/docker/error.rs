//! What can go wrong with a container engine, by what an operator does about it.
//!
//! Invariant: each variant has a sentence that says what is wrong and a remedy; no type of the client's
//! crate leaves the room.

use std::borrow::Cow;

use bollard::errors::Error as ClientError;

/// Why a call to the container engine failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// Nothing is at the configured path.
    #[error("Docker has no socket at {0}")]
    NoSocket(String),
    /// The socket may not be used by our user.
    #[error("Docker's socket may not be used by this user")]
    NoPermission,
    /// Nobody answers, or not in time.
    #[error("Docker does not answer: {0}")]
    Unreachable(String),
    /// The engine is older than what we speak.
    #[error("Docker speaks API {found}, which is too old: at least 1.40 is needed")]
    TooOld {
        /// The version it told.
        found: String,
    },
    /// A socket proxy forbids the call.
    #[error("Docker's socket proxy forbids a call: {0}")]
    Forbidden(String),
    /// A container or network does not carry our label.
    #[error("{0} does not belong to this appliance")]
    Foreign(String),
    /// It is not there.
    #[error("Docker does not know {0}")]
    Unknown(String),
    /// Somebody else's container has the name.
    #[error("the container name {0} is taken by another container")]
    NameTaken(String),
    /// A host port is taken.
    #[error("{0}")]
    PortTaken(String),
    /// The image cannot be had.
    #[error("the image {image} cannot be had: {reason}")]
    Image {
        /// Its reference.
        image: String,
        /// The registry's or the engine's words.
        reason: String,
    },
    /// The image is for other machines.
    #[error("the image {image} is for {found}, this machine is {wanted}")]
    Architecture {
        /// Its reference.
        image: String,
        /// What it was built for.
        found: String,
        /// What runs here.
        wanted: String,
    },
    /// A folder of ours cannot be prepared.
    #[error("the relay's folder cannot be prepared: {0}")]
    Folder(String),
    /// A port of a container that runs does not answer in its own protocol.
    #[error("{0}")]
    Silent(String),
    /// SLS's API does not answer, or another program does in its place.
    #[error("{0}")]
    NoApi(String),
    /// SLS runs on another database than the one that we gave it.
    #[error(
        "SLS does not know our key: it cannot write to its volume and runs on a database of its own"
    )]
    KeyLost {
        /// The volume's folder.
        folder: String,
        /// Who must be able to write to it: user and group.
        owner: (u32, u32),
    },
    /// The listener that SLS asks cannot be opened.
    #[error("the listener for SLS's admission hook cannot be opened: {0}")]
    Hook(String),
    /// The engine refused for another reason.
    #[error("Docker refused: {0}")]
    Refused(String),
}

impl DockerError {
    /// What an operator does about it.
    #[must_use]
    pub fn remedy(&self) -> Cow<'static, str> {
        if let Self::KeyLost { folder, owner } = self {
            let (uid, gid) = owner;
            return format!("let {uid}:{gid} write to {folder} and restart the container").into();
        }
        Cow::Borrowed(self.plain_remedy())
    }

    fn plain_remedy(&self) -> &'static str {
        match self {
            Self::NoSocket(_) => {
                "install Docker and start it, or set relay.docker.socket to its socket"
            }
            Self::NoPermission => {
                "add the user of this server to the docker group and start the server again, or use a \
                 socket proxy"
            }
            Self::Unreachable(_) => "look after the Docker service: systemctl status docker",
            Self::TooOld { .. } => "install a newer Docker: 19.03 or later",
            Self::Forbidden(_) => {
                "allow CONTAINERS, IMAGES, NETWORKS, EVENTS, VERSION and POST in the socket proxy"
            }
            Self::Foreign(_) | Self::NameTaken(_) => {
                "rename or remove that container; this server never touches what is not its own"
            }
            Self::Unknown(_) => "nothing: it is made again",
            Self::PortTaken(_) => {
                "stop the program that has the port, or choose another port in [relay.docker]"
            }
            Self::Image { .. } => {
                "check the reference in [relay.docker.images] and this machine's way to the registry"
            }
            Self::Architecture { .. } => "choose an image that is built for this machine",
            Self::Folder(_) => "give this server's user the folder <data>/relay",
            Self::Silent(_) => {
                "wait half a minute, after which the container is restarted; if that does not help, read its \
                 last lines and check that the image is the right one"
            }
            Self::NoApi(_) => {
                "read the container's last lines; when another program has the port, choose another \
                 relay.docker.api_port"
            }
            Self::Hook(_) => {
                "choose another relay.docker.admission_port or set relay.docker.admission_hook to off: SLS \
                 refuses everybody until it can ask"
            }
            Self::KeyLost { .. } => "let the container's user write to its folder and restart it",
            Self::Refused(_) => "read Docker's own log: journalctl -u docker",
        }
    }

    /// Whether the engine itself could not be reached, so that the connection is made anew.
    pub(super) fn is_connection(&self) -> bool {
        match self {
            Self::NoSocket(_) | Self::NoPermission | Self::Unreachable(_) => true,
            Self::TooOld { .. }
            | Self::Forbidden(_)
            | Self::Foreign(_)
            | Self::Unknown(_)
            | Self::NameTaken(_)
            | Self::PortTaken(_)
            | Self::Image { .. }
            | Self::Architecture { .. }
            | Self::Folder(_)
            | Self::Silent(_)
            | Self::NoApi(_)
            | Self::KeyLost { .. }
            | Self::Hook(_)
            | Self::Refused(_) => false,
        }
    }

    /// The error of a call about `what`.
    pub(super) fn of(error: ClientError, what: &str) -> Self {
        match error {
            ClientError::SocketNotFoundError(path) => Self::NoSocket(path),
            ClientError::RequestTimeoutError => Self::Unreachable("it took too long".to_owned()),
            ClientError::DockerResponseServerError {
                status_code,
                message,
            } => Self::of_answer(status_code, &message, what),
            ClientError::DockerStreamError { error } => Self::Refused(short(&error)),
            other if is_permission(&other) => Self::NoPermission,
            other => Self::Unreachable(crate::kernel::error_chain(&other)),
        }
    }

    fn of_answer(status: u16, message: &str, what: &str) -> Self {
        let is_port = ["port is already allocated", "address already in use"]
            .iter()
            .any(|words| message.contains(words));
        match status {
            _ if is_port => Self::PortTaken(short(message)),
            403 => Self::Forbidden(short(message)),
            404 => Self::Unknown(what.to_owned()),
            409 if message.contains("already in use") => Self::NameTaken(what.to_owned()),
            _ => Self::Refused(short(message)),
        }
    }
}

fn is_permission(error: &ClientError) -> bool {
    // Shows its cause as itself, so the walk below would begin behind it.
    if let ClientError::IOError { err } = error {
        return err.kind() == std::io::ErrorKind::PermissionDenied;
    }
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = error.source();
    }
    false
}

/// At most 300 characters of a foreign text, on one line.
fn short(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(300).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_what_is_to_be_done() {
        let of = |status, message: &str| DockerError::of_answer(status, message, "glb-x");
        let taken = "driver failed: Bind for 0.0.0.0:5000 failed: port is already allocated";
        assert!(matches!(of(500, taken), DockerError::PortTaken(text) if text.contains(":5000")));
        let named = "Conflict. The container name \"/glb-x\" is already in use by container";
        assert_eq!(of(409, named), DockerError::NameTaken("glb-x".into()));
        assert!(matches!(of(403, "no"), DockerError::Forbidden(_)));
        assert_eq!(of(404, "no"), DockerError::Unknown("glb-x".into()));
        let long = format!("a\n{}", "b".repeat(1000));
        assert!(matches!(of(500, &long), DockerError::Refused(text) if text.len() == 300));
    }

    #[test]
    fn a_refused_permission_is_found_below_the_client_s_layers() {
        let io = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = DockerError::of(ClientError::IOError { err: io }, "");
        assert_eq!(error, DockerError::NoPermission);
        assert!(error.remedy().contains("docker group"));
    }
}
