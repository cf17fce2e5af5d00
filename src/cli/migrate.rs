//! `spillway migrate`: files in, resources and remarks out.
//!
//! What becomes of them is `migrate`'s.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::print;
use super::{Failure, files};
use crate::{migrate, yaml};

/// Make ConsumerScalers of KEDA's ScaledObjects on Kafka.
///
/// Prints YAML, with a comment for everything that has no equal and for what you have to choose.
/// TriggerAuthentications and, if sasl or tls is in them, Secrets are read from the same files.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  spillway migrate keda/ > spillway.yaml && spillway check spillway.yaml
  kubectl get scaledobject,triggerauthentication -n shop -o yaml | spillway migrate -

Every scaler is made in DryRun: beside KEDA it watches and tells, and writes nothing.")]
pub(super) struct Migrate {
    /// Files with KEDA's resources; a folder: the YAML in it; `-`: standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// How to print it.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Resources with comments.
    Yaml,
    /// Resources and notes for programs, without the comments.
    Json,
}

/// Runs the command.
pub(super) fn main(args: &Migrate) -> Result<(), Failure> {
    let files = files::read(&args.files).map_err(Failure::Called)?;
    let files: Vec<(String, String)> = files.into_iter().map(|f| (f.name, f.text)).collect();
    let made = migrate::migrate(&files);
    if !made.problems.is_empty() {
        let told = |n: &migrate::Note| format!("{}:{}: {}", n.file, n.line, n.message);
        return Err(Failure::Called(made.problems.iter().map(told).collect()));
    }
    for note in &made.notes {
        eprintln!("spillway: {}:{}: {}", note.file, note.line, note.message);
    }
    if made.scalers == 0 {
        return Err(anyhow::anyhow!("there is no ScaledObject on Kafka to carry over").into());
    }
    match args.output {
        Format::Yaml => print(&made.yaml)?,
        Format::Json => {
            let resources: Vec<_> =
                yaml::documents(&made.yaml).unwrap_or_default().into_iter().map(|d| d.value).collect();
            let text = json!({"resources": resources, "notes": made.notes});
            print(&format!("{text:#}\n"))?;
        }
    }
    let remarks = match made.remarks {
        0 => "nothing was left out",
        1 => "1 remark in the comments: read it",
        _ => "",
    };
    let remarks = if remarks.is_empty() {
        format!("{} remarks in the comments: read them", made.remarks)
    } else {
        remarks.to_owned()
    };
    eprintln!(
        "spillway: {} carried over, {remarks}; choose maxDelay and recoverWithin",
        if made.scalers == 1 {
            "1 ScaledObject".to_owned()
        } else {
            format!("{} ScaledObjects", made.scalers)
        }
    );
    Ok(())
}
