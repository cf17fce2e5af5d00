//! The figures in words: a page, and a few lines while it runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use crate::fleet::PARTITIONS;
use crate::measure::{Figures, Settings, quantile};

const MIB: f64 = 1024.0 * 1024.0;

/// A size in a few lines.
pub fn short(f: &Figures) -> String {
    format!(
        "{} scalers: {:.3} cores, {:.0} MiB, {:.0} connections; all observed {:.0} s after the first start and {:.0} s after another; age p99 {:.1} s; onset to write p50 {:.1} s, p99 {:.1} s",
        f.scalers,
        f.cpu,
        f.memory / MIB,
        f.connections,
        f.first,
        f.again,
        quantile(&f.ages, 0.99),
        quantile(&f.onsets, 0.5),
        quantile(&f.onsets, 0.99),
    )
}

type Row<'a> = (&'a str, Box<dyn Fn(&Figures) -> String + 'a>);

/// What each scaler adds to the memory of the smallest size, KiB.
fn each(f: &Figures, least: Option<&Figures>) -> String {
    match least {
        Some(least) if least.scalers < f.scalers => {
            let more = (f.memory - least.memory) / (f.scalers - least.scalers) as f64;
            format!("{:.1} KiB", more / 1024.0)
        }
        _ => "–".to_owned(),
    }
}

/// Statuses of scalers and connections written a minute.
fn statuses(f: &Figures) -> f64 {
    f.server
        .iter()
        .filter(|(what, _)| what.ends_with("/status"))
        .map(|(_, count)| count)
        .fold(0.0, |sum, count| sum + count)
}

fn rows(least: Option<&Figures>) -> Vec<Row<'_>> {
    let seconds = |s: f64| format!("{s:.1} s");
    vec![
        ("Partitions", Box::new(|f| thousands((f.scalers * PARTITIONS as usize) as f64))),
        ("Processor, quiet", Box::new(|f| format!("{:.3} cores", f.cpu))),
        ("Resident memory, quiet", Box::new(|f| format!("{:.0} MiB", f.memory / MIB))),
        ("of that each scaler more", Box::new(move |f| each(f, least))),
        ("Resident memory after two scrapes", Box::new(|f| format!("{:.0} MiB", f.memory_after / MIB))),
        ("Most resident memory at any time", Box::new(|f| format!("{:.0} MiB", f.peak / MIB))),
        ("Page of metrics", Box::new(|f| format!("{:.1} MB in {:.2} s", f.page.1 as f64 / 1e6, f.page.0))),
        ("Connections to Kafka", Box::new(|f| format!("{:.0}", f.connections))),
        ("Statuses written a minute, quiet", Box::new(|f| number(statuses(f)))),
        ("A sweep takes", Box::new(|f| format!("{:.2} s", f.took))),
        ("Age of observations, p50", Box::new(move |f| seconds(quantile(&f.ages, 0.5)))),
        ("Age of observations, p99", Box::new(move |f| seconds(quantile(&f.ages, 0.99)))),
        ("First start until all is observed", Box::new(move |f| seconds(f.first))),
        ("and from there until all statuses are written", Box::new(move |f| seconds(f.told))),
        ("Another start until all is observed", Box::new(move |f| seconds(f.again))),
        ("Onset until the write, p50", Box::new(move |f| seconds(quantile(&f.onsets, 0.5)))),
        ("Onset until the write, p99", Box::new(move |f| seconds(quantile(&f.onsets, 0.99)))),
    ]
}

