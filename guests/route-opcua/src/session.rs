//! Session with a server: selects its endpoint, checks trust on both sides, logs in, and leaves.

use chrono::Utc;
use lotmq_guest::route::Failure;
use opcua_core::ResponseMessage;
use opcua_crypto::{
    SecurityPolicy, X509, create_signature_data, legacy_encrypt_secret, random, verify_signature_data,
};
use opcua_types::{
    ActivateSessionRequest, AnonymousIdentityToken, ApplicationDescription, ApplicationType,
    CloseSessionRequest, CreateSessionRequest, CreateSessionResponse, EndpointDescription, ExtensionObject,
    GetEndpointsRequest, LocalizedText, SignatureData, UAString, UserNameIdentityToken, UserTokenPolicy,
    UserTokenType, X509IdentityToken,
};

use crate::certificates::{self, Certificates, Identity};
use crate::channel::{Channel, Securing, unexpected};
use crate::config::{Config, Security, User};
use crate::limits::{MESSAGE_BYTES_MAX, NONCE_BYTES_MIN};
use crate::status::Trouble;

/// Identity of this client for a server.
struct Visitor {
    application_uri: String,
    certificates: Certificates,
    /// Certificate of the application, where messages are secured.
    own: Option<Identity>,
}

/// Opens a session; `name` is that of the route. The server ends it after `idle_ms` without a
/// request.
pub(crate) fn open(config: &Config, name: &str, idle_ms: u64) -> Result<Channel, Failure> {
    let visitor = Visitor::new(&config.security, name)?;
    let discovery = Channel::open(&config.url, None, config.connection_timeout_ms);
    let mut channel = discovery.map_err(|trouble| trouble.of_opening("OpenSecureChannel"))?;
    let offered = endpoints(&mut channel, config).map_err(|trouble| trouble.of_opening("GetEndpoints"))?;
    let endpoint = chosen(&offered, &config.security)?;
    let server = certificates::of_server(&endpoint.server_certificate);
    if let Some(own) = &visitor.own {
        channel.close();
        let server =
            server.as_ref().ok_or_else(|| fatal("the server shows no certificate with an RSA key"))?;
        visitor.check(server, &config.security)?;
        let Security { policy, mode, .. } = config.security;
        let securing = Securing { policy, mode, own, server };
        let opened = Channel::open(&config.url, Some(securing), config.connection_timeout_ms);
        channel = opened.map_err(|trouble| trouble.of_opening("OpenSecureChannel"))?;
    }
    let session = create(&mut channel, config, &visitor, endpoint, name, idle_ms)?;
    activate(&mut channel, config, &visitor, (endpoint, server.as_ref()), &session)?;
    channel.be_patient(config.request_timeout_ms);
    Ok(channel)
}

/// Ends a session, with its subscriptions.
pub(crate) fn close(mut channel: Channel) {
    let request = CloseSessionRequest { request_header: channel.header(), delete_subscriptions: true };
    // Nobody waits for the answer: the server hears it as long as the connection is there.
    if channel.send(request).is_ok() {
        channel.close();
    }
}

impl Visitor {
    fn new(security: &Security, name: &str) -> Result<Visitor, Failure> {
        let certificates = Certificates::of_section();
        let mut application_uri =
            security.application_uri.clone().unwrap_or_else(|| format!("urn:lotmq:{name}"));
        let mut own = None;
        if security.policy != SecurityPolicy::None {
            let identity = certificates.own(&application_uri)?;
            let of_certificate = certificates::application_uri(&identity.certificate);
            if let (Some(uri), None) = (of_certificate, &security.application_uri) {
                application_uri = uri;
            }
            own = Some(identity);
        }
        Ok(Visitor { application_uri, certificates, own })
    }

