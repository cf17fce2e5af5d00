//! The readers of policies, traces and resources against input that nobody wrote in good faith.
//!
//! Valid examples are mutated, and hostile ones are made up: whatever comes, a reader answers soon,
//! and what it refuses it refuses in one line that names a line of the input. Two seconds each in
//! `make test`; `make fuzz` goes on for longer (`SPILLWAY_FUZZ_SECONDS`), from another seed each time.
//! It follows no coverage: that would need an unstable compiler.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use spillway::check::check;
use spillway::migrate::migrate;
use spillway::simulate::{input, trace};
use spillway::yaml;

/// Longest that reading may take, even in a build that is not optimised.
const LIMIT: Duration = Duration::from_secs(10);
/// Longest message, in characters: more is not read by anybody.
const MESSAGE: usize = 600;

const POLICIES: [&str; 4] = [
    include_str!("../deploy/examples/consumerscaler.yaml"),
    include_str!("../deploy/examples/several-groups.yaml"),
    "scaleTargetRef: {name: o}\nmaxReplicas: 8\nconsumerGroups: [{group: o, bootstrapServers: ['k:9092']}]\n",
    "kind: A\n---\nspec: &a {scaleTargetRef: {name: o}, maxReplicas: 8, consumerGroups: [{group: o}]}\nb: *a\n",
];
const TRACES: [&str; 3] = [
    "seconds,rate\n0,1\n60,2.5\n120,1e3\n",
    "\u{feff}# from a spreadsheet\r\nSeconds, Rate\r\n10,0\r\n# gap\r\n70,12\r\n",
    "# c\n\nseconds,rate\n1700000000,10\n1700000060,20\n1700000120,0\n",
];
const RESOURCES: [&str; 6] = [
    include_str!("../deploy/examples/consumerscaler.yaml"),
    include_str!("../deploy/examples/kafkaconnection.yaml"),
    include_str!("keda/plain.yaml"),
    include_str!("keda/everything.yaml"),
    include_str!("keda/logins.yaml"),
    include_str!("keda/tokens.yaml"),
];
/// What numbers, structure and encodings go wrong at.
const PIECES: [&str; 34] = [
    "1e308",
    "-1",
    "1e-308",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "2147483648",
    "NaN",
    ".inf",
    "-0",
    "0x10",
    "\0",
    "\r\n",
    "\r",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{2028}",
    "é",
    "🦀",
    ",",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!binary ",
    "|\n",
    "---\n",
    "?",
    "99999999h",
    "\t",
];

fn policy(text: &str) {
    let lines = text.split('\n').count();
    if let Err(problems) = input::policy(text, 5.0) {
        assert!(!problems.is_empty());
        assert!(problems.len() < 100, "{} problems", problems.len());
        problems.iter().for_each(|(line, what)| refused(*line, what, lines));
    }
}

