//! The rights that the chart grants: enough, and not one more.
//!
//! Granted is what the API server holds; used is what its audit log says. That an API server
//! keeps to its rules is not tested here.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::Api;
use kube::api::ListParams;
use spillway_testbed::controlplane::Call;
use spillway_testbed::wait::eventually;
use spillway_testbed::{operator, sample};

use super::broken;
use super::given::SECRET;
use super::harness::{CALM, Case, LOGIN, case};
use super::{page, random};

const LIMIT: Duration = Duration::from_secs(60);
/// The release that is given two namespaces only: its name, its own namespace, and those.
const NARROW: &str = "narrow";
const NARROW_OWN: &str = "narrow-operator";
const NARROW_WATCHED: &str = "narrow-watched";
const NARROW_EMPTY: &str = "narrow-empty";

/// Rights that the run of this case need not use, and why they are granted.
const UNUSED: [&str; 0] = [];

/// One thing that may be done: `verb group/resource`, as the log has calls and roles have rules.
fn right(verb: &str, group: &str, resource: &str) -> String {
    format!("{verb} {group}/{resource}")
}

fn rights(rules: &[PolicyRule]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                all.extend(rule.verbs.iter().map(|verb| right(verb, group, resource)));
            }
        }
    }
    all
}

fn used(call: &Call) -> String {
    let of = &call.object_ref;
    let resource = match of.subresource.as_str() {
        "" => of.resource.clone(),
        sub => format!("{}/{sub}", of.resource),
    };
    right(&call.verb, &of.api_group, &resource)
}

/// Whether a rule allows the call.
fn allows(rule: &PolicyRule, call: &Call) -> bool {
    let named = rule.resource_names.as_deref().unwrap_or_default();
    rights(std::slice::from_ref(rule)).contains(&used(call))
        && (named.is_empty() || named.contains(&call.object_ref.name))
}

/// The calls about resources. Looking up kinds is not one, and is allowed to everybody.
fn calls(case: &Case, namespace: &str, account: &str) -> Result<Vec<Call>> {
    let mut all = case.bed.plane().calls(namespace, account)?;
    all.retain(|call| !call.object_ref.resource.is_empty());
    Ok(all)
}

/// A Deployment, a StatefulSet and a kind of its own, each without a replica and with one wanted,
/// through a connection with a Secret.
fn workloads(case: &Case) -> Result<String> {
    let ns = &case.namespace;
    let mut yaml = case.secret(SECRET, LOGIN.1)
        + &case.login(
            "main",
            "SCRAM-SHA-512",
            &format!("{{secretKeyRef: {{name: {SECRET}, key: password}}}}"),
        )?
        + &case.custom("Rig", "rig", 0);
    for (kind, name, more) in
        [("Deployment", "deployment", ""), ("StatefulSet", "statefulset", "serviceName: none, ")]
    {
        yaml += &format!(
            "---
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {ns}}}
spec:
  {{{more}replicas: 0, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}},
    spec: {{automountServiceAccountToken: false, containers: [{{name: {name}, image: none}}]}}}}}}
"
        );
    }
    for (name, target) in [
        ("deployment", "name: deployment"),
        ("statefulset", "kind: StatefulSet, name: statefulset"),
        ("rig", "apiVersion: test.example.com/v1, kind: Rig, name: rig"),
    ] {
        yaml += &wants_one(case, name, target);
    }
    Ok(yaml)
}

fn wants_one(case: &Case, name: &str, target: &str) -> String {
    let fields = format!("scaleTargetRef: {{{target}}}, minReplicas: 1, maxReplicas: 2");
    case.scaler(name, "{group: access, topics: [access], connection: {name: main}}", &fields)
}

