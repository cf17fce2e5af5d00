//! Files that a person gives to a command: policies, traces, resources of ours and of KEDA's.
//!
//! Whatever comes, a reader answers, and what it refuses it refuses in one line that names a line of
//! the input.

use spillway::check::check;
use spillway::migrate::migrate;
use spillway::simulate::{input, trace as traces};
use spillway::yaml;

/// Longest message, in characters: more is not read by anybody.
const MESSAGE: usize = 600;

pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.split('\n').count();
    if let Err(problems) = input::policy(&text, 5.0) {
        assert!(!problems.is_empty());
        assert!(problems.len() < 100, "{} problems", problems.len());
        problems.iter().for_each(|(line, what)| refused(*line, what, lines));
    }
}

pub fn trace(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match traces::parse(&text) {
        Ok(traffic) => {
            for at in [0.0, 0.5, 0.999].map(|share| share * traffic.last()) {
                let rate = traffic.rate(at);
                assert!(rate.is_finite() && rate >= 0.0, "{rate} at {at}");
            }
            assert!(traffic.scaled_to(1e6).peak().is_finite());
        }
        Err(error) => refused(error.line, &error.what, text.lines().count().max(1)),
    }
}

pub fn resources(data: &[u8]) {
    let text = &String::from_utf8_lossy(data);
    let lines = text.split('\n').count();
    for problem in check(text).problems {
        let said = format!("{}{}{}", problem.what, problem.field, problem.message);
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(!problem.message.trim().is_empty() && problem.message.chars().count() <= MESSAGE, "{said}");
        assert!((1..=lines).contains(&problem.line), "line {} of {lines}: {said}", problem.line);
    }
    let made = migrate(&[("f".to_owned(), text.to_string())]);
    made.problems.iter().chain(&made.notes).for_each(|n| refused(n.line, &n.message, lines));
    match yaml::documents(&made.yaml) {
        Ok(all) => assert!(all.len() >= made.scalers, "{}", made.yaml),
        Err((line, what)) => panic!("line {line}: {what}:\n{}", made.yaml),
    }
}

fn refused(line: usize, what: &str, lines: usize) {
    assert!((1..=lines).contains(&line), "line {line} of {lines}: {what}");
    assert!(!what.trim().is_empty() && !what.chars().any(char::is_control), "{what:?}");
    assert!(what.chars().count() <= MESSAGE, "{} characters: {what}", what.chars().count());
}
