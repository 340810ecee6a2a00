//! The static files in the binary, under names that carry a hash of their content.
//!
//! A name changes with its content, so an answer may be kept for ever and a new version of the
//! server never meets an old style sheet.
//!
//! Invariant: the table is built once, from files that are part of the binary; no request reaches
//! the file system.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::RustEmbed;

use super::error::ApiError;
use super::extract::Path;
use crate::kernel::Error;
use crate::kernel::secret::hex;

/// How many bytes of the SHA-256 stand in a name: enough to tell versions of one file apart.
const NAME_HASH_BYTES: usize = 5;
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ONE_DAY: &str = "public, max-age=86400";
const FAVICON: &str = "img/favicon.svg";

#[derive(RustEmbed)]
#[folder = "static/"]
struct StaticFiles;

struct Asset {
    bytes: Bytes,
    content_type: &'static str,
    etag: String,
}

struct Catalog {
    /// By the last part of the address, hash included.
    by_name: HashMap<String, Asset>,
    /// From a path below `static/` to the address.
    urls: HashMap<String, String>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::build);

impl Catalog {
    fn build() -> Self {
        let mut catalog = Self {
            by_name: HashMap::new(),
            urls: HashMap::new(),
        };
        for path in StaticFiles::iter() {
            let file = StaticFiles::get(&path).expect("the listing names files that exist");
            let name = hashed_name(&path, &file.metadata.sha256_hash());
            let etag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
            let asset = Asset {
                bytes: to_bytes(file.data),
                content_type: type_of(&path),
                etag,
            };
            catalog
                .urls
                .insert(path.into_owned(), format!("/static/{name}"));
            let replaced = catalog.by_name.insert(name, asset);
            assert!(
                replaced.is_none(),
                "two static files of one name and content"
            );
        }
        catalog
    }
}

fn to_bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

/// `css/app.css` becomes `app.3f2a9c01de.css`.
fn hashed_name(path: &str, sha256: &[u8; 32]) -> String {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, "bin"));
    format!("{stem}.{}.{extension}", hex(&sha256[..NAME_HASH_BYTES]))
}

fn type_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The address of a static file, from its path below `static/`.
///
/// # Panics
/// When there is no such file. Templates name files literally, and rendering each page is tested.
#[must_use]
pub fn asset_url(path: &str) -> &'static str {
    CATALOG
        .urls
        .get(path)
        .expect("a template names a file that is in static/")
}

/// `GET /static/{file}`: a file of ours, to be kept for ever; 404 for any other name.
pub async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    answer(&file, FOR_EVER, &headers)
}

/// `GET /favicon.ico`: the icon, for what asks for it without reading the page.
pub async fn favicon(headers: HeaderMap) -> Response {
    answer(
        asset_url(FAVICON).trim_start_matches("/static/"),
        ONE_DAY,
        &headers,
    )
}

fn answer(name: &str, cache: &'static str, headers: &HeaderMap) -> Response {
    let Some(asset) = CATALOG.by_name.get(name) else {
        return ApiError(Error::not_found("file")).into_response();
    };
    let fields = [(CACHE_CONTROL, cache), (ETAG, asset.etag.as_str())];
    if is_known(asset, headers) {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    let content_type = [(CONTENT_TYPE, asset.content_type)];
    (fields, content_type, Body::from(asset.bytes.clone())).into_response()
}

/// Whether the caller's copy is ours. A proxy that compresses marks our tag as weak.
fn is_known(asset: &Asset, headers: &HeaderMap) -> bool {
    let Some(known) = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    known
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == asset.etag)
}

/// Every address with its content.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (String, Bytes)> {
    let files = CATALOG.by_name.iter();
    files.map(|(name, asset)| (format!("/static/{name}"), asset.bytes.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(url: &str, headers: HeaderMap) -> Response {
        let file = url.trim_start_matches("/static/").to_owned();
        asset(Path(file), headers).await
    }

    #[test]
    fn a_name_carries_the_hash_of_the_content() {
        let url = asset_url("css/base.css");
        let digits = url
            .strip_prefix("/static/base.")
            .and_then(|rest| rest.strip_suffix(".css"));
        let digits = digits.expect("the form /static/base.<hash>.css");
        assert_eq!(digits.len(), NAME_HASH_BYTES * 2);
        assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn every_file_has_an_address_of_its_own() {
        assert_eq!(CATALOG.urls.len(), CATALOG.by_name.len());
        assert!(
            CATALOG.urls.len() >= 8,
            "style sheets, scripts and the icon"
        );
    }

    #[test]
    fn every_file_has_a_known_type() {
        for asset in CATALOG.by_name.values() {
            assert_ne!(asset.content_type, "application/octet-stream");
        }
    }

    #[tokio::test]
    async fn a_file_is_kept_for_ever() {
        let response = get(asset_url("css/base.css"), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CACHE_CONTROL], FOR_EVER);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
    }

    #[tokio::test]
    async fn a_caller_with_the_same_copy_gets_no_body() {
        let url = asset_url("js/copy.js");
        let etag = get(url, HeaderMap::new()).await.headers()[ETAG].clone();
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, etag);
        assert_eq!(get(url, headers).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn any_other_name_is_not_found() {
        for name in ["base.css", "../Cargo.toml", "css/base.css", ""] {
            assert_eq!(
                get(name, HeaderMap::new()).await.status(),
                StatusCode::NOT_FOUND,
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn the_icon_answers_at_its_old_address() {
        let response = favicon(HeaderMap::new()).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "image/svg+xml");
    }
}
