//! A signal that ends a run cleanly: what is under way is finished, nothing new
//! is begun.

use std::sync::Arc;

use tokio::sync::watch;

/// A signal that many may hold and anyone may give. It cannot be taken back.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    /// A signal not yet given.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Gives it.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was given.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is given.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|given| *given).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}
