//! How a failure looks to a person.
//!
//! Handlers, extractors and the layers around them answer [`ApiError`](super::ApiError), whoever asks.
//! Around all of them, here, an error that a browser is about to show becomes a page.
//!
//! Invariant: what a program asked stays JSON: every path of the API, and every request that does not
//! name HTML in `Accept`. A page tells no more than the JSON would.

use std::time::Duration;

use askama::Template;
use axum::extract::{OriginalUri, Request};
use axum::response::Response;
use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};

use super::page::{Shell, Theme, render, sentence};
use super::request_id::RequestId;
use crate::kernel::{Error, Kind};

/// Paths below these are read by programs.
const PROGRAMS: [&str; 3] = ["/api/", "/stats/", "/metrics"];

/// What went wrong, why, and what to do.
#[derive(Debug, Template)]
#[template(path = "pages/error.html")]
pub struct ErrorPage {
    /// What is around the content; its title says what happened.
    pub shell: Shell,
    /// The HTTP status.
    pub status: u16,
    /// Why it happened, as a sentence.
    pub why: String,
    /// What the reader can do, as a sentence.
    pub remedy: String,
    /// Where the button leads.
    pub way_on: WayOn,
    /// What to tell whoever runs the appliance.
    pub request_id: Option<String>,
}

/// The button of an error page.
#[derive(Debug, Clone, Copy)]
pub struct WayOn {
    /// What a person reads.
    pub label: &'static str,
    /// Where it leads.
    pub href: &'static str,
}

/// The public part of a failure, kept beside the JSON answer for [`PersonAsking`].
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: Kind,
    message: String,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            retry_after: error.retry_after_hint(),
        }
    }
}

/// A browser that would show a failure to a person.
#[derive(Debug)]
pub(super) struct PersonAsking {
    /// Where the form of the colours and the sign-in lead back to.
    way_back: String,
    theme: Theme,
}

impl PersonAsking {
    /// Who asks; `None` for a program.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let path = request
            .extensions()
            .get::<OriginalUri>()
            .map_or_else(|| request.uri().path(), |uri| uri.0.path());
        if !is_for_a_person(path, request.headers()) {
            return None;
        }
        // It comes back by `GET`, which the target of another form may not answer.
        let is_readable = request.method() == Method::GET;
        Some(Self {
            way_back: if is_readable { path } else { "/live" }.to_owned(),
            theme: Theme::of_request(request.headers()),
        })
    }

    /// Puts a page in the place of a failure's JSON; any other answer stays.
    pub(super) fn answer(&self, mut response: Response) -> Response {
        match response.extensions_mut().remove::<Failure>() {
            Some(failure) => answer(&failure, &response, &self.way_back, self.theme),
            None => response,
        }
    }
}

fn is_for_a_person(path: &str, headers: &HeaderMap) -> bool {
    let wants_html = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/html"));
    wants_html && !PROGRAMS.iter().any(|prefix| path.starts_with(prefix))
}

fn answer(failure: &Failure, json: &Response, path: &str, theme: Theme) -> Response {
    let status = json.status();
    let mut response = render(status, &page(failure, status, path, theme));
    if let Some(seconds) = json.headers().get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, seconds.clone());
    }
    response
}

fn page(failure: &Failure, status: StatusCode, path: &str, theme: Theme) -> ErrorPage {
    let words = Words::of(failure);
    ErrorPage {
        shell: Shell::visitor(words.title, path, theme),
        status: status.as_u16(),
        why: words.why,
        remedy: words.remedy,
        way_on: way_on(failure.kind),
        request_id: RequestId::current().map(|id| id.to_string()),
    }
}

const fn way_on(kind: Kind) -> WayOn {
    match kind {
        Kind::Unauthenticated => WayOn {
            label: "Sign in",
            href: "/login",
        },
        _ => WayOn {
            label: "Go to Live",
            href: "/live",
        },
    }
}

struct Words {
    title: &'static str,
    why: String,
    remedy: String,
}

impl Words {
    fn of(failure: &Failure) -> Self {
        let why = sentence(&failure.message);
        match failure.kind {
            Kind::NotFound => Self {
                title: "There is no such page",
                why: "The address may be mistyped, or what it led to is gone.".to_owned(),
                remedy: "Check the address, or go on from the page Live.".to_owned(),
            },
            Kind::Unauthenticated => Self {
                title: "You are signed out",
                why: "Nothing was changed: your sign-in is over.".to_owned(),
                remedy: "Sign in, then do it again.".to_owned(),
            },
            Kind::LimitReached => Self {
                title: "Too many requests",
                why,
                remedy: wait(failure.retry_after),
            },
            Kind::Unavailable => Self {
                title: "Not just now",
                why,
                remedy: wait(failure.retry_after),
            },
            kind => Self {
                title: title(kind),
                why,
                remedy: remedy(kind).to_owned(),
            },
        }
    }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::TooLarge | Kind::UnsupportedMedia => "That could not be read",
        Kind::Forbidden => "That is not allowed",
        Kind::MethodNotAllowed => "That does not work here",
        Kind::Conflict => "That cannot be done now",
        Kind::Gone => "That is over",
        Kind::StorageFull => "The disk is full",
        Kind::NotFound => "There is no such page",
        Kind::Unauthenticated => "You are signed out",
        Kind::LimitReached => "Too many requests",
        Kind::Unavailable => "Not just now",
        Kind::Internal | Kind::Upstream => "Something went wrong",
    }
}

const fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::TooLarge | Kind::UnsupportedMedia => {
            "Go back, change it and send it again."
        }
        Kind::Forbidden | Kind::MethodNotAllowed | Kind::Gone => "Go on from the page Live.",
        Kind::Conflict => "Load the page anew to see how things stand, then decide again.",
        Kind::StorageFull => "Whoever runs this appliance must make room on its disk.",
        Kind::NotFound => "Check the address, or go on from the page Live.",
        Kind::Unauthenticated => "Sign in, then do it again.",
        Kind::LimitReached | Kind::Unavailable => "Wait a moment, then try again.",
        Kind::Internal | Kind::Upstream => {
            "Try again. If it happens again, give whoever runs this appliance the request below."
        }
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    match retry_after.map(|wait| wait.as_secs().max(1)) {
        None | Some(1) => "Wait a moment, then try again.".to_owned(),
        Some(seconds @ 2..=120) => format!("Wait {seconds} seconds, then try again."),
        Some(seconds) => format!("Wait {} minutes, then try again.", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
#[path = "page_error_tests.rs"]
pub(crate) mod tests;
