//! Typed input. Every rejection has the one error shape; unknown fields are ignored, as the contract says.

use axum::extract::{FromRequest, FromRequestParts, RawQuery, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::body::read_body;
use super::error::ApiError;
use crate::kernel::{Code, Error, Kind};

/// A JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = read_body(body).await?;
        require_media(&parts.headers, &["application/json"])?;
        Ok(Self(parse_json(&body)?))
    }
}

/// A JSON body that may be left out; then it is `T::default()`.
#[derive(Debug, Clone, Copy)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = read_body(body).await?;
        if body.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        require_media(&parts.headers, &["application/json"])?;
        Ok(Self(parse_json(&body)?))
    }
}

/// An HTML form's body.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = read_body(body).await?;
        require_media(&parts.headers, &["application/x-www-form-urlencoded"])?;
        let text =
            std::str::from_utf8(&body).map_err(|_| Error::invalid("the form is not UTF-8"))?;
        Ok(Self(parse_pairs(text)?))
    }
}

/// The query string.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(RawQuery(query)) = RawQuery::from_request_parts(parts, state).await;
        Ok(Self(parse_pairs(query.as_deref().unwrap_or_default())?))
    }
}

/// A path's parameters. One that does not parse names nothing, so it is 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        match path {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            // The cause has what stands in the path, which may be a secret.
            Err(_) => Err(Error::not_found("path").into()),
        }
    }
}

/// Clients that send no type are taken at their word; a wrong type is refused.
fn require_media(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Error> {
    let Some(given) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if accepted
        .iter()
        .any(|media| essence.eq_ignore_ascii_case(media))
    {
        return Ok(());
    }
    let message = format!("send the body as {}", accepted.join(" or "));
    Err(Error::new(
        Kind::UnsupportedMedia,
        Code::InvalidRequest,
        message,
    ))
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    // The parser does not look at the bytes of texts that it passes over.
    let text =
        std::str::from_utf8(body).map_err(|_| Error::invalid("the request body is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| {
        // The parser's words name a line, a column and a type, never the value of another field.
        Error::invalid(format!("invalid JSON payload: {}", json_complaint(&error)))
    })
}

/// serde quotes the wrong value in its message; a value may be a secret, so only its kind is told.
fn json_complaint(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or has the wrong type",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            "it is not valid JSON in UTF-8"
        }
    };
    format!("{what}, at line {line} column {column}")
}

fn parse_pairs<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let request = http::Uri::builder()
        .path_and_query(format!("/?{text}"))
        .build();
    let uri = request.map_err(|_| Error::invalid("the parameters are not URL-encoded"))?;
    axum::extract::Query::try_from_uri(&uri)
        .map(|axum::extract::Query(value)| value)
        .map_err(|error| Error::invalid("a parameter is missing or invalid").caused_by(error))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, Default, PartialEq)]
    struct Input {
        count: Option<u32>,
    }

    async fn json(body: &'static str, media: Option<&'static str>) -> Result<Json<Input>, Kind> {
        let mut request = http::Request::builder();
        if let Some(media) = media {
            request = request.header(CONTENT_TYPE, media);
        }
        let request = request.body(Body::from(body)).unwrap();
        Json::from_request(request, &())
            .await
            .map_err(|error| error.0.kind())
    }

    #[tokio::test]
    async fn json_is_read_whatever_else_it_holds() {
        let body = r#"{"count": 3, "unknown": {"a": []}}"#;
        assert_eq!(
            json(body, Some("application/json; charset=utf-8"))
                .await
                .unwrap()
                .0
                .count,
            Some(3)
        );
        assert_eq!(json(body, None).await.unwrap().0.count, Some(3));
    }

    #[tokio::test]
    async fn bad_json_is_told_without_quoting_it() {
        assert_eq!(json("{", None).await.unwrap_err(), Kind::Invalid);
        assert_eq!(json("{} {}", None).await.unwrap_err(), Kind::Invalid);
        assert_eq!(
            json("{}", Some("text/plain")).await.unwrap_err(),
            Kind::UnsupportedMedia
        );
        let request = http::Request::new(Body::from(r#"{"count": "planted-secret"}"#));
        let error = Json::<Input>::from_request(request, &()).await.unwrap_err();
        assert!(!error.0.message().contains("planted"), "{}", error.0);
    }

    #[tokio::test]
    async fn a_body_may_be_left_out_where_that_is_allowed() {
        let request = http::Request::new(Body::empty());
        let OptionalJson(input) = OptionalJson::<Input>::from_request(request, &())
            .await
            .unwrap();
        assert_eq!(input, Input::default());
    }

    #[test]
    fn forms_are_url_decoded() {
        #[derive(Deserialize)]
        struct Login {
            email: String,
        }
        let login: Login = parse_pairs("email=a%2Bb%40example.org&x=+1").unwrap();
        assert_eq!(login.email, "a+b@example.org");
        assert!(parse_pairs::<Login>("x=%00").is_err());
    }
}
