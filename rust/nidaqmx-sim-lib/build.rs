//! Gives the library its SONAME, and writes the accessors and the header of prototypes from the
//! simulator's own source: its table of attributes and its exported functions.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const SIMULATOR: &str = "../nidaqmx-sim/src";

/// Names and Rust types of arguments.
type Arguments = &'static [(&'static str, &'static str)];

/// The object of an attribute: the words in the names of the functions for it, and its arguments.
const OBJECTS: &[(&str, &str, Arguments)] = &[
    ("Buffer", "BufferAttribute", &[("task", "*mut c_void")]),
    (
        "CalibrationInfo",
        "CalInfoAttribute",
        &[("device", "*const c_char")],
    ),
    (
        "ExportSignal",
        "ExportedSignalAttribute",
        &[("task", "*mut c_void")],
    ),
    (
        "Channel",
        "ChanAttribute",
        &[("task", "*mut c_void"), ("channel", "*const c_char")],
    ),
    ("Device", "DeviceAttribute", &[("device", "*const c_char")]),
    (
        "PhysicalChannel",
        "PhysicalChanAttribute",
        &[("channel", "*const c_char")],
    ),
    ("Read", "ReadAttribute", &[("task", "*mut c_void")]),
    ("Scale", "ScaleAttribute", &[("scale", "*const c_char")]),
    ("System", "SystemInfoAttribute", &[]),
    ("Task", "TaskAttribute", &[("task", "*mut c_void")]),
    ("Timing", "TimingAttribute", &[("task", "*mut c_void")]),
    ("Trigger", "TrigAttribute", &[("task", "*mut c_void")]),
    ("Write", "WriteAttribute", &[("task", "*mut c_void")]),
];

/// The Rust type of an attribute's value, and whether it is a list.
fn kind(kind: &str) -> Option<(&'static str, bool)> {
    Some(match kind {
        "I32" => ("i32", false),
        "U32" | "Bool" => ("u32", false),
        "U64" => ("u64", false),
        "F64" => ("f64", false),
        "Str" => ("c_char", true),
        "I32s" => ("i32", true),
        "U32s" => ("u32", true),
        "F64s" => ("f64", true),
        _ => return None,
    })
}

/// A Rust type of the exported functions as C writes it, with the name of the parameter.
fn c_parameter(rust: &str, name: &str) -> String {
    let rust = rust.trim();
    let base = |rust: &str| {
        match rust {
            "i16" => "int16",
            "i32" => "int32",
            "i64" => "int64",
            "u8" => "uInt8",
            "u16" => "uInt16",
            "u32" => "uInt32",
            "u64" => "uInt64",
            "f64" => "float64",
            "usize" => "uintptr_t",
            "c_char" => "char",
            "c_void" => "void",
            "Handle" => "TaskHandle",
            _ => "void *",
        }
        .to_owned()
    };
    if let Some(rest) = rust.strip_prefix("*const *const ") {
        return format!("const {} *const *{name}", base(rest));
    }
    if let Some(rest) = rust.strip_prefix("*const *mut ") {
        return format!("{} *const *{name}", base(rest));
    }
    if let Some(rest) = rust.strip_prefix("*const ") {
        return format!("const {} *{name}", base(rest));
    }
    if let Some(rest) = rust.strip_prefix("*mut ") {
        return format!("{} *{name}", base(rest));
    }
    format!("{} {name}", base(rust))
}

/// An exported function: its name and parameters.
struct Function {
    name: String,
    parameters: Vec<(String, String)>,
}

