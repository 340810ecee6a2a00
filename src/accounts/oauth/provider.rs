//! The calls that we make to a provider: to its own endpoints, with limits of ours.
//!
//! Invariant: no answer is read beyond its limit or waited for beyond its time, no redirect is followed, and no
//! error text holds a token, a code or a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::identity::{self, Garbage};
use super::model::{Identity, Provider, ProviderConfig, ProviderTokens};
use crate::http::outbound::Outbound;
use crate::kernel::secret::{ExposeSecret, SecretString};
use crate::kernel::{Code, Error, Kind, error_chain};

/// Tokens and users have some kilobytes at most.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Why a call of a provider failed. The text completes "Twitch ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection.
    #[error("cannot be reached")]
    Unreachable(String),
    /// No answer in time.
    #[error("took too long to answer")]
    Slow,
    /// More than anything it documents.
    #[error("answered with far more than it should")]
    TooLarge,
    /// A status that tells of its own trouble.
    #[error("answered with an error of its own (status {0})")]
    Status(u16),
    /// Another program, or a damaged one.
    #[error("answered what makes no sense: {0}")]
    Garbage(&'static str),
    /// It knows the code or the token no more.
    #[error("does not take this sign-in: it is used or too old")]
    Withdrawn,
    /// It refuses our id or secret.
    #[error("refuses this appliance: its client id or secret is wrong")]
    Refused,
}

impl From<Garbage> for Trouble {
    fn from(Garbage(what): Garbage) -> Self {
        Self::Garbage(what)
    }
}

impl Trouble {
    /// What a person is told.
    pub(super) fn into_error(self, provider: Provider) -> Error {
        let message = format!("{} {self}", provider.label());
        let error = Error::new(Kind::Upstream, Code::UpstreamFailed, message);
        let error = error.reason("provider_failed");
        match self {
            Self::Unreachable(cause) => error.caused_by(cause),
            _ => error,
        }
    }
}

/// What a token endpoint answers. Scopes are left out: Twitch lists what the standard writes as one text.
#[derive(Debug, Serialize, Deserialize)]
struct TokenAnswer {
    access_token: AccessToken,
    #[serde(deserialize_with = "oauth2::helpers::deserialize_untagged_enum_case_insensitive")]
    token_type: BasicTokenType,
    expires_in: Option<u64>,
    refresh_token: Option<RefreshToken>,
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

type ProviderClient = Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// One provider as we call it.
#[derive(Debug)]
pub(super) struct ProviderCalls<'a> {
    pub(super) provider: Provider,
    pub(super) config: &'a ProviderConfig,
    pub(super) outbound: &'a Outbound,
    pub(super) answer_within: Duration,
}

/// Where a browser is sent, and what must match when it comes back.
pub(super) struct Departure {
    pub(super) url: Url,
    pub(super) state: SecretString,
    pub(super) verifier: SecretString,
}

