//! The simulated DAQmx C library as a shared library of its own, for programs in C, C++ and Rust.
//!
//! `cargo build -p nidaqmx-sim-lib` makes `target/debug/libnidaqmx.so` with the SONAME
//! `libnidaqmx.so.1`, and a link of that name beside it. Besides the functions of `nidaqmx-sim` it
//! exports an accessor for each attribute, like `DAQmxGetReadAvailSampPerChan`; they are generated
//! from the table of attributes by `build.rs`.

use std::ffi::{c_char, c_void};

use nidaqmx_sim::abi::*;
use nidaqmx_sim::abi_channels::*;
use nidaqmx_sim::abi_outputs::*;
use nidaqmx_sim::abi_terminals::*;

/// Keeps every exported function of the simulator in this library.
#[used]
static LINK: fn() -> usize = nidaqmx_sim::abi::link;

include!(concat!(env!("OUT_DIR"), "/accessors.rs"));
