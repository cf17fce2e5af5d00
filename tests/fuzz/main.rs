//! What comes from outside, as nobody in good faith writes it: the corpus, and mutants of it.
//!
//! The targets are in `targets`; the inputs each begins with, and those that once broke one, in
//! `fuzz/corpus`. Here some thousand mutants of each are tried, the same ones every time, on any
//! compiler; `make fuzz` lets libFuzzer look for more (`fuzz/`), or with `SPILLWAY_FUZZ_SECONDS` this
//! file, from another seed each time.
#![allow(missing_docs)]

mod targets;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use spillway::simulate::{input, trace};

/// Longest that one input may take, even in a build that is not optimised.
const LIMIT: Duration = Duration::from_secs(10);
/// Mutants of each target in a short run.
const MUTANTS: usize = 2000;
/// And of those where each is a client of librdkafka, or a number of decisions.
const DEAR: [(&str, usize); 4] = [("secrets", 200), ("scaler", 3000), ("status", 3000), ("group", 500)];
/// The least spec of a policy.
const SPEC: &str =
    "scaleTargetRef: {name: o}\nmaxReplicas: 8\nconsumerGroups: [{group: o, bootstrapServers: ['k:9092']}]\n";

/// What numbers, structure and encodings go wrong at.
const PIECES: [&str; 40] = [
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
    "null",
    "\"\"",
    "[]",
    "{\"a\":{\"a\":{\"a\":[[[]]]}}}",
    "\\u0000",
    "\n=====\n",
];

/// Reads it, and says what it was when that takes too long or panics.
fn tried(name: &str, target: fn(&[u8]), data: &[u8]) {
    let shown = || String::from_utf8_lossy(&data[..data.len().min(4000)]).into_owned();
    let began = Instant::now();
    if let Err(panic) = std::panic::catch_unwind(|| target(data)) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        let _ = fs::write(&kept, data);
        eprintln!("The input, {} bytes, is in {} and begins:\n{:?}", data.len(), kept.display(), shown());
        std::panic::resume_unwind(panic);
    }
    let took = began.elapsed();
    assert!(took < LIMIT, "{took:?} for {} bytes that begin:\n{:?}", data.len(), shown());
}

fn below(rng: &mut ChaCha8Rng, most: usize) -> usize {
    (rng.next_u64() % most.max(1) as u64) as usize
}

/// A few bytes taken out, doubled, put in or changed.
fn mutated(mut bytes: Vec<u8>, others: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
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
                let other = &others[below(rng, others.len())];
                let from = below(rng, other.len());
                bytes.splice(at..to, other[from..].iter().take(60).copied());
            }
            4 => {
                // A value in place of another: from a colon to what ends it.
                let begin = bytes[at..].iter().position(|b| *b == b':').map_or(at, |n| at + n + 1);
                let end = bytes[begin..].iter().position(|b| b"\n,}]".contains(b));
                let end = end.map_or(bytes.len(), |n| begin + n);
                bytes.splice(begin..end, PIECES[below(rng, PIECES.len())].bytes());
            }
            _ => drop(bytes.splice(at..at, PIECES[below(rng, PIECES.len())].bytes())),
        }
    }
    bytes
}

/// The same for JSON: values in the place of others, fields more and fewer. Others would hardly be read.
fn mutated_json(mut value: Value, rng: &mut ChaCha8Rng) -> Value {
    for _ in 0..=below(rng, 3) {
        let mut places = Vec::new();
        places_of(&value, String::new(), &mut places);
        let place = places[below(rng, places.len())].clone();
        let other = value.pointer(&places[below(rng, places.len())]).cloned().unwrap_or_default();
        let number = rng.next_u64();
        let new = match below(rng, 12) {
            0 => json!(number),
            1 => json!(number as i64),
            2 => json!(f64::from_bits(number)),
            3 => json!((number % 20) as i64 - 5),
            4 => json!(1e308),
            5 => json!([]),
            6 => json!({}),
            7 => Value::Null,
            8 => json!(number & 1 == 0),
            9 => other,
            _ => json!(PIECES[below(rng, PIECES.len())]),
        };
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", ""));
        match value.pointer_mut(parent) {
            Some(Value::Object(fields)) if number.is_multiple_of(5) => drop(fields.remove(name)),
            Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), new)),
            Some(Value::Array(items)) if number.is_multiple_of(5) => items.push(new),
            Some(Value::Array(items)) => {
                if let Some(item) = name.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                    *item = new;
                }
            }
            _ => {}
        }
    }
    value
}

