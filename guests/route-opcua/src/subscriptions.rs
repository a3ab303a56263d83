//! Subscriptions of a session, one for each period, with an item for each tag. Items are created
//! one by one, kept alive, and read.
//!
//! Invariants: an item that the server rejects does not affect others, and is retried with growing
//! pauses. The server always has publish requests. A subscription that is silent for two keep-alive
//! periods ends the session, and the next session creates all of them again.

use std::collections::HashMap;

use lotmq_guest::route::ambient;
use opcua_core::ResponseMessage;
use opcua_types::{
    AttributeId, CreateMonitoredItemsRequest, CreateSubscriptionRequest, DataChangeNotification, DataValue,
    ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId,
    PublishRequest, PublishResponse, StatusChangeNotification, StatusCode, SubscriptionAcknowledgement,
    TimestampsToReturn,
};
use route_tags::limits::{REFUSED_PAUSE_MS, REFUSED_PAUSE_MS_MAX};

use crate::channel::{Channel, unexpected};
use crate::limits::{ITEM_QUEUE, PUBLISH_REQUESTS_MAX, PUBLISH_REQUESTS_PER_SUBSCRIPTION, SIGN_OF_LIFE_MS};
use crate::services::{all, value_id};
use crate::status::{Trouble, ends_session, named};

/// All subscriptions of a session.
pub(crate) struct Subscriptions {
    by_period: HashMap<u64, Subscription>,
    /// Items by the position of their tag.
    items: HashMap<usize, Item>,
    /// Numbers of requests to publish that have no answer yet.
    waiting: Vec<u32>,
    /// As many of them as the server wants at most.
    waiting_max: usize,
    /// Received notifications to acknowledge.
    heard: Vec<SubscriptionAcknowledgement>,
}

struct Subscription {
    id: u32,
    /// Time without anything heard after which it is lost, in milliseconds.
    patience_ms: u64,
    heard_ms: u64,
}

/// State of an item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Created,
    /// It was refused: when it is tried again, and the pause behind that.
    Refused {
        until_ms: u64,
        pause_ms: u64,
    },
}

/// An item that is to be created: position of its tag, its node, and the period.
pub(crate) struct Wanted {
    pub(crate) tag: usize,
    pub(crate) node: NodeId,
    pub(crate) period_ms: u64,
}

/// Change of a tag from the server.
pub(crate) type Change = (usize, Result<DataValue, String>);

impl Subscriptions {
    /// Subscriptions with these periods; `None` where the server has none.
    pub(crate) fn create(channel: &mut Channel, periods: &[u64]) -> Result<Option<Subscriptions>, Trouble> {
        let mut by_period = HashMap::new();
        for period_ms in periods {
            match subscription(channel, *period_ms) {
                Ok(subscription) => by_period.insert(*period_ms, subscription),
                // Those that were created go with the session.
                Err(Trouble::Refused(_)) => return Ok(None),
                Err(lost) => return Err(lost),
            };
        }
        let waiting_max = (by_period.len() * PUBLISH_REQUESTS_PER_SUBSCRIPTION).min(PUBLISH_REQUESTS_MAX);
        let (items, waiting, heard) = (HashMap::new(), Vec::new(), Vec::new());
        Ok(Some(Subscriptions { by_period, items, waiting, waiting_max, heard }))
    }

    /// Whether an item is to be created now.
    pub(crate) fn is_due(&self, tag: usize, now_ms: u64) -> bool {
        match self.items.get(&tag) {
            None => true,
            Some(Item::Created) => false,
            Some(Item::Refused { until_ms, .. }) => *until_ms <= now_ms,
        }
    }

    /// When the next item is to be created, in milliseconds of the monotonic clock.
    pub(crate) fn next_due_ms(&self) -> u64 {
        let due = |item: &Item| match item {
            Item::Created => u64::MAX,
            Item::Refused { until_ms, .. } => *until_ms,
        };
        self.items.values().map(due).min().unwrap_or(u64::MAX)
    }

    /// Notes that an item cannot be created now.
    pub(crate) fn refused(&mut self, tag: usize) {
        let pause_ms = match self.items.get(&tag) {
            Some(Item::Refused { pause_ms, .. }) => (pause_ms * 2).min(REFUSED_PAUSE_MS_MAX),
            _ => REFUSED_PAUSE_MS,
        };
        let until_ms = ambient::monotonic_ms().saturating_add(pause_ms);
        self.items.insert(tag, Item::Refused { until_ms, pause_ms });
    }

