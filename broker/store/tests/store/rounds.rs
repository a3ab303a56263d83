//! Work in rounds, each of which leaves the same picture one number further: what a crash may cost
//! can be read off.

use bytes::Bytes;
use lotmq_changes::*;

use crate::support::*;

/// Messages that stay in the queue.
const QUEUED: u64 = 10;

/// Each round leaves the same picture, one number further.
pub(crate) fn push(batch: &mut Batch, round: u64) {
    let tenant = TenantId::DEFAULT;
    let id = SessionId(1);
    let pid = |round: u64| packet_id((round % 60_000) as u16 + 1);
    let value = round.to_string();
    batch.push(Op::PutSession(&session(0, id, "c")));
    let payload = vec![round as u8; (round % 7 * 800) as usize];
    let deliveries = [Delivery { packet_id: Some(pid(round)), ..delivery(id) }];
    batch.push(Op::Enqueue { message: message(MessageId(round), &value, &payload), deliveries: &deliveries });
    batch.push(Op::Qos2Received { session: id, packet_id: pid(round) });
    batch.push(Op::PutRetained(&RetainedRow {
        tenant,
        topic: "r".into(),
        version: MessageId(round),
        qos: 1,
        properties: Bytes::new(),
        payload: Bytes::from(value.clone()),
        published_at_ms: 0,
        expires_at_ms: None,
        keeper: KeeperRow::default(),
    }));
    batch.push(Op::PutSetting(&SettingRow { tenant, name: "round".into(), value }));
    let component = component(round);
    batch.push(Op::PutModule { row: &module(round, false), component: component.into() });
    batch.push(Op::ChangeModule(&module(round.saturating_sub(1), true)));
    if round > QUEUED {
        batch.push(Op::Dequeue { session: id, message: MessageId(round - QUEUED) });
        batch.push(Op::Qos2Released { session: id, packet_id: pid(round - QUEUED) });
    }
}

/// A module whose version before is that of the round before.
fn module(round: u64, is_former: bool) -> ModuleRow {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&round.to_be_bytes());
    ModuleRow {
        tenant: TenantId::DEFAULT,
        name: "m".into(),
        is_former,
        world: "action".into(),
        options: String::new(),
        hash,
        component_bytes: component(round).len() as u64,
        owner: String::new(),
        origin: String::new(),
        order: round,
        changed_at_ms: 0,
    }
}

/// Now and then of several parts.
fn component(round: u64) -> Vec<u8> {
    vec![round as u8; if round.is_multiple_of(16) { 140_000 } else { 40 }]
}

/// Everything up to the round that was reported is there, and nothing is there in part.
pub(crate) fn check(recovered: &Recovered, reported: u64) {
    let round: u64 = recovered.settings[0].value.parse().unwrap();
    assert!(round >= reported, "round {reported} was reported, {round} is the last that is stored");
    assert_eq!(recovered.retained[0].payload, round.to_string());
    // Opening it has looked whether their components are whole.
    let modules: Vec<_> = recovered.modules.iter().map(|row| (row.is_former, row)).collect();
    let before = (round > 1).then(|| module(round - 1, true));
    let is_expected = |(is_former, row): &(bool, &ModuleRow)| {
        if *is_former { Some(*row) == before.as_ref() } else { **row == module(round, false) }
    };
    assert!(
        modules.iter().all(is_expected) && modules.iter().any(|(is_former, _)| !is_former),
        "{modules:?}"
    );
    let session = &recovered.sessions[0];
    let first = (round + 1).saturating_sub(QUEUED).max(1);
    let queue: Vec<_> = session.queue.iter().map(|delivery| delivery.message.id.0).collect();
    assert_eq!(queue, (first..=round).collect::<Vec<_>>());
    for delivery in &session.queue {
        let id = delivery.message.id.0;
        assert_eq!(delivery.message.topic, id.to_string());
        assert_eq!(delivery.message.payload, vec![id as u8; (id % 7 * 800) as usize]);
        assert_eq!(delivery.packet_id, Some(packet_id((id % 60_000) as u16 + 1)));
    }
    assert_eq!(session.qos2_received.len() as u64, round - first + 1);
}
