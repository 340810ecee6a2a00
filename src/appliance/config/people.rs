//! Who may join, and the server that takes our mails: `auth.sign_up`, `auth.second_factor` and `[mail]`.

use secrecy::SecretString;

use super::layers::{ConfigError, Layers};
use crate::settings::{SecondFactorRule, SignUpMode, Word, Words};

/// How a connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// Plain at first, then TLS or nothing (RFC 3207).
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Plain.
    None,
}

/// `[mail]` of an appliance that sends mails.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The server's name or address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// See [`MailSecurity`].
    pub security: MailSecurity,
    /// User and password, when it asks for them.
    pub credentials: Option<(String, SecretString)>,
    /// The sender, an address with or without a name.
    pub from: String,
}

/// Settings that the configuration says.
pub(super) fn words(layers: &Layers) -> Result<Words, ConfigError> {
    let sign_up = layers.optional_choice("auth.sign_up")?;
    let sign_up = sign_up.map(|word| (SignUpMode::KEY.to_owned(), word));
    let rule = layers.optional_choice("auth.second_factor")?;
    let rule = rule.map(|word| match word.as_str() {
        "required" => SecondFactorRule::Required,
        _ => SecondFactorRule::LeftToEach,
    });
    let rule = rule.map(|rule| (SecondFactorRule::KEY.to_owned(), rule.as_str().to_owned()));
    Ok(sign_up.into_iter().chain(rule).collect())
}

/// Where mails go; `None` while no host is named.
pub(super) fn mail(layers: &Layers) -> Result<Option<MailConfig>, ConfigError> {
    let user = layers.optional_text("mail.user")?;
    let password = layers.given_secret("mail.password")?;
    let from = layers.optional_text("mail.from")?;
    let security = match layers.choice("mail.security")?.as_str() {
        "tls" => MailSecurity::Tls,
        "none" => MailSecurity::None,
        _ => MailSecurity::StartTls,
    };
    let port = layers.unsigned("mail.port")?;
    let Some(host) = layers.optional_text("mail.host")? else {
        return Ok(None);
    };
    let Some(from) = from else {
        let remedy = "say who sends with mail.from, such as relay@example.org";
        return Err(layers.refuse("mail.host", remedy));
    };
    if from.parse::<lettre::message::Mailbox>().is_err() {
        let remedy = "give an address such as relay@example.org or GoLiveBro <relay@example.org>";
        return Err(layers.refuse("mail.from", remedy));
    }
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(layers.refuse("mail.user", "give mail.password too, or neither"));
        }
        (None, Some(_)) => {
            return Err(layers.refuse("mail.password", "give mail.user too, or neither"));
        }
    };
    Ok(Some(MailConfig {
        host,
        port,
        security,
        credentials,
        from,
    }))
}
