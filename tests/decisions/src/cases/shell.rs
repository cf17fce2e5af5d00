//! A subject as `spillway simulate` has it: the arguments, and the line for a shell.
//!
//! What is as the command has it anyway is not said.

use spillway::simulate::{PlantConfig, Protocol, Skew};

use super::{HOUR, PEAK, Source, Subject};

impl Subject {
    /// What `spillway simulate` is to be called with, besides `--policy`, for Spillway's run with a seed.
    pub fn arguments(&self, seed: u64) -> Vec<String> {
        let case = self.case(seed);
        let (plant, usual) = (&case.plant, PlantConfig::default());
        let mut all: Vec<String> = Vec::new();
        let mut say = |flag: &str, value: String| all.extend([flag.to_owned(), value]);
        match &self.source {
            Source::Named(name) => say("--scenario", (*name).to_owned()),
            Source::Recorded(scenario) => {
                say("--trace", format!("tests/decisions/traces/{}.csv", scenario.name));
                say("--peak", format!("{}", PEAK * plant.group_capacity()));
                say("--duration", format!("{}h", scenario.duration / HOUR));
            }
        }
        if self.duration.is_some() {
            say("--duration", format!("{}h", case.scenario.duration / HOUR));
        }
        if self.scale != 1.0 {
            say("--scale", self.scale.to_string());
        }
        say("--partitions", plant.partition_count().to_string());
        if plant.capacity != usual.capacity {
            say("--capacity", plant.capacity.to_string());
        }
        if plant.protocol != usual.protocol {
            say("--protocol", protocol(plant.protocol).to_owned());
        }
        match plant.partitions.first().map(|t| t.skew) {
            Some(Skew::Zipf(s)) => say("--skew", format!("zipf:{s}")),
            Some(Skew::Hot(factor)) => say("--skew", format!("hot:{factor}")),
            Some(Skew::Even) | None => {}
        }
        if plant.commit_interval != usual.commit_interval {
            say("--commit-interval", format!("{}s", plant.commit_interval));
        }
        if let Some(ceiling) = plant.downstream_ceiling {
            say("--downstream-ceiling", ceiling.to_string());
        }
        say("--replicas", plant.initial_replicas.to_string());
        say("--seed", seed.to_string());
        all
    }

    /// The line for a shell that shows Spillway's run with a seed.
    pub fn command(&self, seed: u64) -> String {
        let arguments = self.arguments(seed).join(" ");
        if self.changes.is_empty() {
            return format!("spillway simulate --policy tests/decisions/policy.yaml {arguments}");
        }
        // sed takes a new line as that.
        let edit = |(from, to): &(String, String)| format!("s/{from}/{}/", to.replace('\n', "\\n"));
        let edits: Vec<String> = self.changes.iter().map(edit).collect();
        format!(
            "sed '{}' tests/decisions/policy.yaml | spillway simulate --policy - {arguments}",
            edits.join("; ")
        )
    }
}

/// A protocol as the command line and the tables have it.
pub fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Eager => "eager",
        Protocol::Cooperative => "cooperative",
        Protocol::Kip848 => "kip848",
    }
}

#[cfg(test)]
mod tests {
    use super::super::subjects;
    use crate::sample::POLICY;
    use clap::Parser;
    use rstest::rstest;
    use spillway::simulate::command::{Simulate, main};
    use spillway::simulate::run;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        simulate: Simulate,
    }

    /// Each block of docs/benchmark.md is the line of the subject that it stands under.
    #[test]
    fn each_command_of_the_page_is_its_subjects() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmark.md")).unwrap();
        let subjects = subjects().unwrap();
        let mut seen = 0;
        for part in page.split("\n### ").skip(1) {
            let name = part.lines().next().unwrap();
            for block in part.split("\n```sh\n").skip(1) {
                let line = block.split("\n```").next().unwrap();
                let subject = subjects.iter().find(|s| s.name == name);
                assert_eq!(Some(line.to_owned()), subject.map(|s| s.command(1)), "{name}");
                seen += 1;
            }
        }
        assert!(seen > 20 && seen == page.matches("\n```sh\n").count(), "{seen}");
    }

    /// The line in docs/benchmark.md makes the very run that is in its table.
    #[rstest]
    #[case("step")]
    #[case("prime")]
    #[case("long-delay")]
    #[case("ceiling-ahead")]
    #[case("schedule")]
    #[case("blind-fallback")]
    #[case("cars-25k")]
    fn the_command_line_shows_the_run(#[case] name: &str) {
        let subject = subjects().unwrap().into_iter().find(|s| s.name == name).unwrap();
        let case = subject.case(1);
        let mut engine = subject.engine();
        let ours = run(&case.plant, &case.scenario, subject.policy.max_delay, &mut engine, 1).figures;

        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text =
            subject.changes.iter().fold(POLICY.to_owned(), |t, (from, to)| t.replace(from.as_str(), to));
        let file = std::env::temp_dir().join(format!("spillway-bench-{}-{name}.yaml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let mut line = vec!["simulate".to_owned(), "--json".to_owned(), "--policy".to_owned()];
        line.push(file.display().to_string());
        let from_root = |a: String| {
            if a.starts_with("tests/") { root.join(a).display().to_string() } else { a }
        };
        line.extend(subject.arguments(1).into_iter().map(from_root));
        let shown = main(&Cli::parse_from(line).simulate).unwrap();
        std::fs::remove_file(file).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        // What is shown is rounded.
        let near = |key: &str, exact: f64, half: f64| {
            let told = shown["figures"][key].as_f64().unwrap_or_else(|| panic!("no {key}: {shown}"));
            assert!((told - exact).abs() <= half, "{key}: {told} is shown, {exact} measured");
        };
        near("messages", ours.messages, 0.5);
        near("lateMessageSeconds", ours.late_message_seconds, 0.5);
        near("longestDelaySeconds", ours.peak_delay, 0.05 + 1e-9);
        near("largestBacklogMessages", ours.peak_lag, 0.5);
        near("replicaHours", ours.replica_hours, 5e-4 + 1e-9);
        near("rebalances", ours.rebalances as f64, 0.0);
        near("writes", ours.writes as f64, 0.0);
        assert!(ours.messages > 0.0);
    }
}
