//! Links the extension module so that the simulated DAQmx functions it exports bind to
//! themselves: a real DAQmx library in the same process and ours never capture each other's calls.

fn main() {
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if os == "linux" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
