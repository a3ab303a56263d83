//! Guest `auth-sql`: logins checked against PostgreSQL and MariaDB servers that the tests start.

use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Authority, Broker, BrokerOptions, PostgresServer, SqlServer as _, eventually};
use serde_json::{Value as Json, json};

use crate::login_guest::{Guest, options, quoted, refused};
use crate::mysql::server::{self as mariadb, Server as MariaDb};

/// The guest, as operators upload it.
const SQL: &[u8] = include_bytes!("../../guests/auth-sql/prebuilt/auth-sql.wasm");

/// Password of all users.
const PASSWORD: &str = "pencil";

/// Hashes of the password, made by libxcrypt, OpenSSL and Python's hashlib.
const USERS: [(&str, &str); 5] = [
    ("ann", "$2b$04$LfO2VkJ7rRQkBqR0pVZ6nOeILyDEzOWjnLACLSVfECkSUSvXEFmky"),
    (
        "bob",
        "$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0",
    ),
    ("carl", "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$VRuDUcprPFMvV6rWrzYKLaodt+GxdaSoOzG2OSGwgNo"),
    ("dora", "pbkdf2_sha256$1000$saltText$B8h0hw+MKfNOe/3KznyTvpZre42w2jQiIAihKMNvOjQ="),
    ("plain", "pencil"),
];

/// Hashes of the password with the largest costs that the guest takes.
const COSTLY: [(&str, &str); 4] = [
    ("costly0", "$2b$12$LfO2VkJ7rRQkBqR0pVZ6nO/2UH6nFQVDd9Ou9R/jrYN5RohcwBNwi"),
    (
        "costly1",
        "$6$rounds=100000$abcdefgh12345678$GkoLUBWhvYdfgxOb/sEp.FM8qFi5xPYU5lNkXSP2zRtirG9AsgZbgC5r3vppuXqkNmYZJlHrIvclyuYLbBFCK0",
    ),
    ("costly2", "$pbkdf2-sha256$i=600000$MDEyMzQ1Njc4OWFiY2RlZg$+sXXtZ2to4pBUN7WAWRG/xj3hTj8IZBuEWKd9muDyJk"),
    (
        "costly3",
        "$pbkdf2-sha512$i=600000$MDEyMzQ1Njc4OWFiY2RlZg$yTd0+BGbbS7c0zqLEWuAqdaLgbazKe3uD9TleXFysQwuCW0EHtojMxLB/YQmTy0JpdIGUD/6jv7l5RxCfxUx3w",
    ),
];

/// Query for the password hash.
const QUERY: &str = "SELECT password_hash, salt, is_superuser FROM users WHERE username = ${username}";

/// Query for the grants.
const GRANTS: &str =
    "SELECT permission, action, topic FROM acl WHERE username IN (${username}, '*') ORDER BY priority";

/// A broker that asks the guest before its own users, beside a database server with users.
struct Stage {
    server: PostgresServer,
    broker: Broker,
}

impl Stage {
    /// `None` where PostgreSQL is not installed. `more` are members of the guest's configuration.
    fn set(more: &Json) -> Option<Stage> {
        let stage = Stage { server: PostgresServer::start()?, broker: options("db,builtin").start() };
        stage.server.sql(&tables());
        stage.install(more);
        Some(stage)
    }

