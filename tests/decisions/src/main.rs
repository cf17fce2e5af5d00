//! Runs the benchmark of decisions and writes what came out: `make bench-decisions`.
//!
//! Two threads work through jobs that do not depend on each other; the same command gives the same
//! figures. It takes minutes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use spillway_decisions::cases::{Subject, subjects};
use spillway_decisions::contest::{Entry, Found, Job, Outcome, Who, grid_seeds, jobs, tuned, work};
use spillway_decisions::tuning::{best, choose, point};
use spillway_decisions::{frontier, report};

const USAGE: &str = "usage: bench-decisions [--seeds N] [--threads N] [--out DIR] [SUBJECT...]";

/// What the command line says.
struct Args {
    seeds: u64,
    threads: usize,
    out: PathBuf,
    only: Vec<String>,
}

fn args() -> Result<Args, String> {
    let mut args = Args { seeds: 10, threads: 2, out: PathBuf::from("docs"), only: Vec::new() };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
        let number =
            |text: String| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number; {USAGE}"));
        match arg.as_str() {
            "--seeds" => args.seeds = number(value()?)?.max(1),
            "--threads" => args.threads = number(value()?)?.max(1) as usize,
            "--out" => args.out = PathBuf::from(value()?),
            "--help" | "-h" => return Err(USAGE.to_owned()),
            _ if arg.starts_with('-') => return Err(format!("{arg} is not known; {USAGE}")),
            _ => args.only.push(arg),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    match benchmark() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-decisions: {why}");
            ExitCode::FAILURE
        }
    }
}

fn benchmark() -> Result<(), String> {
    let args = args()?;
    let begun = Instant::now();
    let mut all = subjects()?;
    if !args.only.is_empty() {
        all.retain(|s| args.only.contains(&s.name));
    }
    if all.is_empty() {
        return Err(format!("no subject of that name; {USAGE}"));
    }
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    // The longest first, so that the threads end together.
    let mut first: Vec<(usize, Job)> =
        all.iter().enumerate().flat_map(|(i, s)| jobs(s).into_iter().map(move |j| (i, j))).collect();
    first.sort_by_key(|(i, _)| std::cmp::Reverse(all[*i].case(1).scenario.duration as u64));
    let found =
        side_by_side(first, args.threads, begun, |(i, job): &(usize, Job)| (*i, work(&all[*i], job, &seeds)));
    let mut outcomes = gather(&all, found);
    let second: Vec<(usize, String)> = outcomes.iter().enumerate().flat_map(pick).collect();
    let chosen = side_by_side(second, args.threads, begun, |(i, name): &(usize, String)| {
        (*i, tuned(&all[*i], name, &seeds))
    });
    for (i, entry) in chosen {
        outcomes[i].keda.extend(entry);
    }
    for outcome in &mut outcomes {
        // The defaults are a setting, too.
        outcome.keda.extend(outcome.entry(Who::KedaDefault).cloned());
        outcome.keda.sort_by(|a, b| a.settings.cmp(&b.settings));
        let hours = outcome.entry(Who::Spillway).map_or(0.0, |e| point(e).1);
        let tuned = best(&outcome.keda, hours).map(|e| Entry { who: Who::KedaTuned, ..e.clone() });
        outcome.entries.extend(tuned);
    }
    for outcome in &mut outcomes {
        outcome.entries.sort_by_key(|e| e.who as u8);
        print(outcome);
    }
    let about = report::About {
        command: "make bench-decisions".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seeds: seeds.len(),
    };
    let write = |name: &str, text: String| {
        let path = args.out.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{}: {e}", args.out.display()))?;
    write("benchmark.md", report::markdown(&about, &outcomes))?;
    write("benchmark.svg", frontier::svg(&outcomes))?;
    println!("\n{}", report::short(&outcomes));
    eprintln!("{:.0} s; see {}", begun.elapsed().as_secs_f64(), args.out.join("benchmark.md").display());
    Ok(())
}

/// The settings of KEDA's grid to run on all seeds.
fn pick((i, outcome): (usize, &Outcome)) -> Vec<(usize, String)> {
    let Some(ours) = outcome.entry(Who::Spillway) else { return Vec::new() };
    let few = ours.figures[..ours.figures.len().min(grid_seeds(&outcome.subject))].to_vec();
    let ours = point(&Entry { figures: few, ..ours.clone() });
    choose(&outcome.grid, ours).into_iter().map(|name| (i, name.to_owned())).collect()
}

/// Does all jobs on some threads, and says how far it is.
fn side_by_side<J: Send, R: Send>(
    jobs: Vec<J>,
    threads: usize,
    begun: Instant,
    does: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let count = jobs.len();
    let queue = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new(Vec::with_capacity(count));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(job) = queue.lock().ok().and_then(|mut q| q.pop_front()) else { break };
                    let result = does(&job);
                    let Ok(mut done) = done.lock() else { break };
                    done.push(result);
                    if done.len().is_multiple_of(50) || done.len() == count {
                        eprintln!("{:5.0} s: {} of {count}", begun.elapsed().as_secs_f64(), done.len());
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

fn gather(all: &[Subject], found: Vec<(usize, Found)>) -> Vec<Outcome> {
    let empty =
        |s: &Subject| Outcome { subject: s.clone(), entries: vec![], grid: vec![], keda: vec![], bound: 0.0 };
    let mut outcomes: Vec<Outcome> = all.iter().map(empty).collect();
    let mut grids: Vec<Vec<(usize, Entry)>> = vec![vec![]; all.len()];
    for (i, found) in found {
        match found {
            Found::Entry(entry) => outcomes[i].entries.push(entry),
            Found::Grid(place, entry) => grids[i].push((place, entry)),
            Found::Oracle(entry, bound) => {
                outcomes[i].entries.push(entry);
                outcomes[i].bound = bound;
            }
        }
    }
    for (outcome, mut grid) in outcomes.iter_mut().zip(grids) {
        grid.sort_by_key(|(place, _)| *place);
        outcome.grid = grid.into_iter().map(|(_, one)| one).collect();
    }
    outcomes
}

fn print(outcome: &Outcome) {
    println!("{} (bound {:.1} replica-hours)", outcome.subject.name, outcome.bound);
    for entry in &outcome.entries {
        let m = |f: fn(&spillway::simulate::Figures) -> f64| Entry::mean(entry, f).mean;
        println!(
            "  {:<20}{:>16.0} late message-s {:>10.1} replica-hours {:>8.0} rebalances {:>7.0} writes  {}",
            entry.who.name(),
            m(|f| f.late_message_seconds),
            m(|f| f.replica_hours),
            m(|f| f.rebalances as f64),
            m(|f| f.writes as f64),
            entry.settings,
        );
    }
}
