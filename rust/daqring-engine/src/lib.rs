//! Threads and policy of a recording.
