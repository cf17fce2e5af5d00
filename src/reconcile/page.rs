//! Where the page gets what it shows, and what is kept for it.
//!
//! It wires: what is shown is `report`'s, who may see it the API server's.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::{Hands, Settings};
use crate::api::ConsumerScaler;
use crate::clock;
use crate::cluster::access::Access;
use crate::cluster::events::Kind;
use crate::cluster::page::{self, Source};
use crate::cluster::shards::Shards;
use crate::cluster::watch::Watched;
use crate::decide::ScalerState;
use crate::report::ScalerKey;
use crate::report::page::Pages;

/// The routes of the page.
pub(super) fn router(
    client: Client,
    pages: Arc<Pages>,
    scalers: Watched<ConsumerScaler>,
    shards: Shards,
    settings: &Settings,
) -> Router {
    let (watched, identity) = (settings.namespaces.clone(), settings.standing.identity.clone());
    let own = settings.standing.namespace.clone();
    let (list, histories, one) = (pages.clone(), pages.clone(), pages);
    let source = Source {
        namespaces: Box::new(move || {
            let mut all: BTreeSet<String> = watched.iter().cloned().collect();
            all.extend(scalers.list().iter().filter_map(|s| s.namespace()));
            all.extend(scalers.invalid().into_iter().map(|bad| bad.namespace));
            all.into_iter().collect()
        }),
        about: Box::new(move || {
            let holders = shards.holders();
            let holders: BTreeSet<&String> = holders.iter().flatten().collect();
            json!({
                "now": clock::now(),
                "version": env!("CARGO_PKG_VERSION"),
                "identity": identity,
                "leads": shards.any(),
                // The pods that work.
                "holders": holders,
                "shards": shards.count(),
                "own": shards.ours().iter().filter(|ours| **ours).count(),
                // Where the pods are: the Leases are in the release's namespace.
                "namespace": own,
            })
        }),
        list: Box::new(move |seeing| json!(list.list(|namespace| seeing.covers(namespace)))),
        histories: Box::new(move |seeing| histories.histories(|namespace| seeing.covers(namespace))),
        one: Box::new(move |namespace, name| one.one(&ScalerKey::new(namespace, name))),
    };
    page::router(source, Access::new(client))
}

impl Hands {
    /// Publishes an event of a scaler, and keeps it for the page.
    pub(super) fn tell(&self, object: &ConsumerScaler, kind: Kind, reason: &str, action: &str, text: &str) {
        self.events.publish(object, kind, reason, action, text);
        if let Some(pages) = &self.pages {
            let key = ScalerKey::new(object.namespace().unwrap_or_default(), object.name_any());
            pages.tell(&key, clock::now(), matches!(kind, Kind::Warning), reason, text);
        }
    }

    /// Shows that a scaler cannot be looked at, and why.
    pub(super) fn unseen(&self, key: &ScalerKey, why: &str) {
        self.metrics.observe_unseen(key, ScalerState::Invalid);
        if let Some(pages) = &self.pages {
            pages.observe_unseen(key, why, clock::now());
        }
    }

    /// Shows a scaler no more.
    pub(super) fn forget(&self, key: &ScalerKey) {
        self.metrics.forget(key);
        if let Some(pages) = &self.pages {
            pages.forget(key);
        }
    }
}
