//! The limits of listeners: every one can be set in `[limits]` for all, and in `[listener.<name>]` for one.

use crate::Limits;
use crate::key::Key;
use crate::limit_table;
use crate::setting::{Setting, check_range};

/// Declares what a listener may set, and what holds for it in the end.
macro_rules! limit_structs {
    ({} every_listener { $($every:tt)* } addressed_listener { $($addressed:tt)* } whole_broker $whole:tt) => {
        limit_structs! { $($every)* $($addressed)* }
    };
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
            => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
    )+) => {
        /// The limits that one listener sets itself; all others are those of `[limits]`.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct OwnLimits {
            $( $(#[doc = $doc])+ pub $name: Option<$type>, )+
        }

        /// The limits of a listener and of the sessions that its clients have.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ListenerLimits {
            $( $(#[doc = $doc])+ pub $name: $type, )+
        }

        impl OwnLimits {
            /// These, and those of `all` where none is set.
            pub(super) fn or(&self, all: &Limits) -> ListenerLimits {
                ListenerLimits { $( $name: self.$name.unwrap_or(all.$name), )+ }
            }
        }

        impl Limits {
            /// What holds without any listener, as for a session that was stored.
            #[must_use]
            pub fn for_all(&self) -> ListenerLimits {
                OwnLimits::default().or(self)
            }
        }
    };
}

limit_table! { limit_structs! {} }

/// The keys of one listener's limits. One without addresses has no limits that need them.
macro_rules! limit_keys {
    (
        { $place:ident at $prefix:literal }
        every_listener { $($every:tt)* } addressed_listener { $($addressed:tt)* } whole_broker $whole:tt
    ) => {
        limit_keys! { $place at $prefix: $($every)* $($addressed)* }
    };
    (
        { $place:ident at $prefix:literal, without addresses }
        every_listener { $($every:tt)* } addressed_listener $addressed:tt whole_broker $whole:tt
    ) => {
        limit_keys! { $place at $prefix: $($every)* }
    };
    ($place:ident at $prefix:literal: $(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
            => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
    )+) => {
        &[$( Key {
            path: concat!($prefix, ".", stringify!($name)),
            json: None,
            short_variable: None,
            section_doc: &[],
            doc: &[$($doc),+, " That of `[limits]` until it is set."],
            type_name: <$type as Setting>::TYPE,
            range: Some($range),
            is_inherited: true,
            set: |config, value| {
                let parsed = <Option<$type> as Setting>::parse(value)?;
                check_range(&parsed.show(), &$range)?;
                config.listener.limits.$place.$name = parsed;
                Ok(())
            },
            get: |config| config.listener.limits.$place.$name.show(),
        }, )+]
    };
}

/// Declares the limits of all listeners: a row is the name of a constant for its keys, and the listener.
macro_rules! listeners {
    ($($keys:ident: $place:ident at $prefix:literal $(, $without:ident $addresses:ident)?;)+) => {
        /// What each listener sets itself.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct LimitsOfListeners {
            $(#[doc = concat!("Those of `[", $prefix, "]`.")] pub $place: OwnLimits,)+
        }

        $(pub(crate) const $keys: &[Key] = limit_table! { limit_keys! { $place at $prefix $(, $without $addresses)? } };)+
    };
}

listeners! {
    MQTT: mqtt at "listener.mqtt";
    MQTTS: mqtts at "listener.mqtts";
    WS: ws at "listener.ws";
    WSS: wss at "listener.wss";
    UNIX: unix at "listener.unix", without addresses;
    QUIC: quic at "listener.quic";
}