/// The exported functions of the simulator, by its sources.
fn functions() -> Vec<Function> {
    let mut found = Vec::new();
    let mut files: Vec<_> = fs::read_dir(SIMULATOR)
        .expect("the simulator's sources lie beside this crate")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("abi") && name.ends_with(".rs")
        })
        .collect();
    files.sort();
    for path in files {
        println!("cargo:rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).expect("a source file can be read");
        for part in text.split("    fn DAQmx").skip(1) {
            let (Some(open), Some(close)) = (part.find('('), part.find(") {")) else {
                continue;
            };
            let name = format!("DAQmx{}", &part[..open]);
            let parameters = part[open + 1..close]
                .split(',')
                .filter_map(|one| one.split_once(':'))
                .map(|(name, kind)| (name.trim().to_owned(), kind.trim().to_owned()))
                .collect();
            found.push(Function { name, parameters });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// One row of the table of attributes: object, number, kind, access, resettable, name.
fn attributes() -> Vec<[String; 6]> {
    let path = format!("{SIMULATOR}/attribute_table.rs");
    println!("cargo:rerun-if-changed={path}");
    let text = fs::read_to_string(path).expect("the table of attributes can be read");
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Attribute::row("))
        .filter_map(|row| {
            let row = row.trim_end_matches("),");
            let cells: Vec<_> = row
                .split(',')
                .map(|cell| {
                    let cell = cell.trim().trim_matches('"');
                    cell.strip_prefix("Object::").unwrap_or(cell).to_owned()
                })
                .collect();
            cells.try_into().ok()
        })
        .collect()
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let functions = functions();
    let exported: BTreeSet<&str> = functions.iter().map(|one| one.name.as_str()).collect();
    let mut rust = String::new();
    let mut header = String::from(
        "/* Prototypes of the simulated DAQmx C library. Written by the build: do not edit. */\n\
         #ifndef NIDAQMX_SIM_H\n#define NIDAQMX_SIM_H\n#include <stdint.h>\n#include <stddef.h>\n\
         #ifdef __cplusplus\nextern \"C\" {\n#endif\n\
         typedef int8_t int8;\ntypedef uint8_t uInt8;\ntypedef int16_t int16;\n\
         typedef uint16_t uInt16;\ntypedef int32_t int32;\ntypedef uint32_t uInt32;\n\
         typedef int64_t int64;\ntypedef uint64_t uInt64;\ntypedef float float32;\n\
         typedef double float64;\ntypedef uInt32 bool32;\ntypedef void *TaskHandle;\n\
         typedef int32 (*DAQmxEveryNSamplesEventCallbackPtr)(TaskHandle, int32, uInt32, void *);\n\
         typedef int32 (*DAQmxDoneEventCallbackPtr)(TaskHandle, int32, void *);\n\
         typedef int32 (*DAQmxSignalEventCallbackPtr)(TaskHandle, int32, void *);\n",
    );
    for (name, value) in CONSTANTS {
        let _ = writeln!(header, "#define {name} {value}");
    }
    for function in &functions {
        let variadic = function
            .parameters
            .iter()
            .position(|(name, kind)| name == "integer" && kind == "usize");
        let attribute = function.name.contains("Attribute");
        let mut parameters: Vec<_> = function
            .parameters
            .iter()
            .take(variadic.unwrap_or(usize::MAX))
            .map(
                |(name, kind)| match (name.as_str(), function.name.as_str()) {
                    ("function", "DAQmxRegisterEveryNSamplesEvent") => {
                        "DAQmxEveryNSamplesEventCallbackPtr function".to_owned()
                    }
                    ("function", "DAQmxRegisterDoneEvent") => {
                        "DAQmxDoneEventCallbackPtr function".to_owned()
                    }
                    ("function", "DAQmxRegisterSignalEvent") => {
                        "DAQmxSignalEventCallbackPtr function".to_owned()
                    }
                    _ => c_parameter(kind, name),
                },
            )
            .collect();
        if attribute && function.name.starts_with("DAQmxGet") && parameters.len() > 2 {
            parameters.truncate(parameters.len().saturating_sub(2));
            parameters.push("...".to_owned());
        } else if variadic.is_some() {
            parameters.push("...".to_owned());
        }
        let _ = writeln!(
            header,
            "int32 {}({});",
            function.name,
            parameters.join(", ")
        );
    }
    for [object, number, value, access, resettable, name] in attributes() {
        let Some((_, suffix, arguments)) = OBJECTS.iter().find(|(known, ..)| *known == object)
        else {
            continue;
        };
        let Some((element, list)) = kind(&value) else {
            continue;
        };
        let mut emit = |verb: &str, values: &[(&str, String)], pass: &str| {
            let function = format!("DAQmx{verb}{suffix}");
            let accessor = format!("DAQmx{verb}{name}");
            if !exported.contains(function.as_str()) || exported.contains(accessor.as_str()) {
                return;
            }
            let all: Vec<(&str, &str)> = arguments
                .iter()
                .copied()
                .chain(values.iter().map(|(name, kind)| (*name, kind.as_str())))
                .collect();
            let taken: Vec<_> = all
                .iter()
                .map(|(name, kind)| format!("{name}: {kind}"))
                .collect();
            let given: String = arguments
                .iter()
                .map(|(name, _)| format!("{name}, "))
                .collect();
            let _ = writeln!(
                rust,
                "/// `{accessor}`.\n///\n/// # Safety\n/// Pointers are null, or valid as NI's \
                 documentation says.\n#[unsafe(no_mangle)]\n#[allow(non_snake_case)]\npub unsafe \
                 extern \"C\" fn {accessor}({}) -> i32 {{\n    // SAFETY: the caller's promise is \
                 passed on.\n    unsafe {{ {function}({given}{number}u32 as i32{pass}) }}\n}}\n",
                taken.join(", ")
            );
            let c: Vec<_> = all
                .iter()
                .map(|(name, kind)| {
                    let handle = *name == "task";
                    c_parameter(if handle { "Handle" } else { kind }, name)
                })
                .collect();
            let c = if c.is_empty() {
                "void".to_owned()
            } else {
                c.join(", ")
            };
            let _ = writeln!(header, "int32 {accessor}({c});");
        };
        if access != "W" {
            let mut values = vec![("data", format!("*mut {element}"))];
            if list {
                values.push(("size", "u32".to_owned()));
            }
            let size = if list { "size" } else { "0" };
            emit("Get", &values, &format!(", data.cast::<c_void>(), {size}"));
        }
        if access != "R" {
            let (values, pass) = match (element, list) {
                ("c_char", _) => (
                    vec![("data", "*const c_char".to_owned())],
                    ", data as usize, 0, 0.0",
                ),
                (_, true) => (
                    vec![
                        ("data", format!("*const {element}")),
                        ("size", "u32".to_owned()),
                    ],
                    ", data as usize, size, 0.0",
                ),
                ("f64", _) => (
                    vec![("data", "f64".to_owned())],
                    ", data.to_bits() as usize, 0, data",
                ),
                ("i32", _) => (
                    vec![("data", "i32".to_owned())],
                    ", data as u32 as usize, 0, 0.0",
                ),
                _ => (
                    vec![("data", element.to_owned())],
                    ", data as usize, 0, 0.0",
                ),
            };
            emit("Set", &values, pass);
        }
        if resettable == "true" {
            emit("Reset", &[], "");
        }
    }
    header.push_str("#ifdef __cplusplus\n}\n#endif\n#endif\n");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    fs::write(out.join("accessors.rs"), rust).expect("the accessors can be written");
    // target/PROFILE/build/nidaqmx-sim-lib-.../out: three up is where the library comes to lie.
    if let Some(place) = out.ancestors().nth(3) {
        let include = place.join("include");
        fs::create_dir_all(&include).expect("a directory for the header can be made");
        fs::write(include.join("NIDAQmx.h"), header).expect("the header can be written");
        #[cfg(unix)]
        {
            let link = place.join("libnidaqmx.so.1");
            if fs::symlink_metadata(&link).is_err() {
                std::os::unix::fs::symlink("libnidaqmx.so", link)
                    .expect("a link beside the library can be made");
            }
        }
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnidaqmx.so.1");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    }
}

/// Constants that programs in NI's style use.
const CONSTANTS: &[(&str, &str)] = &[
    ("DAQmxFailed(error)", "((error) < 0)"),
    ("DAQmxSuccess", "(0)"),
    ("DAQmx_Val_Cfg_Default", "(-1)"),
    ("DAQmx_Val_Auto", "(-1)"),
    ("DAQmx_Val_WaitInfinitely", "(-1.0)"),
    ("DAQmx_Val_Volts", "10348"),
    ("DAQmx_Val_Rising", "10280"),
    ("DAQmx_Val_Falling", "10171"),
    ("DAQmx_Val_FiniteSamps", "10178"),
    ("DAQmx_Val_ContSamps", "10123"),
    ("DAQmx_Val_GroupByChannel", "0"),
    ("DAQmx_Val_GroupByScanNumber", "1"),
    ("DAQmx_Val_ChanPerLine", "0"),
    ("DAQmx_Val_ChanForAllLines", "1"),
    ("DAQmx_Val_Acquired_Into_Buffer", "1"),
    ("DAQmx_Val_Transferred_From_Buffer", "2"),
    ("DAQmx_Val_Diff", "10106"),
    ("DAQmx_Val_RSE", "10083"),
    ("DAQmx_Val_CountUp", "10128"),
    ("DAQmx_Val_Hz", "10373"),
    ("DAQmx_Val_Low", "10214"),
    ("DAQmx_Val_High", "10192"),
    ("DAQmx_Val_AllowRegen", "10097"),
    ("DAQmx_Val_DoNotAllowRegen", "10158"),
];
