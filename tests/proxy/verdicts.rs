//! What each verdict means to the client, to the key and to the quota group.

mod cases;
mod keys;
mod refusals;
mod storm;
mod turns;
mod waiting;
