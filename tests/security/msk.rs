//! A token for Amazon MSK reaches a real broker in the handshake. No MSK is at hand: this broker knows
//! nothing of it and refuses it; its form and signature are held against AWS's own in `src/kafka/msk.rs`.

use anyhow::ensure;
use spillway::kafka::{AwsConfig, AwsKeys, Connection, SaslConfig};
use spillway_testbed::secured::OAUTH;

use super::{config, refused, test, trusting};

#[test]
fn a_broker_is_shown_a_token() {
    test(async |bed| {
        let keys = AwsKeys {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        };
        let aws = AwsConfig { region: "eu-west-1".into(), keys: Some(keys) };
        let at = bed.at(OAUTH);
        let connection = Connection::open(&config(at.clone(), trusting(bed), Some(SaslConfig::Aws(aws))))?;
        let said = format!(
            "AuthenticationFailed: Kafka at {at} refused the AWS identity: {{\"status\":\"invalid_token\"}}. Check sasl.aws, and that its IAM policy allows kafka-cluster:Connect"
        );
        refused("an AWS identity", &connection, &said).await?;
        ensure!(bed.kafka.logged("Failed authentication with")? > 0);
        Ok(())
    });
}
