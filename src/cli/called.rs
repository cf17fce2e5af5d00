//! What was called wrongly, in one line.
//!
//! It knows how the program was called and what clap says of it; it runs nothing.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// `spillway help --help` asks for no more than `spillway help`, which takes no flags.
pub(super) fn without_help_of_help(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|a| a == "help") {
        args.retain(|a| a != "--help" && a != "-h");
    }
    args
}

/// What was wrong with the command line, in one line.
pub(super) fn one_line(error: &clap::Error, args: &[OsString], cli: &Command) -> String {
    let text = error.render().to_string();
    let first: Vec<&str> = text
        .lines()
        .take_while(|l| !l.trim().is_empty())
        .map(|l| l.trim().trim_start_matches("error: "))
        .collect();
    let said = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no subcommand given".to_owned(),
        _ => first.join(" "),
    };
    let from = variable(error, args).map_or_else(String::new, |name| format!(" (it comes from {name})"));
    // Where the subcommand is known, its own help is the one that says more.
    let of = args
        .get(1)
        .filter(|a| *a != "help")
        .and_then(|a| cli.find_subcommand(a))
        .map_or("", |c| c.get_name());
    let of = if of.is_empty() { String::new() } else { format!(" {of}") };
    let name = cli.get_bin_name().unwrap_or("spillway");
    format!("spillway: {said}{from} ({name}{of} --help says more)")
}

/// The environment variable that a bad value comes from, if it does: clap names the flag only,
/// which whoever set the variable does not know of.
fn variable(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else { return None };
    let flag = named.split([' ', '=']).next()?;
    let given = args.iter().filter_map(|a| a.to_str()).any(|a| a.split('=').next() == Some(flag));
    let name = format!("SPILLWAY_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    (!given && std::env::var_os(&name).is_some()).then_some(name)
}
