//! `spillway explain`: flags to what is looked up, and what is printed of it.
//!
//! What is said is `explain`'s; what is read of the cluster is `cluster::look`'s.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::output::{coloured, print};
use crate::cluster::look::Look;
use crate::explain::{self, Explained, Paint, explained};

/// Tell why a scaler has the replicas it has, from its status and its events.
///
/// Without a name: the scalers of the namespace, a line each.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  spillway explain shop/orders
  spillway explain -n shop orders -o yaml
  spillway explain -A

It needs get and list on consumerscalers, and list on events (events.k8s.io).")]
pub(super) struct Explain {
    /// The scaler: its name, or NAMESPACE/NAME.
    #[arg(value_name = "NAME", value_parser = scaler)]
    name: Option<(Option<String>, String)>,

    /// Its namespace. Default: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// List the scalers of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
    all_namespaces: bool,

    /// Context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// The kubeconfig. Default: KUBECONFIG, else ~/.kube/config, else the pod's service account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// How to print it.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

fn scaler(text: &str) -> Result<(Option<String>, String), String> {
    let (namespace, name) = match text.split_once('/') {
        Some(("csc" | "consumerscaler" | "consumerscalers", name)) => (None, name),
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    if name.is_empty() || name.contains('/') || namespace.is_some_and(str::is_empty) {
        return Err("write NAME or NAMESPACE/NAME".to_owned());
    }
    Ok((namespace.map(str::to_owned), name.to_owned()))
}

/// Runs the command.
pub(super) fn main(args: &Explain) -> Result<(), Failure> {
    if let (Some((Some(of_name), _)), Some(flag)) = (&args.name, &args.namespace)
        && of_name != flag
    {
        return Err(Failure::Called(vec![format!(
            "the name says namespace {of_name} and --namespace says {flag}: leave one out"
        )]));
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let text = runtime.block_on(tell(args))?;
    Ok(print(&text)?)
}

async fn tell(args: &Explain) -> anyhow::Result<String> {
    let look = Look::open(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| look.namespace().to_owned());
    let now = || jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    let paint = Paint(coloured(&std::io::stdout()));
    let Some((of_name, name)) = &args.name else {
        let (scalers, bad) = look.scalers((!args.all_namespaces).then_some(namespace.as_str())).await?;
        bad.iter().for_each(|line| eprintln!("spillway: {line}"));
        let all: Vec<Explained> = scalers.iter().map(|s| explained(s, Ok(Vec::new()), now())).collect();
        return match args.output {
            Format::Text if all.is_empty() && args.all_namespaces => {
                Ok("There is no ConsumerScaler.\n".into())
            }
            Format::Text if all.is_empty() => Ok(format!(
                "There is no ConsumerScaler in namespace {namespace}; -A lists those of all namespaces.\n"
            )),
            Format::Text => Ok(explain::list(&all, args.all_namespaces, paint)),
            format => written(&all, format),
        };
    };
    let scaler = look.scaler(of_name.as_ref().unwrap_or(&namespace), name).await?;
    let events = look.events(&scaler).await;
    let said = explained(&scaler, events, now());
    match args.output {
        Format::Text => Ok(explain::text(&said, now(), paint)),
        format => written(&said, format),
    }
}

fn written(value: &impl serde::Serialize, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Yaml => Ok(serde_yaml::to_string(value)?),
        _ => Ok(serde_json::to_string_pretty(value)? + "\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaler_is_named_in_three_ways() {
        let of = |text| scaler(text).map(|(ns, name)| (ns.unwrap_or_default(), name));
        let named = |ns: &str, name: &str| Ok((ns.to_owned(), name.to_owned()));
        assert_eq!(of("orders"), named("", "orders"));
        assert_eq!(of("shop/orders"), named("shop", "orders"));
        assert_eq!(of("csc/orders"), named("", "orders"));
        assert!(of("a/b/c").is_err() && of("/b").is_err() && of("a/").is_err());
    }
}
