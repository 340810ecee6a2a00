//! A browser without JavaScript: cookies, forms, and the `Origin` header of its posts.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::{Method, RequestBuilder};

use super::http::{Answer, Http};
use crate::harness::server::{Account, Server};

/// A browser with one tab.
#[derive(Debug)]
pub(crate) struct Browser {
    http: Http,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser that has never been here.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            http: Http::to(address),
            cookies: BTreeMap::new(),
        }
    }

    /// A browser in which somebody has just signed in.
    ///
    /// # Panics
    /// When the sign-in is refused.
    #[track_caller]
    pub(crate) fn signed_in(server: &Server, account: &Account) -> Self {
        let mut browser = Self::at(server.addresses().http);
        let answer = browser.sign_in(&account.email, &account.password);
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    /// Sends the sign-in form.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/login", &[("email", email), ("password", password)])
    }

    /// Opens a page.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let request = self.http.request(Method::GET, path);
        self.send(request)
    }

    /// Opens a page and says that a person will read the answer.
    #[track_caller]
    pub(crate) fn open(&mut self, path: &str) -> Answer {
        let request = self.http.request(Method::GET, path);
        self.send(request.header("accept", "text/html"))
    }

    /// Opens a page through a proxy, so that being on this machine proves nothing.
    #[track_caller]
    pub(crate) fn get_from_afar(&mut self, path: &str) -> Answer {
        let request = self.http.request(Method::GET, path);
        self.send(request.header("x-forwarded-for", "203.0.113.9"))
    }

    /// Sends a form.
    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = self
            .http
            .request(Method::POST, path)
            .header("origin", self.http.origin())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish());
        self.send(request)
    }

    #[track_caller]
    fn send(&mut self, request: RequestBuilder) -> Answer {
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = self.http.send(request.header("cookie", pairs.join("; ")));
        for cookie in answer.headers.get_all("set-cookie") {
            self.keep(cookie.to_str().expect("cookies are ASCII"));
        }
        answer
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a cookie has a name");
        if cookie.to_ascii_lowercase().contains("max-age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Its cookies as it sends them: `name=value`.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = String> {
        self.cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
    }

    /// The values of its cookies, which are secrets.
    pub(crate) fn cookie_values(&self) -> impl Iterator<Item = &str> {
        self.cookies.values().map(String::as_str)
    }
}
