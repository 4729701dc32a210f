//! `/api/kv/?watch`: each change of the store as a server-sent event (HTML Living Standard 9.2), until the client goes.
//!
//! ```text
//! event: put                      event: delete                  event: lagged
//! data: {"key":"a","value":1}     data: {"key":"a"}              data: {}
//! ```
//!
//! `lagged` tells a client that was too slow that it has missed changes: it may ask for the keys anew.

use alloc::format;
use alloc::string::String;

use example_http::{Events, json};
use freestone_store::{Change, Disk, Error, Store, Watch, WatchError};

/// Changes of keys with a prefix.
pub struct Changes<D: Disk> {
    store: Store<D>,
    watch: Watch<D>,
}

impl<D: Disk> Changes<D> {
    /// From now on.
    ///
    /// # Errors
    ///
    /// [`Store::watch`]'s.
    pub fn of(store: &Store<D>, prefix: &str) -> Result<Changes<D>, Error> {
        Ok(Changes { store: store.clone(), watch: store.watch(prefix.as_bytes())? })
    }
}

impl<D: Disk> Events for Changes<D> {
    type Event = Result<Change, WatchError>;

    async fn next(&mut self) -> Option<Self::Event> {
        match self.watch.next().await {
            Err(WatchError::Closed) => None,
            change => Some(change),
        }
    }

    async fn text(&self, event: Self::Event) -> Option<String> {
        let Ok(Change { key, is_deleted }) = event else {
            return Some("event: lagged\ndata: {}\n\n".into());
        };
        let name = json::string(&String::from_utf8_lossy(&key));
        if is_deleted {
            return Some(format!("event: delete\ndata: {{\"key\":{name}}}\n\n"));
        }
        // If it has gone since, that is a change of its own.
        let Some(value) = self.store.get(&key).await.ok()? else { return Some(String::new()) };
        // Line ends inside JSON are white space, but would end the event's line.
        let value = core::str::from_utf8(&value).ok()?;
        let mut text = String::new();
        text.try_reserve_exact(name.len() + value.len() + 48).ok()?;
        for part in ["event: put\ndata: {\"key\":", &name, ",\"value\":"] {
            text.push_str(part);
        }
        text.extend(value.chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
        text.push_str("}\n\n");
        Some(text)
    }
}
