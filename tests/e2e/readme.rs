//! charts/spillway/README.md: its commands, on a bed where nothing is installed.
//!
//! A reader does not type all of them one after the other: the second way to install is another release, and what
//! removes everything is typed last. Pods of the bed have no server for `port-forward`.

use anyhow::ensure;
use spillway_testbed::operator;

use super::document::Document;
use super::harness::{Case, SharedBed, case};

static NEW: SharedBed = SharedBed::new("readme", "").bare().cases(1);

const REMOVED: &str = "helm uninstall spillway -n spillway-system
kubectl delete crd consumerscalers.spillway.dev kafkaconnections.spillway.dev
kubectl delete namespace spillway-system
";
const RENAMED: &str = "--set replicaCount=1 --set fullnameOverride=flow\n";
const SECOND: &str = "helm install spillway charts/spillway -n ";
const LAST: &str = "kubectl -n shop create token spillway-viewer\n";
const LOOKED_AT: &str = "kubectl -n spillway-system port-forward pod/$(";

#[test]
fn the_charts_readme_installs_changes_and_removes_a_release() {
    case("readme", &NEW, async |case: Case| {
        let mut page = Document::read(&case, "charts/spillway/README.md")?;
        ensure!(page.lines() >= 17, "the README has other commands");
        page.replace(REMOVED, "")?;
        page.replace(LAST, &format!("{LAST}{REMOVED}"))?;
        let between = "helm uninstall spillway -n spillway-system --wait\n\
                       kubectl create namespace shop\nkubectl create namespace billing\n";
        page.replace(SECOND, &format!("{between}{SECOND}"))?;
        // The other commands are for the name of before: back to it in the same way.
        let back = "kubectl -n spillway-system rollout status deployment/flow --timeout=60s\n\
                    kubectl -n spillway-system wait lease/flow --for=jsonpath='{.spec.holderIdentity}' --timeout=60s\n\
                    helm upgrade spillway charts/spillway -n spillway-system --reset-then-reuse-values --set replicaCount=0\n\
                    kubectl -n spillway-system wait --for=delete pod -l app.kubernetes.io/instance=spillway --timeout=60s\n\
                    helm upgrade spillway charts/spillway -n spillway-system --reset-then-reuse-values --set replicaCount=1,fullnameOverride=\n";
        page.replace(RENAMED, &format!("{RENAMED}{back}"))?;
        let held = "kubectl -n spillway-system rollout status deployment/spillway --timeout=60s\n\
                    kubectl -n spillway-system wait lease/spillway --for=jsonpath='{.spec.holderIdentity}' --timeout=60s\n\
                    kubectl -n spillway-system get --ignore-not-found pod/$(";
        page.replace(LOOKED_AT, held)?;
        page.replace("'{.spec.holderIdentity}') 8080", "'{.spec.holderIdentity}')")?;
        page.replace("charts/spillway", &operator::chart().to_string_lossy())?;
        page.helm()?;

        let printed = page.follow().await?;
        for said in [
            "deployment \"spillway\" successfully rolled out",
            "lease.coordination.k8s.io/spillway condition met",
            "lease.coordination.k8s.io/flow condition met",
            "rolebinding.rbac.authorization.k8s.io/spillway-viewer created",
            "release \"spillway\" uninstalled",
            "namespace \"spillway-system\" deleted",
        ] {
            ensure!(printed.contains(said), "nothing says {said:?}:\n{printed}");
        }
        let left = ["get", "crd,clusterrole,clusterrolebinding", "-o", "name"];
        let left = case.bed.kubectl(&left).await?;
        ensure!(!left.contains("spillway"), "left: {left}");
        Ok(())
    });
}
