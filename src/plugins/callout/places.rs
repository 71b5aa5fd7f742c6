//! How many calls may be under way at once.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::Authority;
use tokio::sync::Semaphore;

/// From so many services on those that nobody calls are forgotten.
const MANY: usize = 64;

/// The places of calls, by service: one that hangs takes none from another.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    services: Mutex<HashMap<Authority, Arc<Semaphore>>>,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, services: Mutex::default() }
    }

    /// Those of one service.
    pub(super) fn of(&self, service: &Authority) -> Arc<Semaphore> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = services.get(service) {
            return Arc::clone(places);
        }
        if services.len() >= MANY {
            services.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = Arc::new(Semaphore::new(self.most));
        services.insert(service.clone(), Arc::clone(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_places_of_their_own_and_are_forgotten_when_there_are_many() {
        let places = Places::new(2);
        let of = |text: &str| places.of(&text.parse().unwrap());
        let busy = of("a.test:80");
        assert!(Arc::ptr_eq(&busy, &of("A.test:80")) && !Arc::ptr_eq(&busy, &of("a.test:81")));
        assert_eq!(busy.available_permits(), 2);
        for one in 0..1000 {
            of(&format!("{one}.test"));
        }
        assert!(places.services.lock().unwrap().len() <= MANY);
        assert!(Arc::ptr_eq(&busy, &of("a.test:80")), "whoever waits there is not forgotten");
    }
}
