//! TLS of endpoints: whom they trust and what they show, against servers that want to see
//! certificates.

use crate::routes::{all_topics, echo, how};
use lotmq_host::{
    fiber::{ClientTls, Endpoint, EndpointTls, ServerTrust, TlsContents, TlsIdentity, TlsProfile, TlsSource},
    route::Failure,
};
use lotmq_test_support::{Authority, Signed};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    version::{TLS12, TLS13},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

/// A server that greets whoever gets through its handshake.
pub(crate) fn greeter(config: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            thread::spawn(move || {
                if stream.write_all(b"hello\n").and_then(|()| stream.flush()).is_ok() {
                    // Until the guest goes.
                    let _ = stream.read(&mut [0]);
                }
            });
        }
    });
    port
}

fn in_file(path: &Path) -> TlsSource {
    let (root, below) = (path.parent().unwrap().to_owned(), path.file_name().unwrap().to_str().unwrap());
    let within = root.display().to_string();
    let contents = TlsContents::File { named: below.to_owned(), root, below: below.to_owned(), within };
    TlsSource { setting: "S: PATH".to_owned(), contents }
}

fn in_text(path: &Path) -> TlsSource {
    let text = fs::read_to_string(path).unwrap().replace('\n', "\\n");
    TlsSource { setting: "S: TEXT".to_owned(), contents: TlsContents::Text(text.into()) }
}

fn shown(signed: &Signed) -> TlsIdentity {
    TlsIdentity { certificate: in_file(&signed.certificate), key: in_file(&signed.key) }
}

pub(crate) fn profile(authority: &Authority, identity: Option<TlsIdentity>) -> TlsProfile {
    TlsProfile { trust: ServerTrust::ReadFrom(in_file(&authority.file())), identity, only_1_3: false }
}

pub(crate) fn endpoint(port: u16, tls: EndpointTls) -> Endpoint {
    Endpoint { host: "localhost".to_owned(), port, tls, ..Endpoint::default() }
}

/// Whether the server's greeting comes; else why not.
pub(crate) async fn greeted(endpoint: Endpoint, configuration: &str) -> Result<(), String> {
    let (mut instance, mut arrivals) = echo(endpoint, all_topics()).await;
    let told = |failure: Failure| format!("{failure:?}");
    instance.open(configuration).await.unwrap().map_err(told)?;
    let work = instance.host_work();
    let mut ran = pin!(instance.run(600_000));
    tokio::select! {
        ended = &mut ran => return Err(told(ended.unwrap().unwrap_err())),
        arrival = arrivals.recv() => assert_eq!(arrival.unwrap().payload, b"hello"),
    }
    work.announce();
    ran.await.unwrap().unwrap();
    Ok(())
}

async fn greeted_by(port: u16, profile: TlsProfile) -> Result<(), String> {
    let tls = ClientTls::of_profile(profile).map_err(|fault| fault.to_string())?;
    greeted(endpoint(port, EndpointTls::OnConnect(tls)), "{}").await
}

#[tokio::test]
async fn a_server_sees_the_certificate_that_it_wants() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = greeter(authority.server("server").server_config_for(&clients));
    let signed = clients.client("route");
    assert_eq!(greeted_by(server, profile(&authority, Some(shown(&signed)))).await, Ok(()));
    // In one file, as texts of one line, and when the guest begins with TLS.
    let both = clients.path("both.pem");
    let whole = [&signed.certificate, &signed.key].map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(&both, whole).unwrap();
    let one = TlsIdentity { certificate: in_file(&both), key: in_file(&both) };
    assert_eq!(greeted_by(server, profile(&authority, Some(one))).await, Ok(()));
    let text = TlsIdentity { certificate: in_text(&signed.certificate), key: in_text(&signed.key) };
    let text = TlsProfile {
        trust: ServerTrust::ReadFrom(in_text(&authority.file())),
        ..profile(&authority, Some(text))
    };
    assert_eq!(greeted_by(server, text.clone()).await, Ok(()));
    let later = EndpointTls::OnDemand(ClientTls::of_profile(text.clone()).unwrap());
    assert_eq!(greeted(endpoint(server, later), &how("starttls")).await, Ok(()));
    assert!(!format!("{text:?}").contains("PRIVATE"), "what is secret is not told");

    // Without one, or with one that somebody else has signed, it says so.
    let refused = greeted_by(server, profile(&authority, None)).await.unwrap_err();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    let strange = authority.client("stranger");
    let refused = greeted_by(server, profile(&authority, Some(shown(&strange)))).await.unwrap_err();
    assert!(refused.contains("received fatal alert"), "{refused}");
}

