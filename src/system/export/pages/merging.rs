//! Merging two accounts in a browser.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::told_above;
use crate::accounts::AccountsService;
use crate::accounts::extract::{BrowserActor, browser_client};
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::oauth::OAuthService;
use crate::accounts::oauth::model::{Kept, MergeWish};
use crate::accounts::pages::enter;
use crate::accounts::service::Proofs;
use crate::http::page::{Flash, render, sentence};
use crate::http::{ApiError, ErrorPage, Form, Peer, RequestId, WayOn, status_of};
use crate::kernel::ids::MergeRequestId;
use crate::kernel::secret::SecretString;
use crate::kernel::{Error, FieldError, Kind};
use crate::system::export::Departures;
use crate::system::export::views::{MergeForm, MergePage, PAGE};

const TITLE: &str = "Merge two accounts";
const DONE: &str = "/account/links?done=merged";

/// What the handlers work with.
#[derive(Debug, Clone)]
struct Desk<'a> {
    departures: &'a Departures,
    accounts: &'a AccountsService,
    oauth: &'a OAuthService,
    user: &'a SignedIn,
    frame: &'a Frame,
}

impl Desk<'_> {
    /// The page of what this browser may merge.
    async fn page(
        &self,
        kept: Kept,
        status: StatusCode,
        flash: Option<Flash>,
        errors: &[FieldError],
    ) -> Result<Response, ApiError> {
        let offer = match self.oauth.merge_offer(&self.user.actor).await {
            Ok(offer) => offer,
            Err(error) if error.kind() == Kind::Gone => return Ok(self.over(&error)),
            Err(error) => return Err(error.into()),
        };
        let due = self.accounts.proofs_due(&self.user.actor).await?;
        let on_air = [
            self.departures.is_on_air(offer.this.user.id).await?,
            self.departures.is_on_air(offer.other.user.id).await?,
        ];
        let form = MergeForm {
            offer: &offer,
            kept,
            on_air,
            due: &due,
            errors,
        };
        let shell = self.frame.at(PAGE).signed_in(TITLE, self.user);
        let page = MergePage::new(shell.with_flash(flash), &form);
        Ok(render(status, &page))
    }

    fn over(&self, error: &Error) -> Response {
        let status = status_of(error.kind());
        let page = ErrorPage {
            shell: self.frame.at(PAGE).signed_in(TITLE, self.user),
            status: status.as_u16(),
            why: sentence(error.message()),
            remedy: "Nothing was changed.".to_owned(),
            way_on: WayOn {
                label: "Linked accounts",
                href: "/account/links",
            },
            request_id: RequestId::current().map(|id| id.to_string()),
        };
        render(status, &page)
    }
}

/// `GET /account/merge`
///
/// # Errors
/// The store's; 410 when this browser may merge nothing.
pub async fn show_merge(
    State(departures): State<Departures>,
    State(accounts): State<AccountsService>,
    State(oauth): State<OAuthService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
) -> Result<Response, ApiError> {
    let desk = Desk {
        departures: &departures,
        accounts: &accounts,
        oauth: &oauth,
        user: &user,
        frame: &frame,
    };
    desk.page(Kept::This, StatusCode::OK, None, &[]).await
}

/// The form that merges.
#[derive(Debug, Deserialize)]
pub struct MergeAnswer {
    request: MergeRequestId,
    kept: Kept,
    #[serde(default)]
    current_password: SecretString,
    #[serde(default)]
    code: SecretString,
    #[serde(default)]
    other_code: SecretString,
}

impl MergeAnswer {
    fn wish(self) -> MergeWish {
        MergeWish {
            id: self.request,
            kept: self.kept,
            proofs: Proofs {
                password: self.current_password,
                code: self.code,
            },
            other_code: self.other_code,
        }
    }
}

/// `POST /account/merge`: the browser is signed in to the account that stayed afterwards.
///
/// # Errors
/// The store's; 410 when this browser may merge nothing.
#[expect(
    clippy::too_many_arguments,
    reason = "what the browser and the answer need"
)]
pub async fn merge(
    State(departures): State<Departures>,
    State(accounts): State<AccountsService>,
    State(oauth): State<OAuthService>,
    BrowserActor(user): BrowserActor,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
    Form(answer): Form<MergeAnswer>,
) -> Result<Response, ApiError> {
    let desk = Desk {
        departures: &departures,
        accounts: &accounts,
        oauth: &oauth,
        user: &user,
        frame: &frame,
    };
    let kept = answer.kept;
    match departures.merge(&user.actor, answer.wish()).await {
        Ok(_) if kept == Kept::This => Ok(Redirect::to(DONE).into_response()),
        Ok(merged) => {
            let client = browser_client(&peer, &headers);
            let session = accounts.begin_browser_session(&merged.kept, &client, None);
            Ok(enter(&accounts, &session.await?, &peer, DONE))
        }
        Err(error) => {
            let status = match error.kind() {
                Kind::Gone => return Ok(desk.over(&error)),
                Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
                Kind::Conflict | Kind::LimitReached | Kind::Unavailable => status_of(error.kind()),
                _ => return Err(error.into()),
            };
            let flash = told_above(&error);
            desk.page(kept, status, flash, error.fields()).await
        }
    }
}

/// `POST /account/merge/decline`
///
/// # Errors
/// The store's.
pub async fn decline_merge(
    State(oauth): State<OAuthService>,
    BrowserActor(user): BrowserActor,
) -> Result<Redirect, ApiError> {
    oauth.decline_merge(&user.actor).await?;
    Ok(Redirect::to("/account/links?done=unmerged"))
}
