//! Questions of the host to a guest about itself.

use std::sync::Arc;

use lotmq_host::route::RouteInstance;

use super::{Ended, count_call, trapped};
use crate::route_modules::ModuleFigures;
use crate::routes::version::Version;

/// Asks a guest about itself and returns its answer; `None` if it does not know the question.
pub(super) async fn ask_guest(
    operation: &str,
    version: &Version,
    instance: &mut RouteInstance,
    figures: Option<&Arc<ModuleFigures>>,
) -> Result<Option<Vec<u8>>, Ended> {
    instance.comes_behind(0);
    count_call(figures);
    let call_time = version.call_time();
    match tokio::time::timeout(call_time, instance.request(operation, b"{}")).await {
        Ok(Ok(answer)) => Ok(answer.ok()),
        Ok(Err(trap)) => Err(Ended::Away(trapped(figures, &trap))),
        Err(_) => Err(Ended::Away(version.too_long("request", instance))),
    }
}
