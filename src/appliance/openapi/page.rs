//! The document for a person to read: Swagger UI, out of this binary.
//!
//! Invariant: the page loads nothing from elsewhere, and asks no one else whether the document is valid.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::http::{ApiError, Path};
use crate::kernel::Error;

/// Where the page stands; its files are named relative to it.
const PAGE: &str = "/api/docs/index.html";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/api/v1/openapi.json")
        .validator_url("none")
        .use_base_layout();
    Arc::new(config)
});

/// `GET /api/docs`: to the page.
pub(in crate::appliance) async fn to_docs() -> Redirect {
    Redirect::to(PAGE)
}

/// `GET /api/docs/{file}`: the page and what it is made of.
///
/// # Errors
/// 404 for any other file.
pub(in crate::appliance) async fn show_docs(
    Path(file): Path<String>,
) -> Result<Response, ApiError> {
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&CONFIG));
    let found = found.map_err(|error| Error::internal(error.to_string()))?;
    let SwaggerFile {
        bytes,
        content_type,
        ..
    } = found.ok_or_else(|| Error::not_found("path"))?;
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "max-age=3600".to_owned()),
    ];
    Ok((headers, bytes.into_owned()).into_response())
}
