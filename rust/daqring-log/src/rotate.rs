//! When a recording goes on in another file, and what that is called.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a recording goes on in the next file. Whatever comes first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before a file gets longer than this (a file has at least one block).
    pub bytes: Option<u64>,
    /// After exactly this many samples per channel of any stream.
    pub samples: Option<u64>,
    /// After this much host time, at the end of a block.
    pub time: Option<Duration>,
    /// The oldest files of this run are removed so that all of them, the one being written included, stay
    /// within this. The one being written is taken to become as long as the one before.
    pub keep_bytes: Option<u64>,
}

impl Rotation {
    pub(crate) fn is_on(&self) -> bool {
        self.bytes.is_some() || self.samples.is_some() || self.time.is_some()
    }
}

/// Name of the file number `index` (from 0) of a recording.
///
/// `{index}` in the template's file name becomes four digits, `{time}` the UTC time of the file's beginning. With
/// `many` a template without either gets `_0000` before its extension; without, file 0 is the template itself.
pub(crate) fn file_name(template: &Path, many: bool, index: u32, unix_ns: i64) -> PathBuf {
    let name = template
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let numbered = name.contains("{index}");
    let named = name
        .replace("{index}", &format!("{index:04}"))
        .replace("{time}", &utc(unix_ns));
    let plain = named == name && !numbered;
    if !plain {
        return template.with_file_name(named);
    }
    if !many && index == 0 {
        return template.to_path_buf();
    }
    with_suffix(template, &format!("_{index:04}"))
}

/// The path with `suffix` before its extension.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// `20231114T221320Z`
pub(crate) fn utc(unix_ns: i64) -> String {
    let seconds = unix_ns.div_euclid(1_000_000_000);
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, by eras of 400 years that begin on a 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_template() {
        let name = |template: &str, many, index| {
            file_name(Path::new(template), many, index, 1_700_000_000_000_000_000)
        };
        assert_eq!(name("d/run.tdms", false, 0), Path::new("d/run.tdms"));
        assert_eq!(name("d/run.tdms", false, 2), Path::new("d/run_0002.tdms"));
        assert_eq!(name("d/run.tdms", true, 0), Path::new("d/run_0000.tdms"));
        assert_eq!(
            name("run-{index}.tdms", true, 12),
            Path::new("run-0012.tdms")
        );
        assert_eq!(
            name("{time}.tdms", true, 0),
            Path::new("20231114T221320Z.tdms")
        );
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_782_400_000_000_000), "20000229T000000Z");
        assert_eq!(utc(-1), "19691231T235959Z");
    }
}
