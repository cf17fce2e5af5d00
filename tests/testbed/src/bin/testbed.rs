//! The `testbed` command: shows the demo.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use spillway_testbed::demo;

/// A real Kubernetes and a real Kafka on this machine, without Docker.
#[derive(Parser, Debug)]
#[command(name = "testbed", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// A backlog on a real cluster and a real Kafka, drained before your eyes.
    Demo(demo::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => demo::run(options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
