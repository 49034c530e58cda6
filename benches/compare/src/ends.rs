//! What every contender is reduced to, so that one workload serves all.

/// The side that takes values. Every method waits as its queue's users would.
pub trait Tx: Send + 'static {
    fn send(&mut self, value: u64);

    /// In one operation where the queue has one, otherwise one by one.
    fn send_slice(&mut self, values: &[u64]) {
        for &value in values {
            self.send(value);
        }
    }

    /// A whole stream, one at a time.
    fn send_range(&mut self, values: std::ops::Range<u64>) {
        for value in values {
            self.send(value);
        }
    }
}

/// The side that gives values.
pub trait Rx: Send + 'static {
    /// One value or, where the queue is read in place by design, what is there.
    fn recv(&mut self, take: impl FnMut(u64));

    /// At least one, at most `most`, in one operation where the queue has one.
    fn recv_slice(&mut self, most: usize, take: impl FnMut(u64)) {
        let _ = most;
        self.recv(take);
    }
}

/// For queues that leave waiting to the caller: spin, and give up the core now
/// and then in case the other side needs it.
#[derive(Default)]
pub struct Spin(u32);

impl Spin {
    #[inline(always)]
    pub fn wait(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(512) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
