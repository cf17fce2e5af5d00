//! The chart on a real API server: all it can render is accepted, what it adds works, and a release is
//! upgraded, rolled back and uninstalled without a loss.
//!
//! What it renders is compared in `tests/generated`; the rights it grants are in `access`. No network policy
//! is enforced on the bed: it is only accepted.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{EvictParams, ListParams};
use kube::{Api, ResourceExt};
use spillway::api::{ConsumerScaler, KafkaConnection};
use spillway_testbed::wait::eventually;
use spillway_testbed::{operator, sample};

use super::harness::{CALM, Case, SharedBed, case};
use super::typed;

const LIMIT: Duration = Duration::from_secs(60);
const RELEASE: &str = "everything";

/// The chart before this one: see the file beside it.
const PREVIOUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/previous/spillway-0.1.0.tgz");

/// A control plane and nothing else.
static BARE: SharedBed = SharedBed::new("bare", "").bare().cases(1);

/// Everything that a pod of the bed runs with. It looks after no namespace where there is a scaler.
const EVERYTHING: &str = "
crds: {enabled: false}
watchNamespaces: [chart]
replicaCount: 2
rbac: {aggregateToDefaultRoles: true}
metrics: {podMonitor: {enabled: true}}
prometheusRule: {enabled: true, runbookUrl: 'https://example.test/'}
grafanaDashboard: {enabled: true, namespace: chart}
page: {enabled: true}
networkPolicy: {enabled: true}
extraEnvFrom: [{configMapRef: {name: more-env}}]
extraVolumes: [{name: more, configMap: {name: more-env}}]
extraVolumeMounts: [{name: more, mountPath: /more}]
extraObjects:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: more-env}, data: {SPILLWAY_LOG_FORMAT: text}}
commonAnnotations: {example.test/note: a-note}
";

/// What a values file has where everything below a key is a comment.
const TAKEN_AWAY: &str = "strategy=null,resources=null,podSecurityContext=null,securityContext=null,\
    livenessProbe=null,readinessProbe=null,topologySpreadConstraints=null,affinity=null,tolerations=null,\
    nodeSelector=null,commonLabels=null,commonAnnotations=null,podLabels=null,podAnnotations=null,\
    imagePullSecrets=null,extraObjects=null,networkPolicy.kafkaTo=null,prometheusRule.alertLabels=null,\
    image.tag=null,image.digest=null,image.pullPolicy=null,terminationGracePeriodSeconds=null,shards=null,\
    podDisruptionBudget.maxUnavailable=null,metrics.service.port=null,crds.keep=null,rbac.secretNames=null,rbac.extraScaleTargets=null,watchNamespaces=null";

/// The kinds that only a cluster with the Prometheus Operator has.
async fn monitoring(case: &Case) -> Result<()> {
    let tools = case.bed.tools().clone();
    let folder = tools.monitoring();
    tokio::task::spawn_blocking(move || tools.prepare_monitoring()).await??;
    let folder = folder.to_string_lossy();
    case.bed.kubectl(&["apply", "--server-side", "-f", &folder]).await?;
    case.bed.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &folder]).await?;
    Ok(())
}

/// Renders the chart, and has the API server look at every field of it, without keeping anything.
async fn accepted(case: &Case, what: &str, args: &[&str]) -> Result<usize> {
    let chart = operator::chart();
    let chart = chart.to_string_lossy();
    let render = ["template", "dry", &*chart, "--namespace", &case.namespace];
    let objects =
        case.bed.helm(&[&render[..], &["--api-versions", "monitoring.coreos.com/v1"], args].concat()).await?;
    let file = case.bed.folder("rendered")?.join(format!("{what}.yaml"));
    fs::write(&file, &objects)?;
    let file = file.to_string_lossy();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        &*file,
    ];
    let said = case.bed.kubectl(&apply).await.with_context(|| format!("the chart with {what}"))?;
    let (taken, rendered) =
        (said.lines().count(), objects.lines().filter(|l| l.starts_with("kind: ")).count());
    ensure!(
        taken == rendered && said.lines().all(|l| l.ends_with("serverside-applied (server dry run)")),
        "{rendered} objects with {what}, and kubectl says:\n{said}"
    );
    Ok(taken)
}

