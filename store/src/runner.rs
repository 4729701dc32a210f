//! (being written)
use crate::disk::Disk;
use crate::store::Store;

/// What writes: a future that is spawned, in the executor whose tasks use the store.
pub struct Runner<D: Disk>(pub(crate) Store<D>);

impl<D: Disk> Runner<D> {
    /// Runs until the store is closed, or there is no handle any more.
    pub async fn run(self) {
        let _ = self.0.state();
    }
}