impl ProviderCalls<'_> {
    fn client(&self, redirect: &str) -> Result<ProviderClient, Error> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(Error::internal)?;
        let config = self.config;
        let client = Client::new(ClientId::new(config.client_id.clone()))
            .set_client_secret(ClientSecret::new(
                config.client_secret.expose_secret().to_owned(),
            ))
            // All three take it in the body; Twitch takes it nowhere else.
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::from_url(config.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(config.token_url.clone()))
            .set_redirect_uri(redirect);
        Ok(client)
    }

    /// Makes the address of the provider's own page.
    pub(super) fn depart(&self, redirect: &str) -> Result<Departure, Error> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client(redirect)?;
        let scopes = self.config.scopes.iter().cloned().map(Scope::new);
        let request = client
            .authorize_url(|| CsrfToken::new_random_len(32))
            .add_scopes(scopes)
            .set_pkce_challenge(challenge);
        let request = match self.provider {
            // Google gives a refresh token for these two alone ("Using OAuth 2.0 for Web Server Applications").
            Provider::Google => request
                .add_extra_param("access_type", "offline")
                .add_extra_param("prompt", "consent"),
            Provider::Twitch | Provider::Discord => request,
        };
        let (url, state) = request.url();
        Ok(Departure {
            url,
            state: SecretString::from(state.into_secret()),
            verifier: SecretString::from(verifier.into_secret()),
        })
    }

    /// Exchanges a code for tokens. The future is boxed, because that of the crate borrows in a way that the
    /// compiler cannot prove to be `Send` through a handler.
    pub(super) fn exchange(
        &self,
        redirect: &str,
        code: String,
        verifier: &SecretString,
    ) -> BoxFuture<'static, Result<ProviderTokens, Error>> {
        let (provider, client, caller) = (self.provider, self.client(redirect), self.caller());
        let verifier = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
        Box::pin(async move {
            let client = client?;
            let request = client
                .exchange_code(AuthorizationCode::new(code))
                .set_pkce_verifier(verifier);
            let answer = request.request_async(&caller.as_client()).await;
            caller
                .read_tokens(answer)
                .map_err(|trouble| trouble.into_error(provider))
        })
    }

    /// Exchanges a refresh token for new tokens. Boxed as [`Self::exchange`].
    pub(super) fn refresh(
        &self,
        redirect: &str,
        token: &SecretString,
    ) -> BoxFuture<'static, Result<ProviderTokens, Trouble>> {
        let (client, caller) = (self.client(redirect), self.caller());
        let token = RefreshToken::new(token.expose_secret().to_owned());
        Box::pin(async move {
            let client =
                client.map_err(|_| Trouble::Garbage("the public address is no address"))?;
            let request = client.exchange_refresh_token(&token);
            let answer = request.request_async(&caller.as_client()).await;
            caller.read_tokens(answer)
        })
    }

    fn caller(&self) -> Caller {
        Caller {
            outbound: self.outbound.clone(),
            answer_within: self.answer_within,
            status: Arc::default(),
        }
    }

    /// Asks whose an access token is.
    pub(super) async fn identity(&self, access: &SecretString) -> Result<Identity, Error> {
        let asked = self.ask_identity(access).await;
        asked.map_err(|trouble| trouble.into_error(self.provider))
    }

    async fn ask_identity(&self, access: &SecretString) -> Result<Identity, Trouble> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", access.expose_secret()))
            .map_err(|_| Trouble::Garbage("its token is no text"))?;
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(self.config.user_info_url.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer);
        if self.provider == Provider::Twitch {
            request = request.header("client-id", self.config.client_id.as_str());
        }
        let request = request
            .body(Vec::new())
            .map_err(|_| Trouble::Garbage("our own request to it"))?;
        let answer = self.caller().send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(identity::parse(self.provider, answer.body())?),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Withdrawn),
            status => Err(Trouble::Status(status.as_u16())),
        }
    }
}

/// Makes the calls themselves, and remembers the status of the last answer.
#[derive(Debug, Clone)]
struct Caller {
    outbound: Outbound,
    answer_within: Duration,
    status: Arc<AtomicU16>,
}

type Sent = BoxFuture<'static, Result<Response<Vec<u8>>, Trouble>>;

impl Caller {
    /// As the crate wants it.
    fn as_client(&self) -> impl Fn(Request<Vec<u8>>) -> Sent + Send + Sync + use<> {
        let caller = self.clone();
        move |request| {
            let caller = caller.clone();
            Box::pin(async move { caller.send(request).await })
        }
    }

    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Trouble> {
        let trouble = |error: reqwest::Error| {
            if error.is_timeout() {
                return Trouble::Slow;
            }
            // An address of a provider holds no secret, but a query might.
            Trouble::Unreachable(error_chain(&error.without_url()))
        };
        let mut request = reqwest::Request::try_from(request).map_err(trouble)?;
        *request.timeout_mut() = Some(self.answer_within);
        let client = self
            .outbound
            .to_configured(request.url())
            .map_err(trouble)?;
        let mut answer = client.execute(request).await.map_err(trouble)?;
        self.status
            .store(answer.status().as_u16(), Ordering::Relaxed);
        if answer.status().is_server_error() {
            return Err(Trouble::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(trouble)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Trouble::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }

    fn read_tokens(
        &self,
        answer: Result<TokenAnswer, RequestTokenError<Trouble, BasicErrorResponse>>,
    ) -> Result<ProviderTokens, Trouble> {
        let status = self.status.load(Ordering::Relaxed);
        let answer = answer.map_err(|error| trouble_of(error, status))?;
        let refresh = answer.refresh_token.map(RefreshToken::into_secret);
        Ok(ProviderTokens {
            access: SecretString::from(answer.access_token.into_secret()),
            refresh: refresh.map(SecretString::from),
            life: answer.expires_in.map(Duration::from_secs),
        })
    }
}

fn trouble_of(error: RequestTokenError<Trouble, BasicErrorResponse>, status: u16) -> Trouble {
    match error {
        RequestTokenError::Request(trouble) => trouble,
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidGrant => Trouble::Withdrawn,
            BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient => {
                Trouble::Refused
            }
            BasicErrorResponseType::Extension(_) => trouble_of_status(status),
            _ => Trouble::Status(status),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => trouble_of_status(status),
    }
}

/// Twitch answers refusals in a shape of its own: 400 or 401 for codes and tokens, 403 for our secret.
fn trouble_of_status(status: u16) -> Trouble {
    match status {
        200 => Trouble::Garbage("its tokens are not the JSON that it documents"),
        400 | 401 => Trouble::Withdrawn,
        403 => Trouble::Refused,
        other => Trouble::Status(other),
    }
}
