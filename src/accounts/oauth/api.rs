//! Where browsers leave for a provider and come back. They show pages to people and JSON to programs.

use axum::extract::{FromRef, FromRequestParts, OriginalUri, State};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::model::{Intent, Outcome, Provider, STATE_LIFE};
use super::service::{OAuthService, Return};
use super::views::ConfirmLinkPage;
use crate::accounts::extract::{
    OptionalBrowserActor, browser_client, cookie_of, session_cookie, set_cookie,
};
use crate::accounts::frame::Frame;
use crate::accounts::model::SignedIn;
use crate::accounts::pages::{admit, enter, go_on};
use crate::accounts::service::AccountsService;
use crate::http::page::{local_path, render, sentence};
use crate::http::{ApiError, ErrorPage, Path, Peer, Query, RequestId, WayOn, status_of};
use crate::kernel::ids::UserId;
use crate::kernel::secret::{ExposeSecret, SecretString, random_token};
use crate::kernel::{Error, Kind, Result, error_chain};
use crate::relay::RelayService;

/// Characters of the cookie's token: 32 bytes in base64.
const COOKIE_CHARACTERS: usize = 43;

/// The cookie of a browser that is at a provider, by the same rules as the session's.
const fn cookie_name(is_https: bool) -> &'static str {
    if is_https {
        "__Host-glb_oauth"
    } else {
        "glb_oauth"
    }
}

/// The query of the way out.
#[derive(Debug, Deserialize)]
pub struct AuthorizeQuery {
    /// The user to link to, as the plugin's dock sends it.
    link_user: Option<String>,
    /// A plugin's attempt to sign in, which goes on afterwards.
    attempt: Option<String>,
    /// A path of ours to go on to.
    #[serde(default)]
    next: String,
    /// The token of an invitation, for whoever has no account yet.
    invite: Option<SecretString>,
    /// The proof that the page of confirmation was shown.
    #[serde(default)]
    confirm: String,
}

impl AuthorizeQuery {
    fn next(&self) -> String {
        let Some(attempt) = &self.attempt else {
            return local_path(&self.next).to_owned();
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("attempt", attempt)
            .finish();
        format!("/login/plugin?{query}")
    }
}

/// Leads a browser to the sign-in provider.
///
/// With `link_user` only one that is signed in as that user gets there, and only over a page of confirmation. A
/// browser that asks for HTML gets every failure as a page.
///
/// # Errors
/// 404 for a provider that is not set up, 403 for a foreign `link_user`, 429 for too many.
#[utoipa::path(
    get, path = "/api/v1/auth/{provider}/authorize", tag = "Sign-in",
    params(
        ("provider" = String, Path, description = "`twitch`, `google` or `discord`.", example = "twitch"),
        ("link_user" = Option<String>, Query, description = "Link to this user, who is signed in there."),
        ("attempt" = Option<String>, Query, description = "A plugin's attempt that goes on afterwards."),
        ("next" = Option<String>, Query, description = "A path of the appliance to go on to."),
        ("invite" = Option<String>, Query, description = "The token of an invitation, for whoever has no account yet."),
        ("confirm" = Option<String>, Query, description = "What the page of confirmation gave."),
    ),
    responses(
        (status = 200, description = "The page that asks whether to link."),
        (status = 303, description = "To the provider, or to sign in first."),
    ),
    extensions(("x-errors" = json!(["not_found", "forbidden", "rate_limited"]))),
)]
pub async fn authorize(
    State(oauth): State<OAuthService>,
    visitor: Visitor,
    Path(provider): Path<Provider>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<AuthorizeQuery>,
) -> Response {
    let Visitor { actor, peer, .. } = &visitor;
    if let Err(error) = oauth.require(provider) {
        return visitor.failed(error);
    }
    let intent = match &query.link_user {
        None => Intent::SignIn(query.invite.clone()),
        Some(user) => {
            let Some(signed_in) = actor else {
                return ask_to_sign_in(&uri);
            };
            match may_link(&oauth, provider, signed_in, user, &query.confirm) {
                Ok(Some(user)) => Intent::Link(user),
                Ok(None) => return confirmation(&oauth, provider, signed_in, &visitor.frame),
                Err(error) => return visitor.failed(error),
            }
        }
    };
    let browser = browser_token(&visitor.headers, peer);
    let next = query.next();
    let begun = oauth.begin(provider, intent, &next, &browser, peer.ip);
    match begun.await {
        Ok(url) => {
            let name = cookie_name(peer.is_https);
            let cookie = set_cookie(name, browser.expose_secret(), STATE_LIFE, peer.is_https);
            let headers = AppendHeaders([(header::SET_COOKIE, cookie)]);
            (headers, Redirect::to(url.as_str())).into_response()
        }
        Err(error) => visitor.failed(error),
    }
}