#[test]
fn whatever_the_chart_renders_is_accepted_and_works() {
    case("chart", &CALM, async |case: Case| {
        monitoring(&case).await?;
        case.bed.apply(&(sample::namespace("shop") + &sample::namespace("billing"))).await?;
        let ci = operator::chart().join("ci");
        let file = |name: &str| ci.join(name).to_string_lossy().into_owned();
        let (all_on, service_monitor) = (file("all-on-values.yaml"), file("service-monitor-values.yaml"));
        ensure!(accepted(&case, "defaults", &[]).await? >= 9);
        let narrow = accepted(&case, "namespaces", &["--set", "watchNamespaces={shop,billing}"]).await?;
        ensure!(narrow >= 11, "{narrow} objects");
        ensure!(accepted(&case, "everything", &["--values", &all_on]).await? >= 19);
        accepted(&case, "a ServiceMonitor", &["--values", &service_monitor]).await?;
        let long = format!("fullnameOverride={}", "x".repeat(63));
        let most = ["--values", &all_on, "--set", &long, "--set", "shards=32"];
        ensure!(accepted(&case, "the longest names", &most).await? >= 19);
        accepted(&case, "all taken away that may be", &["--values", &all_on, "--set", TAKEN_AWAY]).await?;
        // A check that cannot fail would tell nothing.
        let wrong = accepted(&case, "a mistake", &["--set", "podSecurityContext.runAsUzer=1"]).await;
        let said = wrong.err().context("a field that no pod has was accepted")?;
        ensure!(format!("{said:#}").contains("runAsUzer"), "{said:#}");

        // A pod that is not restricted would not be made.
        let restricted =
            ["label", "namespace", &case.namespace, "pod-security.kubernetes.io/enforce=restricted"];
        case.bed.kubectl(&restricted).await?;
        operator::install_as(case.bed, RELEASE, &case.namespace, EVERYTHING).await?;
        budget(&case).await?;
        people(&case).await?;
        for kind in ["podmonitor", "prometheusrule", "networkpolicy", "configmap/more-env"] {
            let get = ["get", kind, "-n", &case.namespace, "-o", "name"];
            let found = case.bed.kubectl(&get).await?;
            ensure!(found.lines().count() == 1, "{kind}: {found:?}");
        }
        twin(&case).await?;
        let uninstall = ["uninstall", RELEASE, "--namespace", &case.namespace, "--wait"];
        case.bed.helm(&uninstall).await.context("helm uninstall").map(drop)
    });
}

/// Another team's release of the same name is installed beside it, and taken away without a loss for the first.
async fn twin(case: &Case) -> Result<()> {
    let values = EVERYTHING.replace("[chart]", "[chart-twin]").replace("replicaCount: 2", "replicaCount: 0");
    // One dashboard shows all releases.
    let values = values.replace("grafanaDashboard: {enabled: true", "grafanaDashboard: {enabled: false");
    operator::install_as(case.bed, RELEASE, "chart-twin", &values).await.context("beside its namesake")?;
    let of = format!("-lapp.kubernetes.io/instance={RELEASE}");
    let get =
        ["get", "clusterroles,clusterrolebindings,configmaps", &of, "-n", &case.namespace, "-o", "name"];
    let with = case.bed.kubectl(&get).await?;
    case.bed.helm(&["uninstall", RELEASE, "--namespace", "chart-twin", "--wait"]).await?;
    let without = case.bed.kubectl(&get).await?;
    let left: Vec<&str> = without.lines().collect();
    ensure!(left.len() == 5, "three roles, a binding and a dashboard: {left:?}");
    let gone = with.lines().filter(|line| !left.contains(line)).count();
    ensure!(gone == left.len() - 1, "the twin has as many of its own, but for the dashboard: {with}");
    Ok(())
}

