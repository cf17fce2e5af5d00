//! The calls that the API server noted in its audit log.
//!
//! It reads what there is; which calls are noted is the control plane's policy.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

/// A call to the API server, as its audit log has it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Who called.
    pub user: CallUser,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The path.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// What the call was about; none for paths that are no resource.
    #[serde(default)]
    pub object_ref: CallObject,
    /// What was to be written, where the policy has that noted.
    #[serde(default)]
    pub request_object: Value,
    /// What was answered; none while a watch lasts.
    #[serde(default)]
    pub response_status: CallStatus,
    /// When it came in, RFC 3339.
    pub request_received_timestamp: String,
}

/// Who made a call.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct CallUser {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// What the API server knows beside: which pod the token was made for.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Call {
    /// Name of the pod that called.
    pub fn pod(&self) -> Option<&str> {
        let names = self.user.extra.get("authentication.kubernetes.io/pod-name")?;
        names.first().map(String::as_str)
    }
}

/// What a call was about.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallObject {
    /// API group; empty for the core.
    pub api_group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// `status`, `scale`, …
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// How a call ended.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct CallStatus {
    /// HTTP status.
    #[serde(default)]
    pub code: u16,
}

/// The audit log as far as it was read: it grows by some lines a second, and cases look at it often.
#[derive(Default)]
pub(super) struct Audit {
    read: u64,
    pub calls: Vec<Call>,
}

impl Audit {
    /// Reads what has come since; a line without an end is left for the next time.
    pub fn read_on(&mut self, log: &Path) -> Result<()> {
        let mut file = fs::File::open(log)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = new[..whole].split(|byte| *byte == b'\n');
        self.calls.extend(lines.filter_map(|line| serde_json::from_slice::<Call>(line).ok()));
        self.read += whole as u64;
        Ok(())
    }
}