    fn install(&self, more: &Json) {
        let mut config = json!({
            "endpoints": {"sql": {"HOST": "127.0.0.1", "PORT": self.server.port}}, "database": "postgres",
            "db_user": PostgresServer::USER, "db_password": PostgresServer::PASSWORD,
            "query": QUERY, "grants_query": GRANTS,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let place = format!("127.0.0.1:{}", self.server.port);
        Guest { name: "db", component: SQL }.install(&self.broker, &place, &config);
    }

    fn try_login(&self, client_id: &str, user: &str, password: &str) -> Result<Client, ClientError> {
        let options = ConnectOptions::v5(client_id).user(user, password);
        Client::connect(self.broker.address(), &options)
    }

    fn login(&self, user: &str) -> Client {
        eventually("the user is let in", || self.try_login(user, user, PASSWORD).ok())
    }

    fn refused(&self, user: &str, password: &str) -> ReasonCode {
        refused(self.try_login("c", user, password))
    }
}

/// Statements that create the tables and fill them.
fn tables() -> String {
    let users = USERS.iter().chain(&COSTLY).map(|(name, hash)| format!("('{name}', '{hash}')"));
    let users = users.collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TABLE users (username text PRIMARY KEY, password_hash text, salt text, is_superuser bool DEFAULT false);
         CREATE TABLE acl (priority serial, username text, permission text, action text, topic text);
         INSERT INTO users (username, password_hash) VALUES {users};
         INSERT INTO users VALUES ('salted', '3aa4c6a4e30806b381075d48c01fecdfdf1b4f2f61a14da985e338c84c575aa0', 'pepper', false), ('admin', (SELECT password_hash FROM users WHERE username = 'ann'), NULL, true);
         INSERT INTO acl (username, permission, action, topic) VALUES
             ('ann', 'deny', 'all', 'd/ann/secret'), ('*', 'allow', 'all', 'd/${{username}}/#'),
             ('*', 'allow', 'subscribe', 'c/${{clientid}}/#')"
    )
}

fn publish(client: &mut Client, topic: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap()
}

#[test]
fn stored_hashes_verify_passwords_and_grants_decide_about_topics() {
    let Some(stage) = Stage::set(&json!({"pbkdf2_iterations": 4_096})) else { return };
    for user in ["ann", "bob", "carl", "dora", "salted"] {
        let mut client = stage.login(user);
        assert!(!publish(&mut client, &format!("d/{user}/x")).is_failure(), "{user}");
        assert_eq!(publish(&mut client, "d/other/x"), ReasonCode::NotAuthorized, "{user}");
        assert_eq!(stage.refused(user, "pencils"), ReasonCode::BadUserNameOrPassword, "{user}");
        assert_eq!(stage.refused(user, ""), ReasonCode::BadUserNameOrPassword, "{user}");
    }
    assert_eq!(publish(&mut stage.login("ann"), "d/ann/secret"), ReasonCode::NotAuthorized);
    let mut admin = stage.login("admin");
    assert!(!publish(&mut admin, "d/ann/secret").is_failure());
    assert_eq!(publish(&mut admin, "$SYS/Coreflux/Command"), ReasonCode::NotAuthorized);
    // A password in clear verifies nothing.
    assert_eq!(stage.refused("plain", PASSWORD), ReasonCode::BadUserNameOrPassword);
    assert_eq!(stage.refused("nobody", PASSWORD), ReasonCode::BadUserNameOrPassword);
    let log = stage.broker.log().text();
    for line in
        ["it is no hash of bcrypt, argon2", "the password is wrong", "the database has no row for the user"]
    {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains("$2b$"), "{log}");
    stage.broker.root("admin").ping().unwrap();
}

#[test]
fn hash_of_the_largest_cost_is_checked_within_the_time_of_a_call() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    stage.login("ann");
    // On a machine that does much else a call may take too long. Then the guest opens anew.
    let is_wrong = |user: &str, password: &str| {
        eventually("the password is wrong", || {
            let code = stage.refused(user, password);
            (code == ReasonCode::BadUserNameOrPassword).then_some(())
        });
    };
    for (user, _) in COSTLY {
        stage.login(user).ping().unwrap();
        is_wrong(user, &"x".repeat(512));
        is_wrong("nobody", PASSWORD);
    }
}

