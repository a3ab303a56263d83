//! A route that writes each message as a line to a TCP connection, to the endpoint `line` of its
//! configuration.

use std::cell::RefCell;
use std::io::Write as _;

use lotmq_guest::route::{Abilities, Connection, Delivery, Description, Failure, Receipt, Route, failure};

// Permissions that the guest needs: the deployer sees and grants them.
lotmq_guest::manifest!("endpoint:127.0.0.1:*");

/// Settings of a route for this guest, in JSON Schema. The section of the endpoint has only
/// settings of the host, such as HOST and PORT.
const SETTINGS: &str =
    r#"{"properties":{"sections":{"required":["LINE_CONFIG"],"properties":{"LINE_CONFIG":{"additionalProperties":false}}}}}"#;

/// Longest wait for the other side, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

thread_local! {
    static LINE: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

struct Guest;

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: SETTINGS.to_owned(), abilities: Abilities::DELIVER }
    }

    fn open(_configuration: String) -> Result<(), Failure> {
        LINE.set(Some(Connection::open("line", TIMEOUT_MS).map_err(|error| failure(&error))?));
        lotmq_guest::println!("connected");
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        LINE.with_borrow_mut(|line| {
            let line = line.as_mut().ok_or_else(|| Failure::Reconnect("not open".to_owned()))?;
            let text: Vec<u8> = batch.iter().flat_map(|delivery| as_line(&delivery.message.payload)).collect();
            line.write_all(&text).map_err(|error| Failure::Reconnect(error.to_string()))?;
            Ok(Receipt { accepted: batch.len() as u32, rejected: Vec::new() })
        })
    }
}

fn as_line(payload: &[u8]) -> Vec<u8> {
    [payload, b"\n"].concat()
}

lotmq_guest::export_route!(Guest);

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use lotmq_guest::route::testing::delivery;
    use lotmq_guest::testing::set_endpoint;

    use super::*;

    #[test]
    fn messages_are_lines_on_the_connection() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        set_endpoint("line", far.local_addr().unwrap());
        Guest::open("{}".to_owned()).unwrap();
        let receipt = Guest::deliver(vec![delivery("a", "21.5"), delivery("b", "22")]).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (2, 0));
        let mut lines = BufReader::new(far.accept().unwrap().0).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "21.5");
        assert_eq!(lines.next().unwrap().unwrap(), "22");
    }

    #[test]
    fn a_far_side_that_is_away_is_waited_for() {
        set_endpoint("line", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        assert!(matches!(Guest::open("{}".to_owned()), Err(Failure::Reconnect(_))));
    }
}