    /// Creates items of one period, as many at once as the server takes. Returns the rejected ones.
    pub(crate) fn add(
        &mut self,
        channel: &mut Channel,
        wanted: &[Wanted],
        at_once: usize,
    ) -> Result<Vec<Change>, Trouble> {
        let mut changes = Vec::new();
        for part in
            wanted.chunk_by(|a, b| a.period_ms == b.period_ms).flat_map(|same| same.chunks(at_once.max(1)))
        {
            let Some(subscription) = part.first().and_then(|first| self.by_period.get(&first.period_ms))
            else {
                continue;
            };
            for (tag, status) in create_each(channel, subscription.id, part)? {
                if status.is_bad() {
                    self.refused(tag);
                    changes.push((tag, Err(named(status))));
                } else {
                    self.items.insert(tag, Item::Created);
                }
            }
        }
        Ok(changes)
    }

    /// Keeps publish requests at the server, and detects silent subscriptions. Returns the time of
    /// the next call at the latest.
    pub(crate) fn tend(&mut self, channel: &mut Channel) -> Result<u64, Trouble> {
        let now_ms = ambient::monotonic_ms();
        let mut until_ms = u64::MAX;
        for subscription in self.by_period.values() {
            let lost_ms = subscription.heard_ms.saturating_add(subscription.patience_ms);
            if lost_ms <= now_ms {
                let patience_ms = subscription.patience_ms;
                return Err(Trouble::broken(format!("the server has sent nothing for {patience_ms} ms")));
            }
            until_ms = until_ms.min(lost_ms);
        }
        while self.waiting.len() < self.waiting_max {
            let heard = std::mem::take(&mut self.heard);
            let mut request_header = channel.header();
            // It waits for as long as there is nothing to say.
            request_header.timeout_hint = 0;
            let request = PublishRequest {
                request_header,
                subscription_acknowledgements: (!heard.is_empty()).then_some(heard),
            };
            self.waiting.push(channel.send(request)?);
        }
        Ok(until_ms)
    }

    /// Takes all that has come.
    pub(crate) fn listen(&mut self, channel: &mut Channel) -> Result<Vec<Change>, Trouble> {
        let mut changes = Vec::new();
        // As many as the server can answer: what it sends then is for the next time.
        for _ in 0..PUBLISH_REQUESTS_MAX {
            let Some((number, response)) = channel.take()? else { break };
            changes.extend(self.take(number, response)?);
        }
        Ok(changes)
    }

    /// Takes a response that no caller waited for.
    fn take(&mut self, number: u32, response: ResponseMessage) -> Result<Vec<Change>, Trouble> {
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == number) else {
            return Ok(Vec::new());
        };
        self.waiting.swap_remove(at);
        match response {
            ResponseMessage::Publish(response) => self.published(*response),
            ResponseMessage::ServiceFault(fault) => {
                let status = fault.response_header.service_result;
                if status == StatusCode::BadTooManyPublishRequests && self.waiting_max > 1 {
                    self.waiting_max -= 1;
                    return Ok(Vec::new());
                }
                // A request to publish that nothing came of is made again.
                if status == StatusCode::BadTimeout || status == StatusCode::BadRequestTimeout {
                    return Ok(Vec::new());
                }
                Err(Trouble::broken(format!("the server publishes no more: {}", named(status))))
            }
            other => Err(unexpected(&other)),
        }
    }

    fn published(&mut self, response: PublishResponse) -> Result<Vec<Change>, Trouble> {
        let status = response.response_header.service_result;
        if status.is_bad() && ends_session(status) {
            return Err(Trouble::broken(format!("the server says {}", named(status))));
        }
        let known = self.by_period.values_mut().find(|known| known.id == response.subscription_id);
        let Some(subscription) = known else { return Ok(Vec::new()) };
        subscription.heard_ms = ambient::monotonic_ms();
        let message = response.notification_message;
        let notices = message.notification_data.unwrap_or_default();
        if !notices.is_empty() {
            self.heard.push(SubscriptionAcknowledgement {
                subscription_id: response.subscription_id,
                sequence_number: message.sequence_number,
            });
        }
        let mut changes = Vec::new();
        for notice in &notices {
            changes.extend(changed(notice)?);
        }
        Ok(changes)
    }
}

