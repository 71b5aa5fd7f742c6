//! The upstream side: endpoints, balancing, pool, client, retries.
