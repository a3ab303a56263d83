//! Small numbers for living sessions, used again when a session has ended, so that tables by number stay short.

use parking_lot::Mutex;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Numbers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u32,
    free: Vec<u32>,
}

impl Numbers {
    /// A number that nobody has.
    pub fn take(&self) -> u32 {
        let mut state = self.0.lock();
        if let Some(number) = state.free.pop() {
            return number;
        }
        state.next += 1;
        state.next - 1
    }

    pub(crate) fn give_back(&self, number: u32) {
        self.0.lock().free.push(number);
    }
}