/// Returns the changes of items in a notification.
fn changed(notice: &ExtensionObject) -> Result<Vec<Change>, Trouble> {
    if let Some(ended) = notice.inner_as::<StatusChangeNotification>() {
        return Err(Trouble::broken(format!("the server has ended a subscription: {}", named(ended.status))));
    }
    let Some(changed) = notice.inner_as::<DataChangeNotification>() else { return Ok(Vec::new()) };
    let items = changed.monitored_items.as_deref().unwrap_or_default();
    let of_tag = |handle: u32| usize::try_from(handle).unwrap_or(usize::MAX);
    Ok(items.iter().map(|item| (of_tag(item.client_handle), Ok(item.value.clone()))).collect())
}

fn subscription(channel: &mut Channel, period_ms: u64) -> Result<Subscription, Trouble> {
    let (least, most) = SIGN_OF_LIFE_MS;
    // A keep-alive as frequent as values adds no information.
    let count = (most / period_ms.max(1)).clamp(1, 10_000);
    let count = u32::try_from(count).unwrap_or(1);
    let request = CreateSubscriptionRequest {
        request_header: channel.header(),
        requested_publishing_interval: millis(period_ms),
        requested_lifetime_count: count.saturating_mul(6),
        requested_max_keep_alive_count: count,
        max_notifications_per_publish: 0,
        publishing_enabled: true,
        priority: 0,
    };
    match channel.ask(request)? {
        ResponseMessage::CreateSubscription(created) => {
            let sign_ms =
                created.revised_publishing_interval * f64::from(created.revised_max_keep_alive_count);
            let patience_ms = whole_millis(sign_ms).saturating_mul(2).saturating_add(least);
            Ok(Subscription { id: created.subscription_id, patience_ms, heard_ms: ambient::monotonic_ms() })
        }
        other => Err(unexpected(&other)),
    }
}

/// Creates items, by halves where the server refuses all of them for the sake of one.
fn create_each(
    channel: &mut Channel,
    subscription_id: u32,
    wanted: &[Wanted],
) -> Result<Vec<(usize, StatusCode)>, Trouble> {
    match create_items(channel, subscription_id, wanted) {
        Ok(results) => Ok(wanted.iter().map(|wanted| wanted.tag).zip(results).collect()),
        Err(Trouble::Refused(status)) if status == StatusCode::BadSubscriptionIdInvalid => {
            Err(Trouble::broken("the server has ended a subscription"))
        }
        Err(Trouble::Refused(status)) => match wanted {
            [] => Ok(Vec::new()),
            [one] => Ok(vec![(one.tag, status)]),
            several => {
                let (first, second) = several.split_at(several.len() / 2);
                let mut results = create_each(channel, subscription_id, first)?;
                results.extend(create_each(channel, subscription_id, second)?);
                Ok(results)
            }
        },
        Err(lost) => Err(lost),
    }
}

fn create_items(
    channel: &mut Channel,
    subscription_id: u32,
    wanted: &[Wanted],
) -> Result<Vec<StatusCode>, Trouble> {
    let item = |wanted: &Wanted| MonitoredItemCreateRequest {
        item_to_monitor: value_id(&wanted.node, AttributeId::Value),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: u32::try_from(wanted.tag).unwrap_or(u32::MAX),
            sampling_interval: millis(wanted.period_ms),
            filter: ExtensionObject::null(),
            queue_size: ITEM_QUEUE,
            discard_oldest: true,
        },
    };
    let request = CreateMonitoredItemsRequest {
        request_header: channel.header(),
        subscription_id,
        timestamps_to_return: TimestampsToReturn::Neither,
        items_to_create: Some(wanted.iter().map(item).collect()),
    };
    match channel.ask(request)? {
        ResponseMessage::CreateMonitoredItems(created) => {
            let results = all(created.results, wanted.len())?;
            Ok(results.into_iter().map(|result| result.status_code).collect())
        }
        other => Err(unexpected(&other)),
    }
}

/// Converts milliseconds for OPC UA, exactly for any period.
fn millis(time_ms: u64) -> f64 {
    f64::from(u32::try_from(time_ms).unwrap_or(u32::MAX))
}

/// Converts milliseconds from OPC UA, up to a day: no keep-alive takes longer.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and a day")]
fn whole_millis(time_ms: f64) -> u64 {
    if time_ms.is_nan() { 0 } else { time_ms.clamp(0.0, 86_400_000.0) as u64 }
}