#[test]
fn hostile_names_change_no_statement_and_widen_nothing() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    stage.login("ann");
    let long = "x".repeat(65_535);
    for user in
        ["' OR '1'='1", "'; DROP TABLE users; --", "ann'--", "\"", "%2F", "${username}", "$1", "*", &long]
    {
        assert_eq!(stage.refused(user, PASSWORD), ReasonCode::BadUserNameOrPassword, "{user}");
    }
    for client_id in ["+", "#", "a/+", "a/b", "' OR 1=1 --", "%u"] {
        let mut client = stage.try_login(client_id, "ann", PASSWORD).unwrap();
        for filter in ["#", "c/#", "c/+/#", "c/a/#", "c/other/#", "d/+/x"] {
            let code = client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
            assert_eq!(code, ReasonCode::NotAuthorized, "{client_id} {filter}");
        }
    }
    assert_eq!(stage.server.try_sql("SELECT count(*) FROM users").unwrap(), "11");
}

#[test]
fn outage_keeps_out_and_ends_by_itself() {
    let Some(mut stage) = Stage::set(&json!({"timeout_seconds": 1})) else { return };
    stage.login("ann");
    stage.server.end_at_once();
    assert_eq!(stage.refused("ann", PASSWORD), ReasonCode::ServerUnavailable);
    stage.server.start_again();
    stage.try_login("ann", "ann", PASSWORD).unwrap().ping().unwrap();
    // The session of the guest is gone, and it opens another at once.
    stage
        .server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lotmq'");
    stage.try_login("ann", "ann", PASSWORD).unwrap().ping().unwrap();
    let frozen = stage.server.freeze();
    assert_eq!(stage.refused("ann", PASSWORD), ReasonCode::ServerUnavailable);
    drop(frozen);
    stage.login("ann").ping().unwrap();
    let log = stage.broker.log().text();
    assert!(log.contains("the database did not decide: it has not answered in time"), "{log}");
}

#[test]
fn query_that_fails_keeps_out_and_changes_nothing() {
    let Some(stage) = Stage::set(&json!({})) else { return };
    stage.login("ann");
    let write = "WITH gone AS (DELETE FROM users RETURNING *) SELECT password_hash FROM gone WHERE username = ${username}";
    for (more, told) in [
        (
            json!({"query": "SELECT password_hash FROM people WHERE n = ${username}"}),
            "relation \\\"people\\\" does not exist",
        ),
        (
            json!({"query": "SELECT username FROM users WHERE username = ${username}"}),
            "no column password_hash",
        ),
        (
            json!({"query": "SELECT password_hash FROM users WHERE username <> ${clientid}"}),
            "rows in place of one",
        ),
        (json!({ "query": write }), "read-only transaction"),
        (
            json!({"query": "SELECT password_hash FROM users, pg_sleep(30) WHERE username = ${username}", "timeout_seconds": 1}),
            "it has not answered in time",
        ),
        (
            json!({"grants_query": "SELECT 'allow' AS permission, 'read' AS action, ${username} AS topic"}),
            "row [0].action",
        ),
        (json!({"db_password": "hidden-password"}), "password authentication failed"),
    ] {
        stage.install(&more);
        // The guest opens anew after a moment, and until then answers by its former settings.
        eventually(told, || {
            drop(stage.try_login("c", "ann", PASSWORD));
            stage.broker.log().text().contains(told).then_some(())
        });
        assert_eq!(stage.refused("ann", PASSWORD), ReasonCode::ServerUnavailable, "{more}");
    }
    assert_eq!(stage.server.try_sql("SELECT count(*) FROM users").unwrap(), "11");
    let log = stage.broker.log().text();
    assert!(!log.contains("hidden-password") && !log.contains(PostgresServer::PASSWORD), "{log}");
}

#[test]
fn unknown_user_is_the_next_members_if_the_configuration_says_so() {
    let Some(mut stage) = Stage::set(&json!({"unknown_user": "continue"})) else { return };
    stage.broker.command_ok(&format!("-addUser local {}", quoted("its-own")));
    eventually("the user is let in", || stage.try_login("local", "local", "its-own").ok());
    assert_eq!(stage.refused("ann", "wrong"), ReasonCode::BadUserNameOrPassword);
    stage.server.end_at_once();
    assert_eq!(stage.refused("local", "its-own"), ReasonCode::ServerUnavailable);
}

