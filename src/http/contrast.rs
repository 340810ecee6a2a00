//! The contrast of the colours, computed from the style sheet.
//! Source: WCAG 2.2, "relative luminance" and "contrast ratio".

use std::collections::HashMap;

const TOKENS: &str = include_str!("../../static/css/tokens.css");
/// Text and what it stands on: at least 4.5:1.
const TEXT_PAIRS: [(&str, &str); 31] = [
    ("text", "ground"),
    ("text", "surface"),
    ("text", "sunken"),
    ("muted", "ground"),
    ("muted", "surface"),
    ("muted", "sunken"),
    ("accent", "ground"),
    ("accent", "surface"),
    ("accent", "sunken"),
    ("accent", "accent-soft"),
    ("accent-text", "accent"),
    ("live", "live-soft"),
    ("live", "surface"),
    ("reconnecting", "reconnecting-soft"),
    ("reconnecting", "surface"),
    ("offline", "offline-soft"),
    ("offline", "surface"),
    ("waiting", "waiting-soft"),
    ("waiting", "surface"),
    ("danger", "danger-soft"),
    ("danger", "surface"),
    ("danger", "ground"),
    ("danger-text", "danger"),
    ("text", "accent-soft"),
    ("text", "live-soft"),
    ("text", "reconnecting-soft"),
    ("text", "offline-soft"),
    ("text", "waiting-soft"),
    ("text", "danger-soft"),
    ("muted", "accent-soft"),
    ("muted", "offline-soft"),
];
/// Edges of controls, the focus ring and drawings: at least 3:1.
const SHAPE_PAIRS: [(&str, &str); 7] = [
    ("control-line", "surface"),
    ("control-line", "ground"),
    ("focus", "surface"),
    ("focus", "ground"),
    ("live", "surface"),
    ("accent", "sunken"),
    ("offline", "sunken"),
];

type Colours = HashMap<&'static str, [f64; 3]>;

/// The colours of the block that begins with `selector`.
fn block(selector: &str) -> (Colours, &'static str) {
    let start = TOKENS.find(selector).expect("the block is there") + selector.len();
    let body = TOKENS[start..].split_once('}').expect("the block ends").0;
    let colours = body.lines().filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(": #")?;
        Some((name, rgb(value.trim_end_matches(';'))))
    });
    (colours.collect(), body)
}

fn rgb(digits: &str) -> [f64; 3] {
    let channel = |at: usize| {
        f64::from(u8::from_str_radix(&digits[at..at + 2], 16).expect("six digits")) / 255.0
    };
    [channel(0), channel(2), channel(4)]
}

fn luminance(rgb: [f64; 3]) -> f64 {
    let linear = |channel: f64| {
        if channel <= 0.040_45 {
            channel / 12.92
        } else {
            ((channel + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(rgb[0]) + 0.7152 * linear(rgb[1]) + 0.0722 * linear(rgb[2])
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn assert_contrasts(theme: &str, colours: &Colours) {
    let pairs = TEXT_PAIRS.map(|pair| (pair, 4.5)).into_iter();
    for ((front, back), least) in pairs.chain(SHAPE_PAIRS.map(|pair| (pair, 3.0))) {
        let ratio = contrast(colours[front], colours[back]);
        assert!(ratio >= least, "{theme}: {front} on {back} is {ratio:.2}:1");
    }
}

#[test]
fn black_on_white_is_twenty_one_to_one() {
    assert!((contrast(rgb("000000"), rgb("ffffff")) - 21.0).abs() < 0.001);
}

#[test]
fn text_is_readable_in_the_light_theme() {
    assert_contrasts("light", &block(":root {\n  color-scheme").0);
}

#[test]
fn text_is_readable_in_the_dark_theme() {
    assert_contrasts("dark", &block(":root[data-theme=\"dark\"] {").0);
}

#[test]
fn the_dark_theme_is_the_same_chosen_or_preferred() {
    let squeeze = |body: &str| body.split_whitespace().collect::<Vec<_>>().join(" ");
    let chosen = block(":root[data-theme=\"dark\"] {").1;
    let preferred = block(":root[data-theme=\"auto\"] {").1;
    assert_eq!(squeeze(chosen), squeeze(preferred));
}
