//! Where a test ends a daemon: before its n-th transaction, or after it was committed.

use std::cell::Cell;

thread_local! {
    /// How many are left, and whether it is before; then whether it was reached.
    static ARMED: Cell<(Option<(u8, bool)>, bool)> = const { Cell::new((None, false)) };
}

/// From now on, of this thread: the n-th transaction, before it begins (`true`) or after its commit. Returns how many
/// were left of the one before.
pub(crate) fn arm(at: Option<(u8, bool)>) -> Option<u8> {
    ARMED.replace((at, false)).0.map(|(left, _)| left)
}

/// Whether it was reached; nothing goes on there.
pub(crate) fn struck() -> bool {
    ARMED.get().1
}

/// A transaction is about to begin (`true`), or was committed.
pub(crate) async fn point(before: bool) {
    let (armed, struck) = ARMED.get();
    let Some((left, wanted)) = armed else { return };
    if wanted != before || struck {
        return;
    }
    let left = left.saturating_sub(1);
    ARMED.set((Some((left, wanted)), left == 0));
    if left == 0 {
        std::future::pending::<()>().await;
    }
}
