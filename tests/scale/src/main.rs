//! Measures what Spillway costs with many scalers, and writes docs/scale.md: `make bench-scale`.
//!
//! It takes minutes for each size, and leaves no process behind.

mod fleet;
mod growth;
mod kept;
mod measure;
mod onset;
mod operator;
mod report;
mod say;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use measure::{Settings, measure};
use say::Say;

const USAGE: &str = "usage: bench-scale [--operator BINARY] [--out DIR] [--sweep SECONDS] [--sweeps N] [--rounds N] [SIZE... | --again]";
const SIZES: [usize; 4] = [100, 1000, 3000, 10_000];

struct Args {
    operator: PathBuf,
    out: PathBuf,
    settings: Settings,
    sizes: Vec<usize>,
    /// Measure nothing: only make the page, of what was measured before.
    again: bool,
}

fn args() -> Result<Args> {
    let mut args = Args {
        operator: "target/release/spillway".into(),
        out: "docs".into(),
        settings: Settings { sweep: 15, sweeps: 8, rounds: 4 },
        sizes: Vec::new(),
        again: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value; {USAGE}"));
        let number = |text: String| {
            text.parse::<u64>()
                .ok()
                .filter(|n| *n > 0)
                .with_context(|| format!("{text:?} is no number above 0; {USAGE}"))
        };
        match arg.as_str() {
            "--operator" => args.operator = value()?.into(),
            "--out" => args.out = value()?.into(),
            "--sweep" => args.settings.sweep = number(value()?)?,
            "--sweeps" => args.settings.sweeps = u32::try_from(number(value()?)?)?,
            "--rounds" => args.settings.rounds = number(value()?)?,
            "--again" => args.again = true,
            "--help" | "-h" => bail!(USAGE),
            _ if arg.starts_with('-') => bail!("{arg} is not known; {USAGE}"),
            _ => args.sizes.push(usize::try_from(number(arg)?)?),
        }
    }
    if args.sizes.is_empty() && !args.again {
        args.sizes = SIZES.to_vec();
    }
    Ok(args)
}

async fn bench() -> Result<()> {
    let args = args()?;
    let say = Say::new();
    let kept = kept::Kept::of(&args.operator, &args.settings)?;
    for size in &args.sizes {
        let figures = measure(*size, &args.settings, &args.operator, say)
            .await
            .with_context(|| format!("with {size} scalers"))?;
        println!("{}", report::short(&figures));
        kept.put(&figures)?;
    }
    let all = kept.all()?;
    std::fs::create_dir_all(&args.out)?;
    let write = |name: &str, text: String| {
        let path = args.out.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write(
        "scale.svg",
        growth::svg(&all).map_err(|why| anyhow::anyhow!("the picture cannot be drawn: {why}"))?,
    )?;
    write("scale.md", report::markdown(&all, &args.settings))?;
    say.line(format_args!("see {}", args.out.join("scale.md").display()));
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    // Ended by a person, what was started ends with it: children die with their parent.
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench-scale: {why:#}");
            ExitCode::FAILURE
        }
    }
}
