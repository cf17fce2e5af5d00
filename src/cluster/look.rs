//! What a person's own rights let them see of scalers: the objects and their events.
//!
//! It needs `get` (or `list`) on consumerscalers and `list` on events, and writes nothing.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::{Api, Client, Config};

use super::{CallError, LIMIT, within};
use crate::api::ConsumerScaler;

/// One that cannot be read must not hide the others.
type Guarded = DeserializeGuard<ConsumerScaler>;

fn unreadable(bad: &InvalidObject) -> String {
    let of = |name: &Option<String>| name.clone().unwrap_or_default();
    let (namespace, name) = (of(&bad.metadata.namespace), of(&bad.metadata.name));
    format!(
        "ConsumerScaler {namespace}/{name} is not one that this version reads: {}. `kubectl get csc {name} -n {namespace} -o yaml | spillway check -` says more",
        bad.error
    )
}

/// A cluster as a person reaches it.
pub struct Look {
    client: Client,
    namespace: String,
    server: String,
}

impl Look {
    /// As kubectl would: by a kubeconfig and a context of it, or by what the environment says.
    ///
    /// # Errors
    /// When there is no such file or context, or nothing that says where the API server is.
    pub async fn open(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self> {
        let mut config = if kubeconfig.is_none() && context.is_none() {
            Config::infer()
                .await
                .map_err(|e| anyhow!("no Kubernetes API server: set KUBECONFIG, or give --kubeconfig: {e}"))?
        } else {
            let read = match kubeconfig {
                Some(path) => Kubeconfig::read_from(path),
                None => Kubeconfig::read(),
            };
            let from = kubeconfig.map_or_else(|| "the kubeconfig".to_owned(), |p| p.display().to_string());
            let read = read.map_err(|e| anyhow!("{from} cannot be used: {e}"))?;
            let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
            Config::from_custom_kubeconfig(read, &options)
                .await
                .map_err(|e| anyhow!("{from} cannot be used: {e}"))?
        };
        config.connect_timeout = Some(LIMIT);
        let (namespace, server) = (config.default_namespace.clone(), config.cluster_url.to_string());
        let client = Client::try_from(config)
            .with_context(|| format!("the settings for the API server {server} cannot be used"))?;
        Ok(Self { client, namespace, server })
    }

    /// The namespace of the context.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// One scaler.
    ///
    /// # Errors
    /// When there is none, or it may not be read.
    pub async fn scaler(&self, namespace: &str, name: &str) -> Result<ConsumerScaler> {
        let api: Api<Guarded> = Api::namespaced(self.client.clone(), namespace);
        match within(api.get(name)).await {
            Ok(DeserializeGuard(Ok(scaler))) => Ok(scaler),
            Ok(DeserializeGuard(Err(bad))) => bail!("{}", unreadable(&bad)),
            Err(CallError::Api { code: 404, message })
                if message.contains(&format!("{name:?} not found")) =>
            {
                bail!(
                    "there is no ConsumerScaler {name} in namespace {namespace}: `kubectl get csc -A` lists all there are"
                )
            }
            Err(error) => Err(self.told(error, "get")),
        }
    }

    /// The scalers of a namespace, or all; and what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// When they may not be listed.
    pub async fn scalers(&self, namespace: Option<&str>) -> Result<(Vec<ConsumerScaler>, Vec<String>)> {
        let api: Api<Guarded> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let list =
            within(api.list(&ListParams::default())).await.map_err(|error| self.told(error, "list"))?;
        let (mut scalers, mut bad) = (Vec::new(), Vec::new());
        for item in list.items {
            match item.0 {
                Ok(scaler) => scalers.push(scaler),
                Err(error) => bad.push(unreadable(&error)),
            }
        }
        Ok((scalers, bad))
    }

    /// The events about a scaler.
    ///
    /// # Errors
    /// When they may not be listed; in words that fit into a report.
    pub async fn events(&self, scaler: &ConsumerScaler) -> Result<Vec<Event>, String> {
        let metadata = &scaler.metadata;
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let fields = format!("regarding.kind=ConsumerScaler,regarding.name={}", name.unwrap_or_default());
        match within(api.list(&ListParams::default().fields(&fields))).await {
            Ok(mut list) => {
                // An earlier object of the name is not this one.
                let uid = |e: &Event| e.regarding.as_ref().and_then(|r| r.uid.clone());
                list.items.retain(|e| uid(e).is_none() || uid(e) == metadata.uid);
                Ok(list.items)
            }
            Err(error) if error.code() == Some(403) => {
                Err(format!("not allowed to list events (events.k8s.io) in namespace {namespace}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn told(&self, error: CallError, verb: &str) -> anyhow::Error {
        match error.code() {
            Some(404) => anyhow!(
                "the API server {} knows no ConsumerScaler: install Spillway's definitions, or choose another --context",
                self.server
            ),
            Some(403) => anyhow!("not allowed to {verb} ConsumerScalers: {error}"),
            _ => anyhow!("{error} ({})", self.server),
        }
    }
}
