//! Listening to a broker that a URL names.

use anyhow::bail;
use lotmq_client::{Client, PropertyBuf, QoS, RetainHandling, SubscriptionOptions};

use super::{ConnectArgs, LoginArgs, SessionArgs, Url};

/// Seconds of silence after which the broker gets a sign of life.
const KEEPALIVE_SEC: u16 = 60;

/// A broker that delivers.
pub struct Following {
    /// The connected Client, which has subscribed.
    pub client: Client,
    /// Topic Filter of the subscription.
    pub filter: String,
}

/// Connects and subscribes at QoS 0 to the filter of the URL, or to everything; retained messages
/// come too.
///
/// # Errors
/// Those of connecting; when the broker refuses the subscription.
pub fn follow(url: &Url) -> anyhow::Result<Following> {
    let login = LoginArgs { url: Some(url.clone()), keepalive: KEEPALIVE_SEC, ..LoginArgs::default() };
    let connect = ConnectArgs { login, ..ConnectArgs::default() };
    let mut client = connect.connect(&SessionArgs::default())?;
    let filter = url.topic().unwrap_or("#").to_owned();
    let options = SubscriptionOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let codes = client.subscribe(&[(&filter, options)], PropertyBuf::new().properties())?;
    if let Some(code) = codes.into_iter().find(|code| code.is_failure()) {
        bail!("the broker refused the subscription to `{filter}`: {code}");
    }
    Ok(Following { client, filter })
}
