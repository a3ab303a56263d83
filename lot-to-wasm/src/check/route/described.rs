//! Description of a route type by the module that a Route names.

use std::sync::Arc;

use super::{key_of, value};
use crate::check::Known;
use crate::route::{OF_MODULE, PLACE_OF_MODULE, RouteType};
use crate::syntax::route::RouteItem;

/// Returns the description of the module that a Route names in plain text.
pub(super) fn described(kind: &RouteType, items: &[RouteItem], known: &dyn Known) -> Option<Arc<RouteType>> {
    if kind.name != OF_MODULE {
        return None;
    }
    let [place, key] = PLACE_OF_MODULE;
    let module = items.iter().find_map(|item| match item {
        RouteItem::Block(block) if block.kind.text.eq_ignore_ascii_case(place) => {
            value::written(key_of(block, key)?)
        }
        RouteItem::Block(_) | RouteItem::Setting(_) | RouteItem::Every(..) | RouteItem::Store { .. } => None,
    });
    known.route_type(module?)
}
