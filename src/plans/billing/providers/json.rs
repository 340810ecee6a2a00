//! Reading other people's JSON: what is missing or of another type is simply not there.

use jiff::Timestamp;
use serde_json::Value;

/// A text or a number as text; of an expanded object, its `id`.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(object) => match object.get("id")? {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// A moment in RFC 3339, in ms since 1970.
pub(super) fn moment_ms(value: Option<&Value>) -> Option<i64> {
    let at: Timestamp = value?.as_str()?.trim().parse().ok()?;
    Some(at.as_millisecond())
}

/// A moment in seconds since 1970, in ms.
pub(super) fn seconds_ms(value: Option<&Value>) -> Option<i64> {
    value?.as_i64()?.checked_mul(1000)
}

/// How many; at least one.
pub(super) fn quantity(value: Option<&Value>) -> u32 {
    let number = value.and_then(Value::as_u64).unwrap_or(1);
    u32::try_from(number).unwrap_or(u32::MAX).max(1)
}