#[test]
fn server_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = PostgresServer::start_with(&[], Some(&authority.server("localhost"))) else { return };
    server.sql(&tables());
    let roots = authority.file().parent().unwrap().display().to_string();
    let broker = options("db,builtin").variable("LOTMQ_ROUTES_FILE_ROOTS", &roots).start();
    let stage = Stage { server, broker };
    let place = |more: Json| {
        let mut place = json!({
            "HOST": "127.0.0.1", "PORT": stage.server.port, "USE_STARTTLS": true, "TLS_SERVER_NAME": "localhost",
        });
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"endpoints": {"sql": place}})
    };
    stage.install(&place(json!({})));
    assert_eq!(stage.refused("ann", PASSWORD), ReasonCode::ServerUnavailable);
    stage.install(&place(json!({"SERVER_CA_CERT_PATH": authority.file().display().to_string()})));
    stage.login("ann").ping().unwrap();
    stage.server.until("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'lotmq'", "1");
}

/// Members of the configuration for a MariaDB server.
fn mariadb_members(server: &MariaDb) -> Json {
    json!({
        "server": "mysql", "endpoints": {"sql": {"HOST": "127.0.0.1", "PORT": server.port}},
        "database": mariadb::DATABASE, "db_user": mariadb::USER, "db_password": mariadb::PASSWORD,
        "query": QUERY, "grants_query": GRANTS, "timeout_seconds": 1,
        "groups_query": "SELECT 'staff' FROM users WHERE username = ${username}",
    })
}

/// A broker that asks the guest about users of a MariaDB server.
fn with_mariadb(server: &MariaDb, options: BrokerOptions, config: &Json) -> Broker {
    let tables = tables()
        .replace("serial", "bigint AUTO_INCREMENT PRIMARY KEY")
        .replace("username text PRIMARY", "username varchar(99) PRIMARY");
    server.sql(
        &tables.replace(
            "(SELECT password_hash FROM users WHERE username = 'ann')",
            &format!("'{}'", USERS[0].1),
        ),
    );
    let broker = options.start();
    let place = format!("127.0.0.1:{}", server.port);
    Guest { name: "db", component: SQL }.install(&broker, &place, config);
    broker
}

fn login_at(broker: &Broker, client_id: &str, user: &str, password: &str) -> Result<Client, ClientError> {
    Client::connect(broker.address(), &ConnectOptions::v5(client_id).user(user, password))
}

