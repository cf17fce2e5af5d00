//! The volumes of a pod and its service account token, as folders bound to their mount paths.
//!
//! The process gets a mount namespace of its own, so that the fixed paths are its own. That needs
//! root; without it only the token is given, through `KUBECONFIG`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Container, Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::{Shared, env};

/// Where pods expect their token.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a token lasts, and when it is renewed.
const LASTS: i64 = 3600;
/// Time between two renewals of a token.
pub(super) const RENEW: Duration = Duration::from_secs(1800);

/// A folder and where the container sees it.
pub(super) type Mounts = Vec<(PathBuf, String)>;

/// Makes every volume that the container mounts.
pub(super) async fn make(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    dir: &Path,
    ip: &str,
) -> Result<Mounts> {
    let mut mounts = Mounts::new();
    let namespace = pod.namespace().unwrap_or_default();
    for mount in container.volume_mounts.iter().flatten() {
        if mount.mount_path == ACCOUNT {
            // The one that admission adds: given below.
            continue;
        }
        let volumes = pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
        let volume = volumes.into_iter().flatten().find(|v| v.name == mount.name);
        let volume = volume.with_context(|| format!("no volume {}", mount.name))?;
        let at = dir.join("volumes").join(&volume.name);
        fs::create_dir_all(&at)?;
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.clone().unwrap_or_default();
            for (key, value) in env::secret(shared, &namespace, &name, secret.optional).await? {
                fs::write(at.join(key), value)?;
            }
        } else if let Some(map) = &volume.config_map {
            for (key, value) in env::config_map(shared, &namespace, &map.name, map.optional).await? {
                fs::write(at.join(key), value)?;
            }
        } else if let Some(fields) = &volume.downward_api {
            for item in fields.items.iter().flatten() {
                if let Some(field) = &item.field_ref {
                    fs::write(at.join(&item.path), env::field(shared, pod, &field.field_path, ip)?)?;
                }
            }
        }
        let from = match &mount.sub_path {
            Some(sub) => at.join(sub),
            None => at,
        };
        mounts.push((from, mount.mount_path.clone()));
    }
    let spec = pod.spec.as_ref();
    if spec.and_then(|s| s.automount_service_account_token) != Some(false) {
        let at = dir.join("account");
        fs::create_dir_all(&at)?;
        renew(shared, pod, dir).await?;
        fs::write(at.join("ca.crt"), &shared.options.ca_pem)?;
        fs::write(at.join("namespace"), &namespace)?;
        mounts.push((at, ACCOUNT.to_owned()));
    }
    Ok(mounts)
}

/// Writes a fresh token.
pub(super) async fn renew(shared: &Shared, pod: &Pod, dir: &Path) -> Result<()> {
    let accounts: Api<ServiceAccount> =
        Api::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let name =
        pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_else(|| "default".into());
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(LASTS),
            // So that the API server knows, and its audit log tells, which pod calls.
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(&name, &PostParams::default(), &request).await?;
    let token = answer.status.map(|s| s.token).unwrap_or_default();
    let at = dir.join("account");
    // Renamed into place: a reader never sees half a token.
    fs::write(at.join("token.new"), token)?;
    fs::rename(at.join("token.new"), at.join("token"))?;
    Ok(())
}

/// The command that runs `program` with the mounts, without a process in between.
pub(super) fn wrapped(mounts: &Mounts, program: &Path, args: &[String]) -> (PathBuf, Vec<String>) {
    if mounts.is_empty() || !rustix::process::getuid().is_root() {
        return (program.to_owned(), args.to_vec());
    }
    let mut script = String::from("set -e\n");
    let mut paths = Vec::new();
    for (i, (from, to)) in mounts.iter().enumerate() {
        let (a, b) = (2 * i + 1, 2 * i + 2);
        script.push_str(&format!(
            "[ -d \"${{{a}}}\" ] && mkdir -p \"${{{b}}}\"; mount --bind \"${{{a}}}\" \"${{{b}}}\"\n"
        ));
        paths.push(from.to_string_lossy().into_owned());
        paths.push(to.clone());
    }
    script.push_str(&format!("shift {}\nexec \"$@\"\n", paths.len()));
    let mut all = vec!["--mount".into(), "sh".into(), "-c".into(), script, "sh".into()];
    all.extend(paths);
    all.push(program.to_string_lossy().into_owned());
    all.extend(args.iter().cloned());
    ("unshare".into(), all)
}
