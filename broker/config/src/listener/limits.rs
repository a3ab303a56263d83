//! The limits of listeners: each can be set in `[limits]` for all, and in `[listener.<name>]` for
//! one.

use crate::Limits;
use crate::limit_table;

/// Declares what a listener may set, and what holds for it in the end.
macro_rules! limit_structs {
    (
        {}
        every_listener { $($every:tt)* }
        addressed_listener { $($addressed:tt)* }
        every_client { $($client:tt)* }
        whole_broker $whole:tt
    ) => {
        limit_structs! { own { $($every)* $($addressed)* } shared { $($client)* } }
    };
    (
        own { $(
            $(#[doc = $doc:literal])+
            $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
                => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
        )+ }
        shared { $(
            $(#[doc = $shared_doc:literal])+
            $shared:ident: $shared_type:ty = $shared_default:expr, range $shared_range:expr,
                unit $shared_unit:literal $(, json $shared_json:literal)?
                => $shared_limit:ident($shared_reason:ident, $shared_sentence:literal): $shared_effect:literal;
        )+ }
    ) => {
        /// The limits that one listener sets itself; all others are those of `[limits]`.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct OwnLimits {
            $( $(#[doc = $doc])+ pub $name: Option<$type>, )+
        }

        /// The limits of a listener, of its clients and of their sessions.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ListenerLimits {
            $( $(#[doc = $doc])+ pub $name: $type, )+
            $( $(#[doc = $shared_doc])+ pub $shared: $shared_type, )+
        }

        impl OwnLimits {
            /// These, and those of `all` where none is set.
            pub(super) fn or(&self, all: &Limits) -> ListenerLimits {
                ListenerLimits {
                    $( $name: self.$name.unwrap_or(all.$name), )+
                    $( $shared: all.$shared, )+
                }
            }
        }

        impl Limits {
            /// Returns the limits for sessions without a listener, such as those restored from the
            /// store.
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
        { $place:ident }
        every_listener { $($every:tt)* } addressed_listener { $($addressed:tt)* } $($others:tt)*
    ) => {
        $crate::listener::limits::limit_keys! { $place: $($every)* $($addressed)* }
    };
    (
        { $place:ident, without addresses }
        every_listener { $($every:tt)* } $($others:tt)*
    ) => {
        $crate::listener::limits::limit_keys! { $place: $($every)* }
    };
    ($place:ident: $(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
            => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
    )+) => {
        &[$( $crate::Key {
            path: concat!("listener.", stringify!($place), ".", stringify!($name)),
            json: None,
            short_variable: None,
            section_doc: &[],
            doc: &[$($doc),+, " That of `[limits]` until it is set."],
            type_name: <$type as $crate::setting::Setting>::TYPE,
            range: Some($range),
            unit: Some($unit),
            is_inherited: true,
            set: |config, value| {
                let parsed = <Option<$type> as $crate::setting::Setting>::parse(value)?;
                $crate::setting::check_range(&$crate::setting::Setting::show(&parsed), &$range)?;
                config.listener.limits.$place.$name = parsed;
                Ok(())
            },
            get: |config| $crate::setting::Setting::show(&config.listener.limits.$place.$name),
        }, )+]
    };
}

/// The keys of the limits of a listener; `without addresses` of one that has none.
macro_rules! keys_of {
    ($place:ident $(, $without:ident $addresses:ident)?) => {
        $crate::limit_table! { $crate::listener::limits::limit_keys! { $place $(, $without $addresses)? } }
    };
}

pub(super) use {keys_of, limit_keys};
