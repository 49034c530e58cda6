//! Who may put, and who may get: one thread each.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A thread, as long as it lives.
struct Token {
    alive: AtomicBool,
}

/// Marks its thread's token when the thread ends.
struct Life(Arc<Token>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.alive.store(false, Ordering::Release);
    }
}

thread_local! {
    static LIFE: Life = Life(Arc::new(Token { alive: AtomicBool::new(true) }));
}

/// One side of a queue, which belongs to the first thread that takes it until that thread ends.
#[derive(Default)]
pub(super) struct Role {
    /// Address of the owner's token, or 0: enough to recognise the owner again. The token is held below,
    /// so its address is not used for another thread's.
    owner: AtomicUsize,
    token: Mutex<Option<Arc<Token>>>,
}

impl Role {
    /// Whether the calling thread has the role, or could take it.
    #[inline]
    pub(super) fn claim(&self) -> bool {
        let own = LIFE.with(|life| Arc::as_ptr(&life.0).addr());
        self.owner.load(Ordering::Relaxed) == own || self.take()
    }

    #[cold]
    fn take(&self) -> bool {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if token
            .as_ref()
            .is_some_and(|owner| owner.alive.load(Ordering::Acquire))
        {
            return false;
        }
        LIFE.with(|life| {
            self.owner
                .store(Arc::as_ptr(&life.0).addr(), Ordering::Relaxed);
            *token = Some(Arc::clone(&life.0));
        });
        true
    }
}
