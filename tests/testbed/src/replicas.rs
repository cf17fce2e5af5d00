//! Every number of replicas that a Deployment was ever asked for, and when.
//!
//! It watches the Deployment; who asked, and why, is not known here.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};

use crate::follow::Followed;

/// One value of the replicas asked for.
#[derive(Clone, Debug)]
pub struct Step {
    /// When it was seen, ms since the epoch.
    pub at: i64,
    /// Replicas asked for.
    pub replicas: i32,
    generation: i64,
}

/// Every value of a Deployment's replicas, as its watch tells them.
pub struct Path(Followed<Step>);

impl Path {
    /// Follows a Deployment from now on.
    pub fn follow(client: Client, namespace: &str, name: &str) -> Self {
        let api: Api<Deployment> = Api::namespaced(client, namespace);
        Self(Followed::start(api, name, |steps: &mut Vec<Step>, object| {
            let generation = object.metadata.generation.unwrap_or_default();
            let replicas = object.spec.and_then(|s| s.replicas).unwrap_or_default();
            if steps.last().is_none_or(|last| last.generation != generation) {
                steps.push(Step { at: jiff::Timestamp::now().as_millisecond(), replicas, generation });
            }
        }))
    }

    /// The values so far. Each change of a Deployment's spec counts its generation up by one, so none
    /// can be missed unnoticed.
    ///
    /// # Errors
    /// When a change was missed all the same.
    pub fn steps(&self) -> Result<Vec<Step>> {
        let steps = self.0.kept();
        for two in steps.windows(2) {
            ensure!(two[1].generation == two[0].generation + 1, "a change was not seen: {steps:?}");
        }
        Ok(steps)
    }

    /// The replica counts so far.
    ///
    /// # Errors
    /// As [`Path::steps`].
    pub fn counts(&self) -> Result<Vec<i32>> {
        Ok(self.steps()?.iter().map(|step| step.replicas).collect())
    }
}