#[test]
fn mariadb_verifies_passwords_and_its_grants_decide_about_topics() {
    let Some(mut server) = MariaDb::start() else { return };
    let broker = with_mariadb(&server, options("db,builtin"), &mariadb_members(&server));
    for user in ["ann", "bob", "carl", "dora"] {
        let mut client = eventually("the user is let in", || login_at(&broker, user, user, PASSWORD).ok());
        assert!(!publish(&mut client, &format!("d/{user}/x")).is_failure(), "{user}");
        assert_eq!(publish(&mut client, "d/other/x"), ReasonCode::NotAuthorized, "{user}");
        let wrong = refused(login_at(&broker, "c", user, "pencils"));
        assert_eq!(wrong, ReasonCode::BadUserNameOrPassword, "{user}");
    }
    let mut admin = login_at(&broker, "admin", "admin", PASSWORD).unwrap();
    assert!(!publish(&mut admin, "d/ann/secret").is_failure());
    for user in ["plain", "nobody", "' OR '1'='1", "'; DROP TABLE users; --", "\\' OR 1=1 --", "\"", "*"] {
        let code = refused(login_at(&broker, "c", user, PASSWORD));
        assert_eq!(code, ReasonCode::BadUserNameOrPassword, "{user}");
    }
    for client_id in ["+", "#", "a/+", "a/b"] {
        let mut client = login_at(&broker, client_id, "ann", PASSWORD).unwrap();
        for filter in ["#", "c/#", "c/+/#", "c/a/#"] {
            let code = client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
            assert_eq!(code, ReasonCode::NotAuthorized, "{client_id} {filter}");
        }
    }
    assert_eq!(server.try_sql("SELECT count(*) FROM users").unwrap(), "11");
    server.end_at_once();
    assert_eq!(refused(login_at(&broker, "c", "ann", PASSWORD)), ReasonCode::ServerUnavailable);
    server.start_again();
    login_at(&broker, "ann", "ann", PASSWORD).unwrap().ping().unwrap();
    let frozen = server.freeze();
    assert_eq!(refused(login_at(&broker, "c", "ann", PASSWORD)), ReasonCode::ServerUnavailable);
    drop(frozen);
    eventually("the user is let in", || login_at(&broker, "ann", "ann", PASSWORD).ok());
    let log = broker.log().text();
    assert!(!log.contains(mariadb::PASSWORD) && !log.contains("$2b$"), "{log}");
}

#[test]
fn query_that_fails_at_mariadb_keeps_out_and_changes_nothing() {
    let Some(server) = MariaDb::start() else { return };
    let members = mariadb_members(&server);
    let broker = with_mariadb(&server, options("db,builtin"), &members);
    eventually("the user is let in", || login_at(&broker, "ann", "ann", PASSWORD).ok());
    let place = format!("127.0.0.1:{}", server.port);
    for (member, value, told) in [
        ("query", "DELETE FROM users WHERE username <> ${username}", "READ ONLY transaction"),
        ("query", "SELECT password_hash FROM people WHERE n = ${username}", "people' doesn't exist"),
        ("query", "SELECT now() AS password_hash, ${username}", "no text and no whole number"),
        ("db_password", "hidden-password", "Access denied for user"),
    ] {
        let mut members = members.clone();
        members[member] = value.into();
        Guest { name: "db", component: SQL }.install(&broker, &place, &members);
        eventually(told, || {
            drop(login_at(&broker, "c", "ann", PASSWORD));
            broker.log().text().contains(told).then_some(())
        });
        assert_eq!(refused(login_at(&broker, "c", "ann", PASSWORD)), ReasonCode::ServerUnavailable);
    }
    assert_eq!(server.try_sql("SELECT count(*) FROM users").unwrap(), "11");
    assert!(!broker.log().text().contains("hidden-password"));
}

#[test]
fn mariadb_is_trusted_by_its_certificate() {
    let authority = Authority::new();
    let Some(server) = MariaDb::start_with(&[], Some(&authority.server("localhost"))) else { return };
    let mut members = mariadb_members(&server);
    let place = &mut members["endpoints"]["sql"];
    place["USE_STARTTLS"] = true.into();
    place["TLS_SERVER_NAME"] = "localhost".into();
    place["SERVER_CA_CERT_PATH"] = authority.file().display().to_string().into();
    let roots = authority.file().parent().unwrap().display().to_string();
    let options = options("db,builtin").variable("LOTMQ_ROUTES_FILE_ROOTS", &roots);
    let broker = with_mariadb(&server, options, &members);
    eventually("the user is let in", || login_at(&broker, "ann", "ann", PASSWORD).ok());
    members["endpoints"]["sql"].as_object_mut().unwrap().remove("SERVER_CA_CERT_PATH");
    let address = format!("127.0.0.1:{}", server.port);
    Guest { name: "db", component: SQL }.install(&broker, &address, &members);
    eventually("the certificate is not trusted", || {
        drop(login_at(&broker, "c", "ann", PASSWORD));
        broker.log().text().contains("did not decide: TLS").then_some(())
    });
}
