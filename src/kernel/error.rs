//! The one error that services return: what happened, for whom, and what to do.
//!
//! [`Kind`] decides the status, [`Code`] is the word a program reads, the message is for a person. The
//! private cause travels as [`std::error::Error::source`] and reaches the log, never a client.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What services return.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of a failure; each maps to one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Malformed or invalid input (400).
    Invalid,
    /// No or bad credentials (401).
    Unauthenticated,
    /// Known object, not allowed (403).
    Forbidden,
    /// Unknown, or another tenant's (404).
    NotFound,
    /// The path exists, the method does not (405).
    MethodNotAllowed,
    /// State conflict (409).
    Conflict,
    /// It was there and is over (410).
    Gone,
    /// The body is too large (413).
    TooLarge,
    /// The body is of a type we do not read (415).
    UnsupportedMedia,
    /// Too many requests (429).
    LimitReached,
    /// Our fault (500).
    Internal,
    /// An outside system failed (502).
    Upstream,
    /// Overloaded, starting, or not set up (503).
    Unavailable,
    /// The disk is full (507).
    StorageFull,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// The machine-readable word in an error body.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])* $name,)* }

        impl Code {
            /// Every code, for the API document and the coverage test.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it says, as a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// Malformed or invalid input, too large a body included.
    InvalidRequest = "invalid_request",
    /// No or bad credentials.
    Unauthorized = "unauthorized",
    /// Not allowed for this role.
    Forbidden = "forbidden",
    /// The plan does not cover it.
    EntitlementDenied = "entitlement_denied",
    /// The plan's number of connections is used up.
    ConnectionLimitReached = "connection_limit_reached",
    /// The person refused this sign-in.
    LoginDenied = "login_denied",
    /// Unknown object or path.
    NotFound = "not_found",
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed",
    /// State conflict.
    Conflict = "conflict",
    /// The session's state does not allow this change.
    InvalidTransition = "invalid_transition",
    /// The idempotency key was used with another request.
    IdempotencyMismatch = "idempotency_mismatch",
    /// The sign-in attempt was claimed before.
    LoginAlreadyClaimed = "login_already_claimed",
    /// The sign-in attempt is over.
    LoginAttemptExpired = "login_attempt_expired",
    /// The session is over; sign in again.
    SessionExpired = "session_expired",
    /// Too many requests.
    RateLimited = "rate_limited",
    /// No relay has room.
    CapacityFull = "capacity_full",
    /// Nobody has claimed this appliance yet.
    SetupRequired = "setup_required",
    /// No payment provider is set up.
    BillingNotConfigured = "billing_not_configured",
    /// An outside system failed.
    UpstreamFailed = "upstream_failed",
    /// Overloaded or starting.
    Unavailable = "unavailable",
    /// The disk is full.
    StorageFull = "storage_full",
    /// Our fault.
    InternalError = "internal_error",
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What happened, for a program. More words may follow."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())));
        text.into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ErrorCode")
    }
}

/// One field of the input and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field's name in the request.
    #[schema(example = "label")]
    pub field: &'static str,
    /// A word a program reads, such as `too_short`.
    #[schema(example = "too_long")]
    pub code: &'static str,
    /// What is wrong and what to do, for a person.
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// Makes one.
    pub fn new(
        field: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field,
            code,
            message: message.into(),
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure that a caller may be told of.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: Code,
    message: Cow<'static, str>,
    reason_code: Option<Cow<'static, str>>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    cause: Option<Cause>,
}

impl Error {
    /// A failure with a public message.
    pub fn new(kind: Kind, code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            reason_code: None,
            fields: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// Malformed input.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, Code::InvalidRequest, message)
    }

    /// Invalid fields; the message is that of the first.
    #[must_use]
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        let message = fields
            .first()
            .map_or(Cow::Borrowed("invalid input"), |field| {
                Cow::Owned(format!("{}: {}", field.field, field.message))
            });
        let mut error = Self::invalid(message);
        error.0.fields = fields;
        error
    }

    /// One invalid field.
    pub fn invalid_field(
        field: &'static str,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid_fields(vec![FieldError::new(field, code, message)])
    }

    /// No or bad credentials.
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unauthenticated, Code::Unauthorized, message)
    }

    /// The caller's role does not allow it.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(
            Kind::Forbidden,
            Code::Forbidden,
            "your role does not allow this",
        )
    }

    /// Unknown, or another tenant's.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Kind::NotFound, Code::NotFound, format!("{what} not found"))
    }

    /// A state conflict.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, Code::Conflict, message)
    }

    /// A change that the state machine does not know.
    pub fn invalid_transition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, Code::InvalidTransition, message)
    }

    /// Too busy; the caller may come back.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            Kind::Unavailable,
            Code::Unavailable,
            "the appliance is busy, try again shortly",
        )
        .retry_after(Duration::from_secs(1))
    }

    /// Our fault. The cause reaches the log only.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(
            Kind::Internal,
            Code::InternalError,
            "something went wrong on our side; the log has the details under this request id",
        )
        .caused_by(cause)
    }

    /// Adds a machine-readable reason.
    #[must_use]
    pub fn reason(mut self, reason_code: impl Into<Cow<'static, str>>) -> Self {
        self.0.reason_code = Some(reason_code.into());
        self
    }

    /// Adds when to come back.
    #[must_use]
    pub fn retry_after(mut self, duration: Duration) -> Self {
        self.0.retry_after = Some(duration);
        self
    }

    /// Adds the private cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The machine-readable word.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The public message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The machine-readable reason, when there is more to say than the code.
    #[must_use]
    pub fn reason_code(&self) -> Option<&str> {
        self.0.reason_code.as_deref()
    }

    /// The invalid fields.
    #[must_use]
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after_hint(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("code", &self.0.code.as_str())
            .field("message", &self.0.message)
            .field("cause", &self.0.cause)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// A failure and its causes, one after another.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
