//! Benches of daqring.
