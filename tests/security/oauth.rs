//! Tokens: got from an identity provider, checked by the broker against the provider's keys.

use std::time::Duration;

use anyhow::ensure;
use spillway::kafka::{Connection, ConnectionConfig, OAuthConfig, SaslConfig};
use spillway_testbed::identity::AUDIENCE;
use spillway_testbed::secured::{CLIENT, OAUTH, Secured};
use spillway_testbed::wait::eventually;
use tokio::sync::Mutex;

use super::{LIMIT, config, let_in, refused, sweep, test, trusting};

/// What is asked of the provider is counted, and what it answers is changed: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

fn oauth(bed: &Secured, secret: &str) -> OAuthConfig {
    OAuthConfig {
        token_endpoint: bed.provider.token_endpoint(),
        client_id: CLIENT.0.into(),
        client_secret: secret.into(),
        scope: Some("kafka.read".into()),
        extensions: vec![("logicalCluster".into(), "lkc-1".into())],
        ca_pem: Some(bed.authority.pem().into()),
    }
}

fn with(bed: &Secured, oauth: OAuthConfig) -> ConnectionConfig {
    config(bed.at(OAUTH), trusting(bed), Some(SaslConfig::OAuth(oauth)))
}

#[test]
fn one_token_is_shared_and_followed_by_another_in_time() {
    test(async |bed| {
        let _alone = ALONE.lock().await;
        let before = bed.provider.asked();
        let connection = Connection::open(&with(bed, oauth(bed, CLIENT.1)))?;
        let_in("a client with a token", &connection).await?;
        for _ in 0..5 {
            ensure!(sweep(&connection).await.problem.is_none());
        }
        let asked = bed.provider.asked();
        ensure!(
            asked.given == before.given + 1 && asked.refused == before.refused,
            "{before:?}, then {asked:?}"
        );
        ensure!(asked.scope.as_deref() == Some("kafka.read"), "{asked:?}");
        drop(connection);

        // Short ones: another is got before each ends, and no sweep misses anything.
        bed.provider.lifetime(Duration::from_secs(6));
        let connection = Connection::open(&with(bed, oauth(bed, CLIENT.1)))?;
        let_in("a client with a short token", &connection).await?;
        let outcome = eventually("several tokens to be used up", LIMIT, || async {
            let swept = sweep(&connection).await;
            if let Some(problem) = swept.problem {
                return Ok(Err(problem));
            }
            let given = bed.provider.asked().given - asked.given;
            ensure!(given >= 3, "{given} tokens so far");
            Ok(Ok(given))
        })
        .await;
        bed.provider.lifetime(Duration::from_secs(300));
        let given = outcome?.map_err(|problem| anyhow::anyhow!("a sweep saw nothing: {problem:?}"))?;
        ensure!(given <= 4, "{given} tokens");
        Ok(())
    });
}

#[test]
fn a_token_does_as_long_as_it_is_good_when_no_other_can_be_had() {
    test(async |bed| {
        let _alone = ALONE.lock().await;
        bed.provider.lifetime(Duration::from_secs(8));
        let connection = Connection::open(&with(bed, oauth(bed, CLIENT.1)))?;
        let outcome = async {
            let_in("a client with a token", &connection).await?;
            bed.provider.down(true);
            let before = bed.provider.asked().refused;
            let at = bed.provider.token_endpoint();
            eventually("another token to be asked for", LIMIT, || async {
                let swept = sweep(&connection).await;
                ensure!(swept.problem.is_none(), "nothing was seen: {:?}", swept.problem);
                ensure!(bed.provider.asked().refused > before, "not asked for yet");
                Ok(())
            })
            .await?;
            let said = format!("TokenUnavailable: the token endpoint {at} gives no token: HTTP 503 Service Unavailable. It is asked again within a minute");
            refused("a client whose token has ended", &connection, &said).await
        }
        .await;
        bed.provider.lifetime(Duration::from_secs(300));
        bed.provider.down(false);
        outcome?;
        let_in("a client with a token again", &connection).await
    });
}

#[test]
fn what_is_wrong_is_said_and_nobody_is_stormed() {
    test(async |bed| {
        let _alone = ALONE.lock().await;
        let at = bed.provider.token_endpoint();
        let before = bed.provider.asked();
        let wrong = Connection::open(&with(bed, oauth(bed, "wrong-secret")))?;
        let said = format!(
            "AuthenticationFailed: the token endpoint {at} refused the client: invalid_client (Invalid client credentials). Check sasl.oauth.clientId, sasl.oauth.clientSecret and sasl.oauth.scope"
        );
        refused("a client with a wrong secret", &wrong, &said).await?;
        // As fast as they come: what was refused is asked again after a pause only.
        for _ in 0..50 {
            refused("a client with a wrong secret", &wrong, &said).await?;
        }
        let refusals = bed.provider.asked().refused - before.refused;
        ensure!((1..=3).contains(&refusals), "asked {refusals} times");

        let untrusting = OAuthConfig { ca_pem: Some(bed.stranger.pem().into()), ..oauth(bed, CLIENT.1) };
        let connection = Connection::open(&with(bed, untrusting))?;
        let said = format!(
            "TokenUnavailable: the token endpoint {at} shows a certificate signed by an authority that is not known here. Set sasl.oauth.caCert to the authority that signed it"
        );
        refused("a client that does not trust the provider", &connection, &said).await?;

        let nowhere =
            OAuthConfig { token_endpoint: "https://127.0.0.1:1/token".into(), ..oauth(bed, CLIENT.1) };
        let connection = Connection::open(&with(bed, nowhere))?;
        let said = "TokenUnavailable: the token endpoint https://127.0.0.1:1/token cannot be reached: Connection refused. Check sasl.oauth.tokenEndpoint, and that it runs there";
        refused("a client without a provider", &connection, said).await
    });
}

#[test]
fn the_broker_checks_for_whom_a_token_is_and_who_signed_it() {
    test(async |bed| {
        let _alone = ALONE.lock().await;
        let at = bed.at(OAUTH);
        let said = format!(
            "AuthenticationFailed: Kafka at {at} refused the token: {{\"status\":\"invalid_token\"}}. Check sasl.oauth.scope, and the issuer and the audience that the brokers ask for"
        );
        let before = bed.provider.asked().given;
        bed.provider.audience("somebody-else");
        let connection = Connection::open(&with(bed, oauth(bed, CLIENT.1)))?;
        let outcome = refused("a token for somebody else", &connection, &said).await;
        bed.provider.audience(AUDIENCE);
        outcome?;
        let given = bed.provider.asked().given - before;
        ensure!(given == 1, "{given} tokens were got for it");

        bed.provider.forge(true)?;
        let connection = Connection::open(&with(bed, oauth(bed, CLIENT.1)))?;
        let outcome = refused("a token with a forged signature", &connection, &said).await;
        bed.provider.forge(false)?;
        outcome
    });
}
