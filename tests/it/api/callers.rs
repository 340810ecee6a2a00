//! Everybody who may knock, and a server on which each of them has what is theirs.
//!
//! Invariant: every slot, session and sign-in that a request names belongs to the holder.

use reqwest::{Method, RequestBuilder};

use crate::harness::client::{Attempt, Browser, Http, Plugin, Session};
use crate::harness::server::{Account, Server};

/// The connection of the holder's session.
pub(super) const CONNECTION: &str = "conn_1774300000123_1";

/// Who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// No credentials.
    Anonymous,
    /// A bearer token that nobody issued.
    Garbage,
    /// A signed-in streamer to whom nothing of this belongs.
    Stranger,
    /// A signed-in viewer.
    Viewer,
    /// A signed-in operator.
    Operator,
    /// A signed-in owner of the appliance.
    Owner,
    /// The signed-in streamer to whom the named things belong.
    Holder,
    /// The stranger's plugin.
    StrangerPlugin,
    /// The holder's plugin.
    HolderPlugin,
}

impl Caller {
    /// Everybody, in the order of the matrix's columns.
    pub(super) const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Garbage,
        Self::Stranger,
        Self::Viewer,
        Self::Operator,
        Self::Owner,
        Self::Holder,
        Self::StrangerPlugin,
        Self::HolderPlugin,
    ];

    /// Whether it sends a cookie of a sign-in.
    pub(super) fn is_browser(self) -> bool {
        matches!(
            self,
            Self::Stranger | Self::Viewer | Self::Operator | Self::Owner | Self::Holder
        )
    }
}

/// The server and all its people.
#[derive(Debug)]
pub(super) struct House {
    pub(super) http: Http,
    pub(super) stranger: Plugin,
    pub(super) holder: Plugin,
    /// The holder's session.
    pub(super) session: Session,
    /// The holder.
    pub(super) user_id: String,
    /// The holder's first slot.
    pub(super) slot_id: String,
    /// Another sign-in of the holder's, in a browser.
    pub(super) browser_session_id: String,
    /// Another sign-in of the holder's, of a plugin.
    pub(super) plugin_session_id: String,
    /// A sign-in that nobody decides; one address begins 20 of them in a row at most.
    pub(super) undecided: Attempt,
    /// A file's name below `/static/`.
    pub(super) static_file: String,
    cookies: Vec<(Caller, String)>,
    _server: Server,
}

impl House {
    /// A server that an owner has claimed and where everybody has signed in.
    pub(super) fn open() -> Self {
        let server = Server::start();
        let mut cookies = Vec::new();
        let mut signed_in = |caller: Caller, role: &str| -> (Account, Browser) {
            let email = format!("{caller:?}@example.org").to_lowercase();
            let account = server.admin_create(&email, role);
            let browser = Browser::signed_in(&server, &account);
            cookies.push((caller, browser.cookies().collect::<Vec<_>>().join("; ")));
            (account, browser)
        };
        signed_in(Caller::Owner, "owner");
        signed_in(Caller::Operator, "operator");
        signed_in(Caller::Viewer, "viewer");
        let (_, mut browser) = signed_in(Caller::Stranger, "streamer");
        let stranger = Plugin::signed_in(&server, &mut browser);
        let (account, mut browser) = signed_in(Caller::Holder, "streamer");
        let holder = Plugin::signed_in(&server, &mut browser);
        let session = holder.session(CONNECTION);

        // The sign-ins that the matrix ends. The page lists this browser first, and the newest
        // plugin.
        Browser::signed_in(&server, &account);
        Plugin::signed_in(&server, &mut browser);
        let account_page = browser.get("/account").expect(200).text();
        let this_browser = "\"/account/sessions/";
        let (_, other_browser) = account_page
            .split_once(this_browser)
            .expect("this browser is on the page");
        let live_page = browser.get("/live").expect(200).text();
        Self {
            http: Http::to(server.addresses().http),
            stranger,
            undecided: holder.begin_sign_in(),
            user_id: holder.user_id(),
            holder,
            session,
            slot_id: between(&live_page, "data-slot=\"", "\""),
            browser_session_id: between(other_browser, "\"/account/sessions/", "/"),
            plugin_session_id: between(&account_page, "\"/account/plugins/", "/"),
            static_file: between(&live_page, "\"/static/", "\""),
            cookies,
            _server: server,
        }
    }

    /// A request with the caller's credentials, as its kind of program sends them.
    pub(super) fn request(&self, caller: Caller, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, path);
        match caller {
            Caller::Anonymous => request,
            Caller::Garbage => request.bearer_auth("no.body.issued-this"),
            Caller::StrangerPlugin => request.bearer_auth(&self.stranger.access_token),
            Caller::HolderPlugin => request.bearer_auth(&self.holder.access_token),
            Caller::Stranger
            | Caller::Viewer
            | Caller::Operator
            | Caller::Owner
            | Caller::Holder => request
                .header("cookie", self.cookie(caller))
                .header("origin", self.http.origin()),
        }
    }

    fn cookie(&self, caller: Caller) -> &str {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|(whose, _)| *whose == caller);
        &found.expect("every browser has signed in").1
    }
}

/// What stands in `text` between the first `before` and the next `after`.
#[track_caller]
pub(super) fn between(text: &str, before: &str, after: &str) -> String {
    let found = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split_once(after));
    let (inner, _) = found.unwrap_or_else(|| panic!("no {before}…{after} in {text}"));
    inner.to_owned()
}
