//! The volumes of a pod and its service account token, as folders bound to their mount paths.
//!
//! The process gets a mount namespace of its own, so that the fixed paths are its own. Who is not root
//! gets a user namespace with it; a machine that allows neither runs no pod that mounts something.

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

/// Mounts folders and becomes a program: `ROOM FROM TO … -- PROGRAM ARG…`.
///
/// A place that is not there is made on a folder of our own that covers the nearest one there is, and
/// shows what that holds: nothing is left on the machine, and nobody need be allowed to write there.
/// Only right below `/`, and around ROOM itself, it is made on the machine's own disk.
const MOUNT: &str = r#"set -e
room=$1 covered= n=0
shift
mount -t tmpfs none "$room"
cover() {
  at=$1
  while [ ! -d "$at" ]; do at=$(dirname "$at"); done
  case "$room/" in "${at%/}"/*) return ;; esac
  case "$covered" in *":$at:"*) return ;; esac
  covered=$covered:$at: n=$((n + 1))
  mkdir -p "$room/$n/old" "$room/$n/new"
  mount --rbind "$at" "$room/$n/old"
  find "$room/$n/old" -mindepth 1 -maxdepth 1 -exec ln -s -t "$room/$n/new" {} +
  mount --bind "$room/$n/new" "$at"
}
while [ "$1" != -- ]; do
  if [ ! -e "$2" ]; then
    cover "$(dirname "$2")"
    mkdir -p "$(dirname "$2")"
    if [ -d "$1" ]; then mkdir "$2"; else : >"$2"; fi
  fi
  mount --bind "$1" "$2"
  shift 2
done
shift
exec "$@"
"#;

/// The command that runs `program` with the mounts, without a process in between. `room` is an empty
/// folder of the pod's.
pub(super) fn wrapped(
    mounts: &Mounts,
    room: &Path,
    program: &Path,
    args: &[String],
) -> (PathBuf, Vec<String>) {
    if mounts.is_empty() {
        return (program.to_owned(), args.to_vec());
    }
    let mut all: Vec<String> = vec!["--mount".into()];
    if !rustix::process::getuid().is_root() {
        // The new user namespace may cost the process its parent-death signal: it is asked for again.
        let own = ["--user", "--map-root-user", "setpriv", "--pdeathsig", "KILL", "--"];
        all.extend(own.map(String::from));
    }
    all.extend(["sh", "-c", MOUNT, "sh"].map(String::from));
    all.push(room.to_string_lossy().into_owned());
    for (from, to) in mounts {
        all.extend([from.to_string_lossy().into_owned(), to.clone()]);
    }
    all.push("--".into());
    all.push(program.to_string_lossy().into_owned());
    all.extend(args.iter().cloned());
    ("unshare".into(), all)
}
