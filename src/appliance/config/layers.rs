//! Values by key, and where each came from: defaults, file, environment, flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::keys::{self, KEYS, KeyKind, variable_of};

/// The defaults, which are also the documentation.
pub const DEFAULTS: &str = include_str!("../../../appliance.toml");

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A command line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(name) => write!(f, "the flag {name}"),
        }
    }
}

/// A configuration that cannot be used: the key, where it stands, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key.
    #[error("unknown key {name:?} in {origin}{hint}")]
    Unknown {
        /// What was given.
        name: String,
        /// Where.
        origin: Origin,
        /// The key it was probably meant to be.
        hint: String,
    },
    /// A value that the key does not take. Secrets are never quoted.
    #[error("{path} = {shown} in {origin}: {remedy}")]
    Bad {
        /// The key.
        path: String,
        /// The value, or `***`.
        shown: String,
        /// Where.
        origin: Origin,
        /// What the key takes.
        remedy: String,
    },
    /// A file that cannot be read or parsed.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// One value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// The merged layers.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<&'static str, Given>);

impl Layers {
    /// The built-in defaults.
    pub(super) fn defaults() -> Self {
        let mut layers = Self::default();
        let table = DEFAULTS
            .parse()
            .expect("a test parses the embedded defaults");
        layers
            .add_table(&table, &Origin::Default)
            .expect("a test checks the embedded defaults");
        layers
    }

    /// Lays a file over.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let failed = |reason: String| ConfigError::File {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        // The parser quotes the line it stumbled over, which may hold a secret: tell its number only.
        let table = text.parse::<Table>().map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].lines().count().max(1));
            failed(format!("line {line}: {}", error.message()))
        })?;
        self.add_table(&table, &Origin::File(path.to_owned()))
    }

    fn add_table(&mut self, table: &Table, origin: &Origin) -> Result<(), ConfigError> {
        for (path, value) in flatten(table, "") {
            let Some(key) = keys::find(&path) else {
                let names = KEYS.iter().map(|key| key.path.to_owned());
                return Err(unknown(path, origin.clone(), names));
            };
            self.0.insert(
                key.path,
                Given {
                    value,
                    origin: origin.clone(),
                },
            );
        }
        Ok(())
    }

    /// Lays the `GLB_*` variables over; others are not looked at. Variables of commands are passed over.
    pub(super) fn add_variables(
        &mut self,
        variables: &BTreeMap<String, String>,
        passed_over: &[&str],
    ) -> Result<(), ConfigError> {
        let ours = variables
            .iter()
            .filter(|(name, _)| name.starts_with("GLB_"));
        for (name, text) in ours.filter(|(name, _)| !passed_over.contains(&name.as_str())) {
            let origin = Origin::Variable(name.clone());
            if let Some(key) = KEYS.iter().find(|key| variable_of(key.path) == *name) {
                let value = value_of_text(key.kind, text);
                self.0.insert(key.path, Given { value, origin });
            } else if let Some(key) = secret_file_key(name) {
                let path = PathBuf::from(text);
                let failed = |error: std::io::Error| ConfigError::File {
                    path: path.clone(),
                    reason: format!("named by {name}: {error}"),
                };
                let secret = std::fs::read_to_string(&path).map_err(failed)?;
                let value = Value::String(secret.trim_end_matches(['\r', '\n']).to_owned());
                self.0.insert(key, Given { value, origin });
            } else {
                let names = KEYS.iter().map(|key| variable_of(key.path));
                return Err(unknown(name.clone(), origin, names));
            }
        }
        Ok(())
    }

    /// Lays a flag over.
    pub(super) fn add_flag(&mut self, flag: &'static str, path: &str, value: Option<String>) {
        let key = keys::find(path).expect("flags name keys of the table");
        if let Some(text) = value {
            let value = value_of_text(key.kind, &text);
            self.0.insert(
                key.path,
                Given {
                    value,
                    origin: Origin::Flag(flag),
                },
            );
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Given> {
        debug_assert!(
            keys::find(path).is_some(),
            "{path} is not in the table of keys"
        );
        self.0.get(path)
    }
}

fn unknown(name: String, origin: Origin, names: impl Iterator<Item = String>) -> ConfigError {
    let hint = keys::nearest(&name, names).map_or_else(String::new, |nearest| {
        format!(": did you mean {nearest:?}?")
    });
    ConfigError::Unknown { name, origin, hint }
}

fn secret_file_key(variable: &str) -> Option<&'static str> {
    let name = variable.strip_suffix("_FILE")?;
    let secrets = KEYS.iter().filter(|key| key.kind.is_secret());
    secrets
        .map(|key| key.path)
        .find(|path| variable_of(path) == name)
}

/// A variable's text as the value a file would hold; what does not fit stays text and is refused later.
fn value_of_text(kind: KeyKind, text: &str) -> Value {
    match kind {
        KeyKind::Number(..) => text
            .trim()
            .parse()
            .map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        KeyKind::List => {
            let entries = text
                .split(',')
                .map(str::trim)
                .filter(|entry| !entry.is_empty());
            Value::Array(
                entries
                    .map(|entry| Value::String(entry.to_owned()))
                    .collect(),
            )
        }
        KeyKind::Text
        | KeyKind::Choice(_)
        | KeyKind::Address
        | KeyKind::AddressOrOff
        | KeyKind::Secret
        | KeyKind::GivenSecret => Value::String(text.to_owned()),
    }
}

fn flatten(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let entries = table.iter().flat_map(|(name, value)| {
        let path = format!("{prefix}{name}");
        match value {
            Value::Table(inner) if keys::find(&path).is_none() => {
                // An empty unknown table must not pass in silence.
                if inner.is_empty() && !KEYS.iter().any(|k| k.path.starts_with(&format!("{path}.")))
                {
                    return vec![(path, value.clone())];
                }
                flatten(inner, &format!("{path}."))
            }
            _ => vec![(path, value.clone())],
        }
    });
    entries.collect()
}
