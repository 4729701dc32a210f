//! A FAT file system with one file, the one that UEFI firmware starts by itself: `EFI/BOOT/BOOTX64.EFI`.
//!
//! FAT12, of as many clusters as the file needs: the smallest that firmware reads, and, made here, the same bytes each time.
//!
//! Sources: Microsoft, "FAT: General Overview of On-Disk Format" 1.03; UEFI 2.10, 3.5.1.1 (the file's name), 13.3 (FAT).
//!
//! ```text
//! sector 0       boot sector
//! then           two tables of 12 bits for each cluster
//! then           root folder, one sector: EFI
//! cluster 2, 3   the folders EFI and BOOT
//! cluster 4 …    the file
//! ```

const SECTOR: usize = 512;
const TABLES: usize = 2;
/// Entries of the root folder, in one sector.
const ROOT_ENTRIES: usize = SECTOR / ENTRY;
/// A folder's entry.
const ENTRY: usize = 32;
/// With this many clusters it would be FAT16.
const TOO_MANY_CLUSTERS: usize = 4085;
/// The first cluster there is.
const FIRST: usize = 2;
/// Where the file begins: behind two folders.
const FILE: usize = FIRST + 2;
const LAST_OF_FILE: u16 = 0xfff;
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
/// The first of January 1980, the earliest there is: years since, month and day.
const DATE: u16 = 1 << 5 | 1;

/// The file system; `None` if the file is too large for it.
pub fn of(file: &[u8]) -> Option<Vec<u8>> {
    let clusters = |per: usize| file.len().div_ceil(per * SECTOR) + 2;
    let per_cluster =
        [1, 2, 4, 8, 16, 32, 64, 128].into_iter().find(|&per| clusters(per) < TOO_MANY_CLUSTERS)?;
    let clusters = clusters(per_cluster);
    let cluster = per_cluster * SECTOR;
    // Two entries in three bytes, and the first two are no cluster's.
    let table_sectors = ((clusters + FIRST) * 3).div_ceil(2 * SECTOR);
    let sectors = 1 + TABLES * table_sectors + 1 + clusters * per_cluster;

    let mut bytes = boot_sector(per_cluster, table_sectors, sectors);
    let mut table = table(clusters);
    table.resize(table_sectors * SECTOR, 0);
    (0..TABLES).for_each(|_| bytes.extend(&table));
    bytes.extend(entry(b"EFI        ", FOLDER, FIRST, 0));
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    let mut folder = |up: usize, own: usize, inside: [u8; ENTRY]| {
        let start = bytes.len();
        bytes.extend(entry(b".          ", FOLDER, own, 0));
        bytes.extend(entry(b"..         ", FOLDER, up, 0));
        bytes.extend(inside);
        bytes.resize(start + cluster, 0);
    };
    // The root folder is called cluster 0.
    folder(0, FIRST, entry(b"BOOT       ", FOLDER, FIRST + 1, 0));
    folder(FIRST, FIRST + 1, entry(b"BOOTX64 EFI", ARCHIVE, FILE, file.len()));
    bytes.extend(file);
    bytes.resize(sectors * SECTOR, 0);
    Some(bytes)
}

/// The table of clusters: a chain for the file, and folders of one cluster each.
fn table(clusters: usize) -> Vec<u8> {
    let end = clusters + FIRST;
    let mut values = vec![0xff8, LAST_OF_FILE, LAST_OF_FILE, LAST_OF_FILE];
    values
        .extend((FILE + 1..=end).map(|next| if next == end { LAST_OF_FILE } else { next as u16 }));
    values.truncate(end);
    values.resize(end.next_multiple_of(2), 0);
    let pairs = values.chunks_exact(2).map(|pair| u32::from(pair[0]) | u32::from(pair[1]) << 12);
    pairs.flat_map(|pair| pair.to_le_bytes().into_iter().take(3)).collect()
}

/// An entry of a folder: name 0+11, attributes 11, date of writing 24+2, first cluster 26+2, size 28+4.
fn entry(name: &[u8; 11], attributes: u8, cluster: usize, len: usize) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    entry[24..26].copy_from_slice(&DATE.to_le_bytes());
    entry[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    entry[28..32].copy_from_slice(&(len as u32).to_le_bytes());
    entry
}

/// "Boot Sector and BPB", with an extended boot signature.
fn boot_sector(per_cluster: usize, table_sectors: usize, sectors: usize) -> Vec<u8> {
    let mut bytes = vec![0; SECTOR];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    let small = |number: usize| (number as u16).to_le_bytes();
    put(0, &[0xeb, 0x3c, 0x90]);
    put(3, b"FREESTON");
    put(11, &small(SECTOR));
    put(13, &[per_cluster as u8]);
    put(14, &small(1));
    put(16, &[TABLES as u8]);
    put(17, &small(ROOT_ENTRIES));
    put(21, &[0xf8]);
    put(22, &small(table_sectors));
    // Sectors for each track and heads, of a disk that has none.
    put(24, &small(32));
    put(26, &small(2));
    match u16::try_from(sectors) {
        Ok(sectors) => put(19, &sectors.to_le_bytes()),
        Err(_) => put(32, &(sectors as u32).to_le_bytes()),
    }
    put(36, &[0x80, 0, 0x29]);
    put(43, b"FREESTONE  FAT12   ");
    put(510, &[0x55, 0xaa]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }

    /// Follows folders and chains as a reader does, by what the boot sector says.
    fn read(disk: &[u8], path: &[&[u8; 11]]) -> Vec<u8> {
        let (per, tables, table) = (usize::from(disk[13]), usize::from(disk[16]), small(disk, 22));
        let root = (small(disk, 14) + tables * table) * SECTOR;
        let data = root + small(disk, 17) * ENTRY;
        let cluster = |number: usize| {
            let start = data + (number - FIRST) * per * SECTOR;
            &disk[start..start + per * SECTOR]
        };
        let next = |number: usize| {
            let pair = small(disk, SECTOR + number * 3 / 2);
            if number.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }
        };
        let mut here = disk[root..data].to_vec();
        for name in path {
            let found =
                here.chunks(ENTRY).find(|entry| entry.starts_with(*name)).expect("an entry");
            let (mut number, len) = (small(found, 26), small(found, 28) | small(found, 30) << 16);
            here = Vec::new();
            while number < 0xff8 {
                here.extend(cluster(number));
                number = next(number);
            }
            if len > 0 {
                here.truncate(len);
            }
        }
        here
    }

    #[test]
    fn files_of_every_size_are_found_again() {
        for len in [1, 511, 512, 513, 4096, 700_001, 2_090_000, 2_100_000, 9_000_000] {
            let file: Vec<u8> = (0..len).map(|at: u32| (at % 251) as u8).collect();
            let disk = of(&file).expect("small enough");
            let sectors = match small(&disk, 19) {
                0 => small(&disk, 32) | small(&disk, 34) << 16,
                sectors => sectors,
            };
            assert_eq!(sectors * SECTOR, disk.len());
            let path = [b"EFI        ", b"BOOT       ", b"BOOTX64 EFI"];
            assert!(read(&disk, &path) == file, "{len} bytes");
            let table = small(&disk, 22) * SECTOR;
            assert!(disk[SECTOR..][..table] == disk[SECTOR + table..][..table]);
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert!(of(&vec![0; 300 << 20]).is_none());
    }
}
