//! Bounded rings between threads, and the waiting that goes with them.
//!
//! | module | what travels | producers | consumers |
//! |---|---|---|---|
//! | [`spsc`] | values | one | one |
//! | [`mpmc`] | values | several | several |
//! | [`slots`] | blocks of bytes in place: reserve, fill, commit; acquire, read, release | one, or several sharing | one or several |
//!
//! Every ring is bounded, closes from either side with the rest drainable, and
//! waits by a [`WaitStrategy`]: spin, adaptive or park. Parking costs the other
//! side nothing while nobody sleeps: see [`EventCount`] and [`Barrier`].
//!
//! Fallible operations come in three: `try_x` never waits, `x` waits, and
//! `x_until` waits no longer than to a deadline.
//!
//! The reasons for every memory ordering are in the crate's `DESIGN.md`.

mod arena;
mod barrier;
mod counters;
mod errors;
mod event;
mod free_list;
mod header;
pub mod mpmc;
pub mod slots;
pub mod spsc;
mod sync;
mod wait;

pub use arena::ArenaError;
pub use barrier::Barrier;
pub use counters::Counters;
pub use errors::{PopError, PushError};
pub use event::EventCount;
pub use header::{BlockHeader, BlockMeta, RecordMark};
pub use slots::{Policy, SlotOptions, slot_ring, slot_ring_with};
pub use wait::{WaitStrategy, Waiter};