/// The user to link to, once they confirmed it in this browser.
fn may_link(
    oauth: &OAuthService,
    provider: Provider,
    signed_in: &SignedIn,
    user: &str,
    confirm: &str,
) -> Result<Option<UserId>> {
    if user.parse() != Ok(signed_in.actor.user_id) {
        let message = "this link is for another account than the one that is signed in here: sign in as that \
                       user, or begin under Account";
        let error = Error::new(Kind::Forbidden, crate::kernel::Code::Forbidden, message);
        return Err(error.reason("link_user_mismatch"));
    }
    let is_confirmed = oauth.is_link_proof(&signed_in.actor, provider, confirm);
    Ok(is_confirmed.then_some(signed_in.actor.user_id))
}

fn confirmation(
    oauth: &OAuthService,
    provider: Provider,
    user: &SignedIn,
    frame: &Frame,
) -> Response {
    let title = format!("Link {}", provider.label());
    let proof = oauth.link_proof(&user.actor, provider);
    let id = user.actor.user_id;
    let page = ConfirmLinkPage {
        shell: frame.at("/account/links").signed_in(&title, user),
        provider: provider.label(),
        email: user.email.clone(),
        href: format!("/api/v1/auth/{provider}/authorize?link_user={id}&confirm={proof}"),
    };
    render(StatusCode::OK, &page)
}

fn ask_to_sign_in(uri: &http::Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", path)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}

/// One token for all tabs of a browser, so that none takes another's away.
fn browser_token(headers: &HeaderMap, peer: &Peer) -> SecretString {
    let known = cookie_of(headers, cookie_name(peer.is_https));
    let is_ours = |token: &&str| {
        token.len() == COOKIE_CHARACTERS
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    known
        .filter(is_ours)
        .map_or_else(random_token::<32>, SecretString::from)
}

/// The query of the way back.
#[derive(Deserialize)]
pub struct CallbackQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
}

impl std::fmt::Debug for CallbackQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackQuery(***)")
    }
}

/// Takes a browser that the sign-in provider sent back.
///
/// A browser that asks for HTML gets every failure as a page.
///
/// # Errors
/// 400 for a state that is not this browser's, 403 when the person or the rules refused, 502 when the provider
/// failed.
#[utoipa::path(
    get, path = "/api/v1/auth/{provider}/callback", tag = "Sign-in",
    params(
        ("provider" = String, Path, description = "`twitch`, `google` or `discord`.", example = "twitch"),
        ("state" = Option<String>, Query, description = "What the browser left with; good once."),
        ("code" = Option<String>, Query, description = "What the provider gave for tokens."),
        ("error" = Option<String>, Query, description = "Why it gave no code."),
    ),
    responses(
        (status = 200, description = "The page that offers to merge two accounts of one person."),
        (status = 303, description = "Signed in or linked; or the second factor is due."),
    ),
    extensions(("x-errors" = json!([
        "invalid_request", "unauthorized", "login_denied", "not_found", "conflict",
        "rate_limited", "upstream_failed",
    ]))),
)]
pub async fn callback(
    State(oauth): State<OAuthService>,
    State(accounts): State<AccountsService>,
    State(relay): State<RelayService>,
    visitor: Visitor,
    Path(provider): Path<Provider>,
    Query(query): Query<CallbackQuery>,
) -> Response {
    let Visitor {
        actor,
        peer,
        headers,
        ..
    } = &visitor;
    let client = browser_client(peer, headers);
    let back = Return {
        state: &query.state,
        code: query
            .code
            .filter(|code| !code.is_empty())
            .ok_or(query.error.as_deref().unwrap_or_default()),
        browser: cookie_of(headers, cookie_name(peer.is_https)).unwrap_or_default(),
        signed_in: actor.as_ref(),
        client: &client,
        previous: session_cookie(headers, peer.is_https),
    };
    match oauth.complete(provider, back).await {
        Ok(Outcome::SignedIn { step, next }) => go_on(&accounts, step, peer, &next),
        Ok(Outcome::Joined {
            session,
            user,
            next,
        }) => {
            admit(&relay, &user).await;
            enter(&accounts, &session, peer, &next)
        }
        Ok(Outcome::Linked(_)) => Redirect::to("/account/links?done=linked").into_response(),
        Ok(Outcome::MergeOffered) => Redirect::to("/account/merge").into_response(),
        Err(error) => visitor.failed(error),
    }
}

