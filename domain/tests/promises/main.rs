//! What the domain promises, a file for each promise. One program, because every program that is linked costs as much time as
//! its tests.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::expect_used,
    clippy::panic,
    reason = "what a test cannot set up is a failed test"
)]

mod boards_keep_their_shape;
mod bodies_are_read;
mod decisions;
mod every_event_has_its_tags;
mod given;
mod history_says_what_changed;
mod items_change_as_told;
mod limits_are_held;
mod lives_have_an_order;
mod old_logs_stay_readable;
mod ranks_order_items;
mod roles_decide_who_may;
mod schemas_say_the_shape;
mod system_events_stay_readable;
mod unchanged_is_no_event;
