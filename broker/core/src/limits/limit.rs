//! Every limit that can be set, as a value: for counters, refusals and the reference.

use lotmq_codec::ReasonCode;

use lotmq_config::limit_table;

/// Scope of a limit: where it can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In `[limits]` and for each listener.
    EveryListener,
    /// The same, but not for a Unix socket, whose connections have no addresses and no handshakes.
    AddressedListener,
    /// In `[limits]` alone, for each client. Counted for the listener of the client.
    EveryClient,
    /// In `[limits]` alone, for many clients together.
    WholeBroker,
}

impl Scope {
    pub(crate) fn is_whole_broker(self) -> bool {
        self == Self::WholeBroker
    }
}

/// Row of the table of limits.
pub(crate) struct Row {
    pub limit: Limit,
    /// The key in `[limits]`, and the label of its counter.
    pub name: &'static str,
    pub scope: Scope,
    pub unit: &'static str,
    /// Effect when it is reached.
    pub effect: &'static str,
    reason: ReasonCode,
    sentence: &'static str,
}

macro_rules! limits {
    (
        {}
        every_listener { $($every:tt)* }
        addressed_listener { $($addressed:tt)* }
        every_client { $($client:tt)* }
        whole_broker { $($whole:tt)* }
    ) => {
        limits! {
            EveryListener { $($every)* }
            AddressedListener { $($addressed)* }
            EveryClient { $($client)* }
            WholeBroker { $($whole)* }
        }
    };
    ($( $scope:ident { $(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $default:expr, range $range:expr, unit $unit:literal $(, json $json:literal)?
            => $limit:ident($reason:ident, $sentence:literal): $effect:literal;
    )* } )+) => {
        /// A limit that can be set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit {
            $($( $(#[doc = $doc])+ $limit, )*)+
        }

        /// All of them, in the order of [`Limit`].
        pub(crate) const LIMITS: &[Row] = &[$($( Row {
            limit: Limit::$limit,
            name: stringify!($name),
            scope: Scope::$scope,
            unit: $unit,
            effect: $effect,
            reason: ReasonCode::$reason,
            sentence: concat!($sentence, " (limit ", stringify!($name), ")"),
        }, )*)+];
    };
}

limit_table! { limits! {} }

impl Limit {
    pub(crate) fn row(self) -> &'static Row {
        &LIMITS[self as usize]
    }

    /// Key in the configuration, and label of its counter.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Reason Code for a 5.0 Client, where it is told anything.
    pub fn reason(self) -> ReasonCode {
        self.row().reason
    }

    /// Reason String beside [`Limit::reason`].
    pub fn sentence(self) -> &'static str {
        self.row().sentence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_finds_its_row() {
        for (index, row) in LIMITS.iter().enumerate() {
            assert_eq!(row.limit as usize, index, "{}", row.name);
        }
    }
}
