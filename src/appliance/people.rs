//! The adapter through which mails leave, and what the command line asks about people.

use std::sync::Arc;

use anyhow::Context;

use super::config::{Config, MailConfig, MailSecurity};
use crate::accounts::AccountsService;
use crate::accounts::mail::{Mailer, SmtpMailer, SmtpSecurity, SmtpServer};
use crate::accounts::service::Outbox;
use crate::settings::Settings;

/// The outbox, with the mail server that the configuration names.
///
/// # Errors
/// When the server cannot be spoken to as configured.
pub(super) fn outbox(
    config: &Config,
    accounts: &AccountsService,
    settings: &Settings,
) -> anyhow::Result<Outbox> {
    let mailer = match &config.mail {
        Some(mail) => Some(mailer(mail)?),
        None => None,
    };
    Ok(Outbox::new(accounts.clone(), settings.clone(), mailer))
}

fn mailer(mail: &MailConfig) -> anyhow::Result<Arc<dyn Mailer>> {
    let server = SmtpServer {
        host: mail.host.clone(),
        port: mail.port,
        security: match mail.security {
            MailSecurity::StartTls => SmtpSecurity::StartTls,
            MailSecurity::Tls => SmtpSecurity::Tls,
            MailSecurity::None => SmtpSecurity::None,
        },
        credentials: mail.credentials.clone(),
        from: mail.from.clone(),
    };
    let mailer = SmtpMailer::new(&server).context("the section [mail] of the configuration")?;
    Ok(Arc::new(mailer))
}