#[tokio::test]
async fn a_server_is_who_it_should_be_unless_anybody_is_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = greeter(authority.server("server").server_config());
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let old = greeter(authority.server_until("old", yesterday).server_config());
    let anybody = TlsProfile { trust: ServerTrust::Anybody, ..profile(&authority, None) };
    let trusting =
        |profile: &TlsProfile| EndpointTls::OnConnect(ClientTls::of_profile(profile.clone()).unwrap());
    let own = profile(&authority, None);
    let named = |port, profile, name: &str| Endpoint {
        server_name: Some(name.to_owned()),
        ..endpoint(port, trusting(profile))
    };
    for (endpoint, expected) in [
        (endpoint(server, trusting(&own)), None),
        // Another one of the same name.
        (endpoint(server, trusting(&profile(&other, None))), Some("BadSignature")),
        (named(server, &own, "plc"), Some("not valid for name")),
        (endpoint(old, trusting(&own)), Some("certificate expired")),
        (named(old, &anybody, "plc"), None),
    ] {
        let refused = greeted(endpoint.clone(), "{}").await.err();
        match (&refused, expected) {
            (None, None) => {}
            (Some(told), Some(part)) if told.contains(part) => {}
            _ => panic!("{endpoint:?}: {refused:?}, and not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn an_old_version_is_not_spoken_where_a_newer_one_is_wanted() {
    let authority = Authority::new();
    let signed = authority.server("server");
    let identity = Some(shown(&authority.client("route")));
    let old = greeter(signed.server_config_speaking(&authority, &[&TLS12]));
    let new = greeter(signed.server_config_speaking(&authority, &[&TLS13]));
    let any = profile(&authority, identity);
    let only_new = TlsProfile { only_1_3: true, ..any.clone() };
    assert_eq!(greeted_by(old, any).await, Ok(()));
    assert_eq!(greeted_by(new, only_new.clone()).await, Ok(()));
    let refused = greeted_by(old, only_new).await.unwrap_err();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}

#[tokio::test]
async fn files_are_read_again_when_they_have_changed() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let server = greeter(authority.server("server").server_config_for(&clients));
    let strange = others.client("route");
    let tls = ClientTls::of_profile(profile(&authority, Some(shown(&strange)))).unwrap();
    let endpoint = endpoint(server, EndpointTls::OnConnect(tls));
    let refused = greeted(endpoint.clone(), "{}").await.unwrap_err();
    assert!(refused.contains("received fatal alert"), "{refused}");

    let renewed = clients.client("route");
    fs::rename(&renewed.certificate, &strange.certificate).unwrap();
    let refused = greeted(endpoint.clone(), "{}").await.unwrap_err();
    let expected =
        "S: PATH: 'route.key' holds a key that does not belong to the certificate of S: PATH: 'route.pem'";
    assert!(refused.contains(expected), "{refused}");
    fs::rename(&renewed.key, &strange.key).unwrap();
    assert_eq!(greeted(endpoint.clone(), "{}").await, Ok(()));

    let key = fs::read(&strange.key).unwrap();
    fs::remove_file(&strange.key).unwrap();
    let refused = greeted(endpoint.clone(), "{}").await.unwrap_err();
    assert!(refused.contains("S: PATH: 'route.key' cannot be read: No such file"), "{refused}");
    fs::write(&strange.key, key).unwrap();
    assert_eq!(greeted(endpoint, "{}").await, Ok(()));
}

#[test]
fn unusable_tls_file_is_reported_with_its_property_and_path() {
    let authority = Authority::new();
    let signed = authority.client("route");
    let past = authority.client_until("past", SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let write = |name: &str, bytes: &[u8]| {
        fs::write(authority.path(name), bytes).unwrap();
        authority.path(name)
    };
    let encrypted = write(
        "encrypted",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let (empty, p12) = (write("empty", b""), write("p12", &[0x30, 0x82, 1, 0, 2, 1, 3]));
    let damaged = write("damaged", b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n");
    let large = write("large", &vec![b' '; (4 << 20) + 1]);
    fs::create_dir(authority.path("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", authority.path("link")).unwrap();
    let identity = |certificate: &Path, key: &Path| {
        let identity = TlsIdentity { certificate: in_file(certificate), key: in_file(key) };
        profile(&authority, Some(identity))
    };
    let trusts =
        |path: &Path| TlsProfile { trust: ServerTrust::ReadFrom(in_file(path)), ..profile(&authority, None) };
    for (profile, expected) in [
        (identity(&signed.certificate, &empty), "'empty' holds no private key in PEM"),
        (
            identity(&signed.certificate, &encrypted),
            "'encrypted' holds a private key that is encrypted; `openssl",
        ),
        (identity(&p12, &signed.key), "'p12' is PKCS#12, which is not read; `openssl"),
        (
            identity(&past.certificate, &past.key),
            "'past.pem' holds a certificate that expired at 2023-11-14 22:13:21 UTC",
        ),
        (
            identity(&signed.certificate, &past.key),
            "'past.key' holds a key that does not belong to the certificate of S: PATH: 'route.pem'",
        ),
        (trusts(&empty), "'empty' holds no certificate in PEM"),
        (trusts(&damaged), "'damaged' is damaged: "),
        (trusts(&large), "'large' is larger than 4194304 bytes"),
        (trusts(&authority.path("folder")), "'folder' cannot be read: it is no file"),
        (trusts(&authority.path("link")), "'link' cannot be read: a link leads out"),
        (trusts(&authority.path("nowhere")), "'nowhere' cannot be read: No such file"),
    ] {
        let fault = ClientTls::of_profile(profile).unwrap_err().to_string();
        assert!(fault.starts_with(&format!("S: PATH: {expected}")), "{fault}");
    }
}
