//! Where observations of one link go, in whatever form they are heard there.

use tokio::sync::mpsc;

use super::health::Observation;

/// The way from whoever watches a link to whoever judges it. Telling never waits.
pub struct Outlet<T> {
    to: mpsc::Sender<T>,
    form: Box<dyn Fn(Observation) -> T>,
}

impl<T> Outlet<T> {
    /// To `to`, each observation in the form that `form` gives it: with the link's name, for one.
    pub fn new(to: mpsc::Sender<T>, form: impl Fn(Observation) -> T + 'static) -> Self {
        Self { to, form: Box::new(form) }
    }

    /// Tells; false if there was no room, and the observation is lost.
    pub(super) fn tell(&self, observation: Observation) -> bool {
        self.to.try_send((self.form)(observation)).is_ok()
    }

    /// Waits until nobody hears any more. Cancel-safe.
    pub(super) async fn closed(&self) {
        self.to.closed().await;
    }
}
