//! The form that adds a node: what was typed, what it says, and its fields.
//!
//! Invariant: a number that is left out is the one that SLS and the receiver have by themselves.

use std::str::FromStr;

use serde::Deserialize;

use crate::http::form::Field;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Result};
use crate::relay::nodes::{NodeSpec, usual};

/// Digits of a number that is typed.
const DIGITS: usize = 7;

/// A node to add, as it was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AddNodeForm {
    name: String,
    region: String,
    url: String,
    key: SecretString,
    link_stats_url: String,
    public_host: String,
    capacity: String,
    srtla_port: String,
    srt_publish_port: String,
    srt_play_port: String,
    stats_port: String,
    api_calls_per_minute: String,
    stats_calls_per_minute: String,
}

impl AddNodeForm {
    /// What it says of the node.
    ///
    /// # Errors
    /// `Invalid`, naming the field that is no number.
    pub(super) fn spec(&self) -> Result<NodeSpec> {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let port = |field, text: &str, usual| number(field, text, usual, "a port from 1 to 65535");
        let calls = |field, text: &str, usual| number(field, text, usual, "a number of calls");
        Ok(NodeSpec {
            name: self.name.clone(),
            region: self.region.clone(),
            url: self.url.trim().to_owned(),
            key: self.key.clone(),
            link_stats_url: some(&self.link_stats_url),
            public_host: some(&self.public_host),
            capacity: super::capacity(&self.capacity)?,
            srtla_port: port("srtla_port", &self.srtla_port, usual::srtla_port())?,
            srt_publish_port: port(
                "srt_publish_port",
                &self.srt_publish_port,
                usual::srt_publish_port(),
            )?,
            srt_play_port: port("srt_play_port", &self.srt_play_port, usual::srt_play_port())?,
            stats_port: port("stats_port", &self.stats_port, usual::stats_port())?,
            api_calls_per_minute: calls(
                "api_calls_per_minute",
                &self.api_calls_per_minute,
                usual::api_calls_per_minute(),
            )?,
            stats_calls_per_minute: calls(
                "stats_calls_per_minute",
                &self.stats_calls_per_minute,
                usual::stats_calls_per_minute(),
            )?,
        })
    }

    /// What everybody fills in, with what is wrong with it.
    pub(in crate::relay) fn fields(&self, errors: &[FieldError]) -> Vec<Field> {
        let mut key = Field::current_password("key", "Key of its API").with_autocomplete("off");
        key.max_length = 512;
        let fields = [
            Field::text("name", "Name")
                .with_max_length(64)
                .with_value(&self.name),
            Field::text("region", "Region")
                .with_max_length(64)
                .with_hint("Such as us-central.")
                .with_value(&self.region),
            Field::text("url", "Address of its API")
                .with_max_length(1024)
                .with_hint("Such as https://relay.example.org or http://relay.example.org:8090.")
                .with_value(&self.url),
            key.with_hint("With admin permissions."),
            optional(Field::text("public_host", "Host for phones and players"))
                .with_hint("The host of the address above when it is empty.")
                .with_value(&self.public_host),
            optional(Field::text(
                "link_stats_url",
                "Address of its figures of links",
            ))
            .with_max_length(1024)
            .with_hint("Of the bonding receiver, when it has any.")
            .with_value(&self.link_stats_url),
            Field::text("capacity", "Sessions at most")
                .with_max_length(6)
                .with_value(or_usual(&self.capacity, usual::capacity())),
        ];
        with_errors(fields, errors)
    }

    /// What only those fill in whose SLS is not as it comes.
    pub(in crate::relay) fn more_fields(&self, errors: &[FieldError]) -> Vec<Field> {
        let port = |name, label, typed: &str, usual: u16| field(name, label, typed, usual.into());
        let fields = [
            port(
                "srtla_port",
                "UDP port of bonded publishers (SRTLA)",
                &self.srtla_port,
                usual::srtla_port(),
            ),
            port(
                "srt_publish_port",
                "UDP port of plain SRT publishers",
                &self.srt_publish_port,
                usual::srt_publish_port(),
            ),
            port(
                "srt_play_port",
                "UDP port of players",
                &self.srt_play_port,
                usual::srt_play_port(),
            ),
            port(
                "stats_port",
                "TCP port of its figures",
                &self.stats_port,
                usual::stats_port(),
            ),
            field(
                "api_calls_per_minute",
                "Calls of its API per minute",
                &self.api_calls_per_minute,
                usual::api_calls_per_minute(),
            )
            .with_hint("A start or stop is one. More only where its rate_limit_api is higher."),
            field(
                "stats_calls_per_minute",
                "Questions for figures per minute",
                &self.stats_calls_per_minute,
                usual::stats_calls_per_minute(),
            )
            .with_hint("More only where its rate_limit_stats is higher."),
        ];
        with_errors(fields, errors)
    }
}

fn field(name: &'static str, label: &'static str, typed: &str, usual: u32) -> Field {
    Field::text(name, label)
        .with_max_length(DIGITS)
        .with_value(or_usual(typed, usual))
}

fn optional(mut field: Field) -> Field {
    field.is_required = false;
    field
}

fn or_usual(typed: &str, usual: u32) -> String {
    if typed.is_empty() {
        usual.to_string()
    } else {
        typed.to_owned()
    }
}

fn with_errors(fields: impl IntoIterator<Item = Field>, errors: &[FieldError]) -> Vec<Field> {
    let fields = fields.into_iter();
    fields.map(|it| it.with_error_among(errors)).collect()
}

fn number<N: FromStr>(field: &'static str, text: &str, usual: N, what: &str) -> Result<N> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(usual);
    }
    text.parse().map_err(|_| {
        let message = format!("give {what}, such as the one that stands there at first");
        Error::invalid_field(field, "invalid_format", message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(change: &serde_json::Value) -> AddNodeForm {
        let mut form = json!({
            "name": "kc1", "region": "us-central", "url": "http://198.51.100.7:8090", "key": "key",
            "capacity": "10",
        });
        for (name, value) in change.as_object().unwrap() {
            form[name] = value.clone();
        }
        serde_json::from_value(form).unwrap()
    }

    #[test]
    fn numbers_are_those_that_were_typed_or_the_usual_ones() {
        let spec = form(&json!({ "srtla_port": " 6000 ", "api_calls_per_minute": "1000" }));
        let spec = spec.spec().unwrap();
        assert_eq!(
            (spec.srtla_port, spec.srt_play_port, spec.stats_port),
            (6000, 4000, 8090)
        );
        assert_eq!(
            (spec.api_calls_per_minute, spec.stats_calls_per_minute),
            (1000, 300)
        );
    }

    #[test]
    fn what_is_no_number_is_told_at_its_field_which_keeps_it() {
        for name in ["srtla_port", "stats_port", "stats_calls_per_minute"] {
            let typed = form(&json!({ name: "many" }));
            let error = typed.spec().unwrap_err();
            let fields = typed.more_fields(error.fields());
            let wrong: Vec<_> = fields.iter().filter(|it| it.error.is_some()).collect();
            assert_eq!(wrong.len(), 1, "{name}");
            assert_eq!((wrong[0].name, wrong[0].value.as_str()), (name, "many"));
        }
    }
}
