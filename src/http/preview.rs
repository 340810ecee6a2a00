//! Every page with sample data as one small site: each page in both colour schemes, with the style
//! sheets and scripts that it names.
//!
//! Invariant: a page never names a file of ours that the binary does not hold.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::assets;
use super::page_error;
use crate::{accounts, live, plans, plugin, system};

#[test]
fn every_page_finds_its_files_in_both_colour_schemes() {
    let folder = tempfile::tempdir().unwrap();
    let site = render_all(folder.path());
    for (name, html) in &site {
        for file in named_files(html) {
            assert!(folder.path().join(file).is_file(), "{name} names {file}");
        }
    }
    assert!(site.len() >= 2 * 20, "{} pages", site.len());
}

/// Writes the site and answers its pages by name.
fn render_all(folder: &Path) -> HashMap<String, String> {
    fs::create_dir(folder.join("static")).unwrap();
    for (url, bytes) in assets::all() {
        fs::write(folder.join(url.trim_start_matches('/')), bytes).unwrap();
    }
    let pages = [
        live::views::tests::pages(),
        accounts::views::tests::pages(),
        plans::billing::views::tests::pages(),
        plans::views::tests::pages(),
        accounts::second_factor::views::tests::pages(),
        accounts::oauth::views::tests::pages(),
        plugin::views::tests::pages(),
        system::views::tests::pages(),
        page_error::tests::pages(),
    ];
    let mut site = HashMap::new();
    for (name, html) in pages.concat() {
        for theme in ["light", "dark"] {
            let wanted = format!("data-theme=\"{theme}\"");
            let html = html.replacen("data-theme=\"auto\"", &wanted, 1);
            assert!(html.contains(&wanted), "{name} can be {theme}");
            let name = format!("{name}-{theme}.html");
            fs::write(folder.join(&name), &html).unwrap();
            assert!(
                site.insert(name.clone(), html).is_none(),
                "{name} is there once"
            );
        }
    }
    site
}

/// The paths below `/static/` that a page loads.
fn named_files(html: &str) -> impl Iterator<Item = &str> {
    html.split('"')
        .filter(|value| value.starts_with("/static/"))
        .map(|value| value.trim_start_matches('/'))
}
