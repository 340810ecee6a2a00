//! Typed values out of the layers; every refusal names key, value and remedy.

use std::net::SocketAddr;

use secrecy::SecretString;
use toml::Value;

use super::keys::{self, KeyKind};
use super::layers::{ConfigError, Given, Layers};

/// Secrets of our own need this many characters.
const SECRET_CHARACTERS: usize = 32;

fn bad(path: &str, given: &Given, remedy: impl Into<String>) -> ConfigError {
    let is_secret = keys::find(path).is_some_and(|key| key.kind.is_secret());
    let shown = if is_secret {
        "***".to_owned()
    } else {
        given.value.to_string()
    };
    ConfigError::Bad {
        path: path.to_owned(),
        shown,
        origin: given.origin.clone(),
        remedy: remedy.into(),
    }
}

impl Layers {
    fn required(&self, path: &str) -> &Given {
        self.get(path)
            .expect("keys that are read as required have a default")
    }

    /// A refusal of the value of `path` that only its user could find.
    pub(super) fn refuse(&self, path: &str, remedy: impl Into<String>) -> ConfigError {
        bad(path, self.required(path), remedy)
    }

    pub(super) fn optional_text(&self, path: &str) -> Result<Option<String>, ConfigError> {
        let Some(given) = self.get(path) else {
            return Ok(None);
        };
        match &given.value {
            Value::String(text) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            _ => Err(bad(path, given, "give a text, or leave the key out")),
        }
    }

    pub(super) fn text(&self, path: &str) -> Result<String, ConfigError> {
        let text = self.optional_text(path)?;
        Ok(text.expect("keys that are read as required have a default"))
    }

    pub(super) fn choice(&self, path: &str) -> Result<String, ConfigError> {
        let given = self.required(path);
        let choices = match keys::find(path).map(|key| key.kind) {
            Some(KeyKind::Choice(choices)) => choices,
            _ => &[],
        };
        match given.value.as_str() {
            Some(text) if choices.contains(&text) => Ok(text.to_owned()),
            _ => Err(bad(
                path,
                given,
                format!("give one of {}", choices.join(", ")),
            )),
        }
    }

    pub(super) fn optional_address(&self, path: &str) -> Result<Option<SocketAddr>, ConfigError> {
        let Some(given) = self.get(path) else {
            return Ok(None);
        };
        let parsed = given
            .value
            .as_str()
            .and_then(|text| text.trim().parse().ok());
        let remedy = "give an address and a port such as 0.0.0.0:8080 or [::]:8080";
        parsed.map(Some).ok_or_else(|| bad(path, given, remedy))
    }

    pub(super) fn address(&self, path: &str) -> Result<SocketAddr, ConfigError> {
        let address = self.optional_address(path)?;
        Ok(address.expect("keys that are read as required have a default"))
    }

    pub(super) fn address_or_off(&self, path: &str) -> Result<Option<SocketAddr>, ConfigError> {
        if self.required(path).value.as_str() == Some("off") {
            return Ok(None);
        }
        self.optional_address(path)
    }

    pub(super) fn number(&self, path: &str) -> Result<i64, ConfigError> {
        let given = self.required(path);
        let (least, most) = match keys::find(path).map(|key| key.kind) {
            Some(KeyKind::Number(least, most)) => (least, most),
            _ => (i64::MIN, i64::MAX),
        };
        match given.value.as_integer() {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(bad(
                path,
                given,
                format!("give a whole number from {least} to {most}"),
            )),
        }
    }

    pub(super) fn unsigned<T: TryFrom<i64>>(&self, path: &str) -> Result<T, ConfigError> {
        let number = self.number(path)?;
        T::try_from(number).map_err(|_| self.refuse(path, "give a smaller number"))
    }

    pub(super) fn optional_unsigned<T: TryFrom<i64>>(
        &self,
        path: &str,
    ) -> Result<Option<T>, ConfigError> {
        if self.get(path).is_none() {
            return Ok(None);
        }
        self.unsigned(path).map(Some)
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, ConfigError> {
        let given = self.required(path);
        let texts = given.value.as_array().map(|entries| {
            entries
                .iter()
                .map(|entry| entry.as_str().map(str::to_owned))
                .collect::<Option<_>>()
        });
        texts
            .flatten()
            .ok_or_else(|| bad(path, given, "give a list of texts"))
    }

    /// The words of a choice that has no default.
    pub(super) fn optional_choice(&self, path: &str) -> Result<Option<String>, ConfigError> {
        match self.get(path) {
            Some(_) => self.choice(path).map(Some),
            None => Ok(None),
        }
    }

    /// A secret that somebody else gave: any text that is not empty.
    pub(super) fn given_secret(&self, path: &str) -> Result<Option<SecretString>, ConfigError> {
        let Some(given) = self.get(path) else {
            return Ok(None);
        };
        match given.value.as_str() {
            Some(text) if !text.trim().is_empty() => {
                Ok(Some(SecretString::from(text.trim().to_owned())))
            }
            _ => Err(bad(
                path,
                given,
                "give the secret as a text, or leave it out",
            )),
        }
    }

    pub(super) fn secret(&self, path: &str) -> Result<Option<SecretString>, ConfigError> {
        let Some(given) = self.get(path) else {
            return Ok(None);
        };
        match given.value.as_str() {
            Some(text) if text.trim().chars().count() >= SECRET_CHARACTERS => {
                Ok(Some(SecretString::from(text.trim().to_owned())))
            }
            _ => Err(bad(
                path,
                given,
                "a secret needs 32 characters or more (try: openssl rand -hex 32), or leave it out",
            )),
        }
    }
}
