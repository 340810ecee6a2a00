//! Whether a client of one document of the API still works with another.
//!
//! Invariant: what a client may send must stay welcome, what it may read must stay there, and of the same
//! type; more of either is no break.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A schema that names itself is followed no deeper.
const DEEPEST: usize = 16;

/// What a client written for `old` can no longer do with `new`, each as a sentence.
pub(super) fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut check = Check {
        old,
        new,
        found: Vec::new(),
    };
    for (path, item) in fields(&old["paths"]) {
        for (method, operation) in fields(item) {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => check.operation(&place, operation, now),
                None => check.report(&place, "is gone"),
            }
        }
    }
    check.found
}

/// Whether the client writes or reads what a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Read,
}

struct Check<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The schema that a reference leads to, in its document.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let Some(reference) = schema["$ref"].as_str() else {
            return schema;
        };
        let pointer = reference.trim_start_matches('#');
        schema = document.pointer(pointer).unwrap_or(&Value::Null);
    }
    schema
}

/// An object's fields and which of them are required, those of all its parts included.
fn members<'a>(
    document: &'a Value,
    schema: &'a Value,
) -> (Vec<(&'a String, &'a Value)>, BTreeSet<&'a str>) {
    let schema = resolve(document, schema);
    let mut all: Vec<_> = fields(&schema["properties"]).collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let mut required: BTreeSet<_> = required.filter_map(Value::as_str).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, needed) = members(document, part);
        all.extend(more);
        required.extend(needed);
    }
    (all, required)
}

/// The types that a schema allows, `null` among them; empty when it allows all.
fn types(document: &Value, schema: &Value) -> BTreeSet<String> {
    let schema = resolve(document, schema);
    if let Some(one) = schema["type"].as_str() {
        return BTreeSet::from([one.to_owned()]);
    }
    if let Some(several) = schema["type"].as_array() {
        let several = several.iter().filter_map(Value::as_str);
        return several.map(str::to_owned).collect();
    }
    if schema.get("allOf").is_some() || schema.get("properties").is_some() {
        return BTreeSet::from(["object".to_owned()]);
    }
    let choices = ["oneOf", "anyOf"]
        .iter()
        .find_map(|it| schema[it].as_array());
    let choices = choices.into_iter().flatten();
    choices.flat_map(|choice| types(document, choice)).collect()
}

/// The one choice of a schema that is not `null`, or the schema itself.
fn without_null<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(document, schema);
    let choices = ["oneOf", "anyOf"]
        .iter()
        .find_map(|it| schema[it].as_array());
    let Some(choices) = choices else {
        return schema;
    };
    let mut real = choices.iter().filter(|choice| choice["type"] != "null");
    match (real.next(), real.next()) {
        (Some(only), None) => resolve(document, only),
        _ => schema,
    }
}

