//! Quality of service of a message as guests know it.

use lotmq_host::Qos;

pub(super) fn qos(qos: lotmq_codec::QoS) -> Qos {
    match qos {
        lotmq_codec::QoS::AtMostOnce => Qos::AtMostOnce,
        lotmq_codec::QoS::AtLeastOnce => Qos::AtLeastOnce,
        lotmq_codec::QoS::ExactlyOnce => Qos::ExactlyOnce,
    }
}
