//! A release: one version, moved everywhere at once, and checked.
//!
//! It changes files of the workspace. It publishes nothing: that is for the workflows under `.github`.

use std::path::Path;

use anyhow::{Result, bail, ensure};

mod changelog;
mod places;

pub use changelog::notes;
pub use places::{Found, files, found};

/// The one version.
///
/// # Errors
/// One line for each place that says something else than Cargo.toml.
pub fn agreed(root: &Path) -> Result<String> {
    let found = found(root)?;
    let of_the_workspace = found.iter().find(|place| place.file == "Cargo.toml");
    let Some(version) = of_the_workspace.map(|place| place.version.clone()) else {
        bail!("Cargo.toml has no version");
    };
    let others: Vec<String> = found
        .iter()
        .filter(|place| place.version != version)
        .map(|place| format!("{}:{}: {} instead of {version}", place.file, place.line, place.version))
        .collect();
    ensure!(others.is_empty(), "{}: `make version NEW=…` moves all", others.join("\n"));
    Ok(version)
}

/// Moves every place to `new`, and what is unreleased in the changelog under it, with this day.
///
/// # Errors
/// When it is no version, an earlier one or one that was released; when places do not agree, or a file cannot be changed.
pub fn move_to(root: &Path, new: &str, day: &str) -> Result<()> {
    let old = agreed(root)?;
    let (Some(later), Some(earlier)) = (order(new), order(&old)) else {
        bail!("{new:?} is no version: write for instance 0.2.0 or 0.2.0-rc.1");
    };
    // The first release may have the version that was written all along; the changelog says whether it was released.
    ensure!(later >= earlier, "{new} does not come after {old}");
    changelog::released(root, new, day)?;
    places::set(root, new)
}

/// What versions are compared by; `None` for what is none. What comes before a release (`-rc.1`) is smaller than it.
fn order(version: &str) -> Option<(Vec<u64>, bool, Vec<(u64, String)>)> {
    let number = |text: &str| {
        let plain = text == "0" || !text.starts_with('0');
        (plain && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u64>().ok()).flatten()
    };
    let (numbers, before) = version.split_once('-').map_or((version, None), |(n, b)| (n, Some(b)));
    let numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
    let word = |part: &str| match number(part) {
        Some(number) => Some((number, String::new())),
        None if !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Some((u64::MAX, part.to_owned()))
        }
        None => None,
    };
    let parts: Vec<_> = before.map_or(Some(Vec::new()), |b| b.split('.').map(word).collect())?;
    (numbers.len() == 3).then_some((numbers, before.is_none(), parts))
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn versions_are_in_order() {
        let sorted =
            ["7.1.0-alpha", "7.1.0-rc.2", "7.1.0-rc.10", "7.1.0", "7.1.1", "7.2.0-rc.1", "7.10.0", "8.0.0"];
        for pair in sorted.windows(2) {
            assert!(order(pair[0]).is_some() && order(pair[0]) < order(pair[1]), "{pair:?}");
        }
        for none in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "v1.2.3",
            "1.2.x",
            "01.2.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3 ",
            "+1.0.0",
        ] {
            assert_eq!(order(none), None, "{none:?}");
        }
    }
}
