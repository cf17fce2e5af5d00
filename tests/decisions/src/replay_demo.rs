//! Puts recorded runs of the demo and the simulator side by side: `make replay-demo`.

use std::process::ExitCode;

use spillway::simulate::table;
use spillway_decisions::demo::{recorded, report};

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() || files.iter().any(|f| f.starts_with('-')) {
        eprintln!("usage: replay-demo FILE...  (what `make demo RECORD=FILE` wrote)");
        return ExitCode::FAILURE;
    }
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string());
        match text.and_then(|text| recorded(&text)) {
            Ok(recorded) => {
                println!("### {file}\n\n{}", report(&recorded));
                println!("In the simulator:\n```\n{}```\n", table::decisions(&recorded.simulated()));
            }
            Err(why) => {
                eprintln!("replay-demo: {file}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
