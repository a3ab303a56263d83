//! The function by which a guest takes deliveries: of `route-batches` where it exports that, else
//! of `route-handler`.

use super::{Failure, LentDelivery, Receipt, batches, host::RouteState};
use wasmtime::{
    Store,
    component::{
        Component, ComponentExportIndex, Instance, TypedFunc,
        types::{ComponentFunc, ComponentItem, Type},
    },
    ensure, format_err,
};

const HANDLER: &str = interface!("route-handler");
const BATCHES: &str = interface!("route-batches");

/// Name of the function in either of them.
const DELIVER: &str = "deliver";

/// Answer of the guest.
type Answered = (Result<Receipt, Failure>,);

/// Function by which an instance takes deliveries; its arguments are lent.
pub(super) enum Deliver {
    /// As a list of records.
    Records(TypedFunc<(&'static [LentDelivery<'static>],), Answered>),
    /// As two lists.
    Batches(TypedFunc<(&'static [u32], &'static [u8]), Answered>),
}

/// Export of a component by which it takes deliveries.
#[derive(Clone, Copy)]
pub(super) enum DeliverExport {
    Records(ComponentExportIndex),
    Batches(ComponentExportIndex),
}

impl DeliverExport {
    /// The one of a component.
    ///
    /// # Errors
    /// When it exports none, or one of `route-batches` that is of another type. The type of
    /// `route-handler` is its world's matter.
    pub(super) fn of(component: &Component) -> wasmtime::Result<DeliverExport> {
        let (records, index) = function(component, HANDLER)?
            .ok_or_else(|| format_err!("export '{HANDLER}' has no function '{DELIVER}'"))?;
        if component.get_export_index(None, BATCHES).is_none() {
            return Ok(DeliverExport::Records(index));
        }
        let (function, index) = function(component, BATCHES)?
            .ok_or_else(|| format_err!("export '{BATCHES}' has no function '{DELIVER}'"))?;
        let is_list =
            |of: Type| move |(_, it): (&str, Type)| matches!(it, Type::List(list) if list.ty() == of);
        let mut parameters = function.params();
        let takes_two = parameters.len() == 2
            && parameters.next().is_some_and(is_list(Type::U32))
            && parameters.next().is_some_and(is_list(Type::U8));
        ensure!(
            takes_two && function.results().eq(records.results()),
            "'{DELIVER}' of export '{BATCHES}' is no func(numbers: list<u32>, bytes: list<u8>) -> result<receipt, failure>"
        );
        Ok(DeliverExport::Batches(index))
    }
}

/// The function of an interface that a component exports.
fn function(
    component: &Component,
    interface: &str,
) -> wasmtime::Result<Option<(ComponentFunc, ComponentExportIndex)>> {
    let Some(interface) = component.get_export_index(None, interface) else { return Ok(None) };
    match component.get_export(Some(&interface), DELIVER) {
        Some((ComponentItem::ComponentFunc(function), index)) => Ok(Some((function, index))),
        Some(_) | None => Ok(None),
    }
}

impl Deliver {
    /// That of an instance.
    pub(super) fn of(
        store: &mut Store<RouteState>,
        instance: &Instance,
        export: DeliverExport,
    ) -> wasmtime::Result<Deliver> {
        let (DeliverExport::Records(index) | DeliverExport::Batches(index)) = export;
        let function =
            instance.get_func(&mut *store, index).ok_or_else(|| format_err!("it exports no '{DELIVER}'"))?;
        Ok(match export {
            DeliverExport::Records(_) => Deliver::Records(function.typed(&*store)?),
            DeliverExport::Batches(_) => Deliver::Batches(function.typed(&*store)?),
        })
    }

    /// Hands a batch over.
    pub(super) async fn call(
        &self,
        store: &mut Store<RouteState>,
        batch: &[LentDelivery<'_>],
    ) -> wasmtime::Result<Result<Receipt, Failure>> {
        let (answered,) = match self {
            Deliver::Records(deliver) => deliver.call_async(store, (batch,)).await?,
            Deliver::Batches(deliver) => {
                let lists = batches::lists(batch);
                deliver.call_async(store, lists.as_slices()).await?
            }
        };
        Ok(answered)
    }
}
