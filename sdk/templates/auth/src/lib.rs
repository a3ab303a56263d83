//! Accepts clients whose password is the secret `DEVICE_TOKEN` and gives them their own topics. All
//! others go to the next authenticator.

use lotmq_guest::auth::{
    Actions, Answer, Authenticator, BAD_USER_NAME_OR_PASSWORD, Grant, Login, Permission, Principal, allow,
    deny, environment,
};

// Permissions that the guest needs: the deployer sees and grants them.
lotmq_guest::manifest!("secret-read:DEVICE_TOKEN");

struct Guest;

impl Authenticator for Guest {
    fn authenticate(login: Login) -> Answer {
        let Some(user) = login.user.filter(|user| user.starts_with("device-")) else { return Answer::Continue };
        let Some(token) = environment::get_secret("DEVICE_TOKEN") else {
            return deny(BAD_USER_NAME_OR_PASSWORD, "DEVICE_TOKEN is not set");
        };
        if !is_same(login.password.as_deref().unwrap_or_default(), token.as_bytes()) {
            return deny(BAD_USER_NAME_OR_PASSWORD, format!("{user} does not have the token"));
        }
        lotmq_guest::println!("{user} is let in from {}", login.listener);
        allow(device(&user))
    }
}

/// Compares in constant time, so that an attacker cannot find the token letter by letter.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}

fn device(user: &str) -> Principal {
    let grants = vec![Grant::allow(Actions::PUBLISH | Actions::SUBSCRIBE, "devices/%u/#")];
    Principal { permission: Permission::Grants(grants), ..Principal::named(user) }
}

lotmq_guest::export_auth!(Guest);

#[cfg(test)]
mod tests {
    use lotmq_guest::auth::testing::login;
    use lotmq_guest::testing::set_secret;

    use super::*;

    #[test]
    fn a_device_with_the_token_is_let_in() {
        set_secret("DEVICE_TOKEN", "t0p");
        let Answer::Allow(acceptance) = Guest::authenticate(login("device-1", "t0p")) else { panic!("it is kept out") };
        assert_eq!(acceptance.principal.user, "device-1");
        let Permission::Grants(grants) = acceptance.principal.permission else { panic!("it has no grants") };
        assert_eq!(grants[0].filter, "devices/%u/#");
    }

    #[test]
    fn a_device_without_it_is_kept_out_and_others_are_not_judged() {
        assert!(matches!(Guest::authenticate(login("device-1", "t0p")), Answer::Deny(_)));
        set_secret("DEVICE_TOKEN", "t0p");
        assert!(matches!(Guest::authenticate(login("device-1", "t0")), Answer::Deny(_)));
        assert!(matches!(Guest::authenticate(login("ann", "t0p")), Answer::Continue));
    }
}
