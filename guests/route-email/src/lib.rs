//! The route type `EMAIL`: hands each message as a mail to a server, over SMTP (RFC 5321).

mod config;
mod html;
mod letter;
mod serving;
mod session;
mod waiting;

use std::cell::RefCell;

use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use serving::Serving;

struct Email;

thread_local!(static SERVING: RefCell<Option<Serving>> = const { RefCell::new(None) });

fn serving<T>(work: impl FnOnce(&mut Serving) -> Result<T, Failure>) -> Result<T, Failure> {
    SERVING.with_borrow_mut(|serving| match serving {
        Some(serving) => work(serving),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for Email {
    fn describe() -> Description {
        Description {
            configuration: config::SCHEMA.to_owned(),
            abilities: Abilities::DELIVER | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        SERVING.set(Some(Serving::open(&configuration)?));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        serving(|serving| serving.deliver(&batch))
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => serving(Serving::probe).map(|()| b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }

    fn close() {
        if let Some(serving) = SERVING.take() {
            serving.close();
        }
    }
}

lotmq_guest::export_route!(Email);
