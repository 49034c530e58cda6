//! A simulated DAQmx C library.