    /// Whether a server is one to talk to.
    fn check(&self, server: &X509, security: &Security) -> Result<(), Failure> {
        let bits = server.key_length().unwrap_or(0);
        if !security.policy.is_valid_keylength(bits) {
            let policy = security.policy.to_str();
            return Err(fatal(&format!("the server's key has {bits} bits, which {policy} does not allow")));
        }
        if security.accepts_untrusted {
            return Ok(());
        }
        let whose = || format!("'{}' ({})", server.subject_name(), certificates::thumbprint(server));
        server
            .is_time_valid(&Utc::now())
            .map_err(|error| Failure::Reconnect(format!("certificate {} of the server: {error}", whose())))?;
        if self.certificates.trusts(server)? {
            return Ok(());
        }
        let name = certificates::file_name(server);
        Err(Failure::Reconnect(format!(
            "certificate {} of the server is not trusted: it is, once rejected/{name} is moved to trusted/ in its STORAGE_DIR, which is opcua/ROUTE where none is written",
            whose()
        )))
    }
}

fn fatal(reason: &str) -> Failure {
    Failure::Fatal(reason.to_owned())
}

fn endpoints(channel: &mut Channel, config: &Config) -> Result<Vec<EndpointDescription>, Trouble> {
    let request = GetEndpointsRequest {
        request_header: channel.header(),
        endpoint_url: UAString::from(config.url.as_str()),
        locale_ids: None,
        profile_uris: None,
    };
    match channel.ask(request)? {
        ResponseMessage::GetEndpoints(response) => Ok(response.endpoints.unwrap_or_default()),
        other => Err(unexpected(&other)),
    }
}

/// The endpoint of a policy and mode.
fn chosen<'a>(
    offered: &'a [EndpointDescription],
    security: &Security,
) -> Result<&'a EndpointDescription, Failure> {
    let binary = |endpoint: &&EndpointDescription| {
        endpoint.endpoint_url.is_empty() || endpoint.endpoint_url.as_ref().starts_with("opc.tcp://")
    };
    let is_meant = |endpoint: &&EndpointDescription| {
        endpoint.security_mode == security.mode
            && SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()) == security.policy
    };
    let found = offered.iter().filter(binary).find(is_meant);
    found.ok_or_else(|| {
        let names: Vec<String> = offered.iter().take(20).map(name_of).collect();
        let wanted = format!("{} with {:?}", security.policy.to_str(), security.mode);
        fatal(&format!("the server does not offer {wanted}, but {}", names.join(", ")))
    })
}

fn name_of(endpoint: &EndpointDescription) -> String {
    let uri = endpoint.security_policy_uri.as_ref();
    let policy = uri.rsplit_once('#').map_or(uri, |(_, policy)| policy);
    format!("{policy} with {:?}", endpoint.security_mode)
}

fn create(
    channel: &mut Channel,
    config: &Config,
    visitor: &Visitor,
    endpoint: &EndpointDescription,
    name: &str,
    idle_ms: u64,
) -> Result<CreateSessionResponse, Failure> {
    let nonce = random::byte_string(NONCE_BYTES_MIN);
    let own = visitor.own.as_ref();
    let request = CreateSessionRequest {
        request_header: channel.header(),
        client_description: ApplicationDescription {
            application_uri: UAString::from(visitor.application_uri.as_str()),
            product_uri: UAString::from("urn:lotmq"),
            application_name: LocalizedText::new("", "lotmq"),
            application_type: ApplicationType::Client,
            gateway_server_uri: UAString::null(),
            discovery_profile_uri: UAString::null(),
            discovery_urls: None,
        },
        server_uri: UAString::null(),
        endpoint_url: UAString::from(config.url.as_str()),
        session_name: UAString::from(format!("lotmq {name}")),
        client_nonce: nonce.clone(),
        client_certificate: own.map(|own| own.certificate.as_byte_string()).unwrap_or_default(),
        // As a float, milliseconds are exact for longer than any server runs.
        requested_session_timeout: u32::try_from(idle_ms).unwrap_or(u32::MAX).into(),
        max_response_message_size: u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(0),
    };
    let asked = channel.ask(request).map_err(|trouble| trouble.of_opening("CreateSession"))?;
    let ResponseMessage::CreateSession(session) = asked else {
        return Err(unexpected(&asked).of_opening("CreateSession"));
    };
    if let Some(own) = own {
        let untrue =
            |reason: String| Failure::Reconnect(format!("the server does not prove who it is: {reason}"));
        if session.server_certificate != endpoint.server_certificate {
            return Err(untrue("it shows another certificate than before".to_owned()));
        }
        let server = certificates::of_server(&session.server_certificate)
            .ok_or_else(|| untrue("it shows no certificate".to_owned()))?;
        let policy = config.security.policy;
        verify_signature_data(&session.server_signature, policy, &server, &own.certificate, nonce.as_ref())
            .map_err(|error| untrue(error.to_string()))?;
        let length = session.server_nonce.as_ref().len();
        if length < NONCE_BYTES_MIN && !config.security.accepts_short_nonces {
            return Err(untrue(format!("its nonce has {length} bytes, and {NONCE_BYTES_MIN} are the least")));
        }
    }
    channel.belongs_to(session.authentication_token.clone());
    Ok(*session)
}

