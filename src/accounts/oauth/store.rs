//! The tables `linked_account`, `oauth_state` and `merge_request`.

mod link;
mod merge_request;
mod state;

pub(super) use link::{
    LinkRow, TokenRow, link_delete, link_owner, link_put, links_move, links_of, tokens_get,
    tokens_put,
};
pub(super) use merge_request::{
    MergeRequest, merge_request_delete, merge_request_get, merge_request_put,
    merge_requests_delete_old,
};
pub(super) use state::{StateRow, state_delete, state_get, state_insert, states_delete_old};
