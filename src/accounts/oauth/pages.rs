//! The page of the own linked accounts.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;

use super::model::{LinkedAccount, Provider};
use super::service::OAuthService;
use super::views::{LinkRow, LinkedRow, LinksPage};
use crate::accounts::extract::BrowserActor;
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::http::page::{DoneQuery, Flash, render, sentence};
use crate::http::{ApiError, Path, Query, status_of};
use crate::kernel::ids::UserId;
use crate::kernel::{Error, Kind, Result};

const PAGE: &str = "/account/links";

/// The sentence for what a form did.
fn done(word: &str) -> Option<&'static str> {
    match word {
        "linked" => Some("The account is linked. You can sign in with it."),
        "merged" => Some("The two accounts are one now. You are signed in to the one that stayed."),
        "unmerged" => Some("Nothing was merged. Both accounts are as they were."),
        "unlinked" => Some("The account is unlinked."),
        _ => None,
    }
}

/// `GET /account/links`
///
/// # Errors
/// The store's.
pub async fn show_links(
    State(oauth): State<OAuthService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    Query(query): Query<DoneQuery>,
) -> std::result::Result<Response, ApiError> {
    let page = links_page(&oauth, &user, &frame, query.flash(done)).await?;
    Ok(render(StatusCode::OK, &page))
}

async fn links_page(
    oauth: &OAuthService,
    user: &SignedIn,
    frame: &Frame,
    flash: Option<Flash>,
) -> Result<LinksPage> {
    let links = oauth.list(&user.actor).await?;
    let offered: Vec<_> = oauth.providers().collect();
    let row = |provider: Provider| {
        let link = links.iter().find(|link| link.provider == provider);
        let is_shown = link.is_some() || offered.contains(&provider);
        is_shown.then(|| link_row(provider, link, user.actor.user_id))
    };
    Ok(LinksPage {
        shell: frame
            .at(PAGE)
            .signed_in("Linked accounts", user)
            .with_flash(flash),
        rows: Provider::ALL.into_iter().filter_map(row).collect(),
    })
}

fn link_row(provider: Provider, link: Option<&LinkedAccount>, user: UserId) -> LinkRow {
    LinkRow {
        provider: provider.as_str(),
        label: provider.label(),
        linked: link.map(|link| LinkedRow {
            display_name: link.display_name.clone(),
            since: link.linked_at.into(),
        }),
        href: format!("/api/v1/auth/{provider}/authorize?link_user={user}"),
    }
}

/// `POST /account/links/{provider}/unlink`
///
/// # Errors
/// 404 for what is not linked.
pub async fn unlink(
    State(oauth): State<OAuthService>,
    BrowserActor(user): BrowserActor,
    Path(provider): Path<Provider>,
    frame: Frame,
) -> std::result::Result<Response, ApiError> {
    match oauth.unlink(&user.actor, provider).await {
        Ok(()) => Ok(Redirect::to("/account/links?done=unlinked").into_response()),
        Err(error) if error.kind() == Kind::Conflict => {
            let flash = Some(problem(&error));
            let page = links_page(&oauth, &user, &frame, flash).await?;
            Ok(render(status_of(error.kind()), &page))
        }
        Err(error) => Err(error.into()),
    }
}

fn problem(error: &Error) -> Flash {
    Flash::problem(sentence(error.message()))
}
