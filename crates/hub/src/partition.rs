//! Which partition a device's events go to. Clients compute it too and read only that partition, so the function is
//! part of the wire: its source is the C SDK's event hub monitor, read 2026-11.

use muster_model::{DeviceId, Partition, PartitionCount};

/// How many logical partitions the real ones share.
const LOGICAL: u32 = 32_767;

/// Answers the partition of a device's events among `count`.
pub fn partition_of(device: &DeviceId, count: PartitionCount) -> Partition {
    let logical = logical_partition(device);
    let count = u32::from(count.get());
    let (size, longer) = (LOGICAL / count, LOGICAL % count);
    // The first `longer` ranges are one longer than the others.
    let boundary = longer * (size + 1);
    let partition = if logical < boundary {
        logical / (size + 1)
    } else {
        longer + (logical - boundary) / size
    };
    Partition::new(u16::try_from(partition).unwrap_or_default())
}

/// Answers the logical partition, 0 to 32,766.
fn logical_partition(device: &DeviceId) -> u32 {
    let (c, b) = hash(device.as_str().to_ascii_uppercase().as_bytes());
    let [low, high, ..] = (c ^ b).to_le_bytes();
    // The remainder of a signed number keeps its sign; the magnitude is taken afterwards.
    let signed = i32::from(i16::from_le_bytes([low, high]));
    (signed % LOGICAL.cast_signed()).unsigned_abs()
}

/// Bob Jenkins' lookup3, `hashlittle2` with both seeds 0; public domain. Answers c and b.
fn hash(key: &[u8]) -> (u32, u32) {
    let start = 0xdead_beef_u32.wrapping_add(u32::try_from(key.len()).unwrap_or(u32::MAX));
    let [mut a, mut b, mut c] = [start; 3];
    let mut rest = key;
    while rest.len() > 12 {
        let (block, behind) = rest.split_at(12);
        add(block, &mut a, &mut b, &mut c);
        mix(&mut a, &mut b, &mut c);
        rest = behind;
    }
    if !rest.is_empty() {
        add(rest, &mut a, &mut b, &mut c);
        finish(&mut a, &mut b, &mut c);
    }
    (c, b)
}

/// Adds up to twelve bytes as three little-endian words, missing bytes as zeros.
fn add(bytes: &[u8], a: &mut u32, b: &mut u32, c: &mut u32) {
    for (at, byte) in bytes.iter().enumerate() {
        let value = u32::from(*byte) << (8 * (at % 4));
        let word = match at / 4 {
            0 => &mut *a,
            1 => &mut *b,
            _ => &mut *c,
        };
        *word = word.wrapping_add(value);
    }
}

fn mix(a: &mut u32, b: &mut u32, c: &mut u32) {
    for rotation in [[4, 6, 8], [16, 19, 4]] {
        let [first, second, third] = rotation;
        *a = a.wrapping_sub(*c) ^ c.rotate_left(first);
        *c = c.wrapping_add(*b);
        *b = b.wrapping_sub(*a) ^ a.rotate_left(second);
        *a = a.wrapping_add(*c);
        *c = c.wrapping_sub(*b) ^ b.rotate_left(third);
        *b = b.wrapping_add(*a);
    }
}

fn finish(a: &mut u32, b: &mut u32, c: &mut u32) {
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(14));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(11));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(25));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(16));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(4));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(14));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(24));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        for (device, logical, partitions) in [
            ("device-01", 12_941, [0, 1, 6, 12]),
            ("my-x509-device", 7_719, [0, 0, 3, 7]),
            ("Dev1", 19_358, [1, 2, 9, 18]),
            ("dev1", 19_358, [1, 2, 9, 18]),
            ("a", 9_517, [0, 1, 4, 9]),
            ("thermostat-building-12-floor-3", 12_530, [0, 1, 6, 12]),
            ("123456789012", 21_621, [1, 2, 10, 21]),
            ("xxxxxxxxxxxxx", 18_468, [1, 2, 9, 18]),
            ("sensor:7.a-b_c", 16_926, [1, 2, 8, 16]),
        ] {
            let device = DeviceId::parse(device).unwrap();
            assert_eq!(logical_partition(&device), logical, "{device}");
            for (count, partition) in [2, 4, 16, 32].into_iter().zip(partitions) {
                let count = PartitionCount::new(count).unwrap();
                assert_eq!(
                    partition_of(&device, count),
                    Partition::new(partition),
                    "{device} {count:?}"
                );
            }
        }
    }

    #[test]
    fn every_partition_is_one_of_the_hub() {
        for count in 1..=128 {
            let count = PartitionCount::new(count).unwrap();
            for number in 0..200 {
                let device = DeviceId::parse(&format!("d{number}")).unwrap();
                assert!(partition_of(&device, count).get() < count.get());
            }
        }
    }
}
