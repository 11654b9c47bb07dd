//! Whether the machine runs on battery.

use super::{entries, word};
use std::path::Path;

/// Whether a battery of the machine's own is being used up. The battery of a mouse is none.
pub(super) fn on_battery(root: &Path) -> bool {
    let supplies: Vec<_> = entries(&root.join("sys/class/power_supply")).collect();
    let is = |supply: &Path, file: &str, value: &str| word(&supply.join(file)).is_some_and(|word| word == value);
    let mains = supplies.iter().any(|supply| !is(supply, "type", "Battery") && is(supply, "online", "1"));
    let discharging = |supply: &&std::path::PathBuf| {
        is(supply, "type", "Battery") && !is(supply, "scope", "Device") && is(supply, "status", "Discharging")
    };
    // A dock that gives less than is used discharges the battery on mains: that is no battery operation.
    !mains && supplies.iter().any(|supply| discharging(&supply))
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeRoot;
    use super::*;

    #[test]
    fn a_battery_that_is_used_up_without_mains_counts_and_a_mouse_does_not() {
        let root = FakeRoot::new();
        let write = |name: &str, text: &str| drop(root.write(&format!("sys/class/power_supply/{name}"), text));
        assert!(!on_battery(root.path()));
        write("AC/type", "Mains\n");
        write("AC/online", "1\n");
        write("mouse/type", "Battery\n");
        write("mouse/scope", "Device\n");
        write("mouse/status", "Discharging\n");
        assert!(!on_battery(root.path()));
        write("AC/online", "0\n");
        assert!(!on_battery(root.path()));
        write("BAT0/type", "Battery\n");
        write("BAT0/status", "Discharging\n");
        assert!(on_battery(root.path()));
        write("usb-c/type", "USB\n");
        write("usb-c/online", "1\n");
        assert!(!on_battery(root.path()));
    }
}
