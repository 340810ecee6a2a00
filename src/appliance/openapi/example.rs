//! Examples of bodies, made from the examples of their fields.
//!
//! Invariant: an example has every field of its schema, so a field without an example shows its type.

use serde_json::{Map, Value, json};

/// Deeper than any body; a schema that names itself ends here.
const DEEPEST: usize = 12;

/// A value that fits `schema`, whose references lead into `schemas`.
pub(super) fn example(schemas: &Value, schema: &Value) -> Value {
    value(schemas, schema, DEEPEST)
}

fn value(schemas: &Value, schema: &Value, depth: usize) -> Value {
    let given = schema.get("example").or_else(|| schema["examples"].get(0));
    if let Some(given) = given {
        return given.clone();
    }
    if depth == 0 {
        return Value::Null;
    }
    let deeper = |schema: &Value| value(schemas, schema, depth - 1);
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return deeper(&schemas[name]);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return merged(parts.iter().map(deeper));
    }
    let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(choice) = choices.and_then(|all| all.iter().find(|it| it["type"] != "null")) {
        return deeper(choice);
    }
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    of_type(schema, deeper)
}

fn of_type(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let kinds = &schema["type"];
    let kind = kinds.as_str().or_else(|| {
        let mut all = kinds.as_array()?.iter().filter_map(Value::as_str);
        all.find(|kind| *kind != "null")
    });
    match kind {
        Some("array") => json!([deeper(&schema["items"])]),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
        Some("string") if schema["format"] == "uuid" => {
            json!("0b7e6a52-9c1d-4f3e-8a21-5d6c7b8a9f01")
        }
        Some("string") => json!("text"),
        _ => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let shown = fields.map(|(name, field)| (name.clone(), deeper(field)));
            Value::Object(shown.collect())
        }
    }
}

fn merged(parts: impl Iterator<Item = Value>) -> Value {
    let mut all = Map::new();
    for part in parts {
        if let Value::Object(fields) = part {
            all.extend(fields);
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_has_every_field_and_follows_references() {
        let schemas = json!({
            "Slot": {"type": "object", "properties": {
                "number": {"type": "integer", "minimum": 1},
                "label": {"type": ["string", "null"], "example": "Backpack"},
                "kind": {"enum": ["a", "b"]},
            }},
            "Loop": {"type": "array", "items": {"$ref": "#/components/schemas/Loop"}},
        });
        let many = json!({"type": "array", "items": {"$ref": "#/components/schemas/Slot"}});
        let slot = json!({"number": 1, "label": "Backpack", "kind": "a"});
        assert_eq!(example(&schemas, &many), json!([slot]));
        let maybe = json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Slot"}]});
        assert_eq!(example(&schemas, &maybe), slot);
        let more = json!({"allOf": [
            {"$ref": "#/components/schemas/Slot"},
            {"type": "object", "properties": {"open": {"type": "boolean"}}},
        ]});
        assert_eq!(example(&schemas, &more)["open"], true);
        // It ends.
        assert!(example(&schemas, &schemas["Loop"]).is_array());
    }
}
