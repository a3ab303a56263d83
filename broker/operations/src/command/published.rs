//! Messages below `$SYS` from others than the broker: commands, events of routes, and states of
//! bridges; everything else has no effect.

use std::sync::Arc;

use lotmq_codec::{Properties, PropertyPlace};
use zeroize::Zeroizing;

use crate::broker::Broker;
use crate::command_queue::job::{CommandCaller, CommandOrigin, Job, ReplyTo, ResponseTo};
use crate::sys;
use lotmq_core::arena::Span;
use lotmq_core::reason::NotTaken;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::system_topics::COMMAND_TOPIC;
use lotmq_core::turn::Turn;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::{GuestCommand, hand_to_route};

/// Topic for a new configuration (commands reference §9.2); refused by name until a later version
/// takes it.
const CONFIG_NEW_TOPIC: &str = "$SYS/Coreflux/Config/New";

/// Handles a Client's PUBLISH to a topic of the tree, with permission.
///
/// RETAIN and QoS mean nothing here: a command is executed, anything else is ignored.
///
/// # Errors
/// When it is not taken; it has had no effect then.
pub(crate) fn published(
    broker: &Broker,
    turn: &mut Turn,
    client: &Arc<Client>,
    (topic, properties, payload): (Span, Span, Span),
) -> Result<(), NotTaken> {
    let topic_span = topic;
    let topic = turn.arena.text(topic);
    if topic == CONFIG_NEW_TOPIC {
        super::config_new(turn, client);
        return Err(NotTaken::SettingsFixed);
    }
    if lotmq_core::tenant::system_topics::is_state_of(topic, &client.client_id) {
        let (topic, payload) = (topic.to_owned(), turn.arena.get(payload).to_vec());
        sys::note_state(turn, client, &topic, &payload);
        return Ok(());
    }
    if super::is_part(topic) {
        return super::part_published(broker, turn, client, (topic_span, properties, payload));
    }
    if topic != COMMAND_TOPIC {
        let (guests, client_id) = (&client.tenant.programs().guests, Arc::clone(&client.client_id));
        if let Some(for_route) = guests.for_event(topic, turn.arena.get(payload), client_id, 0) {
            hand_to_route(turn, &client.tenant, for_route);
        }
        return Ok(());
    }
    let properties = Properties::from_raw(turn.arena.get(properties), PropertyPlace::PublishFromClient)
        .expect("properties were validated when the message came");
    let response = properties.response_topic().map(|topic| ResponseTo {
        topic: topic.to_owned(),
        correlation_data: properties.correlation_data().map(<[u8]>::to_vec),
    });
    let identity = client.identity();
    let text = turn.arena.get(payload);
    let job = Job {
        caller: CommandCaller {
            tenant: Arc::clone(&client.tenant),
            identity: Arc::clone(&identity),
            origin: CommandOrigin::Session(client.session_id),
        },
        queue: client.session_id,
        load: super::load_of(text),
        is_own_password: super::is_own_password(&identity, text),
        payload: Zeroizing::new(text.to_vec()),
        reply_to: ReplyTo::Topics { response },
        upload: None,
    };
    if broker.commands.submit(job).is_ok() {
        return Ok(());
    }
    let text = Zeroizing::new(turn.arena.get(payload).to_vec());
    super::busy(turn, &client.tenant, (&identity, Some(client.session_id)), &text);
    Err(NotTaken::CommandsBusy)
}

/// Takes a command that a run of a guest has given; the host has asked whether it may. False when
/// there are too many.
pub(crate) fn command_of_guest(broker: &Broker, turn: &mut Turn, command: GuestCommand<'_>) -> bool {
    let GuestCommand { tenant, definition, owner, payload, hops } = command;
    let identity = Arc::new(owner);
    let job = Job {
        caller: CommandCaller {
            tenant: Arc::clone(tenant),
            identity: Arc::clone(&identity),
            origin: CommandOrigin::Definition { name: Arc::clone(definition.name()), hops },
        },
        queue: Job::queue_of(tenant, definition),
        load: super::load_of(payload),
        is_own_password: false,
        payload: Zeroizing::new(payload.to_vec()),
        reply_to: ReplyTo::Topics { response: None },
        upload: None,
    };
    let is_taken = broker.commands.submit(job).is_ok();
    if !is_taken {
        super::busy(turn, tenant, (&identity, None), payload);
    }
    is_taken
}