/// The page.
pub fn markdown(all: &[Figures], settings: &Settings) -> String {
    let mut page = format!(
        "\
# What it costs with many scalers

Made by `make bench-scale` (`N=\"100 1000\"` for some sizes), not by hand. Everything is real: an API server with etcd, three brokers of
Apache Kafka, and `spillway` as it is released. All of it shares one machine of {machine}, so that what takes time here
is mostly the others: the operator's own share is in the first rows.

Each scaler has a group of {PARTITIONS} partitions; a hundred groups share a topic. Groups are at zero replicas, with offsets
that an admin client committed; workloads are objects of a small kind with a scale subresource. Kafka is read every {sweep} s. In the
quiet time nothing is sent. Then one group of a hundred falls behind at once, {rounds} times, at other moments between two sweeps each time,
and is scaled from zero; onset is before the first message is sent.

Not measured here: many groups with traffic. Each of them is read at every sweep, as all are at a start, and its history takes
more memory (64 readings of 16 bytes for each partition, for all of them and for the time: 12 kB with ten).

![Cost by number of scalers; grey is the goal](scale.svg)

",
        machine = machine(),
        sweep = settings.sweep,
        rounds = settings.rounds,
    );
    table(
        &mut page,
        "Scalers",
        all,
        &rows(all.iter().min_by_key(|f| f.scalers)).iter().map(|(n, f)| (*n, f.as_ref())).collect::<Vec<_>>(),
    );
    page.push_str(&format!(
        "
## Requests to Kafka, a sweep

As librdkafka counts them (`spillway_kafka_requests_total`), on average over {} sweeps of quiet time. Ends are read of everything at every
sweep. Groups that have read everything are read rarely: within 30 s, above 1,500 of them at 50 a second, so within five minutes at most
(ARCHITECTURE.md, *The loop*). To read all of them at every sweep would take {} of DescribeGroups and OffsetFetch each and about as many
FindCoordinator: librdkafka asks for one group at a time (neither KIP-709 nor KIP-699), and remembers ten coordinators.

",
        settings.sweeps,
        all.last().map_or_else(String::new, |f| thousands(f.scalers as f64)),
    ));
    let names: BTreeSet<&String> = all.iter().flat_map(|f| f.kafka.keys()).collect();
    by_name(&mut page, "Request", all, &names, |f, name| f.kafka.get(*name).copied());
    page.push_str(&format!(
        "
## Requests to the API server, a minute

As the API server counts them (`apiserver_request_total`), of the kinds that the operator works with, over {} s of quiet time.

",
        u64::from(settings.sweeps) * settings.sweep
    ));
    let names: BTreeSet<&String> = all.iter().flat_map(|f| f.server.keys()).collect();
    by_name(&mut page, "Request", all, &names, |f, name| f.server.get(*name).copied());
    page
}

fn by_name(
    page: &mut String,
    head: &str,
    all: &[Figures],
    names: &BTreeSet<&String>,
    of: impl Fn(&Figures, &&String) -> Option<f64>,
) {
    heads(page, head, all);
    for name in names {
        row(page, name, all, |f| of(f, name).map_or("0".into(), number));
    }
}

fn table(page: &mut String, head: &str, all: &[Figures], rows: &[(&str, &dyn Fn(&Figures) -> String)]) {
    heads(page, head, all);
    for (name, of) in rows {
        row(page, name, all, of);
    }
}

fn heads(page: &mut String, head: &str, all: &[Figures]) {
    let _ = write!(page, "| {head} |");
    all.iter().for_each(|f| {
        let _ = write!(page, " {} |", thousands(f.scalers as f64));
    });
    let _ = writeln!(page, "\n|---|{}", "--:|".repeat(all.len()));
}

fn row(page: &mut String, name: &str, all: &[Figures], of: impl Fn(&Figures) -> String) {
    let _ = write!(page, "| {name} |");
    all.iter().for_each(|f| {
        let _ = write!(page, " {} |", of(f));
    });
    page.push('\n');
}

fn number(value: f64) -> String {
    if value >= 100.0 { thousands(value) } else { format!("{value:.1}") }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// "2 processors (…) and 24 GB".
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, m)| m.trim()));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:")?.split_ascii_whitespace().next()?.parse::<f64>().ok());
    format!(
        "{count} processors ({}) and {:.0} GB",
        model.unwrap_or("of a kind it does not tell"),
        kib.unwrap_or(0.0) * 1024.0 / 1e9
    )
}
