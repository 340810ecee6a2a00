//! The front door.

use axum::response::Redirect;

/// `GET /`: the page that everybody wants; it asks to sign in where that is needed.
pub async fn root() -> Redirect {
    Redirect::to("/live")
}