/// Who stands before one of the two paths.
#[derive(Debug)]
pub struct Visitor {
    actor: Option<SignedIn>,
    frame: Frame,
    peer: Peer,
    headers: HeaderMap,
}

impl<S> FromRequestParts<S> for Visitor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> std::result::Result<Self, ApiError> {
        let OptionalBrowserActor(actor) =
            OptionalBrowserActor::from_request_parts(parts, state).await?;
        Ok(Self {
            actor,
            frame: Frame::from_request_parts(parts, state).await?,
            peer: Peer::from_request_parts(parts, state).await?,
            headers: parts.headers.clone(),
        })
    }
}

impl Visitor {
    fn wants_html(&self) -> bool {
        let accepted = self.headers.get_all(header::ACCEPT).iter();
        accepted
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("text/html"))
    }

    /// A failure as whoever asks can read it: these two paths of the API are opened by people.
    fn failed(&self, error: Error) -> Response {
        if !self.wants_html() {
            return ApiError(error).into_response();
        }
        let status = status_of(error.kind());
        if status.is_server_error() {
            let cause = error_chain(&error);
            tracing::warn!(cause, "a sign-in through a provider failed");
        }
        let (title, remedy) = words(&error);
        let frame = self.frame.at("/account/links");
        let (shell, label, href) = match &self.actor {
            Some(user) => (
                frame.signed_in(title, user),
                "Linked accounts",
                "/account/links",
            ),
            None => (frame.visitor(title), "Sign in", "/login"),
        };
        let page = ErrorPage {
            shell,
            status: status.as_u16(),
            why: sentence(error.message()),
            remedy: remedy.to_owned(),
            way_on: WayOn { label, href },
            request_id: RequestId::current().map(|id| id.to_string()),
        };
        render(status, &page)
    }
}

/// What happened, and what to do.
fn words(error: &Error) -> (&'static str, &'static str) {
    match (error.reason_code().unwrap_or_default(), error.kind()) {
        ("provider_not_configured", _) => (
            "That is not set up",
            "Sign in with your password, or ask whoever runs this appliance to set it up.",
        ),
        ("oauth_state_unknown", _) => ("That way is closed", "Begin again from the page."),
        ("access_denied", _) => (
            "You said no",
            "Nothing was changed. Begin again if that was a mistake.",
        ),
        ("account_not_linked", _) => (
            "Nobody is linked with that",
            "Sign in with your password, then link it under Account. Who has no account asks whoever runs this \
             appliance for an invitation.",
        ),
        ("sign_up_closed", _) => (
            "Nobody is linked with that",
            "Ask whoever runs this appliance for an invitation.",
        ),
        ("address_not_checked", _) => (
            "Your address is not confirmed there",
            "Confirm it there and begin again, or make an account with a password.",
        ),
        ("invited_as_another", _) => (
            "That invitation is for somebody else",
            "Use the account with the invited address, or make one here with a password.",
        ),
        ("invite_over", _) => ("That invitation is over", "Ask for a new one."),
        ("account_exists", _) => (
            "There is an account already",
            "Sign in to it with your password, then link it under Account.",
        ),
        ("link_user_mismatch", _) => (
            "That is another account",
            "Sign out, then sign in as that user.",
        ),
        ("other_account_linked", _) => (
            "One of them is linked already",
            "Unlink that one, then link this one.",
        ),
        (_, Kind::Unauthenticated) => {
            ("You are signed out", "Sign in, then link it under Account.")
        }
        (_, Kind::LimitReached) => ("Too many tries", "Wait a minute, then begin again."),
        (_, Kind::Upstream) => (
            "The provider failed",
            "Begin again in a moment. If it goes on, sign in with your password, and tell whoever runs this \
             appliance.",
        ),
        _ => ("That did not work", "Begin again."),
    }
}
