//! `testbed-tools`: builds and fetches what the test bed is made of, once. With `--all` also what
//! only some tests need. `check` only says what the machine lacks, `check compile` what it lacks to compile.

use std::process::ExitCode;

use spillway_testbed_tools::Tools;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => none(&Tools::missing()),
        ["check", "compile"] => none(&Tools::missing_to_compile()),
        [] => Tools::prepare().map(drop),
        ["--all"] => {
            Tools::prepare().and_then(|tools| tools.prepare_prometheus().and(tools.prepare_monitoring()))
        }
        _ => {
            eprintln!("usage: testbed-tools [check [compile] | --all]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn none(missing: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(missing.is_empty(), "{}", missing.join("\ntestbed: "));
    Ok(())
}