fn places_of(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, v)| places_of(v, format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| places_of(v, format!("{at}/{i}"), found))
        }
        _ => {}
    }
    found.push(at);
}

/// The inputs kept for a target.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<_> = entries.map(|e| e.expect("a directory entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    paths.iter().map(|p| fs::read(p).unwrap_or_else(|e| panic!("{}: {e}", p.display()))).collect()
}

fn fuzz(name: &str) {
    let (_, target) = targets::ALL.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no {name}"));
    let seeds = corpus(name);
    seeds.iter().for_each(|seed| tried(name, *target, seed));
    let longer = std::env::var("SPILLWAY_FUZZ_SECONDS").ok();
    let seconds: Option<f64> = longer.map(|s| s.parse().expect("SPILLWAY_FUZZ_SECONDS is a number"));
    let mutants = DEAR.iter().find(|(of, _)| *of == name).map_or(MUTANTS, |(_, count)| *count);
    // The same inputs in every short run; others in every long one.
    let seed = if seconds.is_some() { rand_seed() } else { 1 };
    let (mut rng, began, mut count) = (ChaCha8Rng::seed_from_u64(seed), Instant::now(), 0);
    let mut data = Vec::new();
    while seconds.map_or(count < mutants, |s| began.elapsed().as_secs_f64() < s) {
        // Mutants of mutants get further from what is valid.
        if count.is_multiple_of(8) || data.len() > 20_000 {
            data.clone_from(&seeds[below(&mut rng, seeds.len())]);
        }
        let json = if below(&mut rng, 4) > 0 { serde_json::from_slice(&data).ok() } else { None };
        data = match json {
            Some(json) => mutated_json(json, &mut rng).to_string().into_bytes(),
            None => mutated(data, &seeds, &mut rng),
        };
        tried(name, *target, &data);
        count += 1;
    }
    println!("{name}: {count} inputs in {:.1}s, seed {seed}", began.elapsed().as_secs_f64());
}

fn rand_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |t| t.as_nanos() as u64)
}

#[test]
fn every_target_has_a_corpus_and_a_place_in_the_long_run() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(here.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for (name, _) in targets::ALL {
        assert!(!corpus(name).is_empty());
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
    let folders = fs::read_dir(here.join("corpus")).expect("fuzz/corpus").count();
    assert_eq!(folders, targets::ALL.len(), "a corpus of no target");
}

#[test]
fn scalers_mutated() {
    fuzz("scaler");
}

#[test]
fn statuses_mutated() {
    fuzz("status");
}

#[test]
fn connections_mutated() {
    fuzz("connection");
}

#[test]
fn secrets_mutated() {
    fuzz("secrets");
}

#[test]
fn answers_mutated() {
    fuzz("answers");
}

#[test]
fn groups_mutated() {
    fuzz("group");
}

#[test]
fn policies_mutated() {
    fuzz("policy");
}

#[test]
fn traces_mutated() {
    corpus("trace").iter().filter(|seed| !seed.is_empty()).take(1).for_each(|seed| {
        assert!(trace::parse(&String::from_utf8_lossy(seed)).is_ok());
    });
    fuzz("trace");
}

#[test]
fn resources_mutated() {
    fuzz("resources");
}

#[test]
fn hostile_policies() {
    let laughs: String =
        (1..30).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(","))).collect();
    let valid = SPEC;
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
        tried("policy", targets::policy, text.as_bytes());
        tried("resources", targets::resources, text.as_bytes());
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
        tried("trace", targets::trace, format!("seconds,rate\n{rows}").as_bytes());
        tried("trace", targets::trace, rows.as_bytes());
    }
}
