//! The shape of a JSON answer: its keys, and what kind of value each holds.
//!
//! Invariant: two answers have the same shape only when they have exactly the same keys.

use serde_json::{Map, Value, json};

/// Puts in the place of each value what it is: `text`, `time`, `integer`, `fraction`, `flag`.
/// Null, empty text and empty lists stay; a list is its first element's shape, which all share.
#[track_caller]
pub(super) fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("flag"),
        Value::Number(number) if number.is_f64() => json!("fraction"),
        Value::Number(_) => json!("integer"),
        Value::String(text) if is_time(text) => json!("time"),
        Value::String(text) if text.is_empty() => json!(""),
        Value::String(_) => json!("text"),
        Value::Array(values) => list_shape(values),
        Value::Object(fields) => {
            let shaped = fields
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(shaped.collect::<Map<_, _>>())
        }
    }
}

#[track_caller]
fn list_shape(values: &[Value]) -> Value {
    let shapes: Vec<_> = values.iter().map(shape).collect();
    for other in &shapes {
        assert_eq!(other, &shapes[0], "a list of one kind: {values:?}");
    }
    Value::Array(shapes.into_iter().take(1).collect())
}

/// RFC 3339 in UTC with whole seconds.
fn is_time(text: &str) -> bool {
    let pattern = b"0000-00-00T00:00:00Z";
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern)
            .all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                other => byte == *other,
            })
}

#[test]
fn a_shape_tells_keys_and_kinds_and_no_values() {
    let value = json!({
        "id": "usr_1", "at": "2026-02-21T21:15:00Z", "label": "", "count": 3, "share": 0.5,
        "open": true, "none": null, "few": [{"n": 1}, {"n": 2}], "no": [],
    });
    let expected = json!({
        "id": "text", "at": "time", "label": "", "count": "integer", "share": "fraction",
        "open": "flag", "none": null, "few": [{"n": "integer"}], "no": [],
    });
    assert_eq!(shape(&value), expected);
    assert_eq!(shape(&json!("2026-02-21T21:15:00.5Z")), "text");
}
