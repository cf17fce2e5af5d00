//! The environment and the arguments of a container.
//!
//! It reads Secrets and ConfigMaps; it runs nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use kube::{Api, ResourceExt};

use super::Shared;

/// Every variable of a container, in order.
pub(super) async fn variables(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    ip: &str,
) -> Result<Vec<(String, String)>> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut all: Vec<(String, String)> = vec![
        ("PATH".into(), std::env::var("PATH").unwrap_or_default()),
        ("HOSTNAME".into(), pod.name_any()),
        ("KUBERNETES_SERVICE_HOST".into(), shared.options.api_host.clone()),
        ("KUBERNETES_SERVICE_PORT".into(), shared.options.api_port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".into(), shared.options.api_port.to_string()),
    ];
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.clone().unwrap_or_default();
        let values = if let Some(of) = &from.config_map_ref {
            config_map(shared, &namespace, &of.name, of.optional).await?
        } else if let Some(of) = &from.secret_ref {
            secret(shared, &namespace, &of.name, of.optional).await?
        } else {
            BTreeMap::new()
        };
        all.extend(values.into_iter().map(|(k, v)| (format!("{prefix}{k}"), v)));
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => expand(value, &all),
            (None, Some(source)) => match from(shared, pod, &namespace, source, ip).await? {
                Some(value) => value,
                None => continue,
            },
            (None, None) => String::new(),
        };
        all.push((variable.name.clone(), value));
    }
    Ok(all)
}

async fn from(
    shared: &Shared,
    pod: &Pod,
    namespace: &str,
    source: &EnvVarSource,
    ip: &str,
) -> Result<Option<String>> {
    if let Some(field) = &source.field_ref {
        return Ok(Some(self::field(shared, pod, &field.field_path, ip)?));
    }
    if let Some(key) = &source.secret_key_ref {
        let values = secret(shared, namespace, &key.name, key.optional).await?;
        return picked(values, "Secret", &key.name, &key.key, key.optional);
    }
    if let Some(key) = &source.config_map_key_ref {
        let values = config_map(shared, namespace, &key.name, key.optional).await?;
        return picked(values, "ConfigMap", &key.name, &key.key, key.optional);
    }
    bail!("an environment source that the test bed does not know: {source:?}")
}

fn picked(
    mut values: BTreeMap<String, String>,
    kind: &str,
    name: &str,
    key: &str,
    optional: Option<bool>,
) -> Result<Option<String>> {
    match values.remove(key) {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None => bail!("couldn't find key {key} in {kind} {name}"),
    }
}

/// The value of a field of the pod, as the downward API names it.
pub(super) fn field(shared: &Shared, pod: &Pod, path: &str, ip: &str) -> Result<String> {
    let quoted = |map: &BTreeMap<String, String>, rest: &str| {
        let key = rest.trim_start_matches("['").trim_end_matches("']");
        map.get(key).cloned().unwrap_or_default()
    };
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "status.podIP" | "status.hostIP" => ip.to_owned(),
        "spec.nodeName" => shared.options.node.clone(),
        "spec.serviceAccountName" => {
            pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_else(|| "default".into())
        }
        _ => {
            if let Some(rest) = path.strip_prefix("metadata.labels") {
                quoted(pod.labels(), rest)
            } else if let Some(rest) = path.strip_prefix("metadata.annotations") {
                quoted(pod.annotations(), rest)
            } else {
                bail!("a fieldRef that the test bed does not know: {path}")
            }
        }
    })
}

/// The data of a Secret as text.
pub(super) async fn secret(
    shared: &Shared,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, String>> {
    let api: Api<Secret> = Api::namespaced(shared.client.clone(), namespace);
    match api.get_opt(name).await? {
        Some(secret) => Ok(secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(k, v)| (k, String::from_utf8_lossy(&v.0).into_owned()))
            .collect()),
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => bail!("secret {name:?} not found"),
    }
}

/// The data of a ConfigMap.
pub(super) async fn config_map(
    shared: &Shared,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<BTreeMap<String, String>> {
    let api: Api<ConfigMap> = Api::namespaced(shared.client.clone(), namespace);
    match api.get_opt(name).await? {
        Some(map) => Ok(map.data.unwrap_or_default()),
        None if optional == Some(true) => Ok(BTreeMap::new()),
        None => bail!("configmap {name:?} not found"),
    }
}

/// Replaces `$(NAME)` by the variable; an unknown one stays as it is, `$$(NAME)` is `$(NAME)`.
pub(super) fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(i) = rest.find('$') {
        out.push_str(&rest[..i]);
        rest = &rest[i..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix("$(").and_then(|r| r.split_once(')')) {
            match variables.iter().rev().find(|(k, _)| k == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// The first container of a pod: the only one that is run.
pub(super) fn container(pod: &Pod) -> Result<&Container> {
    pod.spec.as_ref().and_then(|s| s.containers.first()).context("a pod without a container")
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn references_are_replaced_as_kubernetes_does() {
        let of = [("A".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())];
        assert_eq!(expand("x-$(A)-$(B)-$$(A)-$", &of), "x-2-$(B)-$(A)-$");
    }
}
