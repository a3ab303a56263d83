//! Listings: JSON arrays of bounded length that say when they are cut.

use serde_json::{Value, json};

use crate::limits::LISTING_ROWS_MAX;

/// Rows of a listing: counts all, and writes as many as there is room for.
#[derive(Default)]
pub(super) struct Rows {
    total: usize,
}

impl Rows {
    /// Rows of a listing with `total` rows.
    pub(super) fn of(total: usize) -> Self {
        Self { total }
    }

    /// Whether the next row is written.
    pub(super) fn has_room(&self) -> bool {
        self.total < LISTING_ROWS_MAX
    }

    /// Counts a row.
    pub(super) fn count(&mut self) {
        self.total += 1;
    }

    /// Makes the listing; its last element tells when there are more rows (commands reference §5).
    pub(super) fn json(&self, rows: impl Iterator<Item = Value>) -> String {
        let mut rows: Vec<Value> = rows.take(LISTING_ROWS_MAX).collect();
        if self.total > LISTING_ROWS_MAX {
            rows.push(json!({ "truncated": true, "total": self.total }));
        }
        Value::Array(rows).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_cut_and_says_so() {
        let mut rows = Rows::default();
        for _ in 0..LISTING_ROWS_MAX {
            rows.count();
        }
        assert!(!rows.json((0..LISTING_ROWS_MAX).map(|n| json!(n))).contains("truncated"));
        rows.count();
        let text = rows.json((0..LISTING_ROWS_MAX + 1).map(|n| json!(n)));
        assert!(text.ends_with(&format!(",{{\"truncated\":true,\"total\":{}}}]", LISTING_ROWS_MAX + 1)));
        assert_eq!(Rows::default().json(std::iter::empty()), "[]");
    }
}