fn activate(
    channel: &mut Channel,
    config: &Config,
    visitor: &Visitor,
    (endpoint, server): (&EndpointDescription, Option<&X509>),
    session: &CreateSessionResponse,
) -> Result<(), Failure> {
    let nonce = &session.server_nonce;
    let failed = |error: opcua_types::Error| Failure::Fatal(format!("we cannot prove who we are: {error}"));
    let client_signature = match &visitor.own {
        Some(own) => {
            // Its own certificate alone is signed, where it shows those of its issuers too.
            let shown = server.map(X509::as_byte_string).unwrap_or_default();
            create_signature_data(&own.key, config.security.policy, &shown, nonce).map_err(failed)?
        }
        None => SignatureData::null(),
    };
    let (user_identity_token, user_token_signature) = token(config, visitor, (endpoint, server), session)?;
    let request = ActivateSessionRequest {
        request_header: channel.header(),
        client_signature,
        client_software_certificates: None,
        locale_ids: None,
        user_identity_token,
        user_token_signature,
    };
    match channel.ask(request).map_err(|trouble| trouble.of_opening("ActivateSession"))? {
        ResponseMessage::ActivateSession(_) => Ok(()),
        other => Err(unexpected(&other).of_opening("ActivateSession")),
    }
}

/// Returns the user's identity token for the endpoint, with its proof.
fn token(
    config: &Config,
    visitor: &Visitor,
    (endpoint, server): (&EndpointDescription, Option<&X509>),
    session: &CreateSessionResponse,
) -> Result<(ExtensionObject, SignatureData), Failure> {
    let failed =
        |error: opcua_types::Error| Failure::Fatal(format!("we cannot prove who the user is: {error}"));
    let of_channel = config.security.policy;
    let wanted = |kind: UserTokenType, name: &str| {
        let policy = token_policy(endpoint, kind, of_channel);
        policy.ok_or_else(|| fatal(&format!("the server lets nobody in {name}")))
    };
    match &config.user {
        User::Anonymous => {
            let policy_id = wanted(UserTokenType::Anonymous, "without a user")?.policy_id.clone();
            Ok((ExtensionObject::from_message(AnonymousIdentityToken { policy_id }), SignatureData::null()))
        }
        User::Named { name, password } => {
            let policy = wanted(UserTokenType::UserName, "with a password")?;
            let needs = policy_of(policy, of_channel);
            if needs != SecurityPolicy::None && !needs.is_supported() {
                return Err(fatal("the server wants the password by a policy that is not spoken here"));
            }
            if needs != SecurityPolicy::None && server.is_none() {
                return Err(fatal(
                    "the server wants the password encrypted for a certificate that it does not show",
                ));
            }
            let mode = config.security.mode;
            let (server, nonce) = (server.cloned(), session.server_nonce.as_ref());
            let secret = legacy_encrypt_secret(of_channel, mode, policy, nonce, &server, password.as_bytes());
            let secret = secret.map_err(failed)?;
            let token = UserNameIdentityToken {
                policy_id: secret.policy,
                user_name: UAString::from(name.as_str()),
                password: secret.secret,
                encryption_algorithm: secret.encryption_algorithm,
            };
            Ok((ExtensionObject::from_message(token), SignatureData::null()))
        }
        User::Certificate => {
            let policy = wanted(UserTokenType::Certificate, "with a certificate")?;
            let user = visitor.certificates.user()?;
            let signs = policy_of(policy, of_channel);
            if signs == SecurityPolicy::None || !signs.is_supported() {
                return Err(fatal("the server names no policy to sign with for a user's certificate"));
            }
            let shown = server.map(X509::as_byte_string).unwrap_or_default();
            let signature = create_signature_data(&user.key, signs, &shown, &session.server_nonce);
            let token = X509IdentityToken {
                policy_id: policy.policy_id.clone(),
                certificate_data: user.certificate.as_byte_string(),
            };
            Ok((ExtensionObject::from_message(token), signature.map_err(failed)?))
        }
    }
}

