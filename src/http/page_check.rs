//! Checks of a rendered page: structure, labels, and what our content security policy forbids.

use std::collections::HashSet;

/// Elements that have no end.
const VOID: [&str; 6] = ["meta", "link", "input", "br", "hr", "img"];
/// Attributes that name other elements by id.
const REFERENCES: [&str; 4] = [
    "for",
    "aria-labelledby",
    "aria-describedby",
    "aria-controls",
];

/// A start or an end of an element.
#[derive(Debug)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    is_end: bool,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Fails when a whole page is not sound.
pub(crate) fn assert_sound_page(html: &str) {
    assert!(
        html.trim_start().starts_with("<!DOCTYPE html>"),
        "a page says that it is HTML"
    );
    let tags = parse(html);
    let starts = |name: &str| {
        tags.iter()
            .filter(|it| it.name == name && !it.is_end)
            .count()
    };
    assert_eq!(starts("h1"), 1, "one h1");
    assert_eq!(starts("main"), 1, "one main");
    assert_eq!(starts("title"), 1, "one title");
    assert!(
        tags.iter().any(|it| it.name == "html" && it.has("lang")),
        "a language"
    );
    assert!(
        tags.iter().any(|it| it.get("class") == Some("skip-link")),
        "a skip link"
    );
    // Without a referrer a browser sends `Origin: null` with a form, and the check against cross-site
    // requests refuses it wherever `Sec-Fetch-Site` is missing: on every plain-HTTP address but localhost.
    assert!(
        !tags.iter().any(|it| it.get("name") == Some("referrer")),
        "the policy for referrers is the header's"
    );
    check_headings(&tags);
    check_references(&tags);
    assert_sound(&tags);
}

/// Fails when a part of a page is not sound.
pub(crate) fn assert_sound_part(html: &str) {
    assert_sound(&parse(html));
}

fn assert_sound(tags: &[Tag]) {
    check_nesting(tags);
    check_ids(tags);
    check_labels(tags);
    for tag in tags.iter().filter(|tag| !tag.is_end) {
        check_policy(tag);
        check_form(tag);
    }
}

fn check_nesting(tags: &[Tag]) {
    let mut open = Vec::new();
    for tag in tags.iter().filter(|tag| !VOID.contains(&tag.name.as_str())) {
        if tag.is_end {
            assert_eq!(
                open.pop(),
                Some(tag.name.as_str()),
                "</{}> ends what is open",
                tag.name
            );
        } else {
            open.push(&tag.name);
        }
    }
    assert!(open.is_empty(), "never ended: {open:?}");
}

fn check_ids(tags: &[Tag]) {
    let mut seen = HashSet::new();
    for id in tags.iter().filter_map(|tag| tag.get("id")) {
        assert!(seen.insert(id), "the id {id} stands twice");
        assert!(
            !id.contains(char::is_whitespace) && !id.is_empty(),
            "the id {id:?}"
        );
    }
}

fn check_references(tags: &[Tag]) {
    let ids: HashSet<_> = tags.iter().filter_map(|tag| tag.get("id")).collect();
    for tag in tags {
        for name in REFERENCES {
            for id in tag.get(name).unwrap_or_default().split_whitespace() {
                assert!(
                    ids.contains(id),
                    "{name} of <{}> names {id}, which is not there",
                    tag.name
                );
            }
        }
        let fragment = tag.get("href").and_then(|href| href.strip_prefix('#'));
        assert!(
            fragment.is_none_or(|id| ids.contains(id)),
            "a link to #{fragment:?}"
        );
    }
}

fn check_labels(tags: &[Tag]) {
    let labelled: HashSet<_> = tags.iter().filter_map(|tag| tag.get("for")).collect();
    for tag in tags
        .iter()
        .filter(|tag| ["input", "select", "textarea"].contains(&&*tag.name))
    {
        let is_hidden = tag.get("type") == Some("hidden") || tag.is_end;
        let has_label = tag.get("id").is_some_and(|id| labelled.contains(id));
        assert!(
            is_hidden || has_label || tag.has("aria-label"),
            "no label: {tag:?}"
        );
    }
}

