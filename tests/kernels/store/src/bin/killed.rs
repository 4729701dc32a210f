//! A store under load, by 16 tasks, until the host kills the machine. First it says what it finds, each value whole: then each
//! operation that has been acknowledged.
//!
//! ```text
//! = CLIENT KEY NUMBER     the key has the value of that operation
//! ready                   that was all
//! + CLIENT NUMBER         that operation was acknowledged
//! ```
//!
//! What operation a number is, and of which key, is told by [`length`] and `KEYS`, here and in the host's test.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::vec::Vec;

use freestone::store::{self, Error, Options, Store};
use freestone::{BootInfo, Exit, block, println, task};

freestone::entry!(async main, audit: exit);

const CLIENTS: u32 = 16;
/// Keys of each client.
const KEYS: u32 = 5;
/// Of a segment, so that all of the disk is used many times.
const SEGMENT_BYTES: usize = 64 << 10;

/// Of the value that an operation puts, in bytes; `None` if it deletes.
fn length(number: u32) -> Option<usize> {
    let mixed = number.wrapping_mul(2_654_435_761) >> 8;
    (!mixed.is_multiple_of(6)).then_some(8 + (mixed as usize / 6) % 4000)
}

fn value(client: u32, number: u32) -> Option<Vec<u8>> {
    let mut value: Vec<u8> = [number.to_le_bytes(), client.to_le_bytes()].concat();
    let filled = (8..length(number)?).map(|at| (number as usize * 31 + at * 7 + at / 256) as u8);
    value.extend(filled);
    Some(value)
}

fn key(client: u32, number: u32) -> Vec<u8> {
    format!("{client}/{}", number % KEYS).into_bytes()
}

/// Prints what is there.
async fn tell(store: &Store) -> Result<(), Error> {
    for client in 0..CLIENTS {
        for key_number in 0..KEYS {
            let Some(got) = store.get(&key(client, key_number)).await? else { continue };
            let number = got.first_chunk().map_or(0, |&bytes| u32::from_le_bytes(bytes));
            if value(client, number).as_ref() != Some(&got) || number % KEYS != key_number {
                println!("torn: {client} {key_number} {number}");
            }
            println!("= {client} {key_number} {number}");
        }
    }
    println!("stats: {:?}", store.stats());
    println!("ready");
    Ok(())
}

async fn client(store: Store, client: u32, first: u32) -> Result<(), Error> {
    for number in first.. {
        let key = key(client, number);
        match value(client, number) {
            Some(value) => store.put(&key, &value).await?,
            None => drop(store.delete(&key).await?),
        }
        println!("+ {client} {number}");
    }
    Ok(())
}

async fn main(boot: &'static BootInfo) -> Exit {
    let first =
        boot.arguments().find_map(|it| it.strip_prefix("first=")?.parse().ok()).unwrap_or(1);
    let Some(found) = block::disks().next() else { return Exit::Failure };
    let disk = block::open(&found).expect("the disk");
    let options = Options { segment_bytes: Some(SEGMENT_BYTES), ..Options::default() };
    let store = match store::open(&disk, options).await {
        Ok(store) => store,
        Err(error) => {
            println!("not opened: {error}");
            return Exit::Failure;
        }
    };
    println!("state: {}", store.state());
    if let Err(error) = tell(&store).await {
        println!("not read: {error}");
        return Exit::Failure;
    }
    let clients: Vec<_> =
        (0..CLIENTS).map(|one| task::spawn(client(store.clone(), one, first))).collect();
    for client in clients {
        if let Ok(Err(error)) = client.await {
            println!("not written: {error}");
        }
    }
    Exit::Failure
}