fn traffic(text: &str) {
    match trace::parse(text) {
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

fn resources(text: &str) {
    let lines = text.split('\n').count();
    for problem in check(text).problems {
        let said = format!("{}{}{}", problem.what, problem.field, problem.message);
        assert!(!said.chars().any(char::is_control), "{said:?}");
        assert!(!problem.message.trim().is_empty() && problem.message.chars().count() <= MESSAGE, "{said}");
        assert!((1..=lines).contains(&problem.line), "line {} of {lines}: {said}", problem.line);
    }
    let made = migrate(&[("f".to_owned(), text.to_owned())]);
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

/// Reads it, and says what it was when that takes too long or panics.
fn read(reader: fn(&str), text: &str) {
    let start: String = text.chars().take(2000).collect();
    let began = Instant::now();
    if let Err(panic) = std::panic::catch_unwind(|| reader(text)) {
        eprintln!("The input, {} bytes, begins:\n{start:?}", text.len());
        std::panic::resume_unwind(panic);
    }
    let took = began.elapsed();
    assert!(took < LIMIT, "{took:?} for {} bytes that begin:\n{start:?}", text.len());
}

fn below(rng: &mut ChaCha8Rng, most: usize) -> usize {
    (rng.next_u64() % most.max(1) as u64) as usize
}

/// A few bytes taken out, doubled, put in or changed.
fn mutated(text: &str, others: &[&str], rng: &mut ChaCha8Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=below(rng, 6) {
        let at = below(rng, bytes.len() + 1);
        let to = (at + below(rng, 40)).min(bytes.len());
        match below(rng, 7) {
            0 => drop(bytes.drain(at..to)),
            1 => {
                let piece = bytes[at..to].to_vec();
                let again = below(rng, bytes.len() + 1);
                bytes.splice(again..again, piece);
            }
            2 if at < bytes.len() => bytes[at] = rng.next_u64() as u8,
            3 => {
                let other = others[below(rng, others.len())].as_bytes();
                let from = below(rng, other.len());
                bytes.splice(at..to, other[from..].iter().take(60).copied());
            }
            4 => {
                // A value in place of another.
                let end =
                    bytes[at..].iter().position(|b| b"\n,}".contains(b)).map_or(bytes.len(), |n| at + n);
                bytes.splice(at..end, PIECES[below(rng, PIECES.len())].bytes());
            }
            _ => drop(bytes.splice(at..at, PIECES[below(rng, PIECES.len())].bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn fuzz(reader: fn(&str), seeds: &[&str]) {
    let longer = std::env::var("SPILLWAY_FUZZ_SECONDS").ok();
    let seconds: f64 =
        longer.as_deref().map_or(2.0, |s| s.parse().expect("SPILLWAY_FUZZ_SECONDS is a number"));
    // The same inputs in every short run; others in every long one.
    let seed = if longer.is_some() { rand_seed() } else { 1 };
    let (mut rng, began, mut count) = (ChaCha8Rng::seed_from_u64(seed), Instant::now(), 0u64);
    let mut text = String::new();
    while began.elapsed().as_secs_f64() < seconds {
        // Mutants of mutants get further from what is valid.
        if count.is_multiple_of(8) || text.len() > 20_000 {
            seeds[below(&mut rng, seeds.len())].clone_into(&mut text);
        }
        text = mutated(&text, seeds, &mut rng);
        read(reader, &text);
        count += 1;
    }
    println!("{count} inputs, seed {seed}");
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |t| t.as_nanos() as u64)
}

#[test]
fn policies_mutated() {
    POLICIES.iter().for_each(|seed| read(policy, seed));
    fuzz(policy, &POLICIES);
}

#[test]
fn traces_mutated() {
    TRACES.iter().for_each(|seed| assert!(trace::parse(seed).is_ok(), "{seed:?}"));
    fuzz(traffic, &TRACES);
}

#[test]
fn resources_mutated() {
    RESOURCES.iter().for_each(|seed| read(resources, seed));
    fuzz(resources, &RESOURCES);
}

#[test]
fn hostile_policies() {
    let laughs: String =
        (1..30).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(","))).collect();
    let valid = POLICIES[2];
    for text in [
        format!("l0: &l0 lol\n{laughs}{valid}"),
        "a: &a [*a]\n".to_owned(),
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        (0..3000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        (0..50_000).map(|n| format!("unknown{n}: 1\n")).collect::<String>() + valid,
        "---\n".repeat(100_000),
        format!("{}: 1\n{valid}", "x".repeat(10_000_000)),
        format!("{valid}# {}\n", "x".repeat(10_000_000)),
        format!("{valid}objective: {{maxDelay: {}s}}\n", "9".repeat(100_000)),
        format!("{valid}minReplicas: 1e308\n"),
        format!("{valid}threadsPerReplica: 2147483647\n"),
        valid.replace('\n', "\r\n"),
        format!("\u{feff}{valid}"),
        "\0".to_owned(),
    ] {
        read(policy, &text);
        read(resources, &text);
    }
    assert!(input::policy(&valid.replace('\n', "\r\n"), 5.0).is_ok());
    assert!(input::policy(&format!("\u{feff}{valid}"), 5.0).is_ok());
}

#[test]
fn hostile_traces() {
    for rows in [
        "0,1e308\n1,0\n1e308,1e308\n".to_owned(),
        "0,1e12\n1e12,1e12\n".to_owned(),
        format!("0,{}\n", "9".repeat(10_000_000)),
        format!("{}\n", "x".repeat(10_000_000)),
        format!("0,1{}\n", "\0".repeat(1000)),
        "\n".repeat(1_000_000),
        ",".repeat(1_000_000),
        (0..200_000).map(|n| format!("{n},{n}\n")).collect(),
    ] {
        read(traffic, &format!("seconds,rate\n{rows}"));
        read(traffic, &rows);
    }
}
