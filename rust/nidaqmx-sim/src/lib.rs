//! A simulated DAQmx C library.
//!
//! The exported functions (see [`abi`]) are those of NI's driver, so that the unmodified `nidaqmx`
//! package, or a C program, runs on simulated devices. They are thin shells over private functions;
//! [`control`] is what a test uses to choose devices, move time and read the ledger.
//!
//! | file | holds |
//! |---|---|
//! | `abi`, `abi_*` | the exported shells |
//! | `configuration` | devices from a description |
//! | `driver` | what outlives a task: devices, reservations, clock, signals, ledgers |
//! | `task`, `task/*` | a task: attributes, verifying, states, reading, callbacks, triggers |
//! | `run` | one acquisition with its buffer |
//! | `channel`, `create`, `timing`, `plan` | what a task consists of, and what is fixed at its start |
//! | `wave` | digital signals over time: what counters, lines and terminals see |
//! | `waveform` | reads with times and properties |
//! | `nulling` | calibrations of a task's channels |
//! | `saved` | saved tasks, global channels, saved scales |
//! | `logging` | the driver's own logging to TDMS files |
//! | `digital` | digital inputs |
//! | `counter`, `counter_channel` | what counters measure, and their channels |
//! | `pace`, `arrivals` | what makes samples come |
//! | `signal`, `scaling`, `read` | codes, volts, and their way into the caller's array |
//! | `sensor`, `combined`, `conversion`, `thermocouple`, `scale` | from volts to the channel's units, custom scales |
//! | `output`, `pulse`, `content`, `generation` | outputs: channels, pulses, what was written, what a run puts out |
//! | `wire`, `route` | what outputs put on wires and terminals, and who sees it |
//! | `terminal`, `rest`, `watchdog` | routes and exported signals; power-up states and calibration info; watchdogs |
//! | `trigger`, `event`, `fault` | arm start, start, reference and pause triggers, callbacks, what goes wrong on demand |
//! | `product`, `product_boards`, `product_modules`, `device`, `network` | product types and devices |
//! | `attribute`, `attribute_table`, `enumeration`, `names`, `error` | the C interface's attributes, lists and errors |
//!
//! Locks are taken in the order: list of tasks, a task, reservations (or clock, or signals). No lock
//! is held while samples are generated or while another thread is waited for.

pub mod abi;
pub mod abi_calibration;
pub mod abi_channels;
pub mod abi_counter;
pub mod abi_devices;
pub mod abi_digital;
pub mod abi_logging;
pub mod abi_more_inputs;
pub mod abi_outputs;
pub mod abi_saved;
pub mod abi_terminals;
mod arrivals;
mod attribute;
mod attribute_table;
mod channel;
mod clock;
mod combined;
mod configuration;
mod content;
pub mod control;
mod conversion;
mod counter;
mod counter_channel;
mod create;
mod device;
mod digital;
mod driver;
mod enumeration;
mod error;
mod event;
mod fault;
mod generation;
mod logging;
mod names;
mod network;
mod nulling;
mod output;
mod pace;
mod plan;
mod product;
mod product_boards;
mod product_modules;
mod pulse;
mod read;
mod rest;
mod route;
mod run;
mod saved;
mod scale;
mod scaling;
mod sensor;
mod signal;
mod task;
mod terminal;
mod thermocouple;
mod timing;
mod trigger;
mod watchdog;
mod wave;
mod waveform;
mod wire;
mod write;