/// One of two pods may be evicted; the other only once there is another in its place.
async fn budget(case: &Case) -> Result<()> {
    use k8s_openapi::api::core::v1::Pod;
    let client = case.bed.client();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), &case.namespace);
    eventually("a budget of one pod", LIMIT, || async {
        let status = budgets.get(&format!("{RELEASE}-spillway")).await?.status.context("no status")?;
        let seen = (status.expected_pods, status.current_healthy, status.disruptions_allowed);
        ensure!(seen == (2, 2, 1), "expected, healthy, allowed: {seen:?}");
        Ok(())
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(client, &case.namespace);
    let of = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
    let names: Vec<String> = pods.list(&of).await?.items.iter().map(ResourceExt::name_any).collect();
    let [first, second] = &names[..] else { bail!("two pods: {names:?}") };
    pods.evict(first, &EvictParams::default()).await.context("evicting the first pod")?;
    // Refused as long as it is the only one; the client asks again until it is not.
    pods.evict(second, &EvictParams::default()).await.context("evicting the second pod")?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let now = pods.list(&of).await?.items;
    let others: Vec<(String, bool)> = now
        .iter()
        .map(|pod| (pod.name_any(), ready(pod)))
        .filter(|(name, _)| !names.contains(name))
        .collect();
    ensure!(others.iter().any(|(_, ready)| *ready), "both are gone, and instead there are {others:?}");
    Ok(())
}

/// What the cluster's own roles let people do, once the chart's are added to them.
async fn people(case: &Case) -> Result<()> {
    let ns = &case.namespace;
    for role in ["view", "edit", "admin"] {
        let binding = format!("--clusterrole={role}");
        let user = format!("--user={role}er");
        case.bed.kubectl(&["create", "rolebinding", role, &binding, &user, "-n", ns]).await?;
    }
    for (user, verb, what, may) in [
        ("viewer", "get", "consumerscalers.spillway.dev", true),
        ("viewer", "list", "kafkaconnections.spillway.dev", true),
        ("viewer", "create", "consumerscalers.spillway.dev", false),
        ("editer", "create", "kafkaconnections.spillway.dev", true),
        ("editer", "delete", "consumerscalers.spillway.dev", true),
        ("editer", "patch", "consumerscalers.spillway.dev/status", false),
        ("adminer", "update", "consumerscalers.spillway.dev", true),
    ] {
        let who = format!("--as={user}");
        let (what, sub) = what.split_once('/').unwrap_or((what, ""));
        let sub = format!("--subresource={sub}");
        let asks = ["auth", "can-i", verb, what, &sub, &who, "-n", ns];
        // The controller adds the roles up some time after they are made.
        eventually(&format!("{user} to {verb} {what}: {may}"), LIMIT, || async {
            // kubectl fails where the answer is no.
            let said = case.bed.kubectl(&asks).await;
            ensure!(said.is_ok() == may, "{said:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// What a user has made, as it must stay: which object, and what it asks for.
#[derive(Debug, PartialEq)]
struct Users {
    scaler: (Option<String>, serde_json::Value),
    connection: (Option<String>, serde_json::Value),
}

async fn users(case: &Case) -> Result<Users> {
    let client = case.bed.client();
    let scaler = Api::<ConsumerScaler>::namespaced(client.clone(), &case.namespace).get("orders").await?;
    let connection = Api::<KafkaConnection>::namespaced(client, &case.namespace).get("main").await?;
    Ok(Users {
        scaler: (scaler.uid(), serde_json::to_value(&scaler.spec)?),
        connection: (connection.uid(), serde_json::to_value(&connection.spec)?),
    })
}

/// A scaler of a connection: of one that is not there, its operator says so at once.
fn scaler(case: &Case, name: &str, connection: &str) -> String {
    let group = format!("{{group: {name}, connection: {{name: {connection}}}}}");
    case.scaler(name, &group, &format!("scaleTargetRef: {{name: {name}}}, maxReplicas: 4"))
}

/// Waits until the operator that is there says something of a scaler that is new: it works.
async fn works(case: &Case, stage: &str) -> Result<()> {
    case.bed.apply(&scaler(case, stage, "nowhere")).await?;
    eventually(&format!("an operator to work, {stage}"), LIMIT, || async {
        let said = case.status(stage).await?.message.context("no message")?;
        ensure!(said.contains("names KafkaConnection \"nowhere\""), "{said}");
        Ok(())
    })
    .await
}

async fn helm(case: &Case, args: &[&str]) -> Result<String> {
    let more = ["--namespace", operator::NAMESPACE, "--wait", "--timeout", "120s"];
    case.bed.helm(&[args, &more].concat()).await.with_context(|| format!("helm {}", args.join(" ")))
}

/// The pods that the Deployment asks for, and the budgets there are.
async fn shape(case: &Case) -> Result<(Option<i32>, usize)> {
    let client = case.bed.client();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), operator::NAMESPACE);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, operator::NAMESPACE);
    let pods = deployments.get("spillway").await?.spec.and_then(|spec| spec.replicas);
    Ok((pods, budgets.list(&ListParams::default()).await?.items.len()))
}

#[test]
fn a_release_is_upgraded_rolled_back_and_uninstalled_without_a_loss() {
    case("lifecycle", &BARE, async |case: Case| {
        let values = case.bed.folder("lifecycle")?.join("values.yaml");
        // Whoever is uninstalled cannot give its lease up: its rights end before it does.
        fs::write(&values, operator::VALUES.to_owned() + "lease: {duration: 4s}\n")?;
        let values = values.to_string_lossy().into_owned();
        let (chart, ns) = (operator::chart(), case.namespace.as_str());
        let chart = chart.to_string_lossy();
        helm(&case, &["install", "spillway", PREVIOUS, "--create-namespace", "--values", &values]).await?;
        case.bed
            .apply(
                &(case.connection("main", "bootstrapServers: ['127.0.0.1:9']")
                    + &scaler(&case, "orders", "main")),
            )
            .await?;
        let before = users(&case).await?;
        ensure!(before.scaler.0.is_some() && before.connection.0.is_some(), "{before:?}");
        works(&case, "before").await?;
        ensure!(shape(&case).await? == (Some(1), 0), "{:?}", shape(&case).await?);

        let two = ["--values", &values, "--set", "replicaCount=2"];
        let said = helm(&case, &[&["upgrade", "spillway", &*chart], &two[..]].concat()).await?;
        ensure!(said.contains("takes over") && !said.contains("kind: ConsumerScaler"), "{said}");
        works(&case, "upgraded").await?;
        ensure!(shape(&case).await? == (Some(2), 1), "upgraded: {:?}", shape(&case).await?);
        ensure!(users(&case).await? == before, "changed by the upgrade: {:?}", users(&case).await?);

        helm(&case, &["rollback", "spillway", "1"]).await?;
        works(&case, "rolled-back").await?;
        ensure!(shape(&case).await? == (Some(1), 0), "rolled back: {:?}", shape(&case).await?);
        ensure!(users(&case).await? == before, "changed by the rollback: {:?}", users(&case).await?);

        // As the chart's README has it: what was set before stays, and new values have their defaults; else they are missed.
        let kept = ["upgrade", "spillway", &*chart, "--reuse-values"];
        let said = format!("{:#}", helm(&case, &kept).await.err().context("without new values")?);
        ensure!(said.contains("missing properties"), "{said}");
        let reused = ["upgrade", "spillway", &*chart, "--reset-then-reuse-values", "--set", "replicaCount=2"];
        helm(&case, &reused).await?;
        ensure!(shape(&case).await? == (Some(2), 1), "upgraded again: {:?}", shape(&case).await?);
        works(&case, "upgraded-again").await?;
        helm(&case, &["uninstall", "spillway"]).await?;
        let get = ["get", "all,role,rolebinding,pdb,sa,lease", "-n", operator::NAMESPACE, "-o", "name"];
        eventually("nothing of the release to be left", LIMIT, || async {
            let left = case.bed.kubectl(&get).await?;
            // The Lease is the operator's own, and Kubernetes has an account in each namespace.
            let own = ["lease.coordination.k8s.io/spillway", "serviceaccount/default"];
            let left: Vec<&str> = left.lines().filter(|line| !own.contains(line)).collect();
            ensure!(left.is_empty(), "left: {left:?}");
            Ok(())
        })
        .await?;
        let wide = case.bed.kubectl(&["get", "clusterrole,clusterrolebinding", "-o", "name"]).await?;
        ensure!(!wide.contains("spillway"), "left: {wide}");
        ensure!(users(&case).await? == before, "changed by the uninstallation: {:?}", users(&case).await?);
        let definitions: Api<CustomResourceDefinition> = Api::all(case.bed.client());
        for name in ["consumerscalers.spillway.dev", "kafkaconnections.spillway.dev"] {
            definitions.get(name).await.with_context(|| format!("{name} is gone"))?;
        }

        helm(&case, &[&["install", "spillway", &*chart], &two[..]].concat()).await?;
        works(&case, "installed-anew").await?;
        ensure!(users(&case).await? == before, "changed by a new installation in {ns}");

        // From here on as docs/operations.md has it, to the end: nothing is left of it then.
        let page = "docs/operations.md";
        let lines = typed::type_all(&case, page, &typed::blocks(page, "sh release")?, "orders").await?;
        ensure!(lines >= 12, "{page} has only {lines} commands for a release");
        for name in ["consumerscalers.spillway.dev", "kafkaconnections.spillway.dev"] {
            let left = definitions.get_opt(name).await?;
            ensure!(left.is_none(), "{name} is left after all was removed");
        }
        Ok(())
    });
}