fn check_headings(tags: &[Tag]) {
    let mut last = 0;
    for tag in tags.iter().filter(|tag| !tag.is_end) {
        let level = match tag.name.as_bytes() {
            [b'h', digit @ b'1'..=b'6'] => digit - b'0',
            _ => continue,
        };
        assert!(level <= last + 1, "h{level} follows h{last}");
        last = level;
    }
}

/// No inline script or style, and nothing from elsewhere.
fn check_policy(tag: &Tag) {
    assert_ne!(tag.name, "style", "styles are in files");
    assert!(
        tag.name != "script" || tag.has("src"),
        "scripts are in files"
    );
    for (name, value) in &tag.attributes {
        assert!(!name.starts_with("on"), "a handler in {tag:?}");
        assert_ne!(name, "style", "a style in {tag:?}");
        if ["src", "href", "action"].contains(&name.as_str()) {
            let is_ours =
                value.starts_with('#') || value.starts_with('/') && !value.starts_with("//");
            assert!(is_ours || is_way_out(tag), "{name}={value} leads away");
        }
    }
}

/// A link that says that it leads to another site, tells that site nothing of us, and is on the web.
fn is_way_out(tag: &Tag) -> bool {
    let is_web = tag
        .get("href")
        .is_some_and(|href| href.starts_with("https://") || href.starts_with("http://"));
    tag.name == "a" && is_web && tag.get("rel") == Some("external noreferrer")
}

fn check_form(tag: &Tag) {
    match tag.name.as_str() {
        "form" => {
            // By GET only what filters a list.
            let method = tag.get("method");
            assert!(matches!(method, Some("post" | "get")), "{tag:?}");
            assert!(tag.has("action"), "{tag:?}");
        }
        "button" => assert!(tag.has("type"), "{tag:?}"),
        "svg" => {
            let is_named = tag.get("role") == Some("img") && tag.has("aria-label");
            assert!(
                is_named || tag.get("aria-hidden") == Some("true"),
                "{tag:?}"
            );
        }
        "th" => assert!(tag.has("scope"), "{tag:?}"),
        _ => {}
    }
}

fn parse(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    for piece in html.split('<').skip(1) {
        if piece.starts_with('!') {
            continue;
        }
        let (is_end, piece) = piece
            .strip_prefix('/')
            .map_or((false, piece), |rest| (true, rest));
        let inside = piece.split_once('>').expect("a tag ends").0;
        let (name, rest) = inside
            .split_once(char::is_whitespace)
            .unwrap_or((inside, ""));
        tags.push(Tag {
            name: name.to_owned(),
            attributes: parse_attributes(rest),
            is_end,
        });
    }
    tags
}

fn parse_attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return attributes;
        }
        let end = rest
            .find(|it: char| it == '=' || it.is_whitespace())
            .unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let Some(quoted) = rest.strip_prefix("=\"") else {
            assert!(
                !rest.starts_with('='),
                "the value of {name} stands in quotes"
            );
            attributes.push((name, String::new()));
            continue;
        };
        let (value, after) = quoted.split_once('"').expect("a quote ends");
        attributes.push((name, value.to_owned()));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(part: &str) {
        let result = std::panic::catch_unwind(|| assert_sound_part(part));
        assert!(result.is_err(), "accepted {part}");
    }

    #[test]
    fn a_part_that_breaks_a_rule_is_refused() {
        refuses("<p onclick=\"x()\"></p>");
        refuses("<p style=\"color:red\"></p>");
        refuses("<script>1</script>");
        refuses("<input type=\"text\" id=\"a\">");
        refuses("<p id=\"a\"></p><p id=\"a\"></p>");
        refuses("<div><p></div></p>");
        refuses("<a href=\"https://elsewhere.example/\"></a>");
        refuses("<svg></svg>");
    }

    #[test]
    fn a_sound_part_is_accepted() {
        assert_sound_part("<label for=\"a\">A</label><input id=\"a\" type=\"text\" required>");
    }
}
