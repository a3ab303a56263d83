//! Guests of a tenant (stub).

use std::sync::Arc;

use lotmq_codec::QoS;

use crate::client::Client;
use crate::close::CloseReason;
use crate::message::Message;
use crate::net::connection::Connection;
use crate::net::turn::Turn;

#[derive(Default)]
pub(crate) struct Guests;
pub(crate) struct Trigger;
#[derive(Default)]
pub(crate) struct GuestEvents;

impl Guests {
    pub(crate) fn triggers(&self, _topic: &str) -> Box<[Arc<Trigger>]> {
        Box::default()
    }
    pub(crate) fn reads(&self, _topic: &str) -> bool {
        false
    }
    pub(crate) fn remember(&self, _message: &Message) {}
    pub(crate) fn connected(&self, _client: &Arc<Client>, _turn: &mut Turn) {}
    pub(crate) fn disconnected(
        &self,
        _client: &Arc<Client>,
        _connection: &Connection,
        _reason: &CloseReason,
        _turn: &mut Turn,
    ) {
    }
    pub(crate) fn subscribed(&self, _client: &Arc<Client>, _filter: &str, _qos: QoS, _turn: &mut Turn) {}
}
impl GuestEvents {
    pub(crate) fn push(
        &mut self,
        _trigger: &Arc<Trigger>,
        _message: &Arc<Message>,
        _source: Option<&Arc<Client>>,
        _hops: u8,
    ) {
    }
    pub(crate) fn submit(&mut self) {}
}
