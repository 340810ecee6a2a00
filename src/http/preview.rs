//! Writes every page with sample data into the temporary folder, for a person to look at.
//!
//! `cargo test -p glb preview -- --ignored`, then serve `glb-ui-preview` in the temporary folder
//! by any static file server.

use std::fs;
use std::path::Path;

use super::assets;
use crate::{accounts, live, plugin, system};

#[test]
#[ignore = "writes files for a person to look at"]
fn preview_of_every_page() {
    let folder = std::env::temp_dir().join("glb-ui-preview");
    fs::create_dir_all(folder.join("static")).unwrap();
    for (url, bytes) in assets::all() {
        fs::write(folder.join(url.trim_start_matches('/')), bytes).unwrap();
    }
    let pages = [
        live::views::tests::pages(),
        accounts::views::tests::pages(),
        plugin::views::tests::pages(),
        system::views::tests::pages(),
    ];
    for (name, html) in pages.concat() {
        write_both_themes(&folder, name, &html);
    }
}

fn write_both_themes(folder: &Path, name: &str, html: &str) {
    for theme in ["light", "dark"] {
        let html = html.replacen("data-theme=\"auto\"", &format!("data-theme=\"{theme}\""), 1);
        fs::write(folder.join(format!("{name}-{theme}.html")), html).unwrap();
    }
}
