//! The command line: subcommands, exit codes, and how they are told apart.
//!
//! 0: done; 1: it failed while running, or what was checked has problems; 2: it was called wrongly.
//! Every error is one line on standard error that says what, where, and what to do.

mod called;
mod check;
mod explain;
mod files;
mod migrate;
mod output;
mod run;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::crd;
use crate::simulate::command::{self as simulate, Simulate};
use output::{print, unless_seen_enough, unprinted};

/// Scales Kafka consumers so that messages are processed on time.
#[derive(Parser, Debug)]
#[command(name = "spillway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the operator.
    #[command(after_help = run::ALSO_READ)]
    Run(run::Run),
    Explain(explain::Explain),
    Check(check::Check),
    Simulate(Box<Simulate>),
    Migrate(migrate::Migrate),
    /// Print the custom resource definitions as YAML.
    #[command(after_help = "Example:\n  spillway crd | kubectl apply --server-side -f -")]
    Crd,
    /// Print a script that completes the command line in a shell.
    #[command(after_help = COMPLETION)]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

const COMPLETION: &str = "\
Examples:
  spillway completion bash > /etc/bash_completion.d/spillway
  spillway completion zsh > \"${fpath[1]}/_spillway\"
  spillway completion fish > ~/.config/fish/completions/spillway.fish";

/// Why a command did not do what it was to.
#[derive(Debug)]
enum Failure {
    /// It was called wrongly, or given files that cannot be used: one line each.
    Called(Vec<String>),
    /// It failed while running.
    Failed(anyhow::Error),
    /// What was looked at has problems, all told by now.
    Told,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<simulate::Failure> for Failure {
    fn from(failure: simulate::Failure) -> Self {
        match failure {
            simulate::Failure::Input(lines) => Self::Called(lines),
            simulate::Failure::Output { text, why } => {
                // The run took its time: what it came to is told all the same.
                Self::Failed(print(&text).err().unwrap_or_else(|| anyhow::anyhow!(why)))
            }
        }
    }
}

/// Runs the command; returns the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = called::without_help_of_help(args.into_iter().collect());
    let mut command = command(args.first().map(OsString::as_os_str));
    let parsed = command.try_get_matches_from_mut(&args).and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return ended(
                error.print().or_else(unless_seen_enough).map_err(unprinted).map_err(Failure::from),
            );
        }
        Err(error) => {
            eprintln!("{}", called::one_line(&error, &args, &command));
            return ExitCode::from(2);
        }
    };
    ended(match cli.command {
        Command::Crd => print(&crd::yaml()).map_err(Failure::from),
        Command::Run(run) => run::start(run).map_err(Failure::from),
        Command::Explain(args) => explain::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Migrate(args) => migrate::main(&args),
        Command::Simulate(args) => {
            simulate::main(&args).map_err(Failure::from).and_then(|text| Ok(print(&text)?))
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "spillway", &mut script);
            print(&String::from_utf8_lossy(&script)).map_err(Failure::from)
        }
    })
}

/// The command line under the name it was called by: `kubectl spillway` runs a `kubectl-spillway`.
fn command(called: Option<&OsStr>) -> clap::Command {
    let name = called.map(Path::new).and_then(Path::file_stem).unwrap_or_default();
    if !name.to_string_lossy().starts_with("kubectl-") {
        return Cli::command().bin_name("spillway");
    }
    let as_plugin = |command: clap::Command| {
        let help = command.get_after_help().map(|help| help.to_string());
        match help {
            Some(help) => command.after_help(help.replace("  spillway ", "  kubectl spillway ")),
            None => command,
        }
    };
    Cli::command().bin_name("kubectl spillway").mut_subcommands(as_plugin)
}

fn called_wrongly(line: impl Into<String>) -> Failure {
    Failure::Called(vec![line.into()])
}

fn ended(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Called(lines)) => {
            lines.iter().for_each(|line| eprintln!("spillway: {line}"));
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("spillway: {error:#}");
            ExitCode::FAILURE
        }
        Err(Failure::Told) => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["run", "--listen-address", "8080"], "'8080' for '--listen-address")]
    #[case(&["run", "--lease-duration", "1s"], "between 3s and 5m")]
    #[case(&["run", "--lease-duration", "soon"], "is not a duration")]
    #[case(&["run", "--log-level", "lots=of=it"], "write error, warn, info")]
    #[case(&["run", "--log-level", "verbose"], "write error, warn, info")]
    #[case(&["run", "--log-level", "info,"], "write error, warn, info")]
    #[case(&["run", "--log-level", "info,spillway=verbose"], "write error, warn, info")]
    #[case(&["run", "--watch-namespaces", "Team A"], "lower case letters")]
    #[case(&["run", "--page", "on"], "'on' for '--page")]
    #[case(&["run", "--frobnicate"], "'--frobnicate'")]
    #[case(&["crdd"], "'crdd'")]
    #[case(&[], "no subcommand")]
    fn a_bad_call_is_told_in_one_line(#[case] args: &[&str], #[case] expected: &str) {
        let mut command = command(None);
        let error = command.try_get_matches_from_mut(["spillway"].iter().chain(args)).unwrap_err();
        let line = called::one_line(&error, &[], &command);
        assert!(line.contains(expected), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_how_it_is_called() {
        for name in [None, Some(OsStr::new("/usr/local/bin/kubectl-spillway"))] {
            let mut command = command(name);
            command.build();
            let called = if name.is_some() { "\n  kubectl spillway " } else { "\n  spillway " };
            for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let help = sub.clone().render_long_help().to_string();
                assert!(help.contains("Example"), "{}: {help}", sub.get_name());
                assert!(help.contains(&format!("{called}{}", sub.get_name())), "{help}");
            }
        }
    }
}
