//! `testbed-tools`: builds and fetches what the test bed is made of, once. With `--all` also what
//! only some tests need.

use std::process::ExitCode;

use spillway_testbed_tools::Tools;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let all = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--all"] => true,
        _ => {
            eprintln!("usage: testbed-tools [--all]");
            return ExitCode::from(2);
        }
    };
    let prepared = Tools::prepare();
    match prepared.and_then(|tools| if all { tools.prepare_prometheus() } else { Ok(()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
