//! Extractors that prove who is calling. A handler that names one in its signature cannot be reached
//! without that proof.
//!
//! Plugins send a bearer token and are answered in JSON; browsers send a cookie and are led to the sign-in
//! page.

use axum::extract::{FromRef, FromRequestParts, OriginalUri};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::api_key::{KEY_START, required_scope};
use super::model::{BrowserClient, SignedIn};
use super::service::{AccountsService, Expiry};
use crate::http::{ApiError, Peer};
use crate::kernel::{Actor, Code, Error, Kind, Role};

/// The cookie of a browser on TLS: the prefix binds it to this host and to TLS.
const SECURE_COOKIE: &str = "__Host-glb";
/// The cookie of a browser on plain HTTP, where the prefix is not allowed.
const PLAIN_COOKIE: &str = "glb";

/// Where a second factor is switched on.
pub(super) const ENROLMENT_PAGE: &str = "/account/second-factor";

/// The bearer token of a request, not yet checked.
///
/// # Errors
/// `Unauthenticated` without one.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Error> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Error::unauthenticated("missing bearer token"))
}

/// A plugin's access token, or a key of a user's own program for what its scopes open.
async fn plugin_actor<S>(parts: &Parts, state: &S, expiry: Expiry) -> Result<Actor, ApiError>
where
    AccountsService: FromRef<S>,
{
    let token = bearer_token(&parts.headers)?;
    let accounts = AccountsService::from_ref(state);
    if token.starts_with(KEY_START) {
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let needed = required_scope(is_read, parts.uri.path());
        return Ok(accounts.authenticate_key(token, needed).await?);
    }
    Ok(accounts.authenticate_plugin(token, expiry).await?)
}

/// A plugin with a valid access token whose session is live.
#[derive(Debug, Clone, Copy)]
pub struct PluginActor(pub Actor);

impl<S> FromRequestParts<S> for PluginActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        plugin_actor(parts, state, Expiry::Enforced).await.map(Self)
    }
}

/// The same, but a token whose only fault is its age serves for 30 days more: the released plugin goes on
/// with the token it has. For `/relay/*`, `/chat/*` and `/user/stream-slots/*`.
#[derive(Debug, Clone, Copy)]
pub struct LenientPluginActor(pub Actor);

impl<S> FromRequestParts<S> for LenientPluginActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        plugin_actor(parts, state, Expiry::Lenient).await.map(Self)
    }
}

/// A signed-in browser. Without one, `GET` leads to the sign-in page and anything else is refused.
#[derive(Debug, Clone)]
pub struct BrowserActor(pub SignedIn);

impl<S> FromRequestParts<S> for BrowserActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let AnyBrowserActor(signed_in) = AnyBrowserActor::from_request_parts(parts, state).await?;
        let factors = AccountsService::from_ref(state).second_factors().clone();
        match factors.must_enrol(&signed_in.actor).await {
            Ok(false) => Ok(Self(signed_in)),
            Ok(true) => Err(ask_to_enrol(parts)),
            Err(error) => Err(ApiError(error).into_response()),
        }
    }
}

/// A signed-in browser, also one whose user must enrol a second factor before anything else. For the pages of
/// that enrolment alone.
#[derive(Debug, Clone)]
pub struct AnyBrowserActor(pub SignedIn);

impl<S> FromRequestParts<S> for AnyBrowserActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match signed_in(parts, state).await {
            Ok(Some(signed_in)) => Ok(Self(signed_in)),
            Ok(None) => Err(ask_to_sign_in(parts)),
            Err(error) => Err(ApiError(error).into_response()),
        }
    }
}

/// A signed-in browser, or nobody. Who must enrol a second factor before anything else is nobody here.
#[derive(Debug, Clone)]
pub struct OptionalBrowserActor(pub Option<SignedIn>);

impl<S> FromRequestParts<S> for OptionalBrowserActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Some(signed_in) = signed_in(parts, state).await? else {
            return Ok(Self(None));
        };
        let factors = AccountsService::from_ref(state).second_factors().clone();
        let must_enrol = factors.must_enrol(&signed_in.actor).await?;
        Ok(Self((!must_enrol).then_some(signed_in)))
    }
}

/// A signed-in browser, or nobody, whether or not its user must enrol a second factor first. For signing in and
/// out alone.
#[derive(Debug, Clone)]
pub struct AnyOptionalBrowserActor(pub Option<SignedIn>);

impl<S> FromRequestParts<S> for AnyOptionalBrowserActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(signed_in(parts, state).await?))
    }
}

/// An owner or operator in a browser.
#[derive(Debug, Clone)]
pub struct OperatorActor(pub SignedIn);

impl<S> FromRequestParts<S> for OperatorActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let BrowserActor(signed_in) = BrowserActor::from_request_parts(parts, state).await?;
        if signed_in.is_operator() {
            Ok(Self(signed_in))
        } else {
            Err(forbidden())
        }
    }
}

