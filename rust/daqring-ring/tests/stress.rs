//! Run under ThreadSanitizer.

fn main() {}
