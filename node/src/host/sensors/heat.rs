//! How hot the machine is at its hottest place.

use super::{entries, is_numbered, word};
use std::path::Path;

/// Temperatures that a machine can have, in degrees; what is beyond is a broken sensor.
const PLAUSIBLE: std::ops::Range<u32> = 1..150;

/// Degrees Celsius; nothing where nothing is measured.
pub(super) fn hottest(root: &Path) -> Option<u32> {
    let zones = entries(&root.join("sys/class/thermal")).filter(|path| is_numbered(path, "thermal_zone"));
    let zones = zones.map(|zone| zone.join("temp"));
    let is_input = |path: &std::path::PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("temp") && name.ends_with("_input")
    };
    let chips =
        entries(&root.join("sys/class/hwmon")).flat_map(|chip| entries(&chip).filter(is_input).collect::<Vec<_>>());
    let degrees = |path: &Path| word(path).and_then(|milli| milli.parse::<u32>().ok()).map(|milli| milli / 1000);
    zones.chain(chips).filter_map(|path| degrees(&path)).filter(|degrees| PLAUSIBLE.contains(degrees)).max()
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeRoot;
    use super::*;

    #[test]
    fn the_hottest_place_counts_and_a_broken_sensor_does_not() {
        let root = FakeRoot::new();
        assert_eq!(hottest(root.path()), None);
        root.write("sys/class/thermal/thermal_zone0/temp", "48000\n");
        root.write("sys/class/thermal/thermal_zone1/temp", "-273000\n");
        root.write("sys/class/thermal/cooling_device0/temp", "99000\n");
        assert_eq!(hottest(root.path()), Some(48));
        root.write("sys/class/hwmon/hwmon0/temp1_input", "71500\n");
        root.write("sys/class/hwmon/hwmon0/temp1_max", "100000\n");
        root.write("sys/class/hwmon/hwmon1/temp2_input", "255000\n");
        assert_eq!(hottest(root.path()), Some(71));
    }
}
