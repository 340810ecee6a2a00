//! The account snapshot: everything the plugin wants to know after it signed in.
