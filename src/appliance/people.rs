//! What is there for people beside their accounts: joining, mails, the audit log, leaving.

use std::sync::Arc;

use anyhow::Context;

use super::config::{Config, MailConfig, MailSecurity};
use super::open::Opened;
use crate::accounts::mail::{Mailer, SmtpMailer, SmtpSecurity, SmtpServer};
use crate::accounts::oauth::OAuthService;
use crate::accounts::service::{Outbox, SignUps};
use crate::audit::AuditLog;
use crate::live::LiveService;
use crate::relay::RelayService;
use crate::settings::Settings;
use crate::system::export::{DepartureDeps, Departures};

/// These services.
#[derive(Debug, Clone)]
pub(super) struct People {
    pub(super) audit: AuditLog,
    pub(super) departures: Departures,
    pub(super) outbox: Outbox,
    pub(super) sign_ups: SignUps,
}

impl People {
    /// Makes them, with the mail server that the configuration names.
    ///
    /// # Errors
    /// When that server cannot be spoken to as configured.
    pub(super) fn new(
        config: &Config,
        opened: &Opened,
        settings: &Settings,
        relay: &RelayService,
        live: &LiveService,
        oauth: &OAuthService,
    ) -> anyhow::Result<Self> {
        let (store, clock, accounts) = (&opened.store, &opened.clock, &opened.accounts);
        let mailer = config.mail.as_ref().map(mailer).transpose()?;
        let departures = Departures::new(DepartureDeps {
            store: store.clone(),
            clock: clock.clone(),
            accounts: accounts.clone(),
            slots: opened.slots.clone(),
            relay: relay.clone(),
            live: live.clone(),
            oauth: oauth.clone(),
        });
        Ok(Self {
            audit: AuditLog::new(store.clone(), clock.clone(), config.audit_retention),
            departures,
            outbox: Outbox::new(accounts.clone(), settings.clone(), mailer),
            sign_ups: SignUps::new(accounts.clone(), settings.clone()),
        })
    }
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
