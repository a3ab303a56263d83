//! Several futures of one task at once: the first that ends, or all of them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// A future whose kind does not matter.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Returns the output of the first future to finish, and drops the others. Waits for ever if there
/// are none.
pub(crate) async fn first<T>(mut futures: Vec<Boxed<'_, T>>) -> T {
    poll_fn(|cx| {
        futures
            .iter_mut()
            .find_map(|future| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Some(Poll::Ready(output)),
                Poll::Pending => None,
            })
            .unwrap_or(Poll::Pending)
    })
    .await
}

/// Returns the outputs of all futures, in their order.
pub(crate) async fn all<T>(futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut futures: Vec<Option<Boxed<'_, T>>> = futures.into_iter().map(Some).collect();
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if let Some(waiting) = future
                && let Poll::Ready(ready) = waiting.as_mut().poll(cx)
            {
                (*future, *output) = (None, Some(ready));
            }
        }
        if futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
