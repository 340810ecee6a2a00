//! Mails over SMTP (RFC 5321).
//!
//! Invariant: the one module that names the mail crate's transport. With TLS asked for, nothing goes out without.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{MailError, Mailer, Message};
use crate::kernel::secret::{ExposeSecret, SecretString};

/// How long the server may take for one command.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// Plain at first, then TLS or nothing.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Plain.
    None,
}

/// The server that takes our mails.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Its name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// See [`SmtpSecurity`].
    pub security: SmtpSecurity,
    /// User and password, when it asks for them.
    pub credentials: Option<(String, SecretString)>,
    /// The sender.
    pub from: String,
}

/// A server that cannot be spoken to as configured.
#[derive(Debug, thiserror::Error)]
#[error("the mail server is not usable as configured: {0}")]
pub struct InvalidServer(String);

/// Hands mails to an SMTP server.
#[derive(Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    host: String,
}

impl SmtpMailer {
    /// Makes one; it connects when there is a mail to send.
    ///
    /// # Errors
    /// `InvalidServer`.
    pub fn new(server: &SmtpServer) -> Result<Self, InvalidServer> {
        let host = server.host.clone();
        let parameters =
            || TlsParameters::new(host.clone()).map_err(|error| InvalidServer(error.to_string()));
        let tls = match server.security {
            SmtpSecurity::StartTls => Tls::Required(parameters()?),
            SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
            SmtpSecurity::None => Tls::None,
        };
        // "Dangerous" is the builder without TLS; ours is set in the next line.
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
            .tls(tls)
            .port(server.port)
            .timeout(Some(PATIENCE));
        if let Some((user, password)) = &server.credentials {
            let password = password.expose_secret().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let from: Mailbox = server
            .from
            .parse()
            .map_err(|_| InvalidServer("the sender is no address".to_owned()))?;
        Ok(Self {
            transport: builder.build(),
            host: from.email.domain().to_owned(),
            from,
        })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, message: &Message) -> Result<(), MailError> {
        let refused = |error: &dyn std::fmt::Display| MailError::Refused(error.to_string());
        let to = message
            .to
            .parse()
            .map_err(|error| refused(&format!("no address to send to: {error}")))?;
        let mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject)
            // A second copy after a crash is recognized as such.
            .message_id(Some(format!("<{}@{}>", message.id, self.host)))
            .header(ContentType::TEXT_PLAIN)
            .body(message.body.expose_secret().to_owned())
            .map_err(|error| refused(&error))?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(refused(&error)),
            Err(error) => Err(MailError::Unavailable(error.to_string())),
        }
    }
}
