//! Streaming TDMS logs.
