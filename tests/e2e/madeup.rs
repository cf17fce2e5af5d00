//! Resources made up from their schemas: plausible ones, and such with absurd values here and there.
//!
//! The same seed makes the same ones. Addresses are of this machine or of nobody: what is accepted is
//! dialled. What is to become of them is in `random`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::checked::schema;
use super::given::SECRET;

/// Makes resources up.
pub struct Maker {
    rng: ChaCha8Rng,
    /// Addresses that a list of bootstrap servers is made of.
    servers: Vec<String>,
    scaler: Value,
    connection: Value,
}

impl Maker {
    pub fn new(seed: u64, servers: &str) -> Self {
        // Few, as each list of them is a client of its own.
        let servers = [servers, "127.0.0.1:1", "[::1]:1", "nowhere.invalid:9092"].map(str::to_owned).to_vec();
        let spec = |schema: Value| schema["properties"]["spec"].clone();
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            servers,
            scaler: spec(schema::<spillway::api::ConsumerScaler>()),
            connection: spec(schema::<spillway::api::KafkaConnection>()),
        }
    }

    fn below(&mut self, most: usize) -> usize {
        (self.rng.next_u64() % most.max(1) as u64) as usize
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// A ConsumerScaler or a KafkaConnection, with its plural.
    pub fn any(&mut self, namespace: &str, number: usize) -> (&'static str, Value) {
        let scaler = self.below(3) > 0;
        let (plural, kind) = if scaler {
            ("consumerscalers", "ConsumerScaler")
        } else {
            ("kafkaconnections", "KafkaConnection")
        };
        let of = if scaler { self.scaler.clone() } else { self.connection.clone() };
        let mut spec = self.plausible(&of, "");
        if scaler && self.below(4) > 0 {
            // Else most would be of one workload, and told so.
            spec["scaleTargetRef"]["name"] = json!(format!("rig-{number}"));
        }
        self.fits(&mut spec);
        let mut object = json!({
            "apiVersion": "spillway.dev/v1alpha1", "kind": kind,
            "metadata": {"name": self.name(number), "namespace": namespace}, "spec": spec,
        });
        for _ in 0..self.one_of(&[0, 0, 0, 1, 1, 2, 4]) {
            self.spoil(&mut object);
        }
        (plural, object)
    }

    fn name(&mut self, number: usize) -> String {
        match self.below(24) {
            0 => format!("long-{number}-{}", "x".repeat(220)),
            1 => format!("dots.{number}.0"),
            _ => format!("made-{number}"),
        }
    }

    /// What goes together in a spec, mostly.
    fn fits(&mut self, spec: &mut Value) {
        if self.below(8) == 0 {
            return;
        }
        for (place, a, b) in
            [("/tls", "clientCert", "clientKey"), ("/sasl/aws", "accessKeyId", "secretAccessKey")]
        {
            if let Some(Value::Object(fields)) = spec.pointer_mut(place)
                && fields.contains_key(a) != fields.contains_key(b)
            {
                fields.retain(|name, _| ![a, b, "sessionToken"].contains(&name.as_str()));
            }
        }
        for (i, group) in
            spec.get_mut("consumerGroups").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
        {
            // A group listed twice is refused.
            if let Some(name) = group["group"].as_str().map(|name| format!("{name}{i}")).filter(|_| i > 0) {
                group["group"] = json!(name);
            }
        }
        let Some(fields) = spec.get_mut("sasl").and_then(Value::as_object_mut) else { return };
        let with: &[&str] = match fields.get("mechanism").and_then(Value::as_str) {
            Some("OAUTHBEARER") => &["mechanism", "oauth"],
            Some("AWS_MSK_IAM") => &["mechanism", "aws"],
            _ => &["mechanism", "username", "password"],
        };
        fields.retain(|name, _| with.contains(&name.as_str()));
    }

    /// A value that the schema may well allow.
    fn plausible(&mut self, of: &Value, field: &str) -> Value {
        if let Some(all) = of["enum"].as_array() {
            return self.one_of(all);
        }
        match of["type"].as_str() {
            Some("object") => self.object(of),
            Some("array") => {
                let (least, most) =
                    (of["minItems"].as_u64().unwrap_or(0), of["maxItems"].as_u64().unwrap_or(3));
                let count = (least as usize + self.below(3)).min(most as usize);
                Value::Array((0..count).map(|_| self.plausible(&of["items"], field)).collect())
            }
            Some("integer") => {
                let least = of["minimum"].as_f64().unwrap_or(0.0) as i64;
                let most = of["maximum"].as_f64().unwrap_or(100.0) as i64;
                // Mostly such that the others fit below it.
                let all = if field == "maxReplicas" { [8, 8, most, 9] } else { [least, 1, 2, 8] };
                json!(self.one_of(&all).clamp(least, most))
            }
            Some("boolean") => json!(self.below(4) == 0),
            _ => json!(self.text(field)),
        }
    }

    fn object(&mut self, of: &Value) -> Value {
        let Some(properties) = of["properties"].as_object() else {
            return json!({"logicalCluster": "a"});
        };
        let required: Vec<&str> =
            of["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (name, schema) in properties {
            if required.contains(&name.as_str()) || self.below(2) == 0 {
                made.insert(name.clone(), self.plausible(schema, name));
            }
        }
        // One of two, as the rules have it.
        let twice =
            |made: &Map<String, Value>, a: &str, b: &str| made.contains_key(a) && made.contains_key(b);
        for (a, b) in [("value", "secretKeyRef"), ("connection", "bootstrapServers")] {
            if twice(&made, a, b) {
                made.remove(if self.below(2) == 0 { a } else { b });
            } else if properties.contains_key(a) && properties.contains_key(b) && !made.contains_key(b) {
                made.entry(a.to_owned()).or_insert_with(|| json!(null));
                let value = self.plausible(&properties[a], a);
                made.insert(a.to_owned(), value);
            }
        }
        Value::Object(made)
    }

    fn text(&mut self, field: &str) -> String {
        let all: &[&str] = match field {
            "bootstrapServers" => return self.one_of(&self.servers.clone()),
            "maxDelay" | "recoverWithin" | "after" | "window" | "duration" => {
                &["30s", "10m", "1h30m", "168h", "1m500ms", "10s"]
            }
            "sweepInterval" => &["1s", "2s", "2500ms"],
            "cron" => &["0 7 * * 1-5", "*/5 * * * *", "0 0 29 2 *", "@daily", "0 0 31 2 *"],
            "timeZone" => &["UTC", "Europe/Madrid", "Asia/Kathmandu", "Nowhere/Land"],
            "apiVersion" => &["test.example.com/v1", "apps/v1", "nowhere.example.com/v1", "v1"],
            "kind" => &["Rig", "Rig", "Deployment", "StatefulSet", "Gadget", "Pod", "Nothing"],
            "tokenEndpoint" => &["https://127.0.0.1:1/token", "https://nowhere.invalid/token"],
            "region" => &["eu-west-1"],
            "name" => &[SECRET, SECRET, "neighbour", "neighbour", "private", "made-1", "kafka-login"],
            "key" => &["password", "wrong", "none"],
            "topics" => &["random", "orders", "not there", "a.b_c-d"],
            "group" => &["random", "orders", "Ünïcödé 🦀", "a b", "a/b?c=d#e", "\u{202e}desrever", "x\ny"],
            _ => &["a", "b c", "Ä", "0"],
        };
        self.one_of(all).to_owned()
    }

    /// Puts an absurd value in the place of another.
    fn spoil(&mut self, object: &mut Value) {
        let mut places = Vec::new();
        all_places(&object["spec"], "/spec", &mut places);
        places.push("/metadata/labels".into());
        let place = self.one_of(&places);
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", &place));
        let absurd = self.absurd();
        match object.pointer_mut(parent) {
            Some(Value::Object(fields)) if self.rng.next_u64().is_multiple_of(6) => {
                fields.insert(format!("{name}X"), absurd);
            }
            Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), absurd)),
            Some(Value::Array(items)) => {
                if let Some(item) = name.parse::<usize>().ok().and_then(|i| items.get_mut(i)) {
                    *item = absurd;
                }
            }
            _ => {}
        }
    }

    /// None of them is an address that could be dialled.
    fn absurd(&mut self) -> Value {
        let deep = (0..60).fold(json!(1), |inner, _| json!({"a": [inner]}));
        let long = "9".repeat(5000);
        let all = [
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(-1),
            json!(0),
            json!(1e308),
            json!(0.5),
            json!(2_147_483_648_u64),
            json!("NaN"),
            json!(".inf"),
            json!("-0"),
            json!(""),
            json!(" "),
            json!("null"),
            json!("9223372036854775808h"),
            json!(long),
            json!("x".repeat(253)),
            json!("日本語🦀"),
            json!("\u{202e}\u{200b}"),
            json!("a\nb\u{1b}[2J"),
            json!("\u{0}"),
            json!("../../../namespaces/kube-system/secrets/a"),
            json!("a?dryRun=All#"),
            json!("%2e%2e%2f"),
            json!("{{.}} $(x) `y` '; --"),
            Value::Null,
            json!(true),
            json!([]),
            json!([[]]),
            json!(vec!["a"; 2000]),
            json!({}),
            json!({"a": {}}),
            deep,
        ];
        self.one_of(&all)
    }
}

fn all_places(value: &Value, at: &str, found: &mut Vec<String>) {
    if at != "/spec" {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, v)| all_places(v, &format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| all_places(v, &format!("{at}/{i}"), found));
        }
        _ => {}
    }
}