/// An owner in a browser.
#[derive(Debug, Clone)]
pub struct OwnerActor(pub SignedIn);

impl<S> FromRequestParts<S> for OwnerActor
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let BrowserActor(signed_in) = BrowserActor::from_request_parts(parts, state).await?;
        match signed_in.actor.role {
            Role::Owner => Ok(Self(signed_in)),
            Role::Operator | Role::Viewer | Role::Streamer => Err(forbidden()),
        }
    }
}

fn forbidden() -> Response {
    ApiError(Error::forbidden()).into_response()
}

/// The session that a request's cookie names. A cookie of a session that is over is no cookie.
async fn signed_in<S>(parts: &mut Parts, state: &S) -> Result<Option<SignedIn>, Error>
where
    AccountsService: FromRef<S>,
    S: Send + Sync,
{
    let peer = Peer::from_request_parts(parts, state)
        .await
        .map_err(|error| error.0)?;
    let Some(token) = session_cookie(&parts.headers, peer.is_https) else {
        return Ok(None);
    };
    match AccountsService::from_ref(state)
        .authenticate_browser(token)
        .await
    {
        Ok(signed_in) => Ok(Some(signed_in)),
        Err(error) if error.kind() == Kind::Unauthenticated => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of the session cookie. On TLS only the bound one counts, because a neighbour on plain HTTP
/// could have planted the other.
#[must_use]
pub fn session_cookie(headers: &HeaderMap, is_https: bool) -> Option<&str> {
    let wanted = cookie_name(is_https);
    cookie_of(headers, wanted)
}

/// The value of the cookie of that name.
pub(super) fn cookie_of<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

const fn cookie_name(is_https: bool) -> &'static str {
    if is_https {
        SECURE_COOKIE
    } else {
        PLAIN_COOKIE
    }
}

/// A `Set-Cookie` value that carries `token` for `life`; an empty token with no life removes the cookie.
#[must_use]
pub fn set_session_cookie(token: &str, life: std::time::Duration, is_https: bool) -> String {
    set_cookie(cookie_name(is_https), token, life, is_https)
}

/// A `Set-Cookie` value of a name whose prefix suits the connection.
pub(super) fn set_cookie(
    name: &str,
    token: &str,
    life: std::time::Duration,
    is_https: bool,
) -> String {
    let secure = if is_https { "; Secure" } else { "" };
    let seconds = life.as_secs();
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

/// Where a request comes from, for the list of signed-in browsers.
#[must_use]
pub fn browser_client(peer: &Peer, headers: &HeaderMap) -> BrowserClient {
    let user_agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok());
    BrowserClient {
        ip: peer.ip,
        user_agent: user_agent.unwrap_or_default().to_owned(),
    }
}

/// Leads an owner or operator without a second factor, which the settings demand, to its page.
fn ask_to_enrol(parts: &Parts) -> Response {
    if parts.method == Method::GET {
        return Redirect::to(ENROLMENT_PAGE).into_response();
    }
    let message =
        "owners and operators must have a second factor here: switch yours on under Account first";
    let error = Error::new(Kind::Forbidden, Code::Forbidden, message);
    ApiError(error.reason("second_factor_required")).into_response()
}

fn ask_to_sign_in(parts: &Parts) -> Response {
    if parts.method != Method::GET {
        return ApiError(Error::unauthenticated("sign in first")).into_response();
    }
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |uri| &uri.0);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("next", path)
        .finish();
    Redirect::to(&format!("/login?{query}")).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cookies(values: &[&'static str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (header::COOKIE, value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_a_real_bearer_header_counts() {
        let token = |value: &str| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())]
                .into_iter()
                .collect();
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").unwrap(), "abc");
        for bad in ["Bearer ", "bearer abc", "Basic abc", "abc", ""] {
            assert_eq!(
                token(bad).unwrap_err().message(),
                "missing bearer token",
                "{bad}"
            );
        }
        assert!(bearer_token(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_planted_plain_cookie_does_not_count_on_tls() {
        let both = cookies(&["a=b; glb=plain", "__Host-glb=bound"]);
        assert_eq!(session_cookie(&both, true), Some("bound"));
        assert_eq!(session_cookie(&both, false), Some("plain"));
        assert_eq!(session_cookie(&cookies(&["glb=plain"]), true), None);
    }

    #[test]
    fn the_cookie_is_bound_as_tightly_as_the_connection_allows() {
        let day = Duration::from_hours(24);
        let secure = set_session_cookie("t", day, true);
        assert_eq!(
            secure,
            "__Host-glb=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400; Secure"
        );
        let plain = set_session_cookie("t", day, false);
        assert_eq!(
            plain,
            "glb=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400"
        );
    }
}