/// Returns the token policy of an endpoint for a kind of token. Prefers one with a supported
/// security policy.
fn token_policy(
    endpoint: &EndpointDescription,
    kind: UserTokenType,
    of_channel: SecurityPolicy,
) -> Option<&UserTokenPolicy> {
    let offered = endpoint.user_identity_tokens.as_deref().unwrap_or_default();
    let mut of_kind = offered.iter().filter(|token| token.token_type == kind);
    let secured = |token: &&UserTokenPolicy| {
        let policy = policy_of(token, of_channel);
        policy != SecurityPolicy::None && policy.is_supported()
    };
    of_kind.clone().find(secured).or_else(|| of_kind.next())
}

/// The policy by which a token is secured: its own, or that of the channel where it names none.
fn policy_of(token: &UserTokenPolicy, of_channel: SecurityPolicy) -> SecurityPolicy {
    match token.security_policy_uri.as_ref() {
        "" => of_channel,
        uri => SecurityPolicy::from_uri(uri),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua_types::{ByteString, MessageSecurityMode};

    fn offer(policy: &str, mode: MessageSecurityMode) -> EndpointDescription {
        EndpointDescription {
            security_policy_uri: UAString::from(format!(
                "http://opcfoundation.org/UA/SecurityPolicy#{policy}"
            )),
            security_mode: mode,
            server_certificate: ByteString::null(),
            ..EndpointDescription::default()
        }
    }

    #[test]
    fn the_endpoint_is_the_one_that_is_asked_for() {
        use MessageSecurityMode as Mode;
        let offered = [
            offer("None", Mode::None),
            offer("Basic256Sha256", Mode::Sign),
            offer("Basic256Sha256", Mode::SignAndEncrypt),
        ];
        let security = |policy, mode| Security {
            policy,
            mode,
            accepts_untrusted: false,
            accepts_short_nonces: false,
            application_uri: None,
        };
        let found = |policy, mode| chosen(&offered, &security(policy, mode)).map(name_of);
        assert_eq!(found(SecurityPolicy::None, Mode::None).unwrap(), "None with None");
        let secure = found(SecurityPolicy::Basic256Sha256, Mode::SignAndEncrypt);
        assert_eq!(secure.unwrap(), "Basic256Sha256 with SignAndEncrypt");
        let Err(Failure::Fatal(told)) = found(SecurityPolicy::Aes256Sha256RsaPss, Mode::Sign) else {
            panic!()
        };
        assert!(
            told.ends_with(
                "but None with None, Basic256Sha256 with Sign, Basic256Sha256 with SignAndEncrypt"
            ),
            "{told}"
        );
    }
}
