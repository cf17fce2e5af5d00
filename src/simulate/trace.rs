//! Recorded traffic: a CSV of `seconds,rate`, with `#` comments and a header line.
//!
//! It reads text that somebody else has read from a file, and says what is wrong in it, and where.
//! Between two rows the rate is a straight line.

use super::scenario::Traffic;

/// What is wrong in a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {what}")]
pub struct TraceError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to write.
    pub what: String,
}

/// The highest rate that is believed, msg/s: what is above it is a typing mistake.
pub const HIGHEST_RATE: f64 = 1e9;
/// The header that rows come under.
const HEADER: &str = "seconds,rate";

/// Reads a trace. Rates are msg/s, times are s, and count from the first row.
///
/// # Errors
/// For the first line that is wrong.
pub fn parse(text: &str) -> Result<Traffic, TraceError> {
    let wrong = |line: usize, what: String| TraceError { line, what };
    let mut rows: Vec<(f64, f64)> = Vec::new();
    let mut header = false;
    let mut last_line = 1;
    let mut last_row = 0;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        last_line = line;
        // A byte order mark is what spreadsheets put first.
        let content = raw.trim_start_matches('\u{feff}').trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if !header {
            let spaceless: String = content.chars().filter(|c| !c.is_whitespace()).collect();
            if spaceless.eq_ignore_ascii_case(HEADER) {
                header = true;
                continue;
            }
            return Err(wrong(
                line,
                format!("{} is not the header: write `{HEADER}` above the rows", shown(content)),
            ));
        }
        let Some((seconds, rate)) = content.split_once(',').filter(|(_, rate)| !rate.contains(',')) else {
            return Err(wrong(line, format!("{} is not two columns: write `seconds,rate`", shown(content))));
        };
        let seconds = number(seconds, "a time in seconds").map_err(|what| wrong(line, what))?;
        let rate = number(rate, "a rate in messages per second").map_err(|what| wrong(line, what))?;
        if rate > HIGHEST_RATE {
            let what = format!("a rate of {rate:e} messages per second is too large: write at most 1e9");
            return Err(wrong(line, what));
        }
        if let Some((before, _)) = rows.last()
            && seconds <= *before
        {
            // In full the smallest number there is has three hundred digits.
            let plain = |s: f64| if s == 0.0 || s >= 1e-3 { s.to_string() } else { format!("{s:e}") };
            let (seconds, before) = (plain(seconds), plain(*before));
            let what = if seconds == before {
                format!("{seconds} s is the time of line {last_row} too: leave one of the two")
            } else {
                format!(
                    "{seconds} s is not after {before} s, the row before (line {last_row}): sort the rows by time"
                )
            };
            return Err(wrong(line, what));
        }
        rows.push((seconds, rate));
        last_row = line;
    }
    let Some((first, _)) = rows.first().copied() else {
        return Err(wrong(
            last_line,
            format!("no rows: write `{HEADER}`, then one row a moment, such as `60,12.5`"),
        ));
    };
    Ok(Traffic::points(rows.into_iter().map(|(t, r)| (t - first, r)).collect()))
}

/// Largest number believed: with larger ones sums have no end, and nothing has so many messages.
const LARGEST: f64 = 1e12;

fn number(text: &str, meaning: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(n) if n > LARGEST => Err(format!("{} is not {meaning}: write one up to 1e12", shown(text.trim()))),
        Ok(n) if n.is_finite() && n >= 0.0 => Ok(n),
        Ok(_) => Err(format!("{} is not {meaning}: write a finite number of at least 0", shown(text.trim()))),
        Err(_) => Err(format!("{} is not {meaning}: write a number such as 12.5", shown(text.trim()))),
    }
}

/// What was read, in quotes and not longer than a line can be.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() > MOST {
        format!("{:?}…", text.chars().take(MOST).collect::<String>())
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn comments_and_blank_lines_are_skipped_and_gaps_interpolated() {
        let traffic = parse("# source\nseconds,rate\n\n100,10\n# a gap\n 160 , 2e1 \r\n").unwrap();
        assert_eq!((traffic.rate(0.0), traffic.rate(30.0), traffic.last()), (10.0, 15.0, 60.0));
    }

    #[rstest]
    #[case(
        "seconds,rate\n0,1\n60,abc\n",
        3,
        "\"abc\" is not a rate in messages per second: write a number such as 12.5"
    )]
    #[case(
        "seconds,rate\n0,1\nsoon,1\n",
        3,
        "\"soon\" is not a time in seconds: write a number such as 12.5"
    )]
    #[case(
        "# c\nseconds,rate\n0,-1\n",
        3,
        "\"-1\" is not a rate in messages per second: write a finite number of at least 0"
    )]
    #[case(
        "seconds,rate\n0,NaN\n",
        2,
        "\"NaN\" is not a rate in messages per second: write a finite number of at least 0"
    )]
    #[case(
        "seconds,rate\n0,1\n60,1e300\n",
        3,
        "\"1e300\" is not a rate in messages per second: write one up to 1e12"
    )]
    #[case(
        "seconds,rate\n0,1\n60,2e9\n",
        3,
        "a rate of 2e9 messages per second is too large: write at most 1e9"
    )]
    #[case("seconds,rate\n0,1\n\n0,2\n", 4, "0 s is the time of line 2 too: leave one of the two")]
    #[case(
        "seconds,rate\n60,1\n0,2\n",
        3,
        "0 s is not after 60 s, the row before (line 2): sort the rows by time"
    )]
    #[case("seconds,rate\n0,1,2\n", 2, "\"0,1,2\" is not two columns: write `seconds,rate`")]
    #[case("seconds,rate\n0\n", 2, "\"0\" is not two columns: write `seconds,rate`")]
    #[case("0,1\n60,2\n", 1, "\"0,1\" is not the header: write `seconds,rate` above the rows")]
    #[case("time;rate\n", 1, "\"time;rate\" is not the header: write `seconds,rate` above the rows")]
    #[case(
        "# nothing\nseconds,rate\n",
        2,
        "no rows: write `seconds,rate`, then one row a moment, such as `60,12.5`"
    )]
    #[case("", 1, "no rows: write `seconds,rate`, then one row a moment, such as `60,12.5`")]
    fn what_is_wrong_and_where(#[case] text: &str, #[case] line: usize, #[case] what: &str) {
        assert_eq!(parse(text), Err(TraceError { line, what: what.to_owned() }));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(text in "(seconds,rate\n)?([-0-9a-z.,# \n\u{feff}é]{0,200})") {
            match parse(&text) {
                Ok(traffic) => prop_assert!(traffic.peak().is_finite()),
                Err(error) => {
                    prop_assert!(!error.to_string().contains('\n'));
                    prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1));
                }
            }
        }
    }
}