#[test]
fn the_rights_of_the_chart_are_enough_and_not_one_more() {
    case("access", &CALM, async |case: Case| {
        case.quiet_group("access").await?;
        case.bed.apply(&workloads(&case)?).await?;
        for name in ["deployment", "statefulset", "rig"] {
            let what = format!("{name} to be scaled");
            case.until(&what, name, LIMIT, |s| s.current_replicas == Some(1)).await?;
        }

        let client = case.bed.client();
        // Whatever roles the release has.
        let of = ListParams::default().labels(&format!("app.kubernetes.io/instance={}", operator::RELEASE));
        let roles = Api::<ClusterRole>::all(client.clone()).list(&of).await?;
        let everywhere: Vec<PolicyRule> =
            roles.items.into_iter().flat_map(|r| r.rules.unwrap_or_default()).collect();
        let roles = Api::<Role>::all(client).list(&of).await?;
        let own: Vec<PolicyRule> =
            roles.items.into_iter().flat_map(|r| r.rules.unwrap_or_default()).collect();
        ensure!(everywhere.len() >= 8 && !own.is_empty(), "the roles are elsewhere: {everywhere:?} {own:?}");
        let granted: BTreeSet<String> = rights(&everywhere).into_iter().chain(rights(&own)).collect();

        // Somebody looks at the page.
        let viewer = page::token(&case, "viewer", "list").await?;
        let (_, ip) = operator::leader(case.bed, LIMIT).await?;
        eventually("every right to be used", LIMIT, || async {
            page::ask(&ip, "/api/scalers", Some(&viewer)).await?;
            let used: BTreeSet<String> =
                calls(&case, operator::NAMESPACE, operator::RELEASE)?.iter().map(used).collect();
            let unused: Vec<&String> =
                granted.difference(&used).filter(|r| !UNUSED.contains(&r.as_str())).collect();
            ensure!(unused.is_empty(), "granted and not used: {unused:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;

        let calls = calls(&case, operator::NAMESPACE, operator::RELEASE)?;
        // There it asks for what it may not have, and is to say so; one workload there is another's.
        let refusable = [broken::NAMESPACE, random::NAMESPACE, NARROW_WATCHED];
        for call in calls.iter().filter(|c| !refusable.contains(&c.object_ref.namespace.as_str())) {
            ensure!(call.response_status.code != 403, "not allowed: {} {}", call.verb, call.uri);
            let at_home = call.object_ref.namespace == operator::NAMESPACE;
            let by = everywhere.iter().chain(own.iter().filter(|_| at_home)).any(|rule| allows(rule, call));
            ensure!(by, "allowed by something else than the chart: {} {}", call.verb, call.uri);
        }
        Ok(())
    });
}

#[test]
fn with_namespaces_named_it_works_there_and_reaches_nothing_else() {
    case(NARROW_WATCHED, &CALM, async |case: Case| {
        // The operator of the bed looks after this namespace too, and may not scale a Gadget.
        let values = format!(
            "
crds: {{enabled: false}}
watchNamespaces: [{NARROW_WATCHED}, {NARROW_EMPTY}]
rbac: {{extraScaleTargets: [{{apiGroup: test.example.com, resource: gadgets}}]}}
"
        );
        case.quiet_group("access-narrow").await?;
        case.bed.apply(&(sample::namespace(NARROW_OWN) + &sample::namespace(NARROW_EMPTY))).await?;
        operator::install_as(case.bed, NARROW, NARROW_OWN, &values).await?;
        let target = "apiVersion: test.example.com/v1, kind: Gadget, name: gadget";
        let fields = format!("scaleTargetRef: {{{target}}}, minReplicas: 1, maxReplicas: 2");
        let scaler = case.scaler(
            "gadget",
            "{group: access-narrow, topics: [access-narrow], connection: {name: main}}",
            &fields,
        );
        case.bed.apply(&(case.plain("main")? + &case.custom("Gadget", "gadget", 0) + &scaler)).await?;

        let account = format!("{NARROW}-spillway");
        eventually("the Gadget to be scaled and told of", LIMIT, || async {
            let calls = calls(&case, NARROW_OWN, &account)?;
            for wanted in [
                "update test.example.com/gadgets/scale",
                "patch spillway.dev/consumerscalers/status",
                "create events.k8s.io/events",
            ] {
                let done = calls.iter().any(|c| used(c) == wanted && c.response_status.code < 300);
                ensure!(done, "it has not done this: {wanted}");
            }
            for (kind, namespace) in ["consumerscalers", "kafkaconnections"]
                .into_iter()
                .flat_map(|kind| [(kind, NARROW_WATCHED), (kind, NARROW_EMPTY)])
            {
                let of = |c: &&Call| c.object_ref.resource == kind && c.object_ref.namespace == namespace;
                let watches = calls.iter().filter(of).any(|c| c.verb == "watch");
                ensure!(watches, "it does not watch {kind} in {namespace}");
            }
            Ok::<_, anyhow::Error>(())
        })
        .await?;

        let client = case.bed.client();
        let release = ListParams::default().labels(&format!("app.kubernetes.io/instance={NARROW}"));
        let roles: Api<ClusterRole> = Api::all(client.clone());
        let bindings: Api<ClusterRoleBinding> = Api::all(client);
        let wide = roles.list(&release).await?.items.len() + bindings.list(&release).await?.items.len();
        ensure!(wide == 0, "it was given rights everywhere");
        for call in calls(&case, NARROW_OWN, &account)? {
            let at = call.object_ref.namespace.as_str();
            ensure!(
                [NARROW_WATCHED, NARROW_EMPTY, NARROW_OWN].contains(&at),
                "it looks elsewhere: {} {}",
                call.verb,
                call.uri
            );
            ensure!(call.response_status.code != 403, "not allowed: {} {}", call.verb, call.uri);
        }
        let uninstall = ["uninstall", NARROW, "--namespace", NARROW_OWN, "--wait"];
        case.bed.helm(&uninstall).await.context("helm uninstall").map(drop)
    });
}