impl Check<'_> {
    fn report(&mut self, place: &str, what: &str) {
        self.found.push(format!("{place} {what}"));
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if old.get("security").is_none() && new.get("security").is_some() {
            self.report(place, "needs credentials now");
        }
        self.parameters(place, old, new);
        let body = |operation: &Value| {
            operation["requestBody"]["content"]["application/json"]["schema"].clone()
        };
        if old.get("requestBody").is_none() && new["requestBody"]["required"] == true {
            self.report(place, "needs a body now");
        }
        if old.get("requestBody").is_some() && new.get("requestBody").is_some() {
            if old["requestBody"]["required"] != true && new["requestBody"]["required"] == true {
                self.report(place, "needs a body now");
            }
            self.schema(
                &format!("{place}: request"),
                &body(old),
                &body(new),
                Way::Sent,
                0,
            );
        }
        for (status, response) in fields(&old["responses"]) {
            if !status.starts_with('2') {
                continue;
            }
            let Some(now) = new["responses"].get(status) else {
                self.report(place, &format!("no longer answers {status}"));
                continue;
            };
            let of = |response: &Value| response["content"]["application/json"]["schema"].clone();
            if response.get("content").is_some() {
                self.schema(
                    &format!("{place}: {status}"),
                    &of(response),
                    &of(now),
                    Way::Read,
                    0,
                );
            }
        }
    }

    fn parameters(&mut self, place: &str, old: &Value, new: &Value) {
        let list = |operation: &Value| {
            operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        let key = |it: &Value| (it["in"].clone(), it["name"].clone());
        let before = list(old);
        for now in list(new) {
            let name = now["name"].as_str().unwrap_or_default();
            let was = before.iter().find(|it| key(it) == key(&now));
            let was_required = was.is_some_and(|it| it["required"] == true);
            // A part of the path that was renamed is the same part.
            if now["required"] == true && !was_required && now["in"] != "path" {
                self.report(place, &format!("needs the parameter {name} now"));
            }
            if let Some(was) = was {
                let place = format!("{place}: parameter {name}");
                self.schema(&place, &was["schema"], &now["schema"], Way::Sent, 0);
            }
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, way: Way, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let (old_types, new_types) = (types(self.old, old), types(self.new, new));
        if !fits(&old_types, &new_types, way) {
            self.report(place, &format!("was {old_types:?} and is {new_types:?}"));
            return;
        }
        let (old_document, new_document) = (self.old, self.new);
        let old = without_null(old_document, old);
        let new = without_null(new_document, new);
        self.words(place, old, new, way);
        if old.get("items").is_some() && new.get("items").is_some() {
            self.schema(
                &format!("{place}[]"),
                &old["items"],
                &new["items"],
                way,
                depth + 1,
            );
        }
        let (old_fields, old_required) = members(old_document, old);
        let (new_fields, new_required) = members(new_document, new);
        for (name, was) in &old_fields {
            let now = new_fields.iter().find(|(other, _)| other == name);
            let place = format!("{place}.{name}");
            match now {
                Some((_, now)) => self.schema(&place, was, now, way, depth + 1),
                None if way == Way::Read => self.report(&place, "is gone"),
                // Unknown fields of a request are ignored, so what it asked for would be, too.
                None => self.report(&place, "is no longer taken"),
            }
        }
        match way {
            Way::Sent => {
                for name in new_required.difference(&old_required) {
                    self.report(&format!("{place}.{name}"), "is required now");
                }
            }
            Way::Read => {
                for name in old_required.difference(&new_required) {
                    if new_fields.iter().any(|(other, _)| *other == name) {
                        self.report(&format!("{place}.{name}"), "may be left out now");
                    }
                }
            }
        }
    }

    /// A word that a client may send must stay; an answer may get new ones, as the document says.
    fn words(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let (Some(before), Some(now)) = (old["enum"].as_array(), new["enum"].as_array()) else {
            if way == Way::Sent && old.get("enum").is_none() && new.get("enum").is_some() {
                self.report(place, "takes a few words only now");
            }
            return;
        };
        for word in before.iter().filter(|_| way == Way::Sent) {
            if !now.contains(word) {
                self.report(place, &format!("no longer takes {word}"));
            }
        }
    }
}

/// Whether the new types serve: all that was sent is taken, all that is read was known.
fn fits(old: &BTreeSet<String>, new: &BTreeSet<String>, way: Way) -> bool {
    let (narrow, wide) = match way {
        Way::Sent => (old, new),
        Way::Read => (new, old),
    };
    let takes =
        |kind: &String| wide.contains(kind) || (kind == "integer" && wide.contains("number"));
    // Empty means everything.
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(takes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "paths": {"/a/{n}": {
                "put": {
                    "parameters": [{"name": "n", "in": "path", "required": true, "schema": {"type": "integer"}}],
                    "requestBody": {"required": true, "content": {"application/json": {"schema": {
                        "type": "object",
                        "required": ["label"],
                        "properties": {
                            "label": {"type": "string"},
                            "kind": {"type": "string", "enum": ["x", "y"]},
                            "note": {"type": ["string", "null"]},
                        },
                    }}}},
                    "responses": {
                        "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Slot"}}}},
                        "404": {},
                    },
                },
                "get": {"responses": {"204": {}}},
            }},
            "components": {"schemas": {
                "Slot": {
                    "type": "object",
                    "required": ["id", "parts"],
                    "properties": {
                        "id": {"type": "string"},
                        "share": {"type": "number"},
                        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
                        "last": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Part"}]},
                    },
                },
                "Part": {"allOf": [
                    {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
                    {"type": "object", "properties": {"inner": {"$ref": "#/components/schemas/Part"}}},
                ]},
            }},
        })
    }

    /// What a change of the document at `pointer` breaks.
    fn broken_by(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut new = document();
        change(&mut new);
        breaking_changes(&document(), &new)
    }

    fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
        document
            .pointer_mut(pointer)
            .expect("it is in the document")
    }

    fn remove(document: &mut Value, pointer: &str, name: &str) {
        let gone = at(document, pointer).as_object_mut().unwrap().remove(name);
        assert!(gone.is_some(), "{name} was in {pointer}");
    }

    const BODY: &str = "/paths/~1a~1{n}/put/requestBody/content/application~1json/schema";
    const SLOT: &str = "/components/schemas/Slot";
    const PART: &str = "/components/schemas/Part/allOf/0";

    #[test]
    fn nothing_is_broken_by_nothing_and_by_more() {
        assert_eq!(broken_by(|_| {}), [""; 0]);
        let more = broken_by(|new| {
            new["paths"]["/b"] = json!({"get": {"security": [{}], "responses": {"200": {}}}});
            at(new, "/paths/~1a~1{n}")["delete"] = json!({"responses": {"204": {}}});
            at(new, BODY)["properties"]["colour"] = json!({"type": "string"});
            at(new, BODY)["properties"]["kind"]["enum"] = json!(["x", "y", "z"]);
            at(new, BODY)["properties"]["label"]["type"] = json!(["string", "null"]);
            at(new, BODY)["required"] = json!([]);
            at(new, SLOT)["properties"]["colour"] = json!({"type": "string"});
            at(new, SLOT)["properties"]["share"]["type"] = json!("integer");
            at(new, SLOT)["required"] = json!(["id", "parts", "share"]);
            at(new, "/paths/~1a~1{n}/put/responses")["409"] = json!({});
            let optional = json!({"name": "q", "in": "query", "schema": {"type": "string"}});
            let parameters = at(new, "/paths/~1a~1{n}/put/parameters");
            parameters.as_array_mut().unwrap().push(optional);
        });
        assert_eq!(more, [""; 0]);
    }

    #[test]
    fn what_is_gone_is_told() {
        let path = broken_by(|new| remove(new, "/paths", "/a/{n}"));
        assert_eq!(path, ["GET /a/{n} is gone", "PUT /a/{n} is gone"]);
        let method = broken_by(|new| remove(new, "/paths/~1a~1{n}", "get"));
        assert_eq!(method, ["GET /a/{n} is gone"]);
        let answer = broken_by(|new| remove(new, "/paths/~1a~1{n}/put/responses", "200"));
        assert_eq!(answer, ["PUT /a/{n} no longer answers 200"]);
        let read = broken_by(|new| remove(new, &format!("{SLOT}/properties"), "share"));
        assert_eq!(read, ["PUT /a/{n}: 200.share is gone"]);
        let sent = broken_by(|new| remove(new, &format!("{BODY}/properties"), "note"));
        assert_eq!(sent, ["PUT /a/{n}: request.note is no longer taken"]);
        let deep = broken_by(|new| remove(new, &format!("{PART}/properties"), "n"));
        assert!(deep.contains(&"PUT /a/{n}: 200.parts[].n is gone".to_owned()));
        assert!(deep.contains(&"PUT /a/{n}: 200.last.n is gone".to_owned()));
    }

    #[test]
    fn what_is_needed_anew_is_told() {
        let field = broken_by(|new| at(new, BODY)["required"] = json!(["label", "kind"]));
        assert_eq!(field, ["PUT /a/{n}: request.kind is required now"]);
        let new_field = broken_by(|new| {
            at(new, BODY)["required"] = json!(["label", "colour"]);
            at(new, BODY)["properties"]["colour"] = json!({"type": "string"});
        });
        assert_eq!(new_field, ["PUT /a/{n}: request.colour is required now"]);
        let header = broken_by(|new| {
            let needed = json!({"name": "k", "in": "header", "required": true, "schema": {}});
            let get = at(new, "/paths/~1a~1{n}/get");
            get["parameters"] = json!([needed]);
        });
        assert_eq!(header, ["GET /a/{n} needs the parameter k now"]);
        let body = broken_by(|new| {
            at(new, "/paths/~1a~1{n}/get")["requestBody"] = json!({"required": true});
        });
        assert_eq!(body, ["GET /a/{n} needs a body now"]);
        let credentials = broken_by(|new| {
            at(new, "/paths/~1a~1{n}/get")["security"] = json!([{"plugin": []}]);
        });
        assert_eq!(credentials, ["GET /a/{n} needs credentials now"]);
    }

    #[test]
    fn another_type_is_told_in_the_way_that_it_goes() {
        let read = broken_by(|new| at(new, SLOT)["properties"]["id"]["type"] = json!("integer"));
        assert_eq!(read.len(), 1, "{read:?}");
        let nullable = json!(["string", "null"]);
        let read = broken_by(|new| at(new, SLOT)["properties"]["id"]["type"] = nullable);
        assert_eq!(read.len(), 1, "a client does not expect null: {read:?}");
        let sent = broken_by(|new| at(new, BODY)["properties"]["note"]["type"] = json!("string"));
        assert_eq!(sent.len(), 1, "a client may send null: {sent:?}");
        let number = broken_by(|new| {
            at(new, &format!("{PART}/properties"))["n"]["type"] = json!("number");
        });
        assert!(
            !number.is_empty(),
            "a fraction where there were whole numbers"
        );
        let parameter = broken_by(|new| {
            at(new, "/paths/~1a~1{n}/put/parameters/0")["schema"]["type"] = json!("boolean");
        });
        assert_eq!(parameter.len(), 1, "{parameter:?}");
        let word = broken_by(|new| at(new, BODY)["properties"]["kind"]["enum"] = json!(["x"]));
        assert_eq!(word, ["PUT /a/{n}: request.kind no longer takes \"y\""]);
        let words = broken_by(|new| at(new, BODY)["properties"]["label"]["enum"] = json!(["x"]));
        assert_eq!(
            words,
            ["PUT /a/{n}: request.label takes a few words only now"]
        );
        let left_out = broken_by(|new| at(new, SLOT)["required"] = json!(["parts"]));
        assert_eq!(left_out, ["PUT /a/{n}: 200.id may be left out now"]);
    }
}
