//! Lists of channel names as DAQmx writes them: `Dev1/ai0:3, Dev1/ai7`.

use crate::error::{Error, Result, code};

/// The most names that one list may stand for; a typing error must not exhaust the memory.
const MOST: u64 = 65_536;

/// Splits a list at commas and expands ranges; empty parts are skipped.
///
/// `a0:3` counts up or down; `Dev1/ai0:Dev1/ai3` repeats the prefix; a range behind a number that
/// is followed by more text (`line0:3/x`) is refused.
pub(crate) fn expand(list: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for part in list.split(',') {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        expand_part(part, &mut names)
            .ok_or_else(|| Error::new(code::INVALID_PHYSICAL_CHANNEL_SYNTAX).with("Name", part))?;
    }
    Ok(names)
}

fn expand_part(part: &str, names: &mut Vec<String>) -> Option<()> {
    let Some((first, last)) = part.split_once(':') else {
        names.push(part.to_owned());
        return Some(());
    };
    let (prefix, from) = split_number(first.trim_end())?;
    let (again, to) = split_number(last.trim_start())?;
    if !again.is_empty() && !again.eq_ignore_ascii_case(prefix) {
        return None;
    }
    if from.abs_diff(to) >= MOST {
        return None;
    }
    if from <= to {
        names.extend((from..=to).map(|number| format!("{prefix}{number}")));
    } else {
        names.extend((to..=from).rev().map(|number| format!("{prefix}{number}")));
    }
    Some(())
}

/// Splits the number off the end of a name.
fn split_number(name: &str) -> Option<(&str, u64)> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (prefix, number) = name.split_at(name.len() - digits);
    Some((prefix, number.parse().ok()?))
}

/// The names of the virtual channels: the physical names, one name numbered, or as many as given.
pub(crate) fn assign(wanted: &str, physical: &[String]) -> Result<Vec<String>> {
    let wanted = expand(wanted)?;
    if wanted.is_empty() {
        return Ok(physical.to_vec());
    }
    if wanted.len() == physical.len() {
        return Ok(wanted);
    }
    if let [one] = wanted.as_slice() {
        return Ok((0..physical.len())
            .map(|number| format!("{one}{number}"))
            .collect());
    }
    Err(Error::new(code::INVALID_CHANNEL)
        .with("Number of Names", wanted.len())
        .with("Number of Channels", physical.len()))
}

/// Writes names as one list, with neighbouring numbers as ranges: `Dev1/ai0:3, Dev1/ai7`.
pub(crate) fn flatten<S: AsRef<str>>(names: &[S]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut open: Option<(&str, u64, u64)> = None;
    let close = |open: Option<(&str, u64, u64)>, parts: &mut Vec<String>| match open {
        Some((prefix, from, to)) if from != to => parts.push(format!("{prefix}{from}:{to}")),
        Some((prefix, from, _)) => parts.push(format!("{prefix}{from}")),
        None => {}
    };
    for name in names.iter().map(AsRef::as_ref) {
        // A number with leading zeros would come back as another name.
        let split =
            split_number(name).filter(|(prefix, number)| format!("{prefix}{number}") == name);
        match (open, split) {
            (Some((prefix, from, to)), Some((again, number)))
                if prefix == again && to.checked_add(1) == Some(number) =>
            {
                open = Some((prefix, from, number));
            }
            (_, Some((prefix, number))) => {
                close(open, &mut parts);
                open = Some((prefix, number, number));
            }
            (_, None) => {
                close(open.take(), &mut parts);
                parts.push(name.to_owned());
            }
        }
    }
    close(open, &mut parts);
    parts.join(", ")
}

/// Writes names as one list.
pub(crate) fn join<S: AsRef<str>>(names: &[S]) -> String {
    names
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_go_up_down_and_repeat_the_prefix() {
        assert_eq!(
            expand("Dev1/ai0:2").unwrap(),
            ["Dev1/ai0", "Dev1/ai1", "Dev1/ai2"]
        );
        assert_eq!(
            expand("Dev1/ai2:1, Dev2/ai9").unwrap(),
            ["Dev1/ai2", "Dev1/ai1", "Dev2/ai9"]
        );
        assert_eq!(
            expand("Dev1/ai0:Dev1/ai1").unwrap(),
            ["Dev1/ai0", "Dev1/ai1"]
        );
        assert_eq!(expand(" , ").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for bad in [
            "Dev1/ai0:",
            "Dev1/ai:3",
            ":",
            "Dev1/ai0:99999999",
            "Dev1/ai0:Dev2/ai3",
            "a0:1:2",
        ] {
            let error = expand(bad).unwrap_err();
            assert_eq!(error.code(), code::INVALID_PHYSICAL_CHANNEL_SYNTAX, "{bad}");
        }
    }

    #[test]
    fn flattened_lists_expand_to_the_same_names() {
        for list in [
            "Dev1/ai0:3, Dev1/ai7",
            "x, y1:2, y4, Dev1/port0/line0:1",
            "a007",
            "n, n0",
        ] {
            let names = expand(list).unwrap();
            assert_eq!(flatten(&names), list);
            assert_eq!(expand(&flatten(&names)).unwrap(), names);
        }
    }

    #[test]
    fn virtual_names_are_numbered_or_taken() {
        let physical = expand("Dev1/ai0:1").unwrap();
        assert_eq!(assign("", &physical).unwrap(), physical);
        assert_eq!(assign("t", &physical).unwrap(), ["t0", "t1"]);
        assert_eq!(assign("x, y", &physical).unwrap(), ["x", "y"]);
        assert!(assign("x, y, z", &physical).is_err());
    }
}
