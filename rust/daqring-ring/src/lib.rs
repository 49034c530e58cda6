//! Bounded rings of values and of slots.
